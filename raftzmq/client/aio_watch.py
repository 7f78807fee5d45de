"""Watches of the asyncio client."""

from __future__ import annotations

from collections import deque
from typing import Self

from raftzmq.client.aio_claims import Connection
from raftzmq.client.calls import LONGEST_TIMEOUT_S
from raftzmq.client.links import now_ms
from raftzmq.client.results import Event
from raftzmq.client.subscriptions import Subscription
from raftzmq.errors import Unavailable


class Watch:
    """What happens to a key, or to all that begin with a prefix: every change, in order, each
    once, whatever happens to nodes meanwhile. Made by `AsyncClient.watch`.

    An asynchronous iterator that waits for the next event, for one task. Iterating opens it, as
    `async with` does; `close` ends it, from another task too. Raises WatchLost when events are
    missing: `start` is the first revision from which one can watch again.
    """

    def __init__(self, db: Connection, subscription: Subscription) -> None:
        self._db = db
        self._subscription = subscription
        self._events: deque[Event] = deque()
        self._began = False
        self._closed = False

    @property
    def revision(self) -> int:
        """Everything up to this revision was returned: a new watch may start at the next."""
        return self._events[0].revision - 1 if self._events else self._subscription.through

    async def open(self, *, timeout: float = 5) -> Self:
        """Return once a node watches: what is written from now on will be seen. Raises
        Unavailable if none does in time, and goes on trying."""
        one = self._subscription
        if not self._began:
            self._began = True
            self._db._post(lambda session, now: session.subscribe(one, now))
        if not await self._db._await(one, lambda: one.opened or one.error is not None, timeout):
            raise Unavailable(f"no node began to watch within {timeout:g} s")
        return self

    async def next(self, *, timeout: float | None = None) -> Event | None:
        """The next event. None if there is none within `timeout` seconds, or it was closed."""
        if not self._events:
            self._events.extend(await self.batch(timeout=timeout))
        return self._events.popleft() if self._events else None

    async def batch(self, *, timeout: float | None = None) -> tuple[Event, ...]:
        """The next events that came together, one at least; none as `next`."""
        if self._events:
            events = tuple(self._events)
            self._events.clear()
            return events
        one = self._subscription
        until_s = None if timeout is None else now_ms() / 1000 + timeout
        if not self._began:
            await self.open(timeout=LONGEST_TIMEOUT_S if timeout is None else timeout)
        while not self._closed:
            events = one.take()
            if events:
                return events
            left_s = None if until_s is None else until_s - now_ms() / 1000
            if not await self._db._await(one, lambda: one.has_news or self._closed, left_s):
                break
        return ()

    def close(self) -> None:
        """Watch no longer. May be repeated."""
        one = self._subscription
        self._closed = True
        if self._began:
            self._db._post(lambda session, now: session.unsubscribe(one, now))

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        event = await self.next()
        if event is None:
            raise StopAsyncIteration
        return event

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(self, *_: object) -> None:
        self.close()
