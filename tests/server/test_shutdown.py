"""How a node that was told to stop goes: at once, after a hand-over, or once it is removed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from raftzmq.node import Node
from raftzmq.server.replica_feed import ReplicaFeed
from raftzmq.server.shutdown import READING_MS, Shutdown
from raftzmq.server.statefulset import ReplicaReading
from raftzmq.server.text_log import TextLog
from tests.node.world import STEP_MS, World, wires

GRACE_MS = 55_000


class Log(TextLog):
    """The text log, kept instead of written."""

    def __init__(self) -> None:
        super().__init__("raft-0", "INFO")
        self.lines: list[str] = []

    def __call__(self, event: str, level: int = 0, **details: object) -> None:
        self.lines.append(event)


@dataclass
class Watch:
    """In place of the watch on the StatefulSet."""

    latest: ReplicaReading = field(default_factory=lambda: ReplicaReading(None, -1, None))
    asked: int = 0

    def refresh(self) -> None:
        self.asked += 1

    def check(self) -> None:
        pass


class Stopper:
    """A node of a world on its way out, as the server's loop takes it there."""

    def __init__(self, world: World, name: str, *, watched: bool = True) -> None:
        self.world, self.node = world, world.nodes[name]
        self.log = Log()
        self.watch = Watch()
        self.feed = ReplicaFeed(self.node, self.watch, self.log) if watched else None
        self.stopping = Shutdown(self.node, self.log, self.feed, GRACE_MS)
        self.node.stop_requested = True

    def ended(self, *, by_signal: bool = True) -> bool:
        if self.feed is not None:
            self.feed.look(self.world.now_ms)
        out: Any = wires(self.world, self.node.name)
        return self.stopping.may_end(self.world.now_ms, out, by_signal=by_signal)

    def steps_to_end(self, most_ms: int) -> int:
        """Let time pass until it may end; return how many milliseconds that took."""
        for passed_ms in range(0, most_ms + STEP_MS, STEP_MS):
            if self.ended():
                return passed_ms
            self.world.step()
        raise AssertionError(f"still there after {most_ms} ms: {self.log.lines}")

    def read(self, replicas: int | None) -> None:
        self.watch.latest = ReplicaReading(replicas, self.world.now_ms, None)


@pytest.fixture
def world() -> World:
    world = World(3)
    world.formed()
    return world


def follower(world: World) -> Node:
    return next(n for n in world.nodes.values() if n.role == "follower")


def leader(world: World) -> Node:
    node = world.leader()
    assert node is not None
    return node


def test_a_follower_that_nobody_scales_ends_at_once(world: World) -> None:
    assert Stopper(world, follower(world).name, watched=False).ended()


def test_a_leader_hands_over_first(world: World) -> None:
    stopper = Stopper(world, leader(world).name, watched=False)
    assert not stopper.ended()
    stopper.steps_to_end(2000)
    world.until(world.leader)
    assert leader(world).name != stopper.node.name


def test_a_node_that_is_not_surplus_ends_once_it_knows_so(world: World) -> None:
    stopper = Stopper(world, follower(world).name)
    assert not stopper.ended()
    assert stopper.watch.asked == 1
    stopper.read(3)
    assert stopper.ended()


def test_a_reading_of_before_the_word_to_stop_does_not_count(world: World) -> None:
    stopper = Stopper(world, "raft-2")
    stopper.read(3)
    world.step()
    assert not stopper.ended()
    stopper.read(1)
    assert not stopper.ended()
    assert any("surplus" in line for line in stopper.log.lines)


def test_without_any_reading_a_node_ends_after_a_while(world: World) -> None:
    stopper = Stopper(world, follower(world).name)
    assert stopper.steps_to_end(2 * READING_MS) == READING_MS
    assert stopper.watch.asked > 1


def test_a_surplus_node_votes_on_until_it_is_removed(world: World) -> None:
    stopper = Stopper(world, "raft-2")
    assert not stopper.ended()
    stopper.read(2)
    for _ in range(500):
        assert not stopper.ended()
        world.step()
    world.replicas = 2  # now the leader hears of it too
    stopper.steps_to_end(10_000)
    assert stopper.node.role == "joining"


def test_a_surplus_node_that_nobody_removes_ends_with_its_grace_period(world: World) -> None:
    stopper = Stopper(world, "raft-2")
    assert not stopper.ended()
    stopper.read(2)
    assert stopper.steps_to_end(2 * GRACE_MS) == GRACE_MS


@pytest.mark.parametrize("replicas", [0, None])
def test_a_node_of_a_cluster_that_is_scaled_to_nothing_ends_at_once(
    world: World, replicas: int | None
) -> None:
    stopper = Stopper(world, follower(world).name)
    assert not stopper.ended()
    stopper.read(replicas)
    assert stopper.ended()


def test_a_stop_that_a_client_asked_for_waits_for_nothing(world: World) -> None:
    stopper = Stopper(world, "raft-2" if leader(world).name != "raft-2" else "raft-1")
    assert stopper.ended(by_signal=False)


def test_a_node_that_is_no_member_ends_at_once() -> None:
    world = World(3)
    assert Stopper(world, "raft-2").ended()


class TestTheFeed:
    def test_a_problem_is_told_once(self, world: World) -> None:
        stopper = Stopper(world, "raft-0")
        stopper.watch.latest = ReplicaReading(None, 1, "no permission: do this")
        for _ in range(3):
            stopper.ended()
        stopper.watch.latest = ReplicaReading(None, 2, "no permission: do this")
        stopper.ended()
        assert stopper.log.lines.count("no permission: do this") == 1

    @pytest.mark.parametrize(("replicas", "warned"), [(2, True), (3, False), (0, False)])
    def test_an_even_number_is_warned_of(self, world: World, replicas: int, warned: bool) -> None:
        stopper = Stopper(world, "raft-0")
        stopper.read(replicas)
        stopper.ended()
        assert any("odd number" in line for line in stopper.log.lines) == warned

    def test_a_fresh_reading_is_asked_for_when_the_node_needs_one(self, world: World) -> None:
        node = leader(world)
        watch, log = Watch(), Log()
        feed = ReplicaFeed(node, watch, log)
        watch.latest = ReplicaReading(1, world.now_ms - 1, None)
        feed.look(world.now_ms)
        assert watch.asked == 0
        world.run(1)
        feed.look(world.now_ms)
        assert watch.asked == 1
