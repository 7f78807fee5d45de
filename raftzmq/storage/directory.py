"""The layout of a data directory: its first use, reading all of it, setting it aside.

node.json    whose it is              state.json   term and vote
log/         segments                 snapshots/   complete ones, and unfinished files
lock         held while a node runs   aside-<n>/   what --rejoin moved out of the way
stale.json   written once a leader has said that acknowledged entries are missing
founding.json     there while the directory is made into a new cluster's (raftzmq/offline)
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from raftzmq.core.entry import Entry
from raftzmq.core.ready import HardState, SnapshotMeta
from raftzmq.errors import CorruptFile, DataError, DataLocked, ForeignData, StaleData
from raftzmq.storage.files import Closeable, Files, is_full, shortage
from raftzmq.storage.log import create_log
from raftzmq.storage.records import (
    Identity,
    read_hard_state,
    read_identity,
    write_hard_state,
    write_identity,
)
from raftzmq.storage.segments import LoadedLog, load_segments, segment_first, segment_path
from raftzmq.storage.snapshot_files import list_snapshots, snapshot_path, verify_snapshot


class Layout:
    """The paths in a data directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.node = root / "node.json"
        self.state = root / "state.json"
        self.log = root / "log"
        self.snapshots = root / "snapshots"
        self.lock = root / "lock"
        self.stale = root / "stale.json"
        self.founding = root / "founding.json"

    @property
    def names(self) -> frozenset[str]:
        """Of what a node itself writes there, but for aside-<n>."""
        files = (self.node, self.state, self.stale, self.founding)
        unfinished = (f"{path.name}.new" for path in files)
        paths = (*files, self.log, self.snapshots, self.lock)
        return frozenset([*unfinished, *(path.name for path in paths)])


@dataclass(frozen=True, slots=True)
class Found:
    """Everything that a directory holds, checked. `install_unfinished`: the snapshot was received,
    the log does not agree with it, and the log still has to be emptied."""

    identity: Identity
    hard_state: HardState
    snapshot: SnapshotMeta | None
    snapshot_size: int
    log: LoadedLog
    install_unfinished: bool

    @property
    def entries(self) -> list[Entry]:
        """The entries of the log; none if they still have to be removed."""
        return [] if self.install_unfinished else self.log.entries


@contextlib.contextmanager
def data_errors(path: Path) -> Iterator[None]:
    """Turn what the system says about a directory into one line with a cause and a cure."""
    try:
        yield
    except OSError as error:
        if is_full(error):
            why = f"{path}: {shortage(error)}: free some and start again"
            raise DataError(why) from error
        cause = error.strerror or str(error)
        where = f" ({error.filename})" if error.filename and error.filename != str(path) else ""
        raise DataError(
            f"{path} cannot be used as a data directory: {cause}{where}. Make it a directory that "
            f"this process, user id {os.geteuid()}, can write to, or name another with --data-dir"
        ) from error


def lock_directory(files: Files, layout: Layout) -> Closeable:
    """Lock the directory, and create it if it does not exist. Raises DataLocked, OSError."""
    files.make_dirs(layout.root)
    try:
        return files.lock(layout.lock)
    except BlockingIOError:
        raise DataLocked(
            f"{layout.root} is in use by {_holder(files, layout)}: stop that one, "
            "or give this node a directory of its own with --data-dir"
        ) from None


def user_of(files: Files, layout: Layout) -> str:
    """The process that has locked the directory, for a sentence; "" if none has. Raises OSError."""
    return _holder(files, layout) if files.is_locked(layout.lock) else ""


def _holder(files: Files, layout: Layout) -> str:
    pid = files.read(layout.lock, 0, 20).strip().decode("ascii", "replace")
    return f"process {pid}" if pid.isdecimal() else "another process"


def first_use(files: Files, layout: Layout, node: str, incarnation: str) -> None:
    """Make the directory `node`'s. node.json is written last: before that, nothing counts.

    Raises CorruptFile if there is a log or a snapshot, because then node.json has been lost;
    DataError if the directory was to become a new cluster's, and that was interrupted.
    """
    if files.exists(layout.founding):
        raise DataError(
            f"{layout.root} was being made into a new cluster's, and that was interrupted: run the "
            "same `raftzmq recover` or `raftzmq snapshot restore` again, which goes on"
        )
    left = [name for name in files.names(layout.log) if segment_first(name) is not None]
    interrupted = left == [segment_path(layout.log, 1).name] and not files.size(
        layout.log / left[0]
    )
    if (left and not interrupted) or list_snapshots(files, layout.snapshots):
        raise CorruptFile(layout.node, 1, 0, "the file is missing, and yet there is a log")
    create_log(files, layout.log, 1)
    files.make_dirs(layout.snapshots)
    write_hard_state(files, layout.state, HardState())
    files.sync_dir(layout.root)
    write_identity(files, layout.node, Identity(node, incarnation, ""))


