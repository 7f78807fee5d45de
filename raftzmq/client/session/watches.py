"""Watches: where each has got to, and how it goes on after whatever happens to links and nodes.

What is the same to nodes (key or prefix, with or without the values before) is one *stream*,
however many of this client's *subscriptions* it has: one watch on the wire, each event decoded
once, the same objects handed to all.

A stream is *asked* for, by a call that is repeated until a node answers, and then *bound* to the
endpoint that did. It knows the revision up to which it has everything, and how many events of the
next one. Whatever does not join on to that exactly, or a second without a word more than there
should be, makes it ask anew from there: no event is missed, and none comes twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from raftzmq import limits
from raftzmq.client.operations.arguments import LONGEST_TIMEOUT_S, NodeRequest, decode_value
from raftzmq.client.results import Event
from raftzmq.client.session.agenda import NEVER_MS
from raftzmq.client.session.calls import WATCHES, Call
from raftzmq.client.session.outstanding import Outstanding
from raftzmq.client.session.routing import Routing
from raftzmq.client.session.subscriptions import Stream, Subscription
from raftzmq.errors import (
    Denied,
    InvalidRequest,
    Overloaded,
    RaftzmqError,
    Unavailable,
    WatchLost,
)
from raftzmq.transport import watch_wire
from raftzmq.transport.watch_wire import Events, UnwatchRequest, Watching, WatchRequest

SILENCE_MS: Final = 3 * limits.WATCH_PROGRESS_MS
"""A bound stream that hears nothing for so long asks anew, elsewhere."""

SCAN_MS: Final = limits.WATCH_PROGRESS_MS // 2
"""How often to look for silence, and for watches to confirm."""

CONFIRM_MS: Final = limits.WATCH_CONFIRMED_MS // 3

BACKLOG_EVENTS: Final = 100_000
"""A subscription that leaves so many events untaken is ended, as too slow."""

ELSEWHERE: Final = frozenset({"stopping", "forming", "overloaded"})
"""Ends of a watch that say nothing of the history: another node is asked."""


class Watches:
    """All of a client's. `due_ms` is when `tick` is wanted next."""

    def __init__(self, calls: Outstanding, routing: Routing) -> None:
        self._calls = calls
        self._routing = routing
        self._streams: dict[tuple[str, bool, bool], list[Stream]] = {}
        self._by_id: dict[int, Stream] = {}
        self._frames: list[tuple[str, WatchRequest | UnwatchRequest]] = []
        self._count = 0  # streams
        self._stopped_ms: dict[tuple[str, int], int] = {}
        self._news: dict[Subscription, None] = {}
        self.due_ms = NEVER_MS

    def subscribe(self, subscription: Subscription, now_ms: int) -> None:
        """Begin to watch, with a stream that is there already if one will do."""
        one = subscription
        subject = (one.key, one.prefix, one.previous)
        streams = self._streams.get(subject, [])
        stream = next((stream for stream in streams if _suits(stream, one.start)), None)
        if stream is None:
            if self._count >= limits.WATCHES_PER_CLIENT:
                self._refuse(one)
                return
            self._count += 1
            stream = Stream(subject, one.start)
            self._streams.setdefault(subject, []).append(stream)
            self._ask(stream, now_ms)
        one.stream = stream
        stream.members[one] = None
        if stream.position is not None and one.start is None:
            one.after = one.through = stream.position
        if stream.position is not None and (stream.endpoint is not None or one.start is None):
            self._open(one)

    def unsubscribe(self, subscription: Subscription, now_ms: int) -> None:
        """Watch no longer."""
        stream, subscription.stream = subscription.stream, None
        self._news[subscription] = None  # somebody may wait for news of it
        if stream is None:
            return
        stream.members.pop(subscription, None)
        if not stream.members:
            self._end(stream, now_ms)

    def endpoints(self) -> set[str]:
        """Those that streams are bound to, or that are to be told something."""
        bound = {stream.endpoint for stream in self._by_id.values() if stream.endpoint is not None}
        return bound.union(endpoint for endpoint, _ in self._frames)

    def take_frames(self) -> list[tuple[str, WatchRequest | UnwatchRequest]]:
        """What is to be sent to whom, without an answer being waited for."""
        frames, self._frames = self._frames, []
        return frames

    def tell(self, subscription: Subscription) -> None:
        """Something happened to it."""
        self._news[subscription] = None

    def take_news(self) -> list[Subscription]:
        """The subscriptions to which something happened since the last time."""
        news, self._news = list(self._news), {}
        return news

    @property
    def has_news(self) -> bool:
        return bool(self._news)

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self._streams or self._frames)

    def close(self, why: str) -> None:
        """End all."""
        for stream in self._all():
            self._fail(stream, Unavailable(f"{why}: it watches no longer"))
        self._streams.clear()
        self._count = 0
        self._by_id.clear()
        self._frames.clear()
        self.due_ms = NEVER_MS

    # -- what happens -------------------------------------------------------------------------

    def received(
        self, endpoint: str, reply: Watching | Events | watch_wire.WatchLost, now_ms: int
    ) -> None:
        """Take what a node said."""
        stream = self._by_id.get(reply.id)
        if stream is None or (stream.endpoint not in (None, endpoint)):
            if not isinstance(reply, watch_wire.WatchLost):
                self._stop(endpoint, reply.id, now_ms)
            return
        stream.heard_ms = now_ms
        if isinstance(reply, Watching):
            self._watching(stream, endpoint, reply, now_ms)
        elif isinstance(reply, watch_wire.WatchLost):
            self._lost(stream, endpoint, reply, now_ms)
        elif stream.endpoint is not None:
            self._events(stream, reply, now_ms)

    def link_lost(self, endpoint: str, now_ms: int) -> None:
        """The endpoint is out of reach: what was bound to it asks anew."""
        for stream in list(self._by_id.values()):
            if stream.endpoint == endpoint:
                self._ask(stream, now_ms)

    def tick(self, now_ms: int) -> None:
        for stream in list(self._by_id.values()):
            if stream.endpoint is None:
                continue
            if now_ms - stream.heard_ms >= SILENCE_MS:
                silent = stream.endpoint
                self._routing.leave(silent, "no word of a watch", now_ms)
                self._again(stream, now_ms)
                self._of_no_use(stream, silent, now_ms)
            elif now_ms - stream.confirmed_ms >= CONFIRM_MS:
                stream.confirmed_ms = now_ms
                self._frames.append((stream.endpoint, stream.request(stream.id)))
        self._stopped_ms = {
            key: at_ms for key, at_ms in self._stopped_ms.items() if now_ms - at_ms < SILENCE_MS
        }
        self.due_ms = now_ms + SCAN_MS if self._by_id else NEVER_MS

    def _watching(self, stream: Stream, endpoint: str, reply: Watching, now_ms: int) -> None:
        if stream.endpoint is not None:  # a confirmation
            if stream.position is not None and reply.after > stream.position:
                self._again(stream, now_ms)
            return
        if stream.call is not None:
            self._calls.cancel(stream.call, now_ms)
            stream.call = None
        stream.endpoint = endpoint
        stream.cluster = reply.cluster
        stream.confirmed_ms = now_ms
        if stream.position is None:
            stream.position = reply.after
            for one in stream.members:
                one.after = one.through = reply.after
        for one in stream.members:
            self._open(one)
        self.due_ms = min(self.due_ms, now_ms + SCAN_MS)

    def _events(self, stream: Stream, reply: Events, now_ms: int) -> None:
        assert not isinstance(reply.events, bytes)
        if reply.after != stream.position or reply.skip > stream.partial:
            self._again(stream, now_ms)
            return
        stream.lacking.clear()
        raw: Any = reply.events
        try:
            events = tuple([_event(*one) for one in raw[stream.partial - reply.skip :]])
        except (TypeError, ValueError, LookupError):
            self._routing.leave(str(stream.endpoint), "a watch not of the protocol", now_ms)
            self._again(stream, now_ms)
            return
        above = sum(1 for one in raw if one[0] > reply.through)
        through = reply.through
        if through == reply.after:  # told once more of what it has, it has it all the same
            stream.partial = max(stream.partial, reply.skip + above)
        else:
            stream.partial = above
        if events:
            news = self._news
            for one in list(stream.members):
                one.deliver(events, through)
                news[one] = None
                if one.received - one.taken > BACKLOG_EVENTS:
                    self._too_slow(one, through, now_ms)
        for one in list(stream.members):
            one.reached(through, now_ms)
        stream.position = through

    def _too_slow(self, one: Subscription, through: int, now_ms: int) -> None:
        error = WatchLost(
            f"{one.received - one.taken} events were left untaken: take them sooner, "
            f"or watch again from revision {through + 1}",
            "slow",
            through + 1,
        )
        self.unsubscribe(one, now_ms)
        one.end(error)
        self._news[one] = None

    def _lost(
        self, stream: Stream, endpoint: str, reply: watch_wire.WatchLost, now_ms: int
    ) -> None:
        """A node ended the watch, or would not begin it."""
        if stream.call is not None:
            self._calls.cancel(stream.call, now_ms)
            stream.call = None
        stream.endpoint = None
        if reply.code in ELSEWHERE:
            for one in stream.members:
                one.refused = reply.message
            self._routing.watch_later(endpoint, now_ms)
            self._ask(stream, now_ms)
            self._of_no_use(stream, endpoint, now_ms)
            return
        for kind in (InvalidRequest, Denied):
            if reply.code == kind.code:
                self._fail(stream, kind(reply.message))
                return
        error = WatchLost(reply.message, reply.code, reply.start)
        if reply.code == "oversize":
            self._fail(stream, error)
            return
        if stream.position is None or reply.start <= stream.position + 1:
            self._routing.watch_later(endpoint, now_ms)
            self._ask(stream, now_ms)  # it has what is needed, or has by now
            return
        # Others may remember more: one that has restarted begins with what it restarted from.
        stream.lacking[endpoint] = error
        if self._routing.watch_elsewhere(stream.lacking, now_ms):
            self._ask(stream, now_ms)
        else:
            self._give_up(stream)

    def _of_no_use(self, stream: Stream, endpoint: str, now_ms: int) -> None:
        """An endpoint said nothing, or not what was asked: it may be of a node that has left the
        cluster. All others are asked before it is asked again, and not even then if one of those
        lacks what is needed."""
        stream.lacking[endpoint] = None
        if self._routing.watch_elsewhere(stream.lacking, now_ms):
            return
        if not any(stream.lacking.values()):
            stream.lacking.clear()
            return
        if stream.call is not None:
            self._calls.cancel(stream.call, now_ms)
        self._give_up(stream)

    def _give_up(self, stream: Stream) -> None:
        """Nobody that can be asked remembers what is needed."""
        errors = [error for error in stream.lacking.values() if error is not None]
        self._fail(stream, min(errors, key=lambda error: error.start))

    # -- asking -------------------------------------------------------------------------------

    def _again(self, stream: Stream, now_ms: int) -> None:
        """Ask anew, and stop what is there."""
        if stream.endpoint is not None:
            self._stop(stream.endpoint, stream.id, now_ms)
        self._ask(stream, now_ms)

    def _ask(self, stream: Stream, now_ms: int) -> None:
        self._by_id.pop(stream.id, None)
        stream.endpoint = None

        def build(ident: int) -> WatchRequest:
            stream.id = ident
            self._by_id[ident] = stream
            return stream.request(ident)

        work = NodeRequest(
            build, lambda reply: reply, repeatable=True, to_leader=False, lane=WATCHES
        )
        stream.call = Call(
            work,
            now_ms,
            LONGEST_TIMEOUT_S,
            internal=lambda call, _: self._refused(stream, call),
            own=True,  # a watch that runs must be able to go on
        )
        self._calls.submit(stream.call, now_ms)

    def _refused(self, stream: Stream, call: Call) -> None:
        if stream.call is call:
            stream.call = None
            self._fail(stream, call.error or Unavailable("the watch had no answer"))

    def _stop(self, endpoint: str, ident: int, now_ms: int) -> None:
        """Have a node tell no more; once in a while at most, for it has to be heard too."""
        if self._stopped_ms.get((endpoint, ident), -SILENCE_MS) + SILENCE_MS <= now_ms:
            self._stopped_ms[endpoint, ident] = now_ms
            self._frames.append((endpoint, UnwatchRequest(ident)))

    # -- ends ---------------------------------------------------------------------------------

    def _open(self, one: Subscription) -> None:
        if not one.opened:
            one.opened = True
            self._news[one] = None

    def _refuse(self, one: Subscription) -> None:
        """Not even if another node had room: it would not have when it is the last one left."""
        one.end(
            Overloaded(
                f"this client has {self._count} watches, the most that a node serves it: close "
                "those that are not needed, or use a further client"
            )
        )
        self._news[one] = None

    def _fail(self, stream: Stream, error: RaftzmqError) -> None:
        members, stream.members = list(stream.members), {}
        for one in members:
            one.end(error)
            self._news[one] = None
        self._forget(stream)

    def _end(self, stream: Stream, now_ms: int) -> None:
        if stream.call is not None:
            self._calls.cancel(stream.call, now_ms)
            stream.call = None
        if stream.endpoint is not None:
            self._stop(stream.endpoint, stream.id, now_ms)
        self._forget(stream)

    def _forget(self, stream: Stream) -> None:
        self._by_id.pop(stream.id, None)
        streams = self._streams.get(stream.subject, [])
        if stream in streams:
            streams.remove(stream)
            self._count -= 1
        if not streams:
            self._streams.pop(stream.subject, None)

    def _all(self) -> Iterable[Stream]:
        return [stream for streams in list(self._streams.values()) for stream in streams]


def _suits(stream: Stream, start: int | None) -> bool:
    """Whether a subscription from `start` on can be a member of the stream: not in the middle of
    a revision, and not with one that may yet lose what the subscription has no need of."""
    if stream.partial:
        return False
    if start is None:
        return stream.is_live
    return stream.position is not None and stream.position == start - 1


def _event(revision: int, key: str, value: Any, previous: Any) -> Event:
    if type(value) is dict:
        value = decode_value(value)
    if type(previous) is dict:
        previous = decode_value(previous)
    return Event(revision, key, value, previous)
