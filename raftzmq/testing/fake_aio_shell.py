"""How the fake asyncio client waits: its tasks are woken when the node in this process answers.

While other tasks of the event loop can run, time passes only where a test says so. Once every task
of it waits for something of the fake, nothing else will: then time passes until that is there.
"""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from inspect import isawaitable
from typing import Final

from raftzmq.client.aio_shell import AsyncShell
from raftzmq.client.operations.arguments import Work, check_callback
from raftzmq.client.operations.cluster import close_session
from raftzmq.client.session.calls import Call
from raftzmq.client.session.subscriptions import Subscription
from raftzmq.client.session.tasks import Task
from raftzmq.client.shell import Action, OnLost, Teller
from raftzmq.errors import Unavailable
from raftzmq.testing.conversation import (
    CLOSED,
    EVENT,
    Conversation,
    end,
    is_unbounded,
    words,
)
from raftzmq.testing.memory_cluster import ENDPOINT, STEPS, MemoryCluster

Future = asyncio.Future[None]

_TELLING: Final[set[asyncio.Future[object]]] = set()
"""What was begun by `on_lost`: the event loop alone would not keep it."""


@dataclass(slots=True)
class _Wait:
    """A task that waits; `what` is the name of it, if the wait has no bound."""

    task: asyncio.Task[object] | None
    since_ms: int
    what: str


class Waits:
    """All waits of the tasks of one event loop for a cluster in memory."""

    def __init__(self, cluster: MemoryCluster, loop: asyncio.AbstractEventLoop) -> None:
        self._cluster = cluster
        self._loop = loop
        self._waits: dict[Future, _Wait] = {}
        self._is_due = False

    def begin(self, what: str = "") -> Future:
        """A future that the task that runs is about to await."""
        future: Future = self._loop.create_future()
        self._waits[future] = _Wait(asyncio.current_task(), self._cluster.now_ms, what)
        future.add_done_callback(self._ended)
        return future

    def look_soon(self) -> None:
        """Look whether time has to pass, after the callbacks that are due now."""
        if self._waits and not self._is_due:
            self._is_due = True
            self._loop.call_soon(self._look)

    def _ended(self, future: Future) -> None:
        self._waits.pop(future, None)

    def _look(self) -> None:
        self._is_due = False
        self._cluster.settle()  # a call that was handed in since the last turn has not left yet
        waiting = {wait.task for future, wait in self._waits.items() if not future.done()}
        if not waiting or asyncio.all_tasks(self._loop) - waiting:
            return
        cluster = self._cluster
        endless = [wait for wait in self._waits.values() if wait.what]
        give_up_ms = max((w.since_ms for w in endless), default=0) + cluster.patience_ms
        all_endless = len(endless) == len(self._waits)
        if all_endless and cluster.now_ms >= give_up_ms:
            for future, wait in list(self._waits.items()):
                if not future.done():
                    future.set_exception(cluster.deadlock(wait.what))
            return
        coarse_ms = cluster.patience_ms // STEPS if all_endless else 1
        cluster.step(cluster.now_ms + cluster.patience_ms, coarse_ms)
        self.look_soon()


class Loops:
    """The waits for a cluster in memory in each event loop."""

    def __init__(self, cluster: MemoryCluster) -> None:
        self.cluster = cluster
        self._waits: dict[asyncio.AbstractEventLoop, Waits] = {}

    def waits(self, loop: asyncio.AbstractEventLoop) -> Waits:
        """Those in this loop."""
        for other in [one for one in self._waits if one.is_closed()]:
            del self._waits[other]
        return self._waits.setdefault(loop, Waits(self.cluster, loop))


