"""Nodes that ask to join: what is said of those that cannot be reached, and of those removed."""

from __future__ import annotations

from dataclasses import replace

from raftzmq.core.identity import NodeId
from raftzmq.node import Node
from raftzmq.transport.client_wire import ErrorReply
from raftzmq.transport.operator_wire import Done
from raftzmq.transport.peer_wire import Hello, decode_peer
from raftzmq.versions import SPOKEN
from tests.node.world import NONCE, World


def greet(world: World, leader: Node, hello: Hello, seconds: float) -> None:
    """Have it greet the leader as a node that waits does."""
    for _ in range(int(seconds / 0.3)):
        leader.greeted(hello, world.now_ms)
        world.run(0.3)


def hellos_of(world: World, name: str, seconds: float) -> int:
    """How many hellos the node sends in that time."""
    count = 0
    for _ in range(int(seconds * 100)):
        world.step()
        received = [decode_peer(frames) for _, frames in world.network]
        count += sum(isinstance(one, Hello) and one.sender.name == name for one in received)
    return count


def removed(world: World) -> tuple[Node, Node]:
    """The leader, and a node that was removed and knows it."""
    leader = world.formed()
    node = next(node for node in world.nodes.values() if node is not leader)
    assert isinstance(world.member(leader.name, "remove", node.name), Done)
    world.until(lambda: node.role == "joining")
    return leader, node


def test_a_removed_node_says_so_and_stops_asking() -> None:
    world = World(3)
    leader, node = removed(world)
    waiting = node.joining.waiting or ""
    assert waiting.startswith(f"{node.name} was removed from the cluster: ")
    assert f"member add {node.name}" in waiting
    assert hellos_of(world, node.name, 5) > 0
    world.run(30)
    assert hellos_of(world, node.name, 10) == 0
    waiting = node.joining.waiting or ""
    assert waiting.startswith(f"{node.name} was removed from the cluster: stop it")
    assert "restart it" in waiting
    assert leader.raft.membership.named(node.name) is None


def test_a_leader_that_removed_itself_says_so_and_stops_asking() -> None:
    world = World(3)
    leader = world.formed()
    assert isinstance(world.member(leader.name, "remove", leader.name), Done)
    world.until(lambda: (new := world.leader()) and new is not leader)
    said = f"{leader.name} was removed from the cluster: "
    world.until(lambda: (leader.joining.waiting or "").startswith(said))
    world.run(35)
    assert hellos_of(world, leader.name, 5) == 0


def test_a_removed_node_that_is_restarted_can_be_added_again() -> None:
    world = World(3)
    leader, node = removed(world)
    world.run(40)
    world.kill(node.name)
    again = world.start(node.name)
    world.until(lambda: again.role == "joining")
    assert isinstance(world.member(leader.name, "add", node.name), Done)
    world.until(lambda: again.role == "follower")
    assert again.joining.waiting is None


def test_a_node_removed_by_a_stateful_set_goes_on_asking() -> None:
    world = World(3)
    world.replicas = 3
    world.formed()
    world.replicas = 2
    node = world.nodes["raft-2"]
    world.until(lambda: node.role == "joining")
    world.run(40)
    world.replicas = 3
    world.until(lambda: node.role == "follower")


def test_an_address_that_the_answers_do_not_reach_is_named() -> None:
    world = World(3)
    leader = world.formed()
    lost = Hello("", NodeId("raft-3", "cafe" * 4), "nowhere:6000", NONCE, SPOKEN)
    greet(world, leader, lost, 0.6)
    assert leader.admission.deaf == {}
    greet(world, leader, lost, 3)
    assert leader.admission.deaf == {"raft-3": "nowhere:6000"}
    reply = world.member(leader.name, "add", "raft-3")
    assert isinstance(reply, ErrorReply)
    assert "nowhere:6000" in reply.message
    assert "--advertise" in reply.message
    leader.greeted(replace(lost, cluster=leader.cluster), world.now_ms)
    assert leader.admission.deaf == {}


def test_a_learner_that_does_not_answer_is_named_with_its_address() -> None:
    world = World(3)
    leader = world.formed()
    leader.greeted(
        Hello(leader.cluster, NodeId("raft-3", "cafe" * 4), "gone:6000", NONCE, SPOKEN),
        world.now_ms,
    )
    began_ms = world.now_ms
    reply = world.member(leader.name, "add", "raft-3")
    assert isinstance(reply, ErrorReply)
    assert "raft-3 does not answer at gone:6000" in reply.message
    assert world.now_ms - began_ms < 5_000
