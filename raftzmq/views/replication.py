"""A primary and its backup: first the whole state, then every operation in order. Pure.

Both ends are here. What is lost is sent again: the sender goes back to what was acknowledged.
The chunks, and the bytes of operations, that are in flight at a time are bounded.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any, Final

from raftzmq.machine.values import body_size
from raftzmq.views.messages import Ack, Chunk, ChunkAck, Entry, Forward, OldView, PeerMessage
from raftzmq.views.store import Loading, Store
from raftzmq.views.view import Server, View

CHUNK_BYTES: Final = 512 * 1024
"""A chunk ends with the record that makes it exceed this; the longest record has 6 MiB as JSON."""

CHUNKS_IN_FLIGHT: Final = 4

FORWARD_BYTES: Final = 512 * 1024
"""The same for the entries of one message: with one more entry it still fits a frame."""

FORWARD_ENTRIES: Final = 1024

WINDOW_BYTES: Final = 4 * 1024 * 1024
"""The most bytes of entries sent and not acknowledged; a single entry may be longer."""


class ToBackup:
    """What a primary knows about the backup of its view. `synced`: it has the whole state."""

    def __init__(self, view: View, me: Server, store: Store, resend_ms: int) -> None:
        assert view.backup is not None
        self.backup = view.backup
        self.synced = False
        self.acked_index = store.index  # counts from `synced` on
        self.acked_round = 0
        self._view = view
        self._me = me
        self._resend_ms = resend_ms
        self._resend_at_ms: int | None = None  # None: nothing is on its way
        self._records: Iterator[list[Any]] | None = store.records()
        self._chunks: deque[Chunk] = deque()  # made and not acknowledged
        self._chunks_acked = 0
        self._chunks_sent = 0
        self._waiting: deque[tuple[Entry, int]] = deque()  # operations and their sizes, not sent
        self._flying: deque[tuple[Entry, int]] = deque()  # sent, the first after acked_index
        self._flying_bytes = 0
        self._round = 0
        self._asked_round = 0  # the round that reads wait for

    @property
    def next_deadline_ms(self) -> int | None:
        return self._resend_at_ms

    def add(self, entry: Entry, size: int) -> None:
        """Take the next operation, to be forwarded."""
        self._waiting.append((entry, size))

    def ask(self) -> int:
        """Have the backup asked whether it is still the backup; return the round of its answer."""
        self._asked_round = self._round + 1
        return self._asked_round

    def chunk_acked(self, ack: ChunkAck, now_ms: int) -> None:
        while self._chunks and self._chunks[0].number < ack.next:
            self._chunks_acked = self._chunks.popleft().number + 1
            self._resend_at_ms = now_ms + self._resend_ms
        if self._records is None and not self._chunks:
            self.synced = True
            self._resend_at_ms = None

    def acked(self, ack: Ack, now_ms: int) -> None:
        if not self.synced:
            return
        self.acked_round = max(self.acked_round, min(ack.round, self._round))
        while self._flying and self.acked_index < ack.index:
            self._flying_bytes -= self._flying.popleft()[1]
            self.acked_index += 1
            self._resend_at_ms = now_ms + self._resend_ms
        if not self._flying and self.acked_round >= self._asked_round:
            self._resend_at_ms = None

    def messages(self, now_ms: int) -> list[PeerMessage]:
        """What to send now."""
        if self._resend_at_ms is not None and now_ms >= self._resend_at_ms:
            self._resend_at_ms = None
            self._waiting.extendleft(reversed(self._flying))
            self._flying.clear()
            self._flying_bytes = 0
            self._chunks_sent = self._chunks_acked
            if self._asked_round > self.acked_round:
                self._asked_round = self._round + 1
        out = list(self._forwards() if self.synced else self._next_chunks())
        if out and self._resend_at_ms is None:
            self._resend_at_ms = now_ms + self._resend_ms
        return out

    def _next_chunks(self) -> Iterator[PeerMessage]:
        while self._records is not None and len(self._chunks) < CHUNKS_IN_FLIGHT:
            number = self._chunks[-1].number + 1 if self._chunks else self._chunks_acked
            self._chunks.append(self._make_chunk(number, self._records))
        for chunk in self._chunks:
            if chunk.number >= self._chunks_sent:
                self._chunks_sent = chunk.number + 1
                yield chunk

    def _make_chunk(self, number: int, source: Iterator[list[Any]]) -> Chunk:
        records: list[Any] = []
        size = 0
        for record in source:
            records.append(record)
            size += body_size(record)
            if size >= CHUNK_BYTES:
                break
        else:
            self._records = None
        last = self._records is None
        return Chunk(self._view.service, self._view.number, self._me, number, last, tuple(records))

    def _forwards(self) -> Iterator[PeerMessage]:
        """New entries, as far as the window allows; and a question, if one is due."""
        while self._waiting and self._flying_bytes < WINDOW_BYTES:
            batch: list[Entry] = []
            size = 0
            first = self.acked_index + len(self._flying) + 1
            while self._waiting and len(batch) < FORWARD_ENTRIES and size < FORWARD_BYTES:
                item = self._waiting.popleft()
                self._flying.append(item)
                batch.append(item[0])
                size += item[1]
            self._flying_bytes += size
            yield self._forward(first, batch)
        if self._asked_round > self._round:
            yield self._forward(self.acked_index + len(self._flying) + 1, [])

    def _forward(self, first: int, batch: list[Entry]) -> Forward:
        self._round += 1
        view = self._view
        return Forward(view.service, view.number, self._me, self._round, first, tuple(batch))


class AsBackup:
    """The backup of one view: it collects the state, then follows. `store` is None until it has
    the whole of it."""

    def __init__(self, view: View, me: Server) -> None:
        self.store: Store | None = None
        self._view = view
        self._me = me
        self._next_chunk = 0
        self._loading = Loading()

    def chunk(self, chunk: Chunk) -> PeerMessage:
        """Take a chunk; return the answer. Raises DataError for malformed records."""
        if self.store is None and chunk.number == self._next_chunk:
            for record in chunk.records:
                self._loading.take(record)
            if chunk.last:
                self.store = self._loading.finish()
                self._loading = Loading()
            self._next_chunk += 1
        return ChunkAck(self._view.service, self._view.number, self._me, self._next_chunk)

    def forward(self, forward: Forward) -> PeerMessage | None:
        """Execute what is new and in order; return the answer. None: it has no state yet."""
        store = self.store
        if store is None:
            return None
        skip = store.index + 1 - forward.first
        if skip >= 0:
            for entry in forward.entries[skip:]:
                store.apply(entry)
        return Ack(self._view.service, self._view.number, self._me, forward.round, store.index)


def old_view(view: View, me: Server) -> OldView:
    """The refusal of a message from an earlier view."""
    return OldView(view.service, view.number, me)
