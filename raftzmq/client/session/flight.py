"""Messages on their way, and which call each id in an answer belongs to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import attrgetter
from random import Random
from typing import Final

from raftzmq import limits
from raftzmq.client.session.calls import Batch, Call, Lane

SILENCE_MS: Final = 500
"""A message unanswered for so long is sent again; twice as long after each further silence."""

SILENCE_DOUBLINGS: Final = 3

SLOW_BYTES_IN_MS: Final = 4096
"""So many bytes in flight make patience a millisecond longer: a busy leader is no silent one."""

MESSAGES_IN_FLIGHT: Final = 16
"""Beyond it, a lane's calls wait in the client, and leave together in larger messages."""


_is_repeatable = attrgetter("repeatable")
_silences_of = attrgetter("silences")


class Flight:
    """Calls in flight, in their batches. A call keeps its id when it is sent again: whichever
    answer comes first counts, and the others find no call."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._batches: dict[Batch, None] = {}
        self.by_id: dict[int, Call] = {}

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[Batch]:
        return iter(self._batches)

    def room(self, lane: Lane) -> bool:
        """Whether the lane may send another message now."""
        if lane.holds:
            return True
        return lane.messages < MESSAGES_IN_FLIGHT and lane.bytes < lane.window_bytes

    def launch(self, lane: Lane, calls: list[Call], frame: bytes, now_ms: int) -> Batch:
        """Put a message in flight. Its calls have their ids."""
        self.by_id.update(zip([call.id for call in calls], calls, strict=True))
        silences = max(map(_silences_of, calls))
        repeatable = all(map(_is_repeatable, calls))
        patience_ms = SILENCE_MS << min(silences, SILENCE_DOUBLINGS)
        patience_ms += (lane.bytes + len(frame)) // SLOW_BYTES_IN_MS
        if lane.holds:
            patience_ms += limits.AWAIT_MS
        silent_ms = now_ms + int(patience_ms * (1 + self._random.random() / 2))
        batch = Batch(
            lane.target, lane, calls, frame, now_ms, silent_ms if repeatable else None, len(calls)
        )
        for call in calls:
            call.batch = batch
        self._batches[batch] = None
        lane.messages += 1
        lane.bytes += len(frame)
        return batch

    def release(self, call: Call) -> None:
        """The call is not in flight any more."""
        if call.batch is not None:
            self.release_from(call.batch, [call])

    def release_from(self, batch: Batch, calls: Sequence[Call]) -> None:
        """The calls, in flight in `batch`, are not in flight any more."""
        for call in calls:
            call.batch = None
        batch.pending -= len(calls)
        if not batch.pending:
            del self._batches[batch]
            batch.lane.messages -= 1
            batch.lane.bytes -= len(batch.frame)

    def at(self, endpoint: str) -> list[Batch]:
        return [batch for batch in self._batches if batch.endpoint == endpoint]

    def silent(self, now_ms: int) -> list[Batch]:
        """Messages whose answers are overdue, the oldest first."""
        return [b for b in self._batches if b.silent_ms is not None and now_ms >= b.silent_ms]

    def next_silent_ms(self) -> int | None:
        return min((b.silent_ms for b in self._batches if b.silent_ms is not None), default=None)
