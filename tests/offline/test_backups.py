"""Backup files: written whole or not at all, told, refused when damaged, made a cluster."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from raftzmq import limits
from raftzmq.core.identity import NodeId
from raftzmq.core.membership import Member, Membership
from raftzmq.core.ready import SnapshotMeta
from raftzmq.errors import DamagedBackup, DataError
from raftzmq.machine import Machine
from raftzmq.offline import backups
from raftzmq.storage import MemoryFiles, Storage, snapshot_lines
from raftzmq.storage.memory import MemoryFile
from raftzmq.storage.snapshot_lines import SnapshotLines, encode_header

HOME = Path("/home")
BACKUP = HOME / "backup"
MEMBERS = Membership((Member(NodeId("raft-0", "1b9e000000000001"), "db0:6000", voter=True),))
REMARKS = {"cluster": "6f1c0a5e9b7d4c21", "time": "2026-11-30T14:34:00Z", "version": "0.3.0"}
RECORDS = [
    ["machine", 2, 40, 9000, 57],
    ["session", 7, 3, 8000],
    ["result", 7, 3, "ok", 41, None],
    ["lease", 30, 10_000, 12_000],
    ["queue", "lock", "nightly", 1],
    ["place", "lock", "nightly", 31, 30, 1, None, True],
    ["key", "a", "1", 50],
    ["key", "b", {"b64": "/wA="}, 57],
    ["bond", "b", 30, 0],
]


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> MemoryFiles:
    monkeypatch.setattr(snapshot_lines, "LINE_RECORDS", 3)
    files = MemoryFiles()
    files.make_dirs(HOME)
    return files


def lines() -> bytes:
    header = encode_header(SnapshotMeta(40, 6, 9000, MEMBERS), REMARKS)
    return SnapshotLines(header, iter(RECORDS)).take(1_000_000)


def put(files: MemoryFiles, data: bytes) -> None:
    file = files.create(BACKUP)
    file.write(data)
    file.close()


def test_its_contents_are_told(files: MemoryFiles) -> None:
    put(files, lines())
    found = backups.contents(files, BACKUP)
    assert (found.cluster, found.time, found.version) == tuple(REMARKS.values())
    assert (found.revision, found.index, found.term) == (57, 40, 6)
    assert (found.keys, found.leases, found.queues, found.places, found.sessions) == (2, 1, 1, 1, 1)
    assert found.members == MEMBERS
    assert found.size == len(lines())
    assert f'"{found.crc}"' in lines().decode().splitlines()[-1]


def test_a_changed_byte_anywhere_is_refused_with_its_place(files: MemoryFiles) -> None:
    data = lines()
    starts = [0, *(k + 1 for k, byte in enumerate(data) if byte == ord("\n"))]
    for at in range(len(data)):
        for change in (data[at] ^ 1, 0, ord("\n"), data[at] ^ 0x80):
            if change == data[at]:
                continue
            put(files, data[:at] + bytes([change]) + data[at + 1 :])
            with pytest.raises(DamagedBackup) as refused:
                backups.contents(files, BACKUP)
            assert str(refused.value).startswith(f"{BACKUP}, line {refused.value.line}, byte ")
            assert "This is no whole backup" in str(refused.value)
            if data[at] != ord("\n") and change != ord("\n") and at < starts[-2]:
                assert refused.value.byte == max(start for start in starts if start <= at)


def test_one_that_is_cut_or_has_more_is_refused(files: MemoryFiles) -> None:
    data = lines()
    for size in range(len(data)):
        put(files, data[:size])
        with pytest.raises(DamagedBackup):
            backups.load(files, BACKUP)
    first = data.index(b"\n") + 1
    second = data.index(b"\n", first) + 1
    for wrong in (
        data + b"\n",
        data + data,
        data + data[first:second],
        data[:first] + data[second:],
        data[:second] + data[first:],
        data[first:],
    ):
        put(files, wrong)
        with pytest.raises(DamagedBackup):
            backups.load(files, BACKUP)


def pieces(*, fail: bool = False) -> Iterator[bytes]:
    data = lines()
    yield data[:100]
    if fail:
        raise KeyboardInterrupt
    yield data[100:]


def test_it_appears_when_it_is_whole_and_durable(files: MemoryFiles) -> None:
    told: list[int] = []
    whole = backups.write(files, BACKUP, pieces(), lambda piece: told.append(len(piece)))
    assert whole.size == len(lines()) == sum(told)
    assert files.names(HOME) == ["backup"]
    assert backups.contents(files, BACKUP).keys == 2


def test_what_is_interrupted_or_damaged_leaves_nothing(files: MemoryFiles) -> None:
    put(files, b"an earlier one")
    with pytest.raises(KeyboardInterrupt):
        backups.write(files, BACKUP, pieces(fail=True))
    with pytest.raises(DamagedBackup):
        backups.write(files, BACKUP, [lines()[:-1]])
    assert files.names(HOME) == ["backup"]
    assert files.read(BACKUP) == b"an earlier one"


@pytest.mark.parametrize(
    ("number", "cause", "cure"),
    [
        (errno.EACCES, "Permission denied", "make /home a directory in which this process"),
        (errno.EROFS, "Read-only file system", "make /home a directory in which this process"),
        (errno.EIO, "Input/output error", "or name another"),
        (errno.ENOSPC, "no space left", "free some"),
        (errno.EMFILE, "too many files are open", "free some"),
    ],
)
@pytest.mark.parametrize(
    "operation", ["files.create", "file.write", "file.sync", "files.rename", "files.sync_dir"]
)
def test_what_the_system_refuses_is_one_line_with_cause_and_cure(
    operation: str,
    number: int,
    cause: str,
    cure: str,
    files: MemoryFiles,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number), "/home/.backup.part")

    owner, name = operation.split(".")
    monkeypatch.setattr(MemoryFiles if owner == "files" else MemoryFile, name, refuse)
    with pytest.raises(DataError) as caught:
        backups.write(files, BACKUP, pieces())
    monkeypatch.undo()
    text = str(caught.value)
    assert text.startswith(f"/home/backup cannot be written: {cause}: ")
    assert cure in text
    assert "\n" not in text
    left = (
        ["backup"] if operation == "files.sync_dir" else []
    )  # in place by then, as far as it goes
    assert files.names(HOME) == left


def test_a_directory_for_each_node_of_a_new_cluster(files: MemoryFiles) -> None:
    put(files, lines())
    addresses = {f"raft-{k}": f"new{k}:6000" for k in range(3)}
    directories = {name: HOME / name for name in addresses}
    cluster = backups.restore(files, BACKUP, directories, addresses)
    assert cluster.id != REMARKS["cluster"]
    hashes = set()
    for name, directory in directories.items():
        storage = Storage(directory, files)
        restored = storage.open(name)
        assert restored.cluster == cluster.id
        assert restored.hard_state.term > 6
        assert restored.snapshot is not None
        assert {m.id.name: m.address for m in restored.snapshot.membership} == addresses
        machine = Machine.restore(storage.snapshot_records())
        storage.close()
        assert machine.revision == 57 + limits.REVISION_GAP
        assert machine.state.keys.items["a"] == ("1", 50, 0)
        assert machine.state.leases.table[30].end_ms == 12_000
        assert machine.time_ms == 9000, "so it has the three seconds that it had left"
        hashes.add(machine.state_hash())
    assert len(hashes) == 1


def test_a_used_directory_is_refused_before_another_is_made(files: MemoryFiles) -> None:
    put(files, lines())
    backups.restore(files, BACKUP, {"raft-1": HOME / "d1"}, {"raft-1": "new1:6000"})
    addresses = {"raft-0": "new0:6000", "raft-1": "new1:6000"}
    with pytest.raises(DataError, match="d1 holds a node's data already"):
        backups.restore(
            files, BACKUP, {name: HOME / f"d{name[-1]}" for name in addresses}, addresses
        )
    assert not files.exists(HOME / "d0")


def test_it_is_verified_by_restoring_it(files: MemoryFiles) -> None:
    put(files, lines())
    backups.verify(files, BACKUP, HOME / "verify")
    put(files, SnapshotLines(lines().partition(b"\n")[0] + b"\n", iter([["nonsense"]])).take(1))
    with pytest.raises(DataError):
        backups.verify(files, BACKUP, HOME / "verify-2")
