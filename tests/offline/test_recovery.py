"""What survivors of a lost majority have, and the cluster that is made from one of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random

import pytest

from raftzmq import limits
from raftzmq.core.membership import Membership
from raftzmq.errors import DataError, DataLocked, InvalidRequest
from raftzmq.machine import Machine
from raftzmq.offline.recovery import confirmation, recover
from raftzmq.offline.survivors import Survivor, newest, objections, survey
from raftzmq.storage import MemoryFiles, MemoryStorage

from .crashing import interrupt, operations
from .remains import CLUSTER, MEMBERS, live, log, replayed, survivor

PATH = Path("/data")


def recovered(files: MemoryFiles, name: str = "", address: str = "") -> str:
    """Recover from a survivor with a log up to 12; return the new cluster's id."""
    confirm = confirmation(replayed(log(12)).revision)
    return recover(files, PATH, confirm=confirm, name=name, address=address).id


def opened(files: MemoryFiles, node: str = "raft-1") -> tuple[str, Machine, Membership]:
    """What a node makes of it: its cluster, state and members."""
    storage = MemoryStorage(files)
    restored = storage.open(node)
    machine = Machine.restore(storage.snapshot_records()) if restored.snapshot else Machine()
    members = restored.snapshot.membership if restored.snapshot else Membership()
    storage.close()
    return restored.cluster, machine, members


@pytest.mark.parametrize("snapshot", [0, 5, 12])
def test_a_survivor_is_told_in_figures(snapshot: int) -> None:
    found = survey(survivor(snapshot=snapshot), PATH)
    machine = replayed(log(12))
    assert found == Survivor(
        path=PATH,
        node="raft-1",
        incarnation="incarnation-1",
        cluster=CLUSTER,
        term=4,
        last_term=3,
        last_index=12,
        snapshot_index=snapshot,
        keys=9,
        revision=machine.revision,
        address="10.0.0.1:6000",
        voters=MEMBERS.voters,
    )


def test_to_look_changes_nothing() -> None:
    files = survivor(snapshot=5)

    def refuse(operation: str, path: Path) -> None:
        raise AssertionError(f"{operation} {path}")

    files.before = refuse
    survey(files, PATH)
    survey(files, Path("/elsewhere"))


@pytest.mark.parametrize("snapshot", [0, 5, 12])
def test_the_new_cluster_has_all_that_the_log_had(snapshot: int) -> None:
    files = survivor(snapshot=snapshot)
    cluster = recovered(files)
    assert cluster != CLUSTER
    found, machine, members = opened(files)
    before = replayed(log(12))
    assert found == cluster
    assert machine.revision == before.revision + limits.REVISION_GAP
    assert (machine.applied_index, machine.time_ms) == (12, 120)
    machine.state.revision = before.revision
    assert machine.state_hash() == before.state_hash()
    assert [(member.id.name, member.address) for member in members] == [("raft-1", "10.0.0.1:6000")]
    assert survey(files, PATH / "aside-1").place == (3, 12)


def test_the_node_may_get_another_name_and_address() -> None:
    files = survivor()
    with pytest.raises(InvalidRequest, match=r"raft-7 was no member.*--address HOST:PORT"):
        recovered(files, name="raft-7")
    recovered(files, name="raft-7", address="host:6000")
    _, _, members = opened(files, "raft-7")
    assert [(member.id.name, member.address) for member in members] == [("raft-7", "host:6000")]


@pytest.mark.parametrize("text", ["", "yes", "lose everything after revision 10"])
def test_what_is_lost_must_be_said(text: str) -> None:
    files = survivor()
    with pytest.raises(InvalidRequest, match='say --confirm "lose everything after revision 11"'):
        recover(files, PATH, confirm=text)
    assert opened(files)[0] == CLUSTER


def test_a_directory_that_never_belonged_to_a_cluster_has_nothing_to_recover() -> None:
    files = MemoryFiles()
    MemoryStorage(files).open("raft-1")
    files.kill()
    with pytest.raises(DataError, match="never belonged to a cluster"):
        recover(files, PATH, confirm="")


def test_a_place_that_is_no_data_directory_is_left_alone() -> None:
    files = MemoryFiles()
    with pytest.raises(DataError, match=r"no node's data: there is no node.json"):
        recover(files, PATH, confirm="")
    assert not files.exists(PATH)
    live(files, PATH)
    MemoryStorage.set_aside(PATH, files)
    assert "but aside-1 may: name /data/aside-1" in survey(files, PATH).damage
    assert survey(files, PATH / "aside-1").keys == 9


def test_while_a_node_or_another_recovery_is_at_work_nothing_is_done() -> None:
    files = survivor()
    holder = MemoryStorage(files)
    holder.open("raft-1")
    assert survey(files, PATH).user == "another process"
    with pytest.raises(DataLocked, match="in use"):
        recovered(files)
    holder.close()
    assert survey(files, PATH).user == ""
    recovered(files)


def test_the_same_words_again_do_nothing() -> None:
    files = survivor()
    first = recovered(files)
    assert recovered(files) == first
    assert opened(files)[0] == first
    assert "aside-2" not in files.names(PATH)


