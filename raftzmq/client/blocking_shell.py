"""How the blocking client waits: one thread owns the sockets and the session.

Callers hand the thread their calls through a queue and a socket pair that wakes it, and wait each
on a lock of their own: what a signal can interrupt.
"""

from __future__ import annotations

import _socket
import contextlib
import os
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from inspect import iscoroutinefunction
from random import Random, SystemRandom
from typing import TYPE_CHECKING, Final, TypeVar

from raftzmq.client.greenlets import (
    call_uncalled,
    new_flag,
    new_lock,
    new_notifier,
    new_thread,
    new_waiter,
)
from raftzmq.client.operations import cluster
from raftzmq.client.operations.arguments import NodeRequest, Operation, Work, check_callback
from raftzmq.client.session.agenda import NEVER_MS
from raftzmq.client.session.calls import Call
from raftzmq.client.session.session import Session
from raftzmq.client.session.subscriptions import Subscription
from raftzmq.client.session.tasks import Task
from raftzmq.client.session.verdicts import abandoned
from raftzmq.client.shell import Action, OnLost, Shell, Teller
from raftzmq.client.sockets import Links, Sleeper, now_ms, time_of_day, turn
from raftzmq.errors import InvalidRequest, Unavailable

if TYPE_CHECKING:
    from raftzmq.access.key_files import ClientKeyFile

T = TypeVar("T")

CLOSE_S: Final = 0.2
"""How long closing waits for the cluster to forget the session, and the end of the program for what
was handed in to leave."""

JOIN_S: Final = 2.0
LAST: Final = -100
"""The priority of what is done when everything else at the end of a process is."""
RETRY_MS: Final = 1000
"""When to try again to start a thread for `on_lost`."""
ALIVE_CHECK_S: Final = 1.0
"""How often a waiting caller looks whether the I/O thread still lives."""


class BlockingShell(Shell):
    """Starts the I/O thread at the first call. Its coroutines block, and never suspend."""

    now_ms = staticmethod(now_ms)
    time_of_day = staticmethod(time_of_day)
    flag = staticmethod(new_flag)
    caller = staticmethod(threading.get_ident)

    def __init__(
        self, endpoints: Sequence[str], key_file: ClientKeyFile | None = None, guess: str = ""
    ) -> None:
        super().__init__()
        self._endpoints = endpoints
        self._guess = guess
        self._key_file = key_file
        self._lock = new_lock()
        self._io: _IoThread | None = None

    @staticmethod
    def teller(on_lost: OnLost) -> Teller:
        check_callback(on_lost)
        if iscoroutinefunction(on_lost):
            raise InvalidRequest(
                "on_lost is a coroutine function, which AsyncClient awaits and Client does not: "
                "give it a function"
            )
        return None if on_lost is None else partial(new_notifier(), on_lost)

    def check_caller(self) -> None:
        """Anybody may post."""

    async def run(self, work: Operation[T] | NodeRequest[T]) -> T:
        result: T = self._here().run([Call(work, now_ms())])[0].result()
        return result

    async def run_all(self, works: Sequence[Work]) -> list[Call]:
        return self._here().run([Call(work, now_ms()) for work in works])

    async def perform(self, task: Task) -> None:
        self._here().perform(task)
        task.result()

    async def wait_for_news(
        self, subscription: Subscription, ready: Callable[[], bool], timeout: float | None
    ) -> bool:
        return self._here().wait_for_news(subscription, ready, timeout)

    def post(self, action: Action) -> None:
        io = self._io
        if io is None and not self._closed:
            io = self._started()
        if io is not None:
            io.post(action)

    def post_from_collector(self, action: Action) -> None:
        io = self._io
        if io is not None:
            io.post(action)

    def forget_parent(self) -> None:
        """In a forked child the I/O thread is not there, and the lock may be held for ever."""
        self._lock = new_lock()
        io, self._io = self._io, None
        if io is not None:
            io.forget()

    def close(self) -> None:
        """End the session, give up what is held, and close the sockets. May be repeated."""
        self._closed = True
        io = self._io
        if io is None:
            return  # nothing was opened
        try:
            io.end_session()
        finally:
            io.stop()

    def _here(self) -> _IoThread:
        io = self._io
        if io is None or self._closed:
            io = self._started()
        return io

    def _started(self) -> _IoThread:
        """The I/O thread, started at the first call."""
        self.check_open()
        _check_interpreter()
        with self._lock:
            if self._io is None:
                try:
                    self._start()
                except (RuntimeError, OSError) as error:
                    raise Unavailable(
                        f"this process cannot have a thread for the client ({error}): end some "
                        "threads or files, or raise its limits"
                    ) from None
            assert self._io is not None
            return self._io

    def _start(self) -> None:
        io = _IoThread(self._endpoints, self._key_file, self._guess, traced=self.traced)
        try:
            io.start()
            _stop_at_exit(self, io)
            self._io = io
        except BaseException:  # an interrupt: nobody else knows of this one
            io.stop()
            raise


