"""What a node needs of the world around it: a way out for its words, and storage."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from raftzmq.core.entry import Entry
from raftzmq.core.messages import Message, SnapshotChunk
from raftzmq.core.ready import HardState, SnapshotMeta
from raftzmq.errors import StaleData
from raftzmq.storage import SnapshotWriter
from raftzmq.transport.client_wire import Reply
from raftzmq.transport.peer_wire import Hello, Welcome


class Outbox(Protocol):
    """Where a node's words go. Nothing here blocks; anything may be lost."""

    def send(self, address: str | None, cluster: str, message: Message) -> bool:
        """Send to the node `message.to`; False when it could not even be queued."""

    def greet(self, name: str, address: str, greeting: Hello | Welcome) -> None:
        """Send a hello or welcome to the node at `address`."""

    def reply(self, client: bytes, reply: Reply) -> bool:
        """Answer a client; False when it could not even be queued. Of events the node says
        the same again later then; nothing else does it repeat."""


class StoreLike(Protocol):
    """What a node needs of its storage: raftzmq.storage.Storage and its memory twin have it."""

    @property
    def log_bytes(self) -> int: ...
    def adopt(self, cluster: str) -> None: ...
    def mark_stale(self, acknowledged_index: int) -> StaleData: ...
    def save(
        self,
        hard_state: HardState | None,
        entries: Sequence[Entry],
    ) -> None: ...
    def receive(self, chunk: SnapshotChunk) -> SnapshotMeta | None: ...
    def snapshot_records(self) -> Iterator[list[object]]: ...
    def begin_snapshot(
        self, meta: SnapshotMeta, records: Iterator[list[object]]
    ) -> SnapshotWriter: ...
    def compact(self, index: int) -> bool: ...
    def read_chunk(self, index: int, term: int, offset: int, size: int) -> tuple[bytes, bool]: ...
    def should_snapshot(self, applied_index: int, patience: float = 1.0) -> bool: ...
