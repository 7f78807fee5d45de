"""Entries, snapshots and small sizes for the storage tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from raftzmq.core.entry import COMMAND, Entry
from raftzmq.core.identity import NodeId
from raftzmq.core.membership import Member, Membership
from raftzmq.core.messages import SnapshotChunk
from raftzmq.core.ready import HardState, SnapshotMeta
from raftzmq.lines import encode_entry
from raftzmq.storage import MemoryFiles, MemoryStorage, Restored, Storage, StorageConfig

NODE = "raft-0"
DATA = Path("/data")
LOG = DATA / "log"
SNAPSHOTS = DATA / "snapshots"

SMALL = StorageConfig(
    segment_bytes=4096, segment_entries=4, snapshot_bytes=4096, snapshot_entries=10, keep_entries=2
)
"""Segments of four entries, so that a short test sees several."""

US = NodeId("raft-0", "aaaa")
THEM = NodeId("raft-1", "bbbb")


def entry(index: int, term: int = 1) -> Entry:
    body = [7, 0, [index, "put", f"key-{index}", f"value {index} of term {term}"]]
    return encode_entry(index, term, index * 10, COMMAND, body)


def entries(first: int, last: int, term: int = 1) -> list[Entry]:
    return [entry(index, term) for index in range(first, last + 1)]


def lines(some: list[Entry]) -> bytes:
    return b"".join(e.line for e in some)


def segment(first: int) -> Path:
    return LOG / f"{first:020d}.jsonl"


def meta(index: int, term: int = 1) -> SnapshotMeta:
    membership = Membership((Member(US, "raft-0:6000", voter=True),), ("raft-1",))
    return SnapshotMeta(index, term, index * 10, membership)


def records(count: int) -> list[list[Any]]:
    return [["key", f"key-{n}", "value", n] for n in range(count)]


def opened(files: MemoryFiles, config: StorageConfig = SMALL) -> tuple[MemoryStorage, Restored]:
    """A storage on the fake disk, and what it found there."""
    storage = MemoryStorage(files, config=config)
    return storage, storage.open(NODE)


def fresh(last: int = 0, term: int = 1, config: StorageConfig = SMALL) -> MemoryStorage:
    """A storage of a new directory with `last` entries."""
    storage, _ = opened(MemoryFiles(), config)
    storage.save(HardState(term, US))
    if last:
        storage.save(None, entries(1, last, term))
    return storage


def reopened(storage: MemoryStorage) -> tuple[MemoryStorage, Restored]:
    """The same directory after the process ended and started again."""
    storage.close()
    return opened(storage.files, storage.config)


def crashed(storage: MemoryStorage) -> tuple[MemoryStorage, Restored]:
    """The same directory after the machine lost everything that was not synced."""
    storage.files.crash()
    return opened(storage.files, storage.config)


def write_snapshot(storage: Storage, of: SnapshotMeta, count: int = 5) -> None:
    writer = storage.begin_snapshot(of, iter(records(count)))
    while not writer.step(100):
        pass


def snapshot_bytes(of: SnapshotMeta, count: int = 5) -> bytes:
    """The file that another node would send."""
    other = fresh(config=StorageConfig())
    write_snapshot(other, of, count)
    data, done = other.read_chunk(of.index, of.term, 0, 1 << 20)
    assert done
    return data


def chunks(of: SnapshotMeta, data: bytes, size: int = 120) -> Iterator[SnapshotChunk]:
    for offset in range(0, len(data), size):
        part = data[offset : offset + size]
        done = offset + size >= len(data)
        yield SnapshotChunk(THEM, US, 9, of.index, of.term, offset, part, done)


def receive(storage: MemoryStorage, of: SnapshotMeta, data: bytes) -> SnapshotMeta | None:
    """Hand over all chunks; what the last call returned."""
    result = None
    for chunk in chunks(of, data):
        assert result is None
        result = storage.receive(chunk)
    return result


class Operations:
    """Records what is done to a fake disk from now on."""

    def __init__(self, files: MemoryFiles) -> None:
        self.seen: list[tuple[str, str]] = []
        files.before = self._note

    def _note(self, operation: str, path: Path) -> None:
        self.seen.append((operation, path.name))