def _stop_at_exit(shell: BlockingShell, io: _IoThread) -> None:
    """Stop the thread when the shell has gone, or at the end of the process. That of a child of
    multiprocessing is told to nobody else."""
    weakref.finalize(shell, io.stop)
    in_child = sys.modules.get("multiprocessing.util")
    if in_child is not None and sys.modules["multiprocessing"].parent_process() is not None:
        in_child.Finalize(shell, io.stop, exitpriority=LAST)


def _cancel(call: Call, session: Session, now_ms: int) -> None:
    session.cancel(call, now_ms)


def _check_interpreter() -> None:
    """No other thread runs once the interpreter is about to end: nobody would answer."""
    if sys.is_finalizing():
        raise Unavailable("the interpreter is about to end")


class _IoThread:
    """The thread that owns the session and its sockets. Holds no reference to the shell, so that
    one nobody uses any more can go."""

    def __init__(
        self, endpoints: Sequence[str], key_file: ClientKeyFile | None, guess: str, *, traced: bool
    ) -> None:
        self.pid = os.getpid()
        self._key_file = key_file
        random = Random(SystemRandom().getrandbits(64))
        self._session = Session(endpoints, random, SystemRandom(), traced=traced, guess=guess)
        self._inbox: deque[Call | Task | Action] = deque()
        self._wake_out, self._wake_in = _socket.socketpair()
        self._wake_out.setblocking(False)
        self._wake_in.setblocking(False)
        self._sleeper = Sleeper(self._wake_in.fileno())
        self._asleep = False  # written by the I/O thread alone
        self._stopping = False
        self._has_uncalled = False
        self._over: str | None = None  # why no call can be answered any more
        self._ending = new_lock()
        self._thread = new_thread(self._main, "raftzmq-client")
        self._ident = 0  # of the thread, as `threading` calls it there

    def start(self) -> None:
        """Start the thread. Once."""
        self._thread.start()

    # -- in the callers' threads --------------------------------------------------------------

    def run(self, calls: list[Call]) -> list[Call]:
        """Return the calls when all are done. What interrupts the wait cancels them."""
        self._check_caller()
        for call in calls:
            call.waiter = new_waiter()
        try:
            self._inbox.extend(calls)
            self._wake()
            for call in calls:
                self._wait(call)
        except BaseException:
            for call in calls:
                self.post(partial(_cancel, call))
            raise
        return calls

    def perform(self, task: Task) -> None:
        """Return when the task is done. What interrupts the wait gives up what it is to get."""
        self._check_caller()
        task.waiter = new_waiter()
        try:
            self._inbox.append(task)
            self._wake()
            self._wait(task)
        except BaseException:
            self.post(lambda session, now: session.abandon(task, now))
            raise

    def post(self, action: Action) -> None:
        """Have something done in the I/O thread."""
        self._inbox.append(action)
        self._wake()

    def wait_for_news(
        self, subscription: Subscription, ready: Callable[[], bool], timeout_s: float | None
    ) -> bool:
        """Return once something is `ready`; False if it is not in time."""
        until_s = None if timeout_s is None else time.monotonic() + timeout_s
        self._check_caller()
        waiter = new_waiter()
        subscription.waiter = waiter  # from now on, what arrives releases it
        while not ready():
            if self._over is not None:
                raise Unavailable(self._over)
            _check_interpreter()
            left_s = ALIVE_CHECK_S if until_s is None else until_s - time.monotonic()
            if left_s <= 0:
                return False
            told = waiter.acquire(timeout=min(left_s, ALIVE_CHECK_S))
            if not (told or self._thread.is_alive()):
                self._end("the client's I/O thread has died")
        return True

    def _wait(self, call: Call | Task) -> None:
        # The thread says that it is over before it fails what is left in the queue: a call either
        # was in the queue by then, or sees here that nobody will look at it.
        while self._over is None:
            if call.waiter.acquire(timeout=ALIVE_CHECK_S):
                return
            if not self._thread.is_alive():
                self._end("the client's I/O thread has died")
            _check_interpreter()
        self._end(self._over)
        call.waiter.acquire()

    def _check_caller(self) -> None:
        """The collector may run a `__del__` of the user's in any thread: also in the I/O thread,
        which would wait for itself."""
        if threading.get_ident() == self._ident:
            raise InvalidRequest(
                "a client cannot be used where its own I/O thread runs, as `__del__` may: hand the "
                "work to another thread"
            )

    def end_session(self) -> None:
        """Tell the cluster that the session is not needed; no matter if that fails."""
        if self._over is None and self._session.can_close_session:
            self.post(lambda session, now: session.leases.drop_all("the client was closed", now))
            self.run([Call(cluster.close_session(), now_ms(), CLOSE_S, own=True)])

    def stop(self) -> None:
        """End the thread and what it owns. In a forked child there is nothing to end."""
        if self.pid != os.getpid():
            return
        self._stopping = True
        self._wake(force=True)
        if self._thread.ident is None:  # it was not started
            self._close_pair()
        elif sys.is_finalizing():
            return  # the thread stands still for ever
        elif threading.get_ident() != self._ident:  # where the collector may bring us
            self._thread.join(JOIN_S)

    def _wake(self, *, force: bool = False) -> None:
        """Have the I/O thread look at what was just put into the inbox. Callers only read whether
        it sleeps: an interrupt between any two steps here leaves nothing wrong behind."""
        if self._asleep or force:
            # Full: it will wake. Closed: the calls are failed anyway.
            with contextlib.suppress(OSError):
                self._wake_out.send(b"!")

    # -- in the I/O thread --------------------------------------------------------------------

    def _main(self) -> None:
        self._ident = threading.get_ident()
        why = "the client was closed"
        links = None
        try:
            links = Links(key_source=self._key_file)
            self._loop(links)
            self._drain(links)
        except BaseException as error:
            why = f"the client's I/O thread has died ({error!r})"
            raise
        finally:
            self._end(why)
            if links is not None:
                links.close_all()
            self._close_pair()

    def forget(self) -> None:
        """Let go of this process's copies, in a forked child. The parent's stay as they are."""
        self._close_pair()

    def _close_pair(self) -> None:
        self._wake_in.close()
        self._wake_out.close()

    def _loop(self, links: Links) -> None:
        while not self._stopping:
            self._turn(links)
            self._sleep(links)

    def _drain(self, links: Links) -> None:
        """Let leave what was handed in so far, and what follows from it: for a short time."""
        until_ms = now_ms() + int(CLOSE_S * 1000)
        self._turn(links)
        while self._session.owes_writes and now_ms() < until_ms:
            self._sleep(links, until_ms)
            self._turn(links)

    def _turn(self, links: Links) -> None:
        self._take_over()
        for call in turn(self._session, links):
            call.waiter.release()
        self._wake_waiting()
        self._has_uncalled = call_uncalled()

    def _sleep(self, links: Links, until_ms: int | None = None) -> None:
        """Sleep until there is something to do."""
        if self._has_uncalled:
            until_ms = min(until_ms or NEVER_MS, now_ms() + RETRY_MS)
        self._asleep = True  # before the inbox is looked at: no wake-up is lost
        if not (self._inbox or (self._stopping and until_ms is None)):
            woken = self._sleeper.sleep((self._session, links), until_ms=until_ms)
            if self._wake_in.fileno() in woken:
                self._wake_in.recv(4096)
        self._asleep = False

    def _take_over(self) -> None:
        """Move what callers handed in to the session."""
        now, session = now_ms(), self._session
        while self._inbox:
            work = self._inbox.popleft()
            if isinstance(work, Call):
                session.submit(work, now)
            elif isinstance(work, Task):
                session.begin(work, now)
            else:
                work(session, now)

    def _wake_waiting(self) -> None:
        """Wake those who wait for tasks, and for news of what they watch."""
        waited_for: list[Task | Subscription] = [*self._session.take_tasks()]
        waited_for += self._session.take_news()
        for waited in waited_for:
            waiter = waited.waiter
            if waiter is not None and waiter.locked():
                waiter.release()

    def _end(self, why: str) -> None:
        """Fail everything: from now on nobody answers."""
        with self._ending:
            self._over = why
            self._session.close(why)
            failed: list[Call | Task] = [*self._session.take_finished()]
            while self._inbox:
                work = self._inbox.popleft()
                if isinstance(work, Call | Task):
                    work.error = (
                        abandoned(work, why) if isinstance(work, Call) else Unavailable(why)
                    )
                    failed.append(work)
            for call in failed:
                if call.waiter.locked():
                    call.waiter.release()
            self._wake_waiting()
