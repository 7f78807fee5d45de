"""The calls that are not done: how many there may be, until when, and how each ends."""

from __future__ import annotations

from itertools import groupby
from operator import attrgetter
from typing import Final

from raftzmq.client.session.calls import Call
from raftzmq.client.session.endpoints import Endpoints
from raftzmq.client.session.flight import Flight
from raftzmq.client.session.routing import Routing
from raftzmq.client.session.serials import Serials
from raftzmq.client.session.verdicts import abandoned, overdue, unauthorized
from raftzmq.errors import Overloaded, RaftzmqError

CALLS_MOST: Final = 100_000
CALL_BYTES_MOST: Final = 256 * 1024 * 1024
"""Most calls, and bytes in them, that wait or are in flight; beyond, a caller's is Overloaded."""

DEADLINE_GRAIN_MS: Final = 5
"""Deadlines are looked at this often at most: each look is at every call."""

_batch_of = attrgetter("batch")


class Outstanding:
    """A call that is done is in `take_finished`, or was told to its `internal`. `due_ms` is when
    to look at deadlines next."""

    def __init__(
        self,
        routing: Routing,
        flight: Flight,
        serials: Serials,
        calls_most: int = CALLS_MOST,
        call_bytes_most: int = CALL_BYTES_MOST,
    ) -> None:
        self._routing = routing
        self._flight = flight
        self._serials = serials
        self._calls_most = calls_most
        self._call_bytes_most = call_bytes_most
        self._calls: dict[Call, None] = {}
        self._bytes = 0
        self._finished: list[Call] = []
        self.due_ms = 0

    def __len__(self) -> int:
        return len(self._calls)

    @property
    def has_internal_writes(self) -> bool:
        """Whether there are writes of the session's own."""
        return any(call.is_write and call.internal is not None for call in self._calls)

    # -- begin --------------------------------------------------------------------------------

    def submit(self, call: Call, now_ms: int) -> None:
        """Take a call; it ends, one way or the other, by its deadline. A hot path."""
        calls = len(self._calls)
        full = calls >= self._calls_most or self._bytes + call.size > self._call_bytes_most
        if full and not call.own:
            self._bytes += call.size
            self.fail(call, Overloaded(f"{calls} calls of this client wait already"), now_ms)
            return
        self._routing.lane(call, now_ms).queue.append(call)
        if not calls or call.deadline_ms < self.due_ms:
            self.due_ms = call.deadline_ms
        self._calls[call] = None
        self._bytes += call.size

    def start(self, call: Call, now_ms: int) -> None:
        """Take a call of the session's own, to be sent before others and beyond the bounds."""
        self._routing.lane(call, now_ms).queue.appendleft(call)
        if not self._calls or call.deadline_ms < self.due_ms:
            self.due_ms = call.deadline_ms
        self._calls[call] = None
        self._bytes += call.size

    # -- end ----------------------------------------------------------------------------------

    def cancel(self, call: Call, now_ms: int) -> None:  # noqa: ARG002 (as `submit`)
        """Nobody waits for the call any more. What was sent of it may still take effect."""
        if not call.done:
            self._settle(call)

    def fail(self, call: Call, error: RaftzmqError, now_ms: int) -> None:
        """The call ends with an error, unless it is done."""
        if not call.done:
            call.error = error
            self.end(call, now_ms)

    def end(self, call: Call, now_ms: int) -> None:
        """The call has its answer or its error."""
        self._settle(call)
        if call.internal is None:
            self._finished.append(call)
        else:
            call.internal(call, now_ms)

    def end_all(self, calls: list[Call], now_ms: int) -> None:
        """As `end` for each, but the bookkeeping is done once for all; their ids are forgotten
        already. The hot path of a client."""
        outstanding = self._calls
        for batch, group in groupby(calls, key=_batch_of):
            if batch is not None:
                batch.lane.answered()
                batch.lane.paced(now_ms - batch.sent_ms)
                self._flight.release_from(batch, list(group))
        for call in calls:
            call.done = True
            outstanding.pop(call, None)
        self._bytes -= sum([call.size for call in calls])
        self._serials.settled(*[call.id for call in calls if call.numbered])
        self._finished += [call for call in calls if call.internal is None]
        for call in [call for call in calls if call.internal is not None]:
            call.internal(call, now_ms)  # type: ignore[misc]  # it was looked at just now

    def expire(self, endpoints: Endpoints, now_ms: int) -> None:
        """End what is overdue."""
        late = [call for call in self._calls if now_ms >= call.deadline_ms]
        # The session's own first: what they met with is of use to those that waited for them.
        for call in sorted(late, key=lambda call: call.internal is None):
            if not call.done:
                self.fail(call, overdue(call, endpoints), now_ms)
        earliest_ms = min((call.deadline_ms for call in self._calls), default=0)
        self.due_ms = max(earliest_ms, now_ms + DEADLINE_GRAIN_MS)

    def refuse(self, why: str, endpoint: str | None, now_ms: int) -> None:
        """Fail the calls that only this endpoint may answer, or those that none need: it does not
        let this client in."""
        refused = [call for call in self._calls if call.work.endpoint == endpoint]
        for call in sorted(refused, key=lambda call: call.internal is None):
            if not call.done:
                self.fail(call, unauthorized(call, why), now_ms)

    def close(self, why: str, now_ms: int) -> None:
        """Fail every call."""
        for call in list(self._calls):
            if call.internal is None:
                self.fail(call, abandoned(call, why), now_ms)
            else:
                self._settle(call)

    def take_finished(self) -> list[Call]:
        """The calls that are done since the last time."""
        finished, self._finished = self._finished, []
        return finished

    def _settle(self, call: Call) -> None:
        call.done = True
        self._calls.pop(call, None)
        self._bytes -= call.size
        self._flight.release(call)
        if call.id:
            self._flight.by_id.pop(call.id, None)
            if call.numbered:
                self._serials.settled(call.id)
