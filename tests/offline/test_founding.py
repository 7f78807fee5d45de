"""A cluster that is founded from a state: what its nodes begin with, and what they never mix up."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest

from raftzmq import limits
from raftzmq.core.identity import NodeId
from raftzmq.errors import DataError, DataLocked, ForeignData
from raftzmq.machine import Machine
from raftzmq.offline.founding import NewCluster, found, new_cluster
from raftzmq.storage import MemoryFiles, MemoryStorage
from raftzmq.transport.client_wire import OperationsRequest, Results
from tests.machine.driver import Driver
from tests.node.world import World

from .crashing import interrupt, operations

PATH = Path("/data")
TERM = 7
LEASE_MS = 10_000


def hexadecimal() -> Callable[[], str]:
    """Ids in order: they show who is who."""
    counted = iter(range(1, 100))
    return lambda: f"{next(counted):016x}"


def old_state() -> Machine:
    """A state with keys, a lease with a key and a lock under it, and results that are kept."""
    db = Driver()
    db.time_ms = 5_000
    db.write("put", "a", "1")
    lease = db.write("lease_grant", LEASE_MS)[2]
    db.write("put_leased", "b", "2", lease)
    db.write("acquire", "lock", "door", lease, 1, 0, True, None)
    db.time_ms = 7_000
    db.write("put", "c", {"b64": "AA=="})
    return db.machine


def a_cluster(*names: str, machine: Machine | None = None) -> NewCluster:
    addresses = {name: f"{name}.raft-service:6000" for name in names or ("raft-0",)}
    return new_cluster(
        old_state() if machine is None else machine, addresses, term=TERM, draw=hexadecimal()
    )


def founded(files: MemoryFiles, cluster: NewCluster, node: str = "raft-0") -> MemoryStorage:
    found(files, PATH, cluster, node)
    return MemoryStorage(files)


def test_a_node_finds_the_state_in_a_cluster_of_another_id() -> None:
    before = old_state()
    cluster = a_cluster()
    storage = founded(MemoryFiles(), cluster)
    restored = storage.open("raft-0")
    assert (restored.cluster, restored.incarnation) == (cluster.id, "0" * 15 + "1")
    assert restored.entries == []
    assert restored.hard_state.term == TERM + 1
    assert restored.hard_state.vote is None
    meta = restored.snapshot
    assert meta is not None
    assert (meta.index, meta.term, meta.time_ms) == (before.applied_index, TERM + 1, 7_000)
    assert meta.membership.voters == {NodeId("raft-0", "0" * 15 + "1")}
    assert meta.membership.forming == ()
    machine = Machine.restore(storage.snapshot_records())
    assert machine.revision == before.revision + limits.REVISION_GAP
    before.state.revision = machine.revision
    assert machine.state_hash() == before.state_hash()


def test_each_of_several_nodes_has_a_directory_of_its_own_with_the_same_state() -> None:
    cluster = a_cluster("raft-0", "raft-1", "raft-2")
    restored = [founded(MemoryFiles(), cluster, n).open(n) for n in ("raft-0", "raft-1", "raft-2")]
    assert len({found.incarnation for found in restored}) == 3
    assert len({(found.cluster, found.snapshot) for found in restored}) == 1
    assert restored[0].snapshot is not None
    assert len(restored[0].snapshot.membership.voters) == 3


def test_a_revision_that_is_known_to_have_been_given_out_is_left_below() -> None:
    machine = old_state()
    above = machine.revision + 3 * limits.REVISION_GAP
    new_cluster(machine, {"raft-0": "raft-0:6000"}, term=1, above=above)
    assert machine.revision == above + limits.REVISION_GAP


def test_founding_again_and_again_ends_at_the_bound_and_not_beyond() -> None:
    with pytest.raises(DataError, match="no revision above"):
        new_cluster(old_state(), {"raft-0": "raft-0:6000"}, term=1, above=limits.INDEX_MAX - 9)
    with pytest.raises(DataError, match="no term above"):
        new_cluster(old_state(), {"raft-0": "raft-0:6000"}, term=limits.TERM_MAX)


def test_nothing_is_no_state() -> None:
    with pytest.raises(DataError, match="nothing to begin a cluster with"):
        new_cluster(Machine(), {"raft-0": "raft-0:6000"}, term=1)


def test_a_used_directory_is_not_touched() -> None:
    files = MemoryFiles()
    founded(files, a_cluster()).open("raft-0")
    files.kill()
    before = files.read(PATH / "node.json")
    with pytest.raises(DataError, match="holds a node's data already: name an empty directory"):
        found(files, PATH, a_cluster(), "raft-0")
    assert files.read(PATH / "node.json") == before


def test_a_directory_in_use_is_not_touched() -> None:
    files = MemoryFiles()
    MemoryStorage(files).open("raft-0")
    with pytest.raises(DataLocked, match="in use"):
        found(files, PATH, a_cluster(), "raft-0")


def of_whom(files: MemoryFiles) -> str:
    """What a node makes of the directory: "new", "refused", or the id of its cluster."""
    storage = MemoryStorage(files)
    try:
        cluster = storage.open("raft-0").cluster
    except DataError as error:
        return "refused" if "run the same" in str(error) else str(error)
    finally:
        storage.close()
    return cluster or "new"


@pytest.mark.parametrize("kept", ["lost", "kept", "part"])
def test_a_founding_interrupted_anywhere_leaves_nothing_that_counts_and_goes_on(kept: str) -> None:
    whole = a_cluster().id
    outcomes = set()
    for number in range(operations(disk := MemoryFiles(), lambda: founded(disk, a_cluster()))):
        files = MemoryFiles()
        interrupt(files, number, partial(founded, files, a_cluster()))
        files.crash(Random(number) if kept == "part" else None, keep=kept == "kept")
        begun = files.exists(PATH / "founding.json") or files.exists(PATH / "node.json")
        outcome = of_whom(files)
        outcomes.add(outcome)
        assert outcome in ({whole, "refused"} if begun else {"new"})
        if outcome == "refused":
            found(files, PATH, a_cluster(), "raft-0")
            assert of_whom(files) == whole
    assert outcomes == {"new", "refused", whole}


def test_after_an_interruption_another_state_may_be_taken() -> None:
    count = operations(disk := MemoryFiles(), lambda: founded(disk, a_cluster()))
    db = Driver()
    db.write("put", "only", "1")
    other = new_cluster(db.machine, {"raft-0": "raft-0:6000"}, term=1)
    for number in range(count):
        files = MemoryFiles()
        interrupt(files, number, partial(founded, files, a_cluster()))
        files.crash(keep=True)
        if not files.exists(PATH / "node.json"):
            restored = founded(files, other).open("raft-0")
            assert restored.snapshot is not None
            assert (restored.cluster, restored.snapshot.index) == (other.id, 2)
            assert files.names(PATH / "log") == [f"{3:020d}.jsonl"]


def reborn(world: World, *survivors: str) -> str:
    """Found the cluster anew from the state of a node, for the survivors; the others lose their
    disks. Return the new id."""
    origin = world.nodes[survivors[0]].cluster
    machine = Machine.restore(list(world.nodes[survivors[0]].machine.snapshot()))
    term = world.nodes[survivors[0]].raft.term
    for name in list(world.nodes):
        world.kill(name)
        world.wipe(name)
    cluster = new_cluster(
        machine, {n: world.initial[n] for n in survivors}, term=term, origin=origin
    )
    for name in survivors:
        world.disks[name] = MemoryFiles()
        found(world.disks[name], PATH, cluster, name)
    return cluster.id


def admit(world: World, name: str) -> None:
    """Do what an operator does for a node that waits to be one of the new cluster's."""

    def votes() -> bool:
        leader = world.leader()
        if leader is None:
            return False
        member = leader.raft.membership.named(name)
        if member is None and leader.membership_settled:
            world.member(leader.name, "add", name)
        return member is not None and member.voter

    world.until(votes)


