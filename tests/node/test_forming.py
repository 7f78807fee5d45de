"""Forming a cluster, joining it, and coming back to it."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

from raftzmq.errors import StaleData
from raftzmq.node import Node, NodeSettings
from raftzmq.node.state import HELLO_INTERVAL_MS
from raftzmq.storage import MemoryStorage
from raftzmq.transport.client_wire import ErrorReply
from raftzmq.transport.operator_wire import Done
from raftzmq.transport.peer_wire import Hello
from raftzmq.versions import SPOKEN
from tests.node.world import NONCE, SECRET, World


def test_three_empty_nodes_form_one_cluster_of_three_voters() -> None:
    world = World(3)
    world.formed()
    assert len({node.cluster for node in world.nodes.values()}) == 1
    for node in world.nodes.values():
        assert {m.name for m in node.raft.membership.voters} == {"raft-0", "raft-1", "raft-2"}


def test_a_single_initial_member_forms_at_once() -> None:
    world = World(1)
    assert world.formed().name == "raft-0"


def test_nobody_forms_while_one_initial_member_is_silent() -> None:
    world = World(3)
    world.kill("raft-2")
    world.run(10)
    assert all(not node.cluster for node in world.nodes.values())
    assert world.nodes["raft-0"].joining.waiting == "waiting for an answer from raft-2"
    world.start("raft-2")
    world.formed()


@pytest.mark.parametrize(
    ("first_ms", "intervals_ms"),
    [(20, [20, 40, 80, 160, 300, 300]), (HELLO_INTERVAL_MS, [300, 300, 300])],
)
def test_a_node_greets_the_others_less_and_less_often(
    first_ms: int, intervals_ms: list[int]
) -> None:
    world = World(1)
    store = MemoryStorage()
    initial = {name: f"{name}:6000" for name in ("raft-0", "raft-1")}
    settings = NodeSettings(
        name="raft-0", address="raft-0:6000", initial=initial, first_hellos_ms=first_ms
    )
    now_ms = 1000
    node = Node(settings, store, store.open("raft-0"), world.random, now_ms)
    for interval_ms in intervals_ms:
        node.tick(now_ms)
        assert node.joining.next_deadline_ms == now_ms + interval_ms
        now_ms += interval_ms


def test_a_founder_that_set_a_directory_aside_forms_no_second_cluster() -> None:
    world = World(1)
    world.kill("raft-0")
    world.wipe("raft-0")
    store = MemoryStorage()
    settings = NodeSettings(
        name="raft-0", address="a:6000", initial={"raft-0": "a:6000"}, may_form=False
    )
    world.nodes["raft-0"] = Node(settings, store, store.open("raft-0"), world.random, world.now_ms)
    world.run(10)
    assert not world.nodes["raft-0"].cluster
    waiting = world.nodes["raft-0"].joining.waiting or ""
    assert "never forms" in waiting
    assert "keep those" in waiting
    assert "remove" not in waiting, "they may be the only copies"


def test_only_the_lowest_initial_member_forms() -> None:
    world = World(3)
    world.kill("raft-0")
    world.run(10)
    assert all(not node.cluster for node in world.nodes.values())


def test_writes_are_refused_until_all_initial_members_vote() -> None:
    world = World(3)
    world.until(world.leader)
    leader = world.leader()
    assert leader is not None
    assert leader.raft.membership.forming
    assert world.operate(leader.name, "open", SECRET)[1] == "forming"
    world.formed()
    assert world.operate(leader.name, "open", SECRET)[1] == "ok"


def test_a_founder_that_lost_its_disk_joins_the_others_again() -> None:
    world = World(3)
    world.formed()
    cluster = world.nodes["raft-1"].cluster
    old = world.nodes["raft-0"].raft.id
    world.kill("raft-0")
    world.wipe("raft-0")
    node = world.start("raft-0")
    world.until(lambda: node.is_member and node.raft.id in node.raft.membership.voters)
    assert node.cluster == cluster
    leader = world.formed()
    assert old not in leader.raft.membership.ids
    assert len(leader.raft.membership.voters) == 3


def test_a_node_that_lost_its_disk_does_not_vote_before_it_is_caught_up() -> None:
    world = World(3)
    leader = world.formed()
    session = world.session(leader.name)
    other = next(name for name in world.nodes if name != leader.name)
    world.kill(other)
    world.wipe(other)
    for k in range(20):
        assert world.operate(leader.name, "put", f"k{k}", "v", session=session)[1] == "ok"
    node = world.start(other)
    roles = set()

    def voter() -> bool:
        roles.add(node.role)
        return node.raft.id in node.raft.membership.voters

    world.until(voter)
    assert {"joining", "learner"} <= roles
    assert node.raft.log.last_index >= 20


def test_a_second_node_of_a_living_name_is_refused() -> None:
    world = World(3)
    leader = world.formed()
    other = next(name for name in world.nodes if name != leader.name)
    before = leader.raft.membership
    twin = World(3, seed=99)  # only to get a node with another incarnation
    intruder = twin.nodes[other]
    for _ in range(100):
        hello = Hello(leader.cluster, intruder.raft.id, intruder.address, NONCE, SPOKEN)
        leader.greeted(hello, world.now_ms)
        world.step()
    assert leader.raft.membership == before


def test_a_node_beyond_the_initial_members_waits_until_it_is_added() -> None:
    world = World(3)
    leader = world.formed()
    newcomer = world.start("raft-3")
    world.run(5)
    assert newcomer.role == "joining"
    assert "member add raft-3" in (newcomer.joining.waiting or "")
    reply = world.member(leader.name, "add", "raft-3")
    assert isinstance(reply, Done), reply
    assert newcomer.raft.id in leader.raft.membership.voters


def test_a_removed_node_does_not_come_back_by_itself() -> None:
    world = World(3)
    leader = world.formed()
    other = next(name for name in world.nodes if name != leader.name)
    assert isinstance(world.member(leader.name, "remove", other), Done)
    world.run(10)
    assert leader.raft.membership.named(other) is None
    assert world.leader() is leader


def test_a_removed_node_learns_of_it_and_can_be_added_again() -> None:
    world = World(3)
    leader = world.formed()
    other = next(name for name in world.nodes if name != leader.name)
    assert isinstance(world.member(leader.name, "remove", other), Done)
    node = world.nodes[other]
    world.until(lambda: node.role == "joining")
    assert f"member add {other}" in (node.joining.waiting or "")
    assert isinstance(world.member(leader.name, "add", other), Done)
    assert node.raft.id in leader.raft.membership.voters
    world.until(lambda: node.role == "follower")


def test_a_disk_of_another_cluster_is_noticed_and_named() -> None:
    elsewhere = World(3, seed=2)
    elsewhere.formed()
    world = World(3, seed=3)
    world.formed()
    world.kill("raft-2")
    world.disks["raft-2"] = elsewhere.disks["raft-2"]
    elsewhere.kill("raft-2")
    node = world.start("raft-2")
    world.until(lambda: node.joining.waiting)
    assert "belongs to cluster" in (node.joining.waiting or "")
    assert node.is_member


def test_an_empty_node_does_not_adopt_a_cluster_that_has_no_leader() -> None:
    world = World(3)
    cluster = world.formed().cluster
    for name in world.initial:
        world.kill(name)
    for name in ("raft-1", "raft-2"):
        world.wipe(name)
        world.start(name)
    world.start("raft-0")  # without its majority
    world.run(10)
    for name in ("raft-1", "raft-2"):
        assert world.nodes[name].cluster == ""
        waiting = world.nodes[name].joining.waiting
        assert waiting == f"raft-0 belongs to cluster {cluster}, which has no leader"


def test_an_old_copy_of_a_disk_put_back_is_found_out_and_stays_so() -> None:
    world = World(3)
    leader = world.formed()
    session = world.session(leader.name)
    other = next(name for name in world.nodes if name != leader.name)
    old = copy.deepcopy(world.disks[other])
    for k in range(5):
        assert world.operate(leader.name, "put", "k", f"{k}", session=session)[1] == "ok"
    world.run(1)
    world.kill(other)
    world.disks[other] = old
    old.crash(keep=True)
    world.start(other)
    with pytest.raises(StaleData, match="--rejoin"):
        world.run(5)
    world.kill(other)
    with pytest.raises(StaleData, match="--rejoin"):
        world.start(other)
    MemoryStorage.set_aside(Path("/data"), old)
    node = world.start(other)
    world.until(lambda: node.role == "follower")


def test_members_of_a_cluster_without_a_majority_stay_members() -> None:
    world = World(3)
    leader = world.formed()
    for name in world.initial:
        if name != leader.name:
            world.kill(name)
    world.run(20)
    assert leader.is_member
    assert leader.role in ("follower", "pre-candidate")


def test_stopping_a_leader_that_nobody_can_follow_is_no_error() -> None:
    world = World(3)
    leader = world.formed()
    for name in world.initial:
        if name != leader.name:
            world.kill(name)
    world.run(0.4)
    leader.stop()
    world.run(2)
    assert leader.role != "leader"


def test_the_leader_can_remove_itself() -> None:
    world = World(3)
    leader = world.formed()
    reply = world.member(leader.name, "remove", leader.name)
    assert isinstance(reply, Done), reply
    world.until(lambda: (new := world.leader()) and new is not leader)
    world.run(3)
    assert leader.role == "joining"


def test_adding_a_node_that_never_asked_is_refused_with_advice() -> None:
    world = World(3)
    leader = world.formed()
    reply = world.member(leader.name, "add", "raft-7")
    assert isinstance(reply, ErrorReply)
    assert reply.code == "refused"
    assert "start it" in reply.message


def test_a_crash_between_the_two_steps_of_forming_is_made_good(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class PowerCutError(Exception):
        pass

    def cut(*_: object) -> None:
        raise PowerCutError

    world = World(3)
    monkeypatch.setattr(world.stores["raft-0"], "adopt", cut)
    with pytest.raises(PowerCutError):
        world.run(10)
    world.kill("raft-0")
    world.start("raft-0")
    world.formed()


def test_a_node_wants_answers_of_the_members_and_before_there_are_any_of_the_initial_ones() -> None:
    world = World(3)
    assert world.nodes["raft-0"].peers == {"raft-1", "raft-2"}
    leader = world.formed()
    leader.initial["raft-9"] = "raft-9:6000"
    assert leader.peers == {"raft-0", "raft-1", "raft-2"} - {leader.name}