def read_all(files: Files, layout: Layout, node: str) -> Found:
    """Read and check everything, changing nothing.

    Raises ForeignData if the directory is not `node`'s, CorruptFile, UnknownEntry, DataError,
    OSError.
    """
    identity = read_identity(files, layout.node)
    if files.exists(layout.stale):
        raise StaleData(layout.root)
    if identity.node != node:
        raise ForeignData(
            f"{layout.root} belongs to {identity.node}, not to {node}: "
            f"give {node} a directory of its own with --data-dir"
        )
    hard_state = read_hard_state(files, layout.state)
    snapshot, size = _newest_snapshot(files, layout.snapshots)
    log = load_segments(files, layout.log)
    if not log.segments:
        raise CorruptFile(layout.log, 1, 0, "there are no segments")
    _check_terms(layout, hard_state, log)
    unfinished = snapshot is not None and not _agrees(log, snapshot)
    first = log.segments[0]
    covered = snapshot.index if snapshot else 0
    if first.first > covered + 1:
        raise CorruptFile(
            first.path, 1, 0, f"the log begins there, and the newest snapshot ends at {covered}"
        )
    return Found(identity, hard_state, snapshot, size, log, unfinished)


def restrict(files: Files, layout: Layout) -> None:
    """Make what an earlier version, or somebody's umask, left readable for everybody private. The
    directory itself too, unless there are other things in it: then it is not for a node alone."""
    with contextlib.suppress(OSError):
        names = set(files.names(layout.root))
        aside = {name for name in names if name.startswith("aside-")}
        for name in names & layout.names:
            files.restrict(layout.root / name)
        for directory in (layout.log, layout.snapshots):
            for name in files.names(directory):
                files.restrict(directory / name)
        for name in aside:
            files.restrict(layout.root / name)
            restrict(files, Layout(layout.root / name))
        if names <= layout.names | aside | {"lost+found"}:
            files.restrict(layout.root)


def _newest_snapshot(files: Files, directory: Path) -> tuple[SnapshotMeta | None, int]:
    """Only the newest, because an older one may not reach up to the log."""
    complete = list_snapshots(files, directory)
    if not complete:
        return None, 0
    index, term = complete[-1]
    return verify_snapshot(files, snapshot_path(directory, index, term), index, term)


def _check_terms(layout: Layout, hard_state: HardState, log: LoadedLog) -> None:
    """Term and vote are written before any entry of that term, so they cannot be behind."""
    if log.entries and log.entries[-1].term > hard_state.term:
        raise CorruptFile(
            layout.state,
            1,
            0,
            f"term {hard_state.term} is older than the log's last entry, of {log.entries[-1].term}",
        )


def _agrees(log: LoadedLog, snapshot: SnapshotMeta) -> bool:
    """Whether the log reaches the snapshot's last entry and has the same there."""
    position = snapshot.index - log.segments[0].first
    if position < 0:
        return True  # it begins right after the snapshot (or read_all finds the gap)
    return position < len(log.entries) and log.entries[position].term == snapshot.term


def is_used(files: Files, layout: Layout) -> bool:
    """Whether a node has used the directory, even if node.json is gone."""
    return (
        files.exists(layout.node)
        or files.exists(layout.founding)
        or files.exists(layout.state)
        or any(segment_first(name) is not None for name in files.names(layout.log))
        or bool(list_snapshots(files, layout.snapshots))
    )


def set_aside(files: Files, path: Path) -> Path | None:
    """See Storage.set_aside.

    node.json goes first, durably. Without it the rest cannot be mistaken for a node's memory,
    wherever a crash interrupts this.
    """
    layout = Layout(path)
    with data_errors(path), contextlib.closing(lock_directory(files, layout)):
        if not is_used(files, layout):
            return None  # a directory that happens to have a log/ in it, such as /var
        aside = free_aside(files, path)
        move_aside(files, path, aside, "founding.json")
        return aside


def free_aside(files: Files, path: Path) -> Path:
    """A folder in the directory that is not there yet, to set something aside in."""
    names = files.names(path)
    return path / next(f"aside-{n}" for n in range(1, len(names) + 2) if f"aside-{n}" not in names)


def move_aside(files: Files, path: Path, aside: Path, *others: str) -> None:
    """Move a node's files, and the `others`, into a folder, one after the other, durably. What is
    there already stays: it was moved by an earlier try."""
    files.make_dirs(aside)
    for name in ("node.json", "state.json", "snapshots", "log", "stale.json", *others):
        for moved in (name, f"{name}.new"):
            if files.exists(path / moved) and not files.exists(aside / moved):
                files.rename(path / moved, aside / moved)
                files.sync_dir(aside)
                files.sync_dir(path)
