"""A watch in the hands of its user: the events of one subscription, one after another."""

from __future__ import annotations

import weakref
from collections import deque
from functools import partial
from typing import Self

from raftzmq.client.forks import Origin
from raftzmq.client.handles.exclusive import Exclusive
from raftzmq.client.operations.arguments import LONGEST_TIMEOUT_S, timeout_ms
from raftzmq.client.results import Event
from raftzmq.client.session.subscriptions import Subscription
from raftzmq.client.shell import Action, Shell, in_this_process
from raftzmq.errors import InvalidRequest, Unavailable, WatchLost


class Watch:
    """What happens to a key, or to all that begin with a prefix: every change, in order, each
    once, whatever happens to nodes meanwhile. Made by `watch` of a client.

    An iterator that waits for the next event, for one thread or task. Iterating opens it, as
    `with` or `async with` does; `close` ends it, from elsewhere too, and so does the garbage
    collector when nobody has it any more. Raises WatchLost when events are missing: `start` is the
    first revision from which one can watch again; Denied once its user may not read all that it
    watches; Overloaded beyond 2,000 watches of one client.
    """

    def __init__(self, shell: Shell, subscription: Subscription) -> None:
        self._shell = shell
        self._subscription = subscription
        self._events: deque[Event] = deque()
        self._began = False
        self._origin = Origin()  # where it began
        self._closed = False
        self._waiting = Exclusive(
            shell, "another thread or task waits for this watch: make a watch for each"
        )

    @property
    def revision(self) -> int:
        """Everything up to this revision was returned: a new watch may start at the next."""
        return self._events[0].revision - 1 if self._events else self._subscription.through

    async def _open(self, *, timeout: float = 5) -> Self:
        """Return once a node watches: what is written from now on will be seen. Raises
        Unavailable if none does in time, and goes on trying; Overloaded if this client has too many
        watches already; InvalidRequest if it was closed."""
        one = self._subscription
        self._check_origin()
        if self._closed:
            raise InvalidRequest("this watch was closed: make another")
        within_ms = timeout_ms(timeout)
        within_s = None if within_ms is None else within_ms / 1000
        if not self._began:
            self._began = True
            self._origin = Origin()
            self._shell.post(lambda session, now: session.subscribe(one, now))
            leave = weakref.finalize(self, self._shell.post_from_collector, _unsubscribe(one))
            leave.atexit = False
        if not await self._shell.wait_for_news(one, partial(_has_begun, one), within_s):
            why = f": {one.refused}" if one.refused else ""
            raise Unavailable(f"no node began to watch within {within_s:g} s{why}")
        if one.error is not None and not isinstance(one.error, WatchLost):
            one.take()  # it never began
        return self

    async def _enter(self) -> Self:
        """As `open`, for a `with`, whose end does not come if this fails."""
        try:
            return await self._open()
        except BaseException:
            self.close()
            raise

    async def _next(self, *, timeout: float | None = None) -> Event | None:
        """The next event. None if there is none within `timeout` seconds, or it was closed."""
        if not self._events:
            self._events.extend(await self._batch(timeout=timeout))
        return self._events.popleft() if self._events else None

    async def _batch(self, *, timeout: float | None = None) -> tuple[Event, ...]:
        """The next events that came together, one at least; none as `next`."""
        within_ms = timeout_ms(timeout)
        if self._events:
            events = tuple(self._events)
            self._events.clear()
            return events
        self._check_origin()
        with self._waiting:
            return await self._wait(within_ms)

    async def _wait(self, within_ms: int | None) -> tuple[Event, ...]:
        one = self._subscription
        until_ms = None if within_ms is None else self._shell.now_ms() + within_ms
        if not (self._began or self._closed):
            await self._open(timeout=LONGEST_TIMEOUT_S if within_ms is None else within_ms / 1000)
        while not self._closed:
            events = one.take()
            if events:
                return events
            left_s = None if until_ms is None else (until_ms - self._shell.now_ms()) / 1000
            if not await self._shell.wait_for_news(one, self._may_go_on, left_s):
                break
        return ()

    def _may_go_on(self) -> bool:
        return self._subscription.has_news or self._closed

    def close(self) -> None:
        """Watch no longer. May be repeated."""
        self._check_origin()
        self._shell.check_caller()
        self._closed = True
        if self._began:
            self._shell.post(_unsubscribe(self._subscription))

    def _check_origin(self) -> None:
        """Raise ForkedClient in a process forked from the one in which it began."""
        if self._began:
            self._origin.check("this watch")


def _unsubscribe(one: Subscription) -> Action:
    """Of a function of its own: it must not hold the watch, or that would never be garbage."""
    return in_this_process(lambda session, now: session.unsubscribe(one, now))


def _has_begun(one: Subscription) -> bool:
    return one.opened or one.error is not None
