"""What callers watch, and the watches on the wire that serve them: see watches.py."""

from __future__ import annotations

from collections import deque
from typing import Any

from raftzmq import limits
from raftzmq.client.operations.arguments import check_bound, check_key, quoted
from raftzmq.client.results import Event
from raftzmq.client.session.calls import Call
from raftzmq.client.session.tasks import copy_of
from raftzmq.errors import InvalidRequest, RaftzmqError, WatchLost
from raftzmq.transport.watch_wire import WatchRequest

Delivery = tuple[tuple[Event, ...], int]
"""Events, and the revision up to which they are complete."""


class Subscription:
    """What one caller watches. `batches` wait to be taken; then comes the `error`, if any.

    The session's thread only appends, and counts in `received`; the caller's only takes, and
    counts in `taken`.
    """

    __slots__ = (
        "after",
        "batches",
        "error",
        "key",
        "opened",
        "prefix",
        "previous",
        "received",
        "refused",
        "start",
        "stream",
        "taken",
        "through",
        "waiter",
    )

    def __init__(
        self, key: str | None, prefix: str | None, start: int | None, previous: bool
    ) -> None:
        """Of a key, or of all that begin with `prefix`, from the revision `start` on; None: from
        now on. Raises InvalidRequest."""
        if (key is None) == (prefix is None):
            raise InvalidRequest("a watch is of a key or of a prefix: give one of them")
        if key is not None:
            check_key(key)
        if start is not None and (type(start) is not int or not 1 <= start <= limits.INDEX_MAX):
            raise InvalidRequest(f"a watch starts at a revision, 1 or above, not {quoted(start)}")
        self.key = key if key is not None else check_bound("prefix", prefix)  # type: ignore[arg-type]  # one of them is given
        try:
            self.key.encode()
        except UnicodeEncodeError:
            raise InvalidRequest(
                f"what a watch is of is text, and {quoted(self.key)} has lone surrogates"
            ) from None
        self.prefix = prefix is not None
        self.start = start
        self.previous = bool(previous)
        self.after = 0 if start is None else start - 1  # what it gets has higher revisions
        self.stream: Stream | None = None
        self.opened = False
        self.batches: deque[Delivery] = deque()
        self.received = 0
        self.taken = 0
        self.through = self.after  # the caller has taken everything up to here
        self.refused = ""  # why the node asked last would not, as long as none does
        self.error: RaftzmqError | None = None
        self.waiter: Any = None  # the shell's own: what to wake

    def take(self) -> tuple[Event, ...]:
        """Return the events that came together next; none if there are none now. Raises what
        ended the watch, once everything before is taken."""
        stream = self.stream
        position = stream.position if stream is not None else None
        if self.batches:
            events, self.through = self.batches.popleft()
            self.taken += len(events)
            return events
        if position is not None:  # it was read before the batches were seen to be taken
            self.through = max(self.through, position)
        if self.error is not None:
            raise copy_of(self.error)
        return ()

    @property
    def has_news(self) -> bool:
        return bool(self.batches) or self.error is not None

    def end(self, error: RaftzmqError) -> None:
        """No more will come: `take` says why, once everything before is taken."""
        self.stream = None
        self.error = error

    def reached(self, through: int, now_ms: int) -> None:
        """Everything up to a revision has come. What is taken in batches has it from them."""

    def deliver(self, events: tuple[Event, ...], through: int) -> None:
        if events[0].revision <= self.after:
            events = tuple(event for event in events if event.revision > self.after)
            if not events:
                return
        self.received += len(events)
        self.batches.append((events, through))


class Stream:
    """A watch on the wire. `position` is the revision up to which it has everything, None before
    it is first bound; `partial` counts the events of the next revision that it has already."""

    __slots__ = (
        "call",
        "cluster",
        "confirmed_ms",
        "endpoint",
        "heard_ms",
        "id",
        "is_live",
        "lacking",
        "members",
        "partial",
        "position",
        "subject",
    )

    def __init__(self, subject: tuple[str, bool, bool], start: int | None) -> None:
        self.subject = subject
        self.position = None if start is None else start - 1
        self.is_live = start is None  # it began with what was new then
        self.partial = 0
        self.cluster = ""
        self.members: dict[Subscription, None] = {}
        self.call: Call | None = None
        self.id = 0
        self.endpoint: str | None = None
        self.heard_ms = 0
        self.confirmed_ms = 0
        self.lacking: dict[str, WatchLost | None] = {}
        """Who no longer remembers what it needs, and (None) who did not answer."""

    def request(self, ident: int) -> WatchRequest:
        key, prefix, previous = self.subject
        start = None if self.position is None else self.position + 1
        return WatchRequest(ident, key, prefix, start, previous, self.cluster if start else "")
