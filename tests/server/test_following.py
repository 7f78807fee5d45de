"""What a node finds out about itself: whether the leader hears it, and since when it is behind."""

from __future__ import annotations

import pytest

from raftzmq.node import Node
from raftzmq.node.admin import BEHIND_MS
from raftzmq.server.following import LOOK_MS, UNHEARD_MS, Following
from tests.node.world import World


@pytest.fixture
def world() -> World:
    return World(3)


@pytest.fixture
def leader(world: World) -> Node:
    return world.formed()


@pytest.fixture
def follower(world: World, leader: Node) -> Node:
    return next(node for node in world.nodes.values() if node is not leader)


class Link:
    """Whether there is a link to the leader."""

    def __init__(self, node: Node) -> None:
        self.up = True
        self.asked: list[str] = []
        self.renewed = 0
        self._following = Following(node, self, 0)

    def look(self, *times_ms: int) -> None:
        for now_ms in times_ms:
            self._following.turn(now_ms)

    def is_up(self, name: str) -> bool:
        self.asked.append(name)
        return self.up

    def renew(self, name: str) -> None:
        self.renewed += 1


def test_the_leader_does_not_hear_a_node_without_a_link_to_it(leader: Node, follower: Node) -> None:
    link = Link(follower)
    link.look(0)
    link.up = False
    link.look(LOOK_MS, LOOK_MS + UNHEARD_MS - 1)
    assert follower.unheard == ""
    link.look(LOOK_MS + UNHEARD_MS - 1 + LOOK_MS)
    assert follower.unheard.startswith(
        f"{leader.name} does not hear this node, which cannot connect to "
    )
    assert set(link.asked) == {leader.name}
    link.up = True
    link.look(2 * UNHEARD_MS)
    assert follower.unheard == ""


def test_a_node_that_the_leader_says_it_does_not_hear_opens_its_link_anew(
    leader: Node, follower: Node
) -> None:
    link = Link(follower)
    follower.raft.unheard = True
    link.look(0, UNHEARD_MS - 1)
    assert (follower.unheard, link.renewed) == ("", 0)
    link.look(2 * UNHEARD_MS, 2 * UNHEARD_MS + LOOK_MS)
    assert f"{leader.name} does not hear this node, which has connected to" in follower.unheard
    assert link.renewed == 1
    link.look(3 * UNHEARD_MS)
    assert link.renewed == 2
    follower.raft.unheard = False
    link.look(3 * UNHEARD_MS + LOOK_MS)
    assert (follower.unheard, link.renewed) == ("", 2)


def test_a_link_that_is_back_in_time_is_not_worth_a_word(follower: Node) -> None:
    link = Link(follower)
    for now_ms in range(0, 10 * UNHEARD_MS, LOOK_MS):
        link.up = now_ms % UNHEARD_MS == 0
        link.look(now_ms)
        assert follower.unheard == ""


def test_a_leader_hears_itself_and_who_knows_none_is_not_unheard(
    leader: Node, follower: Node
) -> None:
    follower.raft.leader = None
    for node in leader, follower:
        link = Link(node)
        link.up = False
        link.look(0, 2 * UNHEARD_MS)
        assert node.unheard == ""


def test_a_node_is_behind_from_when_it_lacks_something_until_it_has_it(follower: Node) -> None:
    raft = follower.raft
    link = Link(follower)
    raft.leader_commit_index = raft.applied_index
    link.look(0)
    assert follower.behind_ms == 0
    goal = raft.applied_index + 1
    raft.leader_commit_index = goal
    link.look(1000)
    assert follower.behind_ms == 0
    link.look(1000 + BEHIND_MS)
    assert follower.behind_ms == BEHIND_MS
    raft.commit_index = raft.applied_index = goal
    link.look(2000 + BEHIND_MS)
    assert follower.behind_ms == 0


def test_a_node_that_is_always_a_little_behind_keeps_up(follower: Node) -> None:
    raft = follower.raft
    link = Link(follower)
    for number in range(100):
        raft.leader_commit_index = raft.applied_index + 500
        link.look(number * 1000)
        assert follower.behind_ms <= 1000
        raft.commit_index = raft.applied_index = raft.leader_commit_index
