"""Reads that wait are answered when what they wait for happens, and not only then."""

from __future__ import annotations

from typing import Any

import pytest

from raftzmq import limits
from raftzmq.machine import Machine
from raftzmq.node import Node
from raftzmq.node.counts import READ
from raftzmq.transport.client_wire import ErrorReply, OperationsRequest, Reply, Results
from tests.node.world import STEP_MS, World

HOLD_MS = limits.AWAIT_MS


class Waiter:
    """A client with reads under way, and when each was answered."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.answers: dict[int, tuple[str, Any]] = {}  # code and body
        self.at_ms: dict[int, int] = {}
        world.listeners[name.encode()] = self._hears

    def ask(self, node: Node, ident: int, *op: Any, stale: bool = False) -> None:
        request = OperationsRequest(0, 0, stale, [[ident, *op]], node.cluster)
        self.world.ask(node.name, request, self.name.encode())

    def _hears(self, reply: Reply) -> bool:
        match reply:
            case Results():
                for ident, code, _, body in reply.results:
                    self._note(ident, code, body)
            case ErrorReply():
                for ident in reply.ids or ():
                    self._note(ident, reply.code, None)
        return True

    def _note(self, ident: int, code: str, body: Any) -> None:
        assert ident not in self.answers, "answered twice"
        self.answers[ident] = code, body
        self.at_ms[ident] = self.world.now_ms


class Lock:
    """A world with a lock, its holder, and others in line."""

    def __init__(self, waiters: int = 1, size: int = 3) -> None:
        self.world = World(size)
        self.leader = self.world.formed()
        self.session = self.world.session(self.leader.name)
        self.lease = self.write("lease_grant", 60_000)[3]
        self.tokens = [self.join() for _ in range(waiters + 1)]
        self.waiter = Waiter(self.world, "waiter")

    def write(self, *op: Any) -> list[Any]:
        return self.world.operate(self.leader.name, *op, session=self.session)

    def join(self) -> int:
        token: int = self.write("acquire", "lock", "l", self.lease, 1, 0, True, None)[3][0]
        return token

    def release(self, token: int) -> None:
        assert self.write("release", "lock", "l", token)[1] == "ok"

    def wait(self, ident: int, token: int, hold_ms: int = HOLD_MS) -> None:
        self.waiter.ask(self.leader, ident, "await", "lock", "l", token, hold_ms)


def test_a_read_that_is_parked_leaves_no_mark_on_the_answer_to_one_beside_it() -> None:
    lock = Lock()
    for ident in range(1, 10, 3):  # parked first, last, and between those that are answered
        lock.wait(ident, lock.tokens[1])
        lock.waiter.ask(lock.leader, ident + 1, "get", "absent")
        lock.waiter.ask(lock.leader, ident + 2, "get", "absent")
    lock.world.run(0.2)
    assert sorted(lock.waiter.answers) == [2, 3, 5, 6, 8, 9]
    lock.release(lock.tokens[0])
    assert sorted(lock.waiter.answers) == list(range(1, 10))


def test_the_next_in_line_hears_of_its_turn_with_the_release() -> None:
    lock = Lock()
    lock.wait(1, lock.tokens[1])
    lock.world.run(0.2)
    assert lock.waiter.answers == {}
    lock.release(lock.tokens[0])
    assert lock.waiter.answers == {1: ("ok", True)}
    assert lock.waiter.at_ms[1] == lock.world.now_ms, "in the turn of the release itself"
    assert lock.leader.parked.count == 0


def test_what_is_decided_already_is_answered_at_once() -> None:
    lock = Lock()
    lock.wait(1, lock.tokens[0])
    lock.wait(2, lock.tokens[1] + 1000)
    lock.wait(3, lock.tokens[1], hold_ms=0)
    lock.world.run(0.1)
    assert [lock.waiter.answers[ident][0] for ident in (1, 2, 3)] == ["ok", "not_held", "ok"]
    assert (lock.waiter.answers[1][1], lock.waiter.answers[3][1]) == (True, False)


def test_who_still_waits_after_its_time_is_told_so_on_time() -> None:
    lock = Lock()
    asked_ms = lock.world.now_ms
    lock.wait(1, lock.tokens[1], hold_ms=500)
    lock.world.run(0.1)
    due_ms = lock.leader.parked.next_deadline_ms
    assert due_ms is not None
    assert due_ms >= lock.leader.next_deadline_ms
    lock.world.run(1)
    assert lock.waiter.answers == {1: ("ok", False)}
    assert 500 <= lock.waiter.at_ms[1] - asked_ms <= 500 + 5 * STEP_MS
    assert lock.leader.parked.next_deadline_ms is None


def test_a_place_that_is_given_up_is_not_held_any_more() -> None:
    lock = Lock()
    lock.wait(1, lock.tokens[1])
    lock.world.run(0.1)
    lock.release(lock.tokens[1])
    assert lock.waiter.answers[1][0] == "not_held"


def test_reads_that_wait_are_refused_when_leadership_is_lost() -> None:
    lock = Lock()
    lock.wait(1, lock.tokens[1])
    lock.world.run(0.1)
    lock.world.cut.add(lock.leader.name)
    lock.world.until(lambda: lock.waiter.answers, seconds=HOLD_MS / 1000)
    assert lock.waiter.answers[1][0] == "not_leader"


def test_reads_that_wait_are_refused_by_a_node_that_stops() -> None:
    lock = Lock()
    lock.wait(1, lock.tokens[1])
    lock.world.run(0.1)
    lock.leader.stop()
    lock.world.step()
    assert lock.waiter.answers[1][0] == "not_leader"


def test_a_follower_holds_nothing_back() -> None:
    lock = Lock()
    follower = next(node for node in lock.world.nodes.values() if node is not lock.leader)
    lock.world.run(0.3)  # until it has applied everything
    lock.waiter.ask(follower, 1, "await", "lock", "l", lock.tokens[1], HOLD_MS, stale=True)
    lock.waiter.ask(follower, 2, "await", "lock", "l", lock.tokens[1], HOLD_MS)
    lock.world.step()
    assert [lock.waiter.answers[ident][0] for ident in (1, 2)] == ["ok", "not_leader"]


def test_only_so_many_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PARKED_READS", 2)
    lock = Lock()
    for ident in (1, 2, 3):
        lock.wait(ident, lock.tokens[1])
    lock.world.run(0.1)
    assert lock.waiter.answers == {3: ("overloaded", None)}
    lock.release(lock.tokens[0])
    assert sorted(lock.waiter.answers) == [1, 2, 3]
    assert lock.leader.counts.answered[READ]["ok"] == 2
    assert lock.leader.counts.answered[READ]["overloaded"] == 1


def test_a_release_is_looked_at_for_the_next_in_line_only(monkeypatch: pytest.MonkeyPatch) -> None:
    lock = Lock(waiters=30, size=1)
    for ident, token in enumerate(lock.tokens[1:], 1):
        lock.wait(ident, token)
    lock.world.run(0.1)
    asked: list[Any] = []
    decide = Machine.decide

    def counted(machine: Machine, op: Any) -> Any:
        asked.append(op[0])
        return decide(machine, op)

    monkeypatch.setattr(Machine, "decide", counted)
    lock.release(lock.tokens[0])
    assert asked == [1]


def test_an_election_is_observed_from_one_holder_to_the_next() -> None:
    lock = Lock()
    for ident in (1, 2):
        lock.waiter.ask(lock.leader, ident, "observe", "e", 0, HOLD_MS)
    lock.world.run(0.1)
    join = ("acquire", "election", "e", lock.lease, 1, 0, True)
    first = lock.write(*join, "first")[3][0]
    second = lock.write(*join, "second")[3][0]
    assert lock.waiter.answers == {n: ("ok", [first, "first"]) for n in (1, 2)}
    lock.waiter.ask(lock.leader, 3, "observe", "e", first, HOLD_MS)
    lock.world.run(0.1)
    lock.write("release", "election", "e", first)
    assert lock.waiter.answers[3] == ("ok", [second, "second"])
    lock.waiter.ask(lock.leader, 4, "observe", "e", second, HOLD_MS)
    lock.world.run(0.1)
    lock.write("release", "election", "e", second)
    assert lock.waiter.answers[4] == ("ok", None)


def test_who_observes_values_hears_a_new_one_when_it_is_applied() -> None:
    lock = Lock()
    first = lock.write("acquire", "election", "e", lock.lease, 1, 0, True, "here")[3][0]
    lock.waiter.ask(lock.leader, 1, "proclaimed", "e", first, "here", HOLD_MS)
    lock.waiter.ask(lock.leader, 2, "observe", "e", first, HOLD_MS)
    lock.world.run(0.1)
    lock.write("proclaim", "e", first, "there")
    assert lock.waiter.answers == {1: ("ok", [first, "there"])}
