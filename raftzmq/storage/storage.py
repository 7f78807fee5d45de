"""A node's data directory: everything it must not forget. See DESIGN.md for the layout."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from raftzmq.core.entry import Entry
from raftzmq.core.messages import SnapshotChunk
from raftzmq.core.ready import HardState, SnapshotMeta
from raftzmq.errors import DataError, DiskFull, ForeignData, StaleData
from raftzmq.storage.config import StorageConfig
from raftzmq.storage.directory import (
    Layout,
    data_errors,
    first_use,
    lock_directory,
    read_all,
    restrict,
    set_aside,
)
from raftzmq.storage.files import (
    CURE,
    Closeable,
    Files,
    OsFiles,
    is_full,
    refusal,
    replace_file,
)
from raftzmq.storage.log import Log, open_log
from raftzmq.storage.records import (
    Identity,
    adopted,
    encode_record,
    write_hard_state,
    write_identity,
)
from raftzmq.storage.snapshot_files import (
    INCOMING,
    WRITING,
    SnapshotReceiver,
    list_snapshots,
    read_records,
    snapshot_path,
)
from raftzmq.storage.snapshot_writer import SnapshotWriter

ENTRY_MEMORY: Final = 224
"""What an entry takes in memory beside its line."""

_SNAPSHOTS_KEPT = 2  # the newest, and the one before, which may still be on its way to a follower


@dataclass(frozen=True, slots=True)
class Restored:
    """What a directory holds. `cluster` is "" until the node belongs to one. `entries` are all
    entries of the log, and may begin below the snapshot; those of many commands have no bodies.
    `repairs` are sentences for people about torn writes that were removed."""

    incarnation: str
    cluster: str
    hard_state: HardState
    snapshot: SnapshotMeta | None
    entries: list[Entry]
    repairs: list[str]


def random_incarnation() -> str:
    """A new directory's id: 16 hex digits."""
    return secrets.token_hex(8)