class FakeAsyncShell(AsyncShell):
    """An asyncio client's."""

    _waits: Waits

    def __init__(self, loops: Loops) -> None:
        self._loops = loops
        self._cluster = loops.cluster
        self._one = self._cluster.join()
        self._one.told = _Told(self)
        super().__init__((ENDPOINT,))
        weakref.finalize(self, end, self._one).atexit = False

    @property
    def conversation(self) -> Conversation:
        """Its client's part of the cluster."""
        return self._one

    def _begin(self) -> None:
        self._session = self._one.session
        self._loop = None
        self._links = None
        self._over = None
        self._turn_is_due = False
        self._timer = None

    def _bind(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waits = self._loops.waits(loop)

    def now_ms(self) -> int:  # type: ignore[override]  # a clock of one cluster, not of all
        return self._cluster.now_ms

    def time_of_day(self) -> str:  # type: ignore[override]
        return self._cluster.time_of_day()

    def teller(self, on_lost: OnLost) -> Teller:  # type: ignore[override]
        check_callback(on_lost)
        return None if on_lost is None else partial(_tell, self._one.told, on_lost)

    def check_open(self) -> None:
        super().check_open()
        if self._one.over:
            raise Unavailable(self._one.why)

    def submit(self, work: Work) -> Call:
        self._check()
        return self.hand_in(Call(work, self._cluster.now_ms))

    def hand_in(self, call: Call) -> Call:
        self._check()
        call.waiter = self._waits.begin()
        with self._cluster.lock:
            self._one.submit(call, self._cluster.now_ms)
        if call.done:
            call.waiter.set_result(None)
        self._turn_soon()
        return call

    def cancel(self, call: Call) -> None:
        self.post(lambda session, now: session.cancel(call, now))

    async def run_all(self, works: Sequence[Work]) -> list[Call]:
        calls = [self.submit(work) for work in works]
        try:
            for call in calls:
                await call.waiter
        except BaseException:
            for call in calls:
                self.cancel(call)
            raise
        return calls

    async def perform(self, task: Task) -> None:
        self._check()
        task.waiter = self._waits.begin(words(task) if is_unbounded(task) else "")
        with self._cluster.lock:
            self._one.begin(task, self._cluster.now_ms)
        if task.done:
            task.waiter.set_result(None)
        self._turn_soon()
        try:
            await task.waiter
        except BaseException:
            self.post(lambda session, now: session.abandon(task, now))
            raise
        task.result()

    async def wait_for_news(
        self, subscription: Subscription, ready: Callable[[], bool], timeout: float | None
    ) -> bool:
        self._check()
        cluster = self._cluster
        until_ms = None if timeout is None else cluster.now_ms + round(timeout * 1000)
        while not ready():
            if self._one.over:
                raise Unavailable(self._one.why)
            if until_ms is not None and cluster.now_ms >= until_ms:
                return False
            subscription.waiter = waiter = self._waits.begin("" if until_ms else EVENT)
            if until_ms is not None:
                cluster.call_at(until_ms, partial(self._news_for, subscription))
            self._turn_soon()
            await waiter
        return True

    def post(self, action: Action) -> None:
        if self._closed or self._one.over:
            return
        if self._loop is not None and self._loop.is_closed():
            return
        self._check()
        self._one.inbox.append(action)
        self._turn_soon()

    def post_from_collector(self, action: Action) -> None:
        self._one.inbox.append(action)

    def forget_parent(self) -> None:
        """A forked child has a cluster of its own, which is like the parent's."""

    async def close(self) -> None:
        if self._closed:
            return
        if self._loop is not None and not self._loop.is_closed():
            self.check_caller()
        with self._cluster.lock:
            one, now = self._one, self._cluster.now_ms
            if not one.over and one.session.can_close_session:
                one.session.leases.drop_all(CLOSED, now)
                one.session.submit(Call(close_session(), now, own=True), now)
                self._cluster.settle()
            self._closed = True
            one.end(CLOSED)

    def _turn(self) -> None:
        self._cluster.settle()

    def take(self) -> None:
        """Wake those whose answers are there. In the event loop."""
        for call in self._one.take_finished():
            if call.waiter is not None and not call.waiter.done():
                call.waiter.set_result(None)
        self._wake_waiting()
        if self._loop is not None:
            self._waits.look_soon()

    def call_in_loop(self, function: Callable[[], object]) -> None:
        """Have it called in the event loop: at once, if that is what runs here."""
        loop = self._loop
        if loop is None or loop.is_closed():
            return  # nobody waits
        try:
            here = asyncio.get_running_loop() is loop
        except RuntimeError:
            here = False
        if here:
            function()
        else:
            with contextlib.suppress(RuntimeError):  # closed meanwhile
                loop.call_soon_threadsafe(function)


class _Told:
    """Wakes a shell's callers, without holding the shell."""

    def __init__(self, shell: FakeAsyncShell) -> None:
        self.shell = weakref.ref(shell)

    def __call__(self) -> None:
        shell = self.shell()
        if shell is not None:
            shell.call_in_loop(shell.take)


def _tell(told: Callable[[], None], on_lost: Callable[[], object]) -> None:
    """Have `on_lost` called soon, in the event loop."""
    shell = told.shell() if isinstance(told, _Told) else None
    if shell is not None and shell._loop is not None and not shell._loop.is_closed():
        shell._loop.call_soon_threadsafe(_call, on_lost)


def _call(on_lost: Callable[[], object]) -> None:
    begun = on_lost()
    if isawaitable(begun):
        telling = asyncio.ensure_future(begun)
        _TELLING.add(telling)
        telling.add_done_callback(_TELLING.discard)
