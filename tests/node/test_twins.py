"""Two nodes of one name: a second directory, and a copy of the same."""

from __future__ import annotations

import pytest

from raftzmq.core.identity import NodeId
from raftzmq.node import Node
from raftzmq.node.joining import answer_hello
from raftzmq.node.state import HELLO_INTERVAL_MS
from raftzmq.transport.operator_wire import Done, StatusReply, StatusRequest
from raftzmq.transport.peer_wire import Hello, Welcome
from raftzmq.versions import SPOKEN
from tests.node.world import NONCE, World


def follower_of(world: World, leader: Node) -> Node:
    return next(node for node in world.nodes.values() if node is not leader)


def hello_of(world: World, node: Node) -> Hello:
    """The hello that the node sends next."""
    node.tick(world.now_ms + HELLO_INTERVAL_MS)
    return next(g for _, _, g in node.greetings if isinstance(g, Hello))


def greet(world: World, leader: Node, hello: Hello, seconds: float) -> str:
    """Have it greet the leader as a node that waits does. Returns what it was last told."""
    told = ""
    for _ in range(int(seconds / 0.3)):
        leader.greeted(hello, world.now_ms)
        answers = [a for _, _, a in leader.greetings if isinstance(a, Welcome)]
        told = answers[-1].reason
        world.run(0.3)
    return told


@pytest.mark.parametrize("name", ["raft-1", "raft-3"])
def test_an_empty_node_elsewhere_does_not_replace_one_that_restarts(name: str) -> None:
    world = World(3)
    leader = world.formed()
    if name not in world.initial:
        world.start(name)
        world.run(1)
        assert isinstance(world.member(leader.name, "add", name), Done)
    elif leader.name == name:
        world.answer_transfer("raft-2")
        world.until(lambda: (new := world.leader()) and new.name == "raft-2")
        leader = world.nodes["raft-2"]
    world.run(1)
    before = leader.raft.membership
    world.kill(name)
    copy = Hello(leader.cluster, NodeId(name, "beef"), "elsewhere:6000", NONCE, SPOKEN)
    told = greet(world, leader, copy, 4)
    assert f"{name} is a member at {name}.raft-service:6000" in told
    assert "elsewhere:6000" in told
    assert ("--peers" if name in world.initial else f"member remove {name}") in told
    assert leader.raft.membership == before
    back = world.start(name)
    world.until(lambda: back.role == "follower")
    assert leader.raft.membership == before


def test_a_node_that_moved_with_an_empty_disk_is_admitted_in_two_steps() -> None:
    world = World(3)
    leader = world.formed()
    world.start("raft-3")
    world.run(1)
    assert isinstance(world.member(leader.name, "add", "raft-3"), Done)
    world.kill("raft-3")
    hello = Hello(leader.cluster, NodeId("raft-3", "beef"), "elsewhere:6000", NONCE, SPOKEN)
    greet(world, leader, hello, 2)
    assert isinstance(world.member(leader.name, "remove", "raft-3"), Done)
    assert "member add raft-3" in greet(world, leader, hello, 2)


def test_a_copy_of_a_directory_shows_in_the_status_of_the_leader() -> None:
    world = World(3)
    leader = world.formed()
    member = follower_of(world, leader)
    copy = Hello(leader.cluster, member.raft.id, "copy:6000", NONCE, SPOKEN)
    told = greet(world, leader, copy, 4)
    assert "copy of this data directory" in told
    reply = world.answer(leader.name, StatusRequest(1))
    assert isinstance(reply, StatusReply)
    assert reply.status["twice"] == {member.name: "copy:6000"}
    world.run(4)
    assert leader.admission.twice == {}


def test_a_member_that_asked_before_it_heard_of_the_leader_is_no_copy() -> None:
    world = World(3)
    leader = world.formed()
    member = follower_of(world, leader)
    hello = Hello(leader.cluster, member.raft.id, member.address, NONCE, SPOKEN)
    for _ in range(3):  # each long after the one before
        assert greet(world, leader, hello, 0.6) == ""
        assert leader.admission.twice == {}
        world.run(5)


def test_a_copy_tells_why_it_finds_no_leader() -> None:
    world = World(3)
    leader = world.formed()
    member = follower_of(world, leader)
    world.cut.add(member.name)
    world.until(lambda: member.raft.leader is None)
    reason = f"{member.name} runs elsewhere"
    world.run(3)  # long enough without a leader to ask
    welcome = answer_hello(leader, hello_of(world, member), reason)
    member.greeted(welcome, world.now_ms)
    assert member.joining.waiting == reason
    assert member.is_member
    world.cut.clear()
    world.until(lambda: member.raft.leader is not None)
    world.run(0.1)
    assert member.joining.waiting is None