@pytest.mark.parametrize("survivors", [("raft-1",), ("raft-0", "raft-1", "raft-2")])
def test_its_nodes_elect_a_leader_and_others_join_with_empty_directories(
    survivors: tuple[str, ...],
) -> None:
    world = World(3)
    leader = world.formed()
    session = world.session(leader.name)
    world.operate(leader.name, "put", "a", "1", session=session)
    before = leader.machine.revision
    world.run(1.0)  # until all have applied it
    cluster = reborn(world, *survivors)
    for name in world.initial:
        world.start(name)
    for name in sorted(world.initial.keys() - set(survivors)):
        admit(world, name)
    leader = world.formed()
    assert len(leader.raft.membership.voters) == 3
    assert {node.cluster for node in world.nodes.values()} == {cluster}
    assert world.operate(leader.name, "get", "a")[3][0] == "1"
    session = world.session(leader.name)
    assert world.operate(leader.name, "put", "b", "2", session=session)[1] == "ok"
    assert leader.machine.revision > before + limits.REVISION_GAP


def test_what_was_left_of_a_lease_is_left_to_it_and_tokens_only_grow() -> None:
    world = World(3)
    leader = world.formed()
    session = world.session(leader.name)
    lease = world.operate(leader.name, "lease_grant", LEASE_MS, session=session)[3]
    token = world.operate(
        leader.name, "acquire", "lock", "door", lease, 1, 0, True, None, session=session
    )[3]
    world.run(4.0)
    world.operate(leader.name, "put", "a", "1", session=session)  # its stamp is the time by then
    reborn(world, "raft-0")
    world.run(60.0)  # nobody runs, and no time passes for leases
    world.start("raft-0")
    world.until(lambda: world.leader() is not None)
    world.run(4.5)
    assert world.nodes["raft-0"].machine.owner_of(lease) is not None
    world.run(3.0)
    assert world.nodes["raft-0"].machine.owner_of(lease) is None
    session = world.session("raft-0")
    assert (
        world.operate("raft-0", "lease_grant", LEASE_MS, session=session)[3]
        > token[0] + limits.REVISION_GAP
    )


