"""The disk of a node under test: what was saved, and nothing else, survives a crash."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from raftzmq.core.entry import Entry
from raftzmq.core.identity import NodeId
from raftzmq.core.messages import SnapshotChunk
from raftzmq.core.ready import HardState, SnapshotMeta

State = list[list[Any]]
"""The state machine of these tests: [index, body] of every command applied, in order."""


@dataclass
class Disk:
    """A data directory of one incarnation, in memory."""

    node: NodeId
    hard_state: HardState = field(default_factory=HardState)
    entries: list[Entry] = field(default_factory=list)
    snapshots: dict[int, tuple[SnapshotMeta, bytes]] = field(default_factory=dict)
    incoming: bytearray = field(default_factory=bytearray)
    damage_next_snapshot: bool = False

    @property
    def snapshot(self) -> SnapshotMeta | None:
        return self.snapshots[max(self.snapshots)][0] if self.snapshots else None

    @property
    def state(self) -> State:
        """The state machine as of the newest snapshot."""
        if not self.snapshots:
            return []
        state: State = json.loads(self.snapshots[max(self.snapshots)][1])
        return state

    @property
    def last_index(self) -> int:
        if self.entries:
            return self.entries[-1].index
        return self.snapshot.index if self.snapshot else 0

    def save(self, hard_state: HardState | None, entries: list[Entry]) -> None:
        if hard_state is not None:
            assert hard_state.term >= self.hard_state.term, "a term went backwards"
            self.hard_state = hard_state
        if entries:
            first = entries[0].index
            assert first <= self.last_index + 1, "a gap in the log on disk"
            if first <= self.last_index:
                self.entries = [entry for entry in self.entries if entry.index < first]
            self.entries += entries

    def holds(self, index: int, term: int) -> bool:
        """Whether the entry is here, or inside the snapshot."""
        if self.snapshot is not None and index <= self.snapshot.index:
            return True
        position = index - self.entries[0].index if self.entries else -1
        return 0 <= position < len(self.entries) and self.entries[position].term == term

    def write_snapshot(self, meta: SnapshotMeta, state: State, *, keep_entries: int) -> None:
        self._put(meta, json.dumps(state).encode())
        self.entries = [e for e in self.entries if e.index > meta.index - keep_entries]

    def read_chunk(self, index: int, offset: int, size: int) -> tuple[bytes, bool]:
        data = self.snapshots[index][1]
        return data[offset : offset + size], offset + size >= len(data)

    def receive(self, chunk: SnapshotChunk, meta: SnapshotMeta) -> SnapshotMeta | None:
        """Write a chunk; after the last one, put the snapshot in place. `meta` would be read
        from the snapshot's own header. None: not the last, or damaged."""
        if chunk.offset == 0:
            self.incoming.clear()
        assert chunk.offset == len(self.incoming), "a gap in the snapshot"
        self.incoming += chunk.data
        if not chunk.done or self.damage_next_snapshot:
            self.damage_next_snapshot = self.damage_next_snapshot and not chunk.done
            return None
        position = meta.index - self.entries[0].index if self.entries else -1
        known = self.entries[position : position + 1] if position >= 0 else []
        if known and known[0].term == meta.term:
            self.entries = [entry for entry in self.entries if entry.index > meta.index]
        else:
            self.entries = []
        self._put(meta, bytes(self.incoming))
        return meta

    def _put(self, meta: SnapshotMeta, data: bytes) -> None:
        self.snapshots[meta.index] = (meta, data)
        for index in sorted(self.snapshots)[:-2]:
            del self.snapshots[index]
