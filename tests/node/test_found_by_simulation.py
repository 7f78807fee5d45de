"""Defects that the simulator found (tests/sim), each told without it."""

from __future__ import annotations

import pytest

from raftzmq.core.messages import SnapshotChunk
from raftzmq.node import Node, admission
from raftzmq.storage import StorageConfig
from raftzmq.transport.operator_wire import Done, MemberRequest, TransferRequest
from raftzmq.transport.peer_wire import Envelope
from tests.node.world import SECRET, World


@pytest.mark.parametrize("name", ["raft-0", "raft-1"])
def test_a_full_disk_while_the_cluster_forms_only_delays_it(name: str) -> None:
    """Neither the founder nor one that joins ends for want of space for the cluster's id."""
    world = World(3)
    disk = world.disks[name]
    disk.capacity = disk.used()
    world.run(5)
    assert not world.nodes[name].cluster
    disk.capacity = None
    world.formed()
    assert {node.cluster for node in world.nodes.values()} == {world.nodes[name].cluster}


def test_a_founder_whose_disk_is_full_between_the_two_steps_gets_its_name_later() -> None:
    world = World(1)
    node, disk = world.nodes["raft-0"], world.disks["raft-0"]
    adopt, tries = node.adopt, 0

    def full_at_first(cluster: str) -> None:
        nonlocal tries
        tries += 1
        disk.capacity = disk.used() if tries == 1 else None
        adopt(cluster)

    vars(node)["adopt"] = full_at_first
    world.run(2)
    assert tries == 2
    assert node.cluster
    assert world.operate("raft-0", "open", SECRET)[1] == "ok"


def test_a_member_that_missed_the_admission_of_the_leader_can_answer_it() -> None:
    """It knows the leader's address neither from the peers it was given nor from its log."""
    world = World(3)
    leader = world.formed()
    behind = next(name for name in world.nodes if name != leader.name)
    world.cut.add(behind)
    world.start("raft-3")
    world.run(1)
    assert isinstance(world.member(leader.name, "add", "raft-3"), Done)
    assert isinstance(world.answer(leader.name, TransferRequest(1, "raft-3")), Done)
    assert world.nodes[behind].address_of("raft-3") is None
    world.cut.clear()

    def caught_up() -> bool:
        new, late = world.nodes["raft-3"].raft, world.nodes[behind].raft
        return new.role.value == "leader" and late.applied_index == new.commit_index

    world.until(caught_up, 5)


def test_a_node_whose_initial_peers_are_gone_joins_those_who_greet_it() -> None:
    """It lost its disk, and what it asked first told it only which cluster this is."""
    world = World(2)
    leader = world.formed()
    grown = ["raft-2", "raft-3", "raft-4"]
    for name in grown:
        world.start(name)
        world.run(1)
        assert isinstance(world.member(leader.name, "add", name), Done)
    world.cut |= {*grown}
    world.kill("raft-0")
    world.wipe("raft-0")
    newcomer = world.start("raft-0")
    world.until(lambda: newcomer.cluster)
    world.kill("raft-1")
    world.cut.clear()
    world.until(lambda: newcomer.is_member and newcomer.role == "follower", 30)


def test_a_learner_that_has_gone_silent_is_not_made_a_voter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(3)
    leader = world.formed()
    world.start("raft-3")
    world.run(1)
    with monkeypatch.context() as held_back:
        held_back.setattr(admission, "CAUGHT_UP_ENTRIES", -1_000_000)
        world.ask(leader.name, MemberRequest(1, "add", "raft-3"))  # answered when it is a voter
        progress = world.until(lambda: leader.raft.progress.get(world.nodes["raft-3"].raft.id))
        world.until(lambda: progress.match_index == leader.raft.commit_index)
        world.cut.add("raft-3")
        world.run(2)

    def is_voter() -> bool:
        member = leader.raft.membership.named("raft-3")
        return member is not None and member.voter

    world.run(5)
    assert leader.raft.role.value == "leader"
    assert not is_voter()
    world.cut.clear()
    world.until(is_voter, 5)


def test_several_snapshots_that_arrive_in_one_turn_leave_the_newest() -> None:
    """A node that was paused finds all that its leader sent meanwhile at once."""
    small = StorageConfig(snapshot_entries=10, keep_entries=0)
    world = World(3, storage=small)
    leader = world.formed()
    session = world.session(leader.name)
    late = next(node for node in world.nodes.values() if node is not leader)
    world.cut.add(late.name)
    chunks = [_snapshot(world, leader, session, late) for _ in range(3)]
    assert len({chunk.snapshot_index for chunk in chunks}) == 3
    for chunk in chunks:
        late.receive(Envelope(leader.cluster, chunk))
    world.cut.clear()
    world.until(lambda: late.machine.applied_index == leader.raft.commit_index, 5)
    assert late.machine.state_hash() == leader.machine.state_hash()


def _snapshot(world: World, leader: Node, session: int, to: Node) -> SnapshotChunk:
    """Write until the leader has a newer snapshot; return it as its leader would send it."""
    before = leader.raft.snapshot_meta
    while leader.raft.snapshot_meta == before:
        assert world.operate(leader.name, "put", "k", "v", session=session)[1] == "ok"
    meta = leader.raft.snapshot_meta
    assert meta is not None
    data, done = leader.storage.read_chunk(meta.index, meta.term, 0, 1 << 20)
    assert done
    return SnapshotChunk(
        leader.raft.id, to.raft.id, leader.raft.term, meta.index, meta.term, 0, data, True
    )