class Storage:
    """The data directory of one node. Call `open` first, and nothing after `close`.

    Every method that changes something returns only when the change is durable. An OSError from
    a method means that a disk fails, not that it is full. The process must then stop and never try
    again, because after a failed sync a second one succeeds without the data.
    """

    def __init__(
        self,
        path: Path,
        files: Files | None = None,
        *,
        config: StorageConfig | None = None,
        incarnation: Callable[[], str] = random_incarnation,
    ) -> None:
        self.path = path
        self.config = config or StorageConfig()
        self.snapshot: SnapshotMeta | None = None
        self._files = files or OsFiles()
        self._layout = Layout(path)
        self._new_incarnation = incarnation
        self._identity = Identity("", "", "")
        self._hard_state = HardState()
        self._lock: Closeable | None = None
        self._log: Log | None = None
        self._receiver: SnapshotReceiver | None = None
        self._writer: SnapshotWriter | None = None
        self._snapshot_size = 0
        self.log_bytes = 0
        """About how much log there is after the snapshot."""
        self._retry_bytes = 0  # a snapshot that found no space is not tried again before

    # Opening and closing

    def open(self, node: str) -> Restored:
        """Lock the directory for the node named `node`, check everything in it, and read it.

        An empty or missing directory becomes this node's, with a new incarnation. Raises
        DataLocked, ForeignData, CorruptFile, UnknownEntry, or DataError when it cannot be used.
        """
        with data_errors(self.path), contextlib.ExitStack() as undo:
            self._lock = lock_directory(self._files, self._layout)
            undo.callback(self.close)
            restrict(self._files, self._layout)
            if not self._files.exists(self._layout.node):
                first_use(self._files, self._layout, node, self._new_incarnation())
            elif self._files.exists(self._layout.founding):
                self._files.unlink(self._layout.founding)  # it was not begun, or is finished
            restored = self._restore(node)
            undo.pop_all()
            return restored

    def _restore(self, node: str) -> Restored:
        files = self._files
        layout = self._layout
        found = read_all(files, layout, node)
        for name in files.names(layout.snapshots):
            if name.startswith((WRITING, INCOMING)):
                files.unlink(layout.snapshots / name)
        self._identity = found.identity
        self._hard_state = found.hard_state
        self.snapshot = found.snapshot
        self._snapshot_size = found.snapshot_size
        self._log, repairs = open_log(files, layout.log, self.config, found.log)
        if found.install_unfinished and self.snapshot:
            self._log.reset(self.snapshot.index + 1)
        covered = found.snapshot.index if found.snapshot else 0
        self.log_bytes = sum(len(e.line) for e in found.entries if e.index > covered)
        # What could be read may not have been synced by the process that wrote it.
        files.sync_dir(layout.snapshots)
        files.sync_dir(layout.root)
        return Restored(
            found.identity.incarnation,
            found.identity.cluster,
            found.hard_state,
            found.snapshot,
            found.entries,
            repairs,
        )

    def close(self) -> None:
        """Let go of the directory. An unfinished snapshot is abandoned."""
        if self._writer:
            self._writer.abort()
        if self._receiver:
            self._receiver.file.discard()
        if self._log:
            self._log.close()
        if self._lock:
            self._lock.close()
        self._writer = None
        self._receiver = None
        self._log = None
        self._lock = None

    # What must be durable

    @property
    def log(self) -> Log:
        if self._log is None:
            raise DataError(f"{self.path} is not open")
        return self._log

    def adopt(self, cluster: str) -> None:
        """Write down that the directory belongs to `cluster`, for good.

        Raises ForeignData if it belongs to another; DiskFull; OSError.
        """
        if self._identity.cluster not in ("", cluster):
            raise ForeignData(
                f"{self.path} belongs to cluster {self._identity.cluster}, not to {cluster}: "
                "give the node another directory, or start it with --rejoin to set this one aside"
            )
        if self._identity.cluster != cluster:
            identity = adopted(self._identity, cluster)
            with self._disk_full("the cluster id"):
                write_identity(self._files, self._layout.node, identity)
            self._identity = identity

    def save(self, hard_state: HardState | None, entries: Sequence[Entry] = ()) -> None:
        """Make term and vote durable, then the entries: one write and one sync for all of them.

        Entries from an index that the log already has replace everything from there on. The term
        comes first: no entry is ever on disk whose term the node could forget. Raises DiskFull
        when there is no space; then at most term and vote have changed, and the same call may be
        repeated later. Raises OSError when the disk fails.
        """
        if hard_state is not None and hard_state != self._hard_state:
            with self._disk_full("term and vote"):
                write_hard_state(self._files, self._layout.state, hard_state)
            self._hard_state = hard_state
        if entries:
            if entries[-1].term > self._hard_state.term:
                raise ValueError(f"term {entries[-1].term} is not saved yet")
            self.log_bytes += self.log.append(entries)

    def mark_stale(self, acknowledged_index: int) -> StaleData:
        """Remember for good that the log lacks entries up to `acknowledged_index`, which this
        node has acknowledged: `open` refuses from now on. Returns the error to stop with.
        Raises DiskFull, OSError.
        """
        record = encode_record({"acknowledged_index": acknowledged_index})
        with self._disk_full("a note that this directory is an old copy"):
            replace_file(self._files, self._layout.stale, record)
        return StaleData(self.path)

    @contextlib.contextmanager
    def _disk_full(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if not is_full(error):
                raise
            raise refusal(error, f"{what} in {self.path}{CURE}") from error

    # Snapshots

    def snapshot_records(self) -> Iterator[list[Any]]:
        """The state machine's records in the newest snapshot; none without one."""
        if self.snapshot is None:
            return iter(())
        return read_records(self._files, self._snapshot_path(self.snapshot))

    def read_chunk(self, index: int, term: int, offset: int, size: int) -> tuple[bytes, bool]:
        """Up to `size` bytes of a snapshot file, and whether they are its last.

        The two newest snapshots are kept. Raises FileNotFoundError for any other; the receiver
        must then start over with the newest. Raises DiskFull if no descriptor is left.
        """
        path = snapshot_path(self._layout.snapshots, index, term)
        with self._disk_full("reading a snapshot"):
            data = self._files.read(path, offset, size)
        return data, offset + len(data) >= self._files.size(path)

    def should_snapshot(self, applied_index: int, patience: float = 1.0) -> bool:
        """Whether a snapshot of the state at `applied_index` is worth its cost now: the log has
        grown to `patience` times what is configured."""
        taken = self.snapshot.index if self.snapshot else 0
        if self._writer or applied_index <= taken:
            return False
        grown = self.log_bytes / patience
        if grown < self._retry_bytes:
            return False
        memory = self.log_bytes + ENTRY_MEMORY * (applied_index - taken)
        bound = self.config.log_memory_bytes
        if bound is not None and memory / patience >= bound:
            return True
        return grown >= self._snapshot_size and (
            grown >= self.config.snapshot_bytes
            or (applied_index - taken) / patience >= self.config.snapshot_entries
        )

    def begin_snapshot(self, meta: SnapshotMeta, records: Iterator[list[Any]]) -> SnapshotWriter:
        """Start writing the snapshot that `meta` describes.

        `records` are read lazily; whenever that is, they must describe the state at meta.index.
        Raises ValueError while another is being written, or if it is not newer than the last one;
        DiskFull; OSError.
        """
        if self._writer or (self.snapshot and meta.index <= self.snapshot.index):
            raise ValueError(f"no snapshot of index {meta.index} can be begun now")
        finished = partial(self._snapshot_finished, meta, self.log_bytes)
        directory = self._layout.snapshots
        try:
            with self._disk_full("a snapshot"):
                self._writer = SnapshotWriter(self._files, directory, meta, records, finished)
        except DiskFull:
            finished(None)
            raise
        return self._writer

    def _snapshot_finished(self, meta: SnapshotMeta, covered: int, size: int | None) -> None:
        self._writer = None
        if size is None:
            self._retry_bytes = (
                self.log_bytes + min(self.log_bytes, self.config.snapshot_bytes) // 8
            )
            return
        if self.snapshot and self.snapshot.index >= meta.index:
            return  # a newer one was received meanwhile
        self._installed(meta, size)
        self.log_bytes = max(0, self.log_bytes - covered)

    def _installed(self, meta: SnapshotMeta, size: int) -> None:
        self.snapshot = meta
        self._snapshot_size = size
        self._retry_bytes = 0
        for index, term in list_snapshots(self._files, self._layout.snapshots)[:-_SNAPSHOTS_KEPT]:
            self._files.unlink(snapshot_path(self._layout.snapshots, index, term))

    def compact(self, index: int) -> bool:
        """Delete the oldest of the log segments that a durable snapshot up to `index` makes
        superfluous; return whether there is another.

        Raises ValueError if there is no such snapshot; DiskFull, and the same call may be made
        again later; OSError.
        """
        if self.snapshot is None or index > self.snapshot.index:
            raise ValueError(f"no durable snapshot covers the log up to index {index}")
        with self._disk_full("shortening the log"):
            return self.log.compact(min(index, self.log.last_index - self.config.keep_entries))

    def receive(self, chunk: SnapshotChunk) -> SnapshotMeta | None:
        """Take a chunk of a snapshot. After the last one, install the snapshot and return its meta.

        Chunks come in order. One at offset 0 starts over, and one of another snapshot replaces
        what was received. If the log agrees with the snapshot at the snapshot's last entry, it
        keeps what follows; otherwise it is emptied (thesis 5.3). A snapshot that is not newer than
        the node's own is not taken: the result is None, or the own one again if it is the same.
        Raises CorruptFile if the received data is damaged or has a gap; it has been removed, and
        the sender must start over. Raises DiskFull; the same chunk may be handed over again, or the
        sender may start over. Raises OSError.
        """
        index = chunk.snapshot_index
        term = chunk.snapshot_term
        if self.snapshot and index <= self.snapshot.index:
            same = chunk.done and (index, term) == (self.snapshot.index, self.snapshot.term)
            return self.snapshot if same else None
        try:
            with self._disk_full("a snapshot"):
                received = self._receiver_of(chunk).add(chunk.offset, chunk.data, chunk.done)
        except (DataError, DiskFull, OSError) as error:
            receiver = self._receiver
            if not (isinstance(error, DiskFull) and receiver and receiver.file.intact):
                self._drop_receiver()
            raise
        if received is None:
            return None
        self._receiver = None
        meta, size = received
        if self._log_agrees(meta):
            self.log_bytes = self.log.size
        else:
            self.log.reset(meta.index + 1)
            self.log_bytes = 0
        self._installed(meta, size)
        return meta

    def _receiver_of(self, chunk: SnapshotChunk) -> SnapshotReceiver:
        index = chunk.snapshot_index
        term = chunk.snapshot_term
        current = self._receiver
        if current and chunk.offset and (current.index, current.term) == (index, term):
            return current
        self._drop_receiver()
        self._receiver = SnapshotReceiver(self._files, self._layout.snapshots, index, term)
        return self._receiver

    def _drop_receiver(self) -> None:
        if self._receiver:
            self._receiver.file.discard()
        self._receiver = None

    def _log_agrees(self, meta: SnapshotMeta) -> bool:
        return self.log.term_at(meta.index) == meta.term

    def _snapshot_path(self, meta: SnapshotMeta) -> Path:
        return snapshot_path(self._layout.snapshots, meta.index, meta.term)

    # The rest

    @property
    def first_index(self) -> int:
        """Index of the oldest entry that the files hold."""
        return self.log.first_index

    @property
    def last_index(self) -> int:
        """Index of the newest durable entry, or of the snapshot."""
        return self.log.last_index

    @staticmethod
    def set_aside(path: Path, files: Files | None = None) -> Path | None:
        """Move a node's files in `path` into a subdirectory, and return that.

        The node then starts as a new incarnation. Returns None if there was nothing to move. Raises
        DataLocked while a node runs there, DataError.
        """
        return set_aside(files or OsFiles(), path)
