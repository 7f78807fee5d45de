"""The number of replicas that is wanted from outside, and how the leader brings members there."""

from __future__ import annotations

import pytest

from raftzmq.node import Node
from raftzmq.transport.client_wire import ErrorReply
from raftzmq.transport.operator_wire import Done
from tests.node.world import World


def names(count: int) -> set[str]:
    return {f"raft-{k}" for k in range(count)}


def voters(world: World) -> set[str]:
    """The voters of the leader's committed membership."""
    leader = world.leader()
    if leader is None or not leader.membership_settled:
        return set()
    membership = leader.raft.membership
    return {m.id.name for m in membership if m.voter} if not membership.learners else set()


def of_five() -> World:
    """A cluster of three that was scaled to five."""
    world = World(3)
    world.formed()
    world.replicas = 5
    world.start("raft-3")
    world.start("raft-4")
    world.until(lambda: voters(world) == names(5))
    return world


def leader_of(world: World) -> Node:
    leader = world.until(world.leader)
    assert isinstance(leader, Node)
    return leader


def test_newcomers_below_the_wanted_number_are_admitted_by_themselves() -> None:
    of_five()


def test_a_newcomer_beyond_the_wanted_number_is_told_so() -> None:
    world = World(3)
    world.replicas = 3
    leader = world.formed()
    newcomer = world.start("raft-3")
    world.run(5)
    assert newcomer.role == "joining"
    assert "beyond the number of replicas wanted, 3" in (newcomer.joining.waiting or "")
    reply = world.member(leader.name, "add", "raft-3")
    assert isinstance(reply, ErrorReply)
    assert "up first" in reply.message


def memberships_on_the_way(world: World, replicas: int) -> list[set[str]]:
    """Scale and return every membership that the leader had until the wanted one was settled."""
    world.replicas = replicas
    seen: list[set[str]] = []

    def done() -> bool:
        leader = world.leader()
        if leader is not None:
            now = {m.id.name for m in leader.raft.membership}
            if now not in seen:
                seen.append(now)
        return voters(world) == names(replicas)

    world.until(done)
    return seen


def test_surplus_members_are_removed_highest_first() -> None:
    world = of_five()
    assert memberships_on_the_way(world, 3) == [names(5), names(4), names(3)]


def test_a_surplus_leader_hands_over_before_anybody_is_removed() -> None:
    world = of_five()
    assert isinstance(world.answer_transfer("raft-4"), Done)
    world.until(lambda: (now := world.leader()) and now.name == "raft-4")
    world.replicas = 3
    world.until(lambda: (now := world.leader()) and now.name in names(3))
    assert leader_of(world).raft.membership.named("raft-4") is not None
    world.until(lambda: voters(world) == names(3))


def test_four_of_five_are_removed_while_all_four_still_vote() -> None:
    world = of_five()
    session = world.session(leader_of(world).name)
    assert world.operate(leader_of(world).name, "put", "k", "v", session=session)[1] == "ok"
    world.replicas = 1
    world.until(lambda: voters(world) == names(1))
    leaving = [world.nodes[name] for name in names(5) - names(1)]
    world.until(lambda: all(node.role == "joining" for node in leaving))
    for node in leaving:
        world.kill(node.name)
    assert world.operate("raft-0", "get", "k")[3][0] == "v"


def test_a_surplus_node_that_comes_back_is_a_member_again_with_its_old_disk() -> None:
    world = of_five()
    incarnation = world.nodes["raft-4"].raft.id
    world.replicas = 3
    world.until(lambda: voters(world) == names(3))
    world.kill("raft-4")
    world.run(2)
    world.replicas = 5
    world.start("raft-4")
    world.until(lambda: voters(world) == names(5))
    assert incarnation in leader_of(world).raft.membership.voters


def test_scaling_to_nothing_removes_nobody() -> None:
    world = of_five()
    world.replicas = 0
    world.run(10)
    assert voters(world) == names(5)


def test_nobody_is_removed_if_those_who_stay_have_no_majority_alive() -> None:
    world = of_five()
    assert isinstance(world.answer_transfer("raft-4"), Done)
    world.until(lambda: (now := world.leader()) and now.name == "raft-4")
    world.kill("raft-0")
    world.kill("raft-1")
    world.run(3)
    world.replicas = 2  # raft-0 and raft-1, both down: alone they could not go on
    world.run(20)
    assert leader_of(world).raft.membership.named("raft-2") is not None
    world.start("raft-0")
    world.start("raft-1")
    world.until(lambda: voters(world) == names(2))


def test_dead_surplus_members_leave_first() -> None:
    world = of_five()
    world.kill("raft-3")
    world.run(3)
    assert memberships_on_the_way(world, 3)[:2] == [names(5), names(5) - {"raft-3"}]


def test_a_cluster_that_waits_for_a_surplus_node_to_form_waits_no_longer() -> None:
    world = World(3)
    world.until(lambda: world.nodes["raft-0"].role == "leader")
    world.kill("raft-2")
    world.wipe("raft-2")
    world.run(3)
    assert leader_of(world).raft.membership.forming == ("raft-2",)
    world.replicas = 2
    world.until(lambda: not leader_of(world).raft.membership.forming and voters(world) == names(2))


def test_nobody_is_removed_on_an_old_reading() -> None:
    world = of_five()
    leader = leader_of(world)
    world.replicas = None
    for node in world.nodes.values():
        node.scaling.read(3, world.now_ms - 1)
    world.run(3)
    assert voters(world) == names(5)
    needed_ms = leader.scaling.needs_reading_from_ms
    assert needed_ms is not None
    leader.scaling.read(3, needed_ms)
    world.until(lambda: voters(world) == names(3))


def test_a_wanted_member_is_not_removed_by_hand() -> None:
    world = World(3)
    world.replicas = 3
    leader = world.formed()
    other = next(name for name in world.nodes if name != leader.name)
    reply = world.member(leader.name, "remove", other)
    assert isinstance(reply, ErrorReply)
    assert "scale it down" in reply.message


@pytest.mark.parametrize("replicas", [None, 0])
def test_without_a_wanted_number_members_are_changed_by_hand(replicas: int | None) -> None:
    world = World(3)
    world.replicas = replicas
    leader = world.formed()
    other = next(name for name in world.nodes if name != leader.name)
    assert isinstance(world.member(leader.name, "remove", other), Done)


def test_nodes_of_another_name_are_nobodys_replicas() -> None:
    world = World(3)
    world.replicas = 3
    scaling = world.formed().scaling
    assert not scaling.wants("other-1")
    assert not scaling.is_surplus("other-7")