def test_a_second_recovery_is_of_the_new_cluster_and_needs_its_own_word() -> None:
    files = survivor()
    first = recovered(files)
    revision = limits.REVISION_GAP + 11
    with pytest.raises(InvalidRequest, match=f"revision {revision}"):
        recover(files, PATH, confirm="lose everything after revision 12")
    second = recover(files, PATH, confirm=confirmation(revision)).id
    assert second.partition(".")[2] == first
    assert opened(files)[0] == second
    assert recovered(files) == second  # what is asked for has come about, and more


def test_a_torn_write_is_left_out_and_kept() -> None:
    files = survivor()
    path = PATH / "log" / f"{1:020d}.jsonl"
    files.put(path, files.read(path) + b"0123 half a line")
    assert survey(files, PATH).torn_bytes == 16
    recovered(files)
    assert opened(files)[1].applied_index == 12
    assert files.read(PATH / "aside-1" / "log" / path.name).endswith(b"half a line")


def test_a_damaged_log_is_refused_with_its_place() -> None:
    files = survivor()
    path = PATH / "log" / f"{1:020d}.jsonl"
    lines = files.read(path).splitlines(keepends=True)
    start = sum(map(len, lines[:4]))
    files.put(path, b"".join([*lines[:4], b"x" + lines[4][1:], *lines[5:]]))
    found = survey(files, PATH)
    assert found.damage == f"{path}, line 5, byte {start}: the checksum does not match"
    assert (found.node, found.cluster) == ("raft-1", CLUSTER)
    with pytest.raises(DataError, match=f"line 5, byte {start}"):
        recovered(files)
    assert files.exists(PATH / "node.json")


def test_of_an_old_copy_it_is_said_what_it_lacks() -> None:
    files = survivor()
    storage = MemoryStorage(files)
    storage.open("raft-1")
    storage.mark_stale(40)
    storage.close()
    assert survey(files, PATH).lacks_index == 40
    recovered(files)
    assert not files.exists(PATH / "stale.json")


def of(node: int, last: int = 12, term: int = 3) -> Survivor:
    path = Path(f"/d{node}")
    found = survey(survivor(last, node=node, term=term), PATH)
    return Survivor(**{name: getattr(found, name) for name in found.__slots__} | {"path": path})


def test_the_newest_is_the_one_that_would_be_elected() -> None:
    short_but_newer, long_but_older = of(0, last=8, term=5), of(2, last=20, term=4)
    assert newest([long_but_older, short_but_newer]) is short_but_newer
    assert newest([of(0, last=8), longer := of(2, last=9)]) is longer
    assert newest([Survivor(path=PATH, damage="damaged")]) is None


def test_what_speaks_against_a_survivor() -> None:
    chosen = of(1, last=8)
    assert objections(chosen, []) == []
    (majority, newer) = objections(chosen, [of(2, last=9)])
    assert majority == "these are a majority: start them as they are, and nothing is lost"
    assert newer == "/d2 is newer: term 3, index 9, and not term 3, index 8"
    damaged = Survivor(path=Path("/d2"), damage="the checksum does not match")
    assert objections(chosen, [damaged]) == [
        "/d2 cannot be read, and may have more (the checksum does not match)"
    ]
    stranger = Survivor(path=Path("/d2"), cluster="c2", last_term=1, last_index=1)
    assert objections(chosen, [stranger]) == ["/d2 is of another cluster, c2"]


def whose(files: MemoryFiles) -> str:
    """What a node makes of the directory: the id of its cluster, or "refused"."""
    storage = MemoryStorage(files)
    try:
        return storage.open("raft-1").cluster
    except DataError as error:
        return "refused" if "run the same" in str(error) else str(error)
    finally:
        storage.close()


@pytest.mark.parametrize("kept", ["lost", "kept", "part"])
@pytest.mark.parametrize("snapshot", [0, 5])
def test_a_recovery_interrupted_anywhere_is_the_old_node_or_nobody_or_the_new_one(
    snapshot: int, kept: str
) -> None:
    ids = "new"
    work: Callable[[MemoryFiles], object] = lambda files: recovered_as(files, ids)  # noqa: E731
    disk = survivor(snapshot=snapshot)
    outcomes = set()
    for number in range(operations(disk, partial(work, disk))):
        files = survivor(snapshot=snapshot)
        interrupt(files, number, partial(work, files))
        files.crash(Random(number) if kept == "part" else None, keep=kept == "kept")
        seen = survey(files, PATH)
        outcome = whose(files)
        outcomes.add(outcome)
        if outcome == "refused":
            assert seen.interrupted
            assert (seen.damage, seen.place, seen.keys) == ("", (3, 12), 9)
            interrupted_again(files, number, work)
        if outcome in (CLUSTER, "refused"):
            work(files)
        assert opened(files)[0] == f"{ids}.{CLUSTER}"
        assert opened(files)[1].revision == 11 + limits.REVISION_GAP
        assert len(opened(files)[1]) == 9
    assert outcomes == {CLUSTER, "refused", f"{ids}.{CLUSTER}"}


def recovered_as(files: MemoryFiles, ident: str) -> None:
    recover(files, PATH, confirm=confirmation(11), draw=lambda: ident)


def interrupted_again(
    files: MemoryFiles, number: int, work: Callable[[MemoryFiles], object]
) -> None:
    """The machine stops once more while it goes on, but before it is finished."""
    interrupt(files, number % 7, partial(work, files))
    files.crash(Random(number))
