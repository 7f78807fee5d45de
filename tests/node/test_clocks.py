"""Clocks of nodes that stand still, jump, or run at the wrong rate."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from raftzmq.core.clock import STILL_TICKS
from raftzmq.node import Node
from raftzmq.transport.client_wire import OperationsRequest
from tests.node.world import STEP_MS, World

HOUR_MS = 3_600_000
TTL_MS = 2_000
STILL_S = 2 * STILL_TICKS * STEP_MS / 1000


class Busy:
    """A cluster whose leader is never without reads and writes."""

    def __init__(self) -> None:
        self.world = World(3)
        self.leader = self.world.formed()
        self.session = self.world.session(self.leader.name)
        self.serial = 1000

    def stop_clock(self, node: Node) -> None:
        shown_ms = self.world.clock(node.name)
        self.world.clocks[node.name] = lambda _now_ms: shown_ms

    def set_clock(self, node: Node, rate: float = 1.0, ahead_ms: int = 0) -> None:
        begun_ms, shown_ms = self.world.now_ms, self.world.clock(node.name) + ahead_ms
        self.world.clocks[node.name] = lambda now_ms: shown_ms + int((now_ms - begun_ms) * rate)

    def grant(self) -> int:
        _, code, _, lease = self.world.operate(
            self.leader.name, "lease_grant", TTL_MS, session=self.session
        )
        assert code == "ok"
        return int(lease)

    def send(self, *op: object) -> None:
        leader = self.world.leader() or self.leader
        self.serial += 1
        session = 0 if op[0] == "get" else self.session
        ops = [[self.serial, *op]]
        self.world.ask(
            leader.name, OperationsRequest(session, self.serial, False, ops, leader.cluster)
        )

    def work(self, done: Callable[[], object], seconds: float, *more: object) -> None:
        """A read and a write every other step, and perhaps one operation more."""
        turn = 0

        def step() -> object:
            nonlocal turn
            turn += 1
            if turn % 2:
                self.send("get", "k")
                self.send("put", "k", "v")
                if more:
                    self.send(*more)
            return done()

        self.world.until(step, seconds)

    def ended(self, lease: int) -> bool:
        leader = self.world.leader()
        return leader is not None and lease not in leader.machine.state.leases.table


def test_a_leader_whose_clock_stands_still_does_not_go_on_leading_however_busy_it_is() -> None:
    busy = Busy()
    lease = busy.grant()
    still = busy.leader
    busy.stop_clock(still)
    busy.work(lambda: still.role == "follower", STILL_S)
    busy.work(lambda: busy.world.leader() not in (None, still), 2)
    busy.work(lambda: busy.ended(lease), 2 * TTL_MS / 1000)
    assert still.raft.clock_stands
    assert busy.world.operate(busy.world.leader().name, "get", "k")[1] == "ok"  # type: ignore[union-attr]


def test_a_clock_that_goes_back_is_one_that_stands_still() -> None:
    busy = Busy()
    back = busy.leader
    busy.set_clock(back, ahead_ms=-HOUR_MS)
    busy.work(lambda: back.role == "follower", STILL_S)
    busy.work(lambda: busy.world.leader() not in (None, back), 2)


def test_a_node_whose_clock_runs_again_may_lead_again() -> None:
    busy = Busy()
    still = busy.leader
    busy.stop_clock(still)
    busy.work(lambda: still.role == "follower", STILL_S)
    busy.world.until(lambda: busy.world.leader() not in (None, still))
    busy.set_clock(still)
    busy.world.step()
    assert not still.raft.clock_stands
    busy.world.run(1)
    busy.world.answer_transfer(still.name)
    busy.world.until(lambda: busy.world.leader() is still)


def test_nothing_can_be_handed_to_a_node_whose_clock_stands_still() -> None:
    busy = Busy()
    still = next(n for n in busy.world.nodes.values() if n is not busy.leader)
    busy.stop_clock(still)
    busy.world.run(STILL_S)
    busy.world.answer_transfer(still.name)
    busy.world.run(2)
    assert busy.world.leader() is busy.leader


def test_a_follower_whose_clock_stands_still_votes_for_a_successor_of_its_leader() -> None:
    busy = Busy()
    still = next(n for n in busy.world.nodes.values() if n is not busy.leader)
    busy.stop_clock(still)
    busy.world.run(0.5)
    busy.world.kill(busy.leader.name)
    successor = busy.world.until(busy.world.leader, STILL_S + 2)
    assert successor not in (busy.leader, still)


@pytest.mark.parametrize("follower", [0.5, 2.0, 1.0])
@pytest.mark.parametrize("leader", [0.5, 2.0])
def test_clocks_at_half_and_double_speed_depose_nobody_and_keep_the_leaders_time(
    leader: float, follower: float
) -> None:
    busy = Busy()
    for node in busy.world.nodes.values():
        busy.set_clock(node, leader if node is busy.leader else follower)
    lease = busy.grant()
    granted_ms, term = busy.world.now_ms, busy.leader.raft.term
    busy.work(lambda: busy.ended(lease), 10)
    lasted_ms = busy.world.now_ms - granted_ms
    assert abs(lasted_ms * leader - TTL_MS) < 300, "by the leader's clock"
    busy.world.run(5)
    assert (busy.world.leader(), busy.leader.raft.term) == (busy.leader, term)


@pytest.mark.parametrize("ahead_ms", [1_000, HOUR_MS])
def test_a_leaders_clock_that_jumps_ahead_ends_no_lease_that_is_kept_alive(ahead_ms: int) -> None:
    busy = Busy()
    lease = busy.grant()
    for phase in range(6):  # it may have heard a majority since its last turn, or not
        until_ms = busy.world.now_ms + TTL_MS + phase * STEP_MS
        busy.work(lambda at=until_ms: busy.world.now_ms >= at, 10, "lease_keep", lease)  # type: ignore[misc]
        assert not busy.ended(lease)
        busy.set_clock(busy.world.until(busy.world.leader), ahead_ms=ahead_ms)
    busy.work(lambda: busy.ended(lease), 10)


def test_a_followers_clock_that_jumps_disturbs_nobody() -> None:
    busy = Busy()
    follower = next(n for n in busy.world.nodes.values() if n is not busy.leader)
    term = busy.leader.raft.term
    for ahead_ms in (HOUR_MS, -2 * HOUR_MS):
        busy.set_clock(follower, ahead_ms=ahead_ms)
        busy.world.run(STILL_S)
    assert (busy.world.leader(), busy.leader.raft.term) == (busy.leader, term)
