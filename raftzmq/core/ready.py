"""What the core wants done, in the order in which it must be done.

The driver (raftzmq/node/node.py is the one place) executes a Ready from top to bottom:

 1. send `messages`;
 2. make `hard_state` and `entries` durable, write `chunks`; one fsync for all of it;
 3. tell the core: `saved()`;
 4. send `messages_after_save`;
 5. apply of `committed` as much as there is time for, then `applied(index)`; answer `reads`, then
    `failed_reads`;
 6. after a snapshot's last chunk `snapshot_received()`;
 7. read `snapshot_sends` from the snapshot file and send them.

What of `committed` was not applied comes again in the next Ready, before which the driver looks at
its sockets. So a long log is applied between heartbeats. A read comes once everything up to its
index is applied.

All of step 5 is durable here already, before this Ready: without a `hard_state` it may as well be
done between steps 1 and 2.

Rule: nothing that promises or acknowledges leaves in step 1. If `hard_state` is set, nothing at
all does: a term must be durable before anyone hears of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from raftzmq.core.entry import Entry
from raftzmq.core.identity import NodeId
from raftzmq.core.membership import Membership
from raftzmq.core.messages import Message, SnapshotChunk


@dataclass(frozen=True, slots=True)
class HardState:
    """What a node must never forget: its term, and whom it voted for in it."""

    term: int = 0
    vote: NodeId | None = None


@dataclass(frozen=True, slots=True)
class SnapshotMeta:
    """What a snapshot stands for: every entry up to `index`, the last of which had `term` and
    `time_ms`, and the membership at that point."""

    index: int
    term: int
    time_ms: int
    membership: Membership


@dataclass(frozen=True, slots=True)
class ReadReleased:
    """A read that may be served from state applied to `index` or later (thesis 6.4)."""

    context: object
    index: int


@dataclass(frozen=True, slots=True)
class SnapshotSend:
    """Send the chunk at `offset` of the snapshot at `snapshot_index` to `to`."""

    to: NodeId
    snapshot_index: int
    snapshot_term: int
    offset: int


@dataclass(slots=True)
class Ready:
    messages: list[Message] = field(default_factory=list)
    hard_state: HardState | None = None
    entries: list[Entry] = field(default_factory=list)
    chunks: list[SnapshotChunk] = field(default_factory=list)
    messages_after_save: list[Message] = field(default_factory=list)
    committed: list[Entry] = field(default_factory=list)
    reads: list[ReadReleased] = field(default_factory=list)
    failed_reads: list[object] = field(default_factory=list)
    snapshot_sends: list[SnapshotSend] = field(default_factory=list)

    @property
    def must_save(self) -> bool:
        return bool(self.hard_state or self.entries or self.chunks)
