"""How the asyncio client waits: the event loop watches the sockets' file descriptors.

Calls made in one round of the loop leave together, and callers whose answers arrive together are
woken together.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from functools import partial
from inspect import isawaitable
from random import Random, SystemRandom
from typing import TYPE_CHECKING, Final, TypeVar

from raftzmq.client.operations import cluster
from raftzmq.client.operations.arguments import NodeRequest, Operation, Work, check_callback
from raftzmq.client.session.calls import Call
from raftzmq.client.session.session import Session
from raftzmq.client.session.subscriptions import Subscription
from raftzmq.client.session.tasks import Task
from raftzmq.client.shell import Action, OnLost, Shell, Teller
from raftzmq.client.sockets import Links, Socket, descriptor, now_ms, time_of_day, turn
from raftzmq.errors import InvalidRequest, Unavailable

if TYPE_CHECKING:
    from raftzmq.access.key_files import ClientKeyFile

T = TypeVar("T")

CLOSE_S: Final = 0.2
"""How long closing waits for the cluster to forget the session."""

_OF_PARENTS: Final[list[Links]] = []
"""In a forked child: never collected, for closing them would touch the parent's."""

_TELLING: Final[set[asyncio.Future[object]]] = set()
"""What was begun by `on_lost`: the event loop alone would not keep it."""


def _call_soon(function: Callable[[], object]) -> None:
    asyncio.get_running_loop().call_soon(_call, function)


def _call(function: Callable[[], object]) -> None:
    begun = function()
    if isawaitable(begun):
        telling = asyncio.ensure_future(begun)
        _TELLING.add(telling)
        telling.add_done_callback(_TELLING.discard)