def test_a_session_of_the_old_cluster_goes_on_with_the_results_that_it_keeps() -> None:
    world = World(3)
    leader = world.formed()
    old = leader.cluster
    session = world.session(leader.name)

    def write(name: str, cluster: str, serial: int, value: str) -> list[Any]:
        ops = [[serial, "put", "a", value]]
        request = OperationsRequest(session=session, ack=1, stale=False, ops=ops, cluster=cluster)
        reply = world.answer(name, request)
        return list(reply.results[0]) if isinstance(reply, Results) else [serial, reply]

    first = write(leader.name, old, 1, "once")
    world.run(1.0)  # until all have applied it
    new = reborn(world, "raft-2")
    assert new.split(".")[1:] == [old]
    world.start("raft-2")
    world.until(world.leader)
    assert write("raft-2", old, 1, "twice") == first
    assert write("raft-2", old, 2, "then")[1] == "ok"
    assert world.operate("raft-2", "get", "a")[3][0] == "then"
    (_, refused) = write("raft-2", "0123456789abcdef", 3, "a stranger's")
    assert getattr(refused, "code", "") == "session_expired"


def test_a_node_of_the_old_cluster_that_comes_back_says_what_to_do() -> None:
    world = World(3)
    old = world.formed().cluster
    disk = copy.deepcopy(world.disks["raft-1"].root)
    new = reborn(world, "raft-0")
    world.start("raft-0")
    world.until(world.leader)
    world.disks["raft-1"] = MemoryFiles()
    world.disks["raft-1"].root = disk
    world.start("raft-1")
    world.run(5.0)
    assert world.nodes["raft-1"].joining.waiting == (
        f"cluster {old}, of this data directory, was recovered as {new}, to which raft-0 belongs: "
        "start this node with an empty directory, or with --rejoin"
    )
    assert world.nodes["raft-1"].cluster == old
    assert len(world.nodes["raft-0"].raft.membership) == 1


def test_an_old_directory_does_not_become_the_new_clusters() -> None:
    files = MemoryFiles()
    storage = founded(files, a_cluster())
    storage.open("raft-0")
    with pytest.raises(ForeignData):
        storage.adopt("another")
