"""Backups: the files that `raftzmq client snapshot save` writes, told, checked, and made a cluster.

A backup is a snapshot file as nodes write it. Its header says, besides, which cluster it is of,
when it was taken, and by which version.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from raftzmq.core.membership import Membership
from raftzmq.errors import CorruptFile, DamagedBackup, DataError
from raftzmq.machine import Machine
from raftzmq.offline.founding import NewCluster, check_free, found, new_cluster
from raftzmq.storage import Storage
from raftzmq.storage.files import AppendFile, Files, is_full, shortage
from raftzmq.storage.snapshot_files import WholeSnapshot, check_snapshot, read_records

SYNC_BYTES: Final = 64 * 1024 * 1024
"""A file that is written is synced this often, so that the end is not one long wait."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What is in a backup: numbers of what it holds, and what its header says. `crc` is the
    checksum in its last line, `size` its bytes, `members` who was in the cluster then."""

    cluster: str
    time: str
    version: str
    revision: int
    index: int
    term: int
    members: Membership
    keys: int
    leases: int
    queues: int
    places: int
    sessions: int
    size: int
    crc: str


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the system says about a file that is written into one line with a cause and a
    cure."""
    try:
        yield
    except OSError as error:
        if is_full(error):
            cause, cure = shortage(error), "free some and try again"
        else:
            cause = error.strerror or str(error)
            cure = (
                f"make {path.parent} a directory in which this process, user id {os.geteuid()}, "
                "can write, or name another"
            )
        raise DataError(f"{path} cannot be written: {cause}: {cure}") from error


@contextlib.contextmanager
def _of_a_backup(path: Path) -> Iterator[None]:
    """Say of damage what it means in a backup, and not what it would mean in a node's directory."""
    try:
        yield
    except CorruptFile as error:
        raise DamagedBackup(path, error.line, error.byte, error.problem) from None


def check(files: Files, path: Path) -> WholeSnapshot:
    """Read all of a backup; return what it is. Raises DamagedBackup, which says where; DataError
    for a format that this version does not know; OSError."""
    with _of_a_backup(path):
        return check_snapshot(files, path)


def contents(files: Files, path: Path) -> Contents:
    """Check a backup, and count what is in it. Raises as `check`."""
    whole = check(files, path)
    with _of_a_backup(path):
        kinds, machine = _counted(read_records(files, path))
    header = whole.header
    return Contents(
        cluster=str(header.get("cluster", "")),
        time=str(header.get("time", "")),
        version=str(header.get("version", "")),
        revision=machine[4] if len(machine) > 4 else whole.meta.index,
        index=whole.meta.index,
        term=whole.meta.term,
        members=whole.meta.membership,
        keys=kinds["key"],
        leases=kinds["lease"],
        queues=kinds["queue"],
        places=kinds["place"],
        sessions=kinds["session"],
        size=whole.size,
        crc=f"{whole.crc:08x}",
    )


def _counted(records: Iterable[list[Any]]) -> tuple[Counter[str], list[Any]]:
    """How many records there are of each kind, and the first of all."""
    stream = iter(records)
    machine = next(stream, [])
    return Counter([str(record[0]) for record in stream]), machine


def write(
    files: Files,
    path: Path,
    pieces: Iterable[bytes],
    progress: Callable[[bytes], object] = bytes.__len__,
) -> WholeSnapshot:
    """Write a backup that comes in pieces; return what it is, once it is whole, durable and in
    place. Until then it lies beside, as `.NAME.part`, and whatever ends this removes that.

    `progress` is told each piece. Raises DamagedBackup if what came is no whole snapshot, DataError
    if the file cannot be written, and whatever `pieces` raises.
    """
    part = path.with_name(f".{path.name}.part")
    with writing(path):
        file = files.create(part)
        try:
            _fill(file, pieces, progress)
            whole = check(files, part)
            files.rename(part, path)
            files.sync_dir(path.parent)
        except BaseException:
            with contextlib.suppress(OSError):
                file.close()
                files.unlink(part)
            raise
    return whole


def _fill(file: AppendFile, pieces: Iterable[bytes], progress: Callable[[bytes], object]) -> None:
    """Write the pieces, make them durable, and close the file."""
    unsynced = 0
    for piece in pieces:
        file.write(piece)
        unsynced += len(piece)
        if unsynced >= SYNC_BYTES:
            file.sync()
            unsynced = 0
        progress(piece)
    file.sync()
    file.close()


def load(files: Files, path: Path) -> tuple[WholeSnapshot, Machine]:
    """Check a backup and return the state in it. Raises as `check`."""
    whole = check(files, path)
    with _of_a_backup(path):
        machine = Machine.restore(read_records(files, path))
    if machine.applied_index != whole.meta.index:
        raise DataError(f"{path} holds the state at another index than its header says")
    return whole, machine


def restore(
    files: Files,
    path: Path,
    directories: Mapping[str, Path],
    addresses: Mapping[str, str],
    progress: Callable[[str, int, int], object] = lambda _name, _size, _total: None,
) -> NewCluster:
    """Make a backup the beginning of a new cluster, with a directory for each of its nodes, names
    of `addresses`. `progress` is told whose directory is written, how many bytes are, and about how
    many it will be.

    Raises as `check`, and DataError if a directory is used or cannot be.
    """
    for directory in directories.values():
        check_free(files, directory)
    whole, machine = load(files, path)
    origin = str(whole.header.get("cluster", ""))
    cluster = new_cluster(machine, addresses, term=whole.meta.term, origin=origin)
    for name, directory in directories.items():
        found(files, directory, cluster, name, partial(_tell, progress, name, whole.size))
    return cluster


def _tell(progress: Callable[[str, int, int], object], name: str, total: int, size: int) -> None:
    progress(name, size, total)


def verify(files: Files, path: Path, directory: Path) -> None:
    """Restore a backup into an empty directory, open that as a node does, and compare what is
    there. Raises DataError if it is not the same, and as `restore`."""
    node = "raft-0"
    cluster = restore(files, path, {node: directory}, {node: "127.0.0.1:6000"})
    state = cluster.machine.state
    storage = Storage(directory, files)
    try:
        restored = storage.open(node)
        found = Machine.restore(storage.snapshot_records()).state
    finally:
        storage.close()
    same = (
        restored.cluster == cluster.id
        and found.revision == state.revision
        and found.keys.items == state.keys.items
        and found.sessions.table.keys() == state.sessions.table.keys()
        and list(found.leases.table) == list(state.leases.table)
    )
    if not same:
        raise DataError(f"{path} is not the same once it is restored: take another backup")