class AsyncShell(Shell):
    """Runs the session in the event loop of the first call."""

    now_ms = staticmethod(now_ms)
    time_of_day = staticmethod(time_of_day)
    flag = asyncio.Event
    has_tasks = True

    def __init__(
        self, endpoints: Sequence[str], key_file: ClientKeyFile | None = None, guess: str = ""
    ) -> None:
        super().__init__()
        self._endpoints = endpoints
        self._guess = guess
        self._key_file = key_file
        self._begin()

    def _begin(self) -> None:
        random = Random(SystemRandom().getrandbits(64))
        self._session = Session(
            self._endpoints, random, SystemRandom(), traced=self.traced, guess=self._guess
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._links: Links | None = None
        self._over: str | None = None  # why no call can be answered any more
        self._turn_is_due = False
        self._timer: asyncio.TimerHandle | None = None

    @staticmethod
    def caller() -> object:
        try:
            return asyncio.current_task()
        except RuntimeError:  # a coroutine that is garbage, and ends where no loop runs
            return None

    @staticmethod
    def teller(on_lost: OnLost) -> Teller:
        check_callback(on_lost)
        return None if on_lost is None else partial(_call_soon, on_lost)

    async def run(self, work: Operation[T] | NodeRequest[T]) -> T:
        call = self.submit(work)
        try:
            await call.waiter
        except BaseException:
            self.cancel(call)
            raise
        result: T = call.result()
        return result

    def submit(self, work: Work) -> Call:
        """Hand in a call. Its `waiter` is to be awaited; then it is done."""
        loop = self._check()
        now = now_ms()
        call = Call(work, now)
        call.waiter = loop.create_future()
        self._session.submit(call, now)
        self._turn_soon()
        return call

    def hand_in(self, call: Call) -> Call:
        """As `submit`, of a call that is made already."""
        call.waiter = self._check().create_future()
        self._session.submit(call, now_ms())
        self._turn_soon()
        return call

    def cancel(self, call: Call) -> None:
        """Nobody waits for the call any more."""
        self._session.cancel(call, now_ms())

    async def run_all(self, works: Sequence[Work]) -> list[Call]:
        self._check()
        now = now_ms()
        return await self._wait([Call(work, now) for work in works])

    async def perform(self, task: Task) -> None:
        loop = self._check()
        task.waiter = loop.create_future()
        self._session.begin(task, now_ms())
        self._turn_soon()
        try:
            await task.waiter
        except BaseException:
            self.post(lambda session, now: session.abandon(task, now))
            raise
        task.result()

    def forget_parent(self) -> None:
        if self._links is not None:
            _OF_PARENTS.append(self._links)
        self._begin()

    def post(self, action: Action) -> None:
        if self._over is not None or (self._closed and self._links is None):
            return
        if self._loop is not None and self._loop.is_closed():
            return  # so is everything
        if not self._closed:
            self._check()
        action(self._session, now_ms())
        self._turn_soon()

    def post_from_collector(self, action: Action) -> None:
        if self._loop is None:
            return
        with contextlib.suppress(RuntimeError):  # the loop is closed: so is everything
            self._loop.call_soon_threadsafe(self._post_late, action)

    def _post_late(self, action: Action) -> None:
        if self._over is None:
            self.post(action)

    async def wait_for_news(
        self, subscription: Subscription, ready: Callable[[], bool], timeout: float | None
    ) -> bool:
        loop = self._check()
        timer = None
        until = None if timeout is None else loop.time() + timeout
        try:
            while not ready():
                if self._over is not None:
                    raise Unavailable(self._over)
                if until is not None and loop.time() >= until:
                    return False
                subscription.waiter = waiter = loop.create_future()
                if until is not None and timer is None:
                    timer = loop.call_at(until, self._news_for, subscription)
                await waiter
        finally:
            if timer is not None:
                timer.cancel()
        return True

    async def close(self) -> None:
        """End the session, give up what is held, and close the sockets. May be repeated."""
        if self._closed:
            return
        loop = self._loop
        if loop is None or self._over:
            self._closed = True
            return  # nothing was opened
        if loop.is_closed():
            self._closed = True
            self._end("the event loop was closed")
            return
        self.check_caller()
        self._closed = True
        try:
            if self._session.can_close_session:
                self._session.leases.drop_all("the client was closed", now_ms())
                await self._wait([Call(cluster.close_session(), now_ms(), CLOSE_S, own=True)])
        finally:
            self._end("the client was closed")

    def check_caller(self) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._own_loop()

    def _check(self) -> asyncio.AbstractEventLoop:
        """Return the loop that runs, if calls may be made in it now."""
        self.check_open()
        if self._over is not None:
            raise Unavailable(self._over)
        return self._own_loop()

    def _own_loop(self) -> asyncio.AbstractEventLoop:
        """Return the loop that runs. Raises InvalidRequest if it is not that of the first call."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise InvalidRequest(
                "AsyncClient is for coroutines of one event loop: use Client elsewhere"
            ) from None
        if self._loop is None:
            self._bind(loop)
        if self._loop is not loop:
            raise InvalidRequest("this client belongs to another event loop: make one for each")
        return loop

    def _bind(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._links = Links(self._opened, self._closing, self._key_file)

    async def _wait(self, calls: list[Call]) -> list[Call]:
        assert self._loop is not None
        now = calls[0].submitted_ms
        for call in calls:
            call.waiter = self._loop.create_future()
            self._session.submit(call, now)
        self._turn_soon()
        try:
            for call in calls:
                await call.waiter
        except BaseException:
            for call in calls:
                self._session.cancel(call, now_ms())
            raise
        return calls

    # -- in the event loop --------------------------------------------------------------------

    def _opened(self, socket: Socket) -> None:
        assert self._loop is not None
        self._loop.add_reader(descriptor(socket), self._turn)

    def _closing(self, socket: Socket) -> None:
        assert self._loop is not None
        self._loop.remove_reader(descriptor(socket))

    def _turn_soon(self) -> None:
        """Make a turn after the callbacks that are due now: calls gather until then."""
        if not self._turn_is_due:
            self._turn_is_due = True
            assert self._loop is not None
            self._loop.call_soon(self._due_turn)

    def _due_turn(self) -> None:
        self._turn_is_due = False
        self._turn()

    def _turn(self) -> None:
        if self._over is not None or self._links is None:
            return
        try:
            self._wake(turn(self._session, self._links))
            self._wake_waiting()
            if self._links.readable():
                self._turn_soon()  # the file descriptors will not tell of it again
            self._set_timer()
        except BaseException as error:
            self._end(f"the client has failed ({error!r})")
            raise

    def _end(self, why: str) -> None:
        """Fail every call, and close what is open: from now on nobody answers."""
        if self._over is not None or self._links is None:
            return
        self._over = why
        self._session.close(why)
        if self._loop is not None and not self._loop.is_closed():  # else nobody waits any more
            self._wake(self._session.take_finished())
            self._wake_waiting()
        if self._timer is not None:
            self._timer.cancel()
        self._links.close_all()

    def _wake(self, finished: list[Call]) -> None:
        for call in finished:
            if not call.waiter.done():
                call.waiter.set_result(None)

    def _wake_waiting(self) -> None:
        """Wake those who wait for tasks, and for news of what they watch."""
        for task in self._session.take_tasks():
            if task.waiter is not None and not task.waiter.done():
                task.waiter.set_result(None)
        for subscription in self._session.take_news():
            self._news_for(subscription)

    def _news_for(self, subscription: Subscription) -> None:
        waiter = subscription.waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _set_timer(self) -> None:
        """Be woken when the session next has something to do; an earlier timer may stay."""
        assert self._loop is not None
        assert self._links is not None
        timer = self._timer
        both = (self._session.next_deadline_ms(), self._links.due_ms)
        due = [due_ms for due_ms in both if due_ms is not None]
        if not due:
            return
        when = self._loop.time() + max(0, min(due) - now_ms()) / 1000
        if timer is not None:
            if timer.when() <= when:
                return
            timer.cancel()
        self._timer = self._loop.call_at(when, self._timed_turn)

    def _timed_turn(self) -> None:
        self._timer = None
        self._turn()
