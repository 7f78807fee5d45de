"""The blocking client: usable from any number of threads.

One daemon thread owns the sockets and the session. Callers hand it their calls through a queue and
a socket pair that wakes it, and wait each on a lock of their own: what a signal can interrupt.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from random import Random, SystemRandom
from typing import Any, Final, TypeVar

from raftzmq.client import claims, operations
from raftzmq.client.blocking_claims import Action
from raftzmq.client.blocking_coordination import Coordination
from raftzmq.client.calls import Call, node_status
from raftzmq.client.claims import AnyFence, AnyLease, guarded
from raftzmq.client.coordinating import CoordinatingSession
from raftzmq.client.links import Links, Sleeper, now_ms, turn
from raftzmq.client.outcomes import abandoned
from raftzmq.client.results import (
    CasResult,
    Deleted,
    Item,
    NodeStatus,
    Range,
    TxnResult,
    Value,
    Written,
)
from raftzmq.client.subscriptions import Subscription
from raftzmq.client.tasks import Task
from raftzmq.client.transactions import Compare, TxnOperation
from raftzmq.client.work import NodeRequest, Operation
from raftzmq.errors import ForkedClient, Unavailable

T = TypeVar("T")

CLOSE_S: Final = 0.2
"""How long closing waits for the cluster to forget the session."""

JOIN_S: Final = 2.0
ALIVE_CHECK_S: Final = 1.0
"""How often a waiting caller looks whether the I/O thread still lives."""


class Client(Coordination):
    """A connection to a cluster. Opens sockets at the first call; `close` it, or use `with`.

    Every call takes `timeout` in seconds, and raises InvalidRequest (nothing was sent), Refused
    (the cluster declined), Unavailable (nothing was done) or OutcomeUnknown (a write that may have
    been done, or be done yet). `fence` of a write is a lock, semaphore or election that is held, a
    name and a token, or several of these: it is refused (Fenced) unless all of them hold.
    """

    def __init__(self, endpoints: Sequence[str] | str | None = None) -> None:
        """`endpoints`: HOST:PORT of the nodes' client ports, in a list or separated by commas; by
        default those of a local cluster."""
        self.endpoints = operations.endpoint_list(endpoints)
        self._lock = threading.Lock()
        self._io: _IoThread | None = None
        self._closed = False

    def put(
        self,
        key: str,
        value: Value,
        *,
        ttl: float | None = None,
        lease: AnyLease | None = None,
        fence: AnyFence = None,
        timeout: float = 5,
    ) -> Written:
        """Write a key. It is deleted `ttl` seconds later unless written again, or when the `lease`
        ends."""
        return self._run(claims.put(key, value, ttl, lease, fence), timeout)

    def get(
        self, key: str, *, stale: bool = False, endpoint: str | None = None, timeout: float = 5
    ) -> Item | None:
        """Read a key; None if it is absent. Linearizable, unless `stale`: then whichever node is
        asked, or the one at `endpoint`, answers from what it has applied."""
        return self._run(operations.get(key, stale=stale, endpoint=endpoint), timeout)

    def delete(self, key: str, *, fence: AnyFence = None, timeout: float = 5) -> Deleted:
        """Delete a key, if it is there."""
        return self._run(guarded(operations.delete(key), fence), timeout)

    def delete_prefix(self, prefix: str, *, fence: AnyFence = None, timeout: float = 5) -> Deleted:
        """Delete every key that begins with `prefix`."""
        return self._run(guarded(operations.delete_prefix(prefix), fence), timeout)

    def cas(
        self, key: str, value: Value, revision: int, *, fence: AnyFence = None, timeout: float = 5
    ) -> CasResult:
        """Write a key if its revision is `revision` (0: if it is absent)."""
        return self._run(guarded(operations.cas(key, value, revision), fence), timeout)

    def put_if_absent(
        self, key: str, value: Value, *, fence: AnyFence = None, timeout: float = 5
    ) -> CasResult:
        """Write a key if it is absent."""
        return self._run(guarded(operations.put_if_absent(key, value), fence), timeout)

    def range(
        self,
        start: str = "",
        end: str = "",
        limit: int = 1000,
        *,
        stale: bool = False,
        endpoint: str | None = None,
        timeout: float = 5,
    ) -> Range:
        """Read the keys from `start` up to but excluding `end` ("": no end), at most `limit`."""
        work = operations.range_(start, end, limit, stale=stale, endpoint=endpoint)
        return self._run(work, timeout)

    def prefix(
        self,
        prefix: str,
        limit: int = 1000,
        *,
        stale: bool = False,
        endpoint: str | None = None,
        timeout: float = 5,
    ) -> Range:
        """Read the keys that begin with `prefix`, at most `limit`."""
        work = operations.prefix_(prefix, limit, stale=stale, endpoint=endpoint)
        return self._run(work, timeout)

    def txn(
        self,
        compares: Sequence[Compare] = (),
        then: Sequence[TxnOperation] = (),
        otherwise: Sequence[TxnOperation] = (),
        *,
        fence: AnyFence = None,
        timeout: float = 5,
    ) -> TxnResult:
        """Do the operations of `then` if every compare holds, else those of `otherwise`, all at
        one index."""
        return self._run(guarded(operations.txn(compares, then, otherwise), fence), timeout)

    def status(self, endpoint: str | None = None, *, timeout: float = 5) -> dict[str, Any]:
        """What the node at `endpoint`, or any, says of itself; PROTOCOL.md has the fields."""
        return self._run(operations.status(endpoint), timeout)

    def statuses(
        self, endpoints: Sequence[str] | None = None, *, timeout: float = 1
    ) -> list[NodeStatus]:
        """The status of each endpoint, asked all at once, or why there is none."""
        asked = self.endpoints if endpoints is None else list(endpoints)
        calls = self._run_all([operations.status(endpoint) for endpoint in asked], timeout)
        return [node_status(e, call) for e, call in zip(asked, calls, strict=True)]

    def stop(self, endpoint: str, *, timeout: float = 5) -> str:
        """Stop the node at `endpoint`, as SIGTERM does. Returns what it said."""
        return self._run(operations.stop(endpoint), timeout)

    def transfer(self, to: str | None = None, *, timeout: float = 5) -> str:
        """Hand leadership to the node named `to`, or to whoever is most caught up."""
        return self._run(operations.transfer(to), timeout)

    def member_add(self, name: str, *, timeout: float = 5) -> str:
        """Admit the waiting node `name`; done when it is a voter."""
        return self._run(operations.member("add", name), timeout)

    def member_promote(self, name: str, *, timeout: float = 5) -> str:
        """Make the learner `name` a voter."""
        return self._run(operations.member("promote", name), timeout)

    def member_remove(self, name: str, *, timeout: float = 5) -> str:
        """Remove the member `name`."""
        return self._run(operations.member("remove", name), timeout)

    def close(self) -> None:
        """End the session, give up what is held, and close the sockets; calls in other threads
        fail. May be repeated."""
        self._closed = True
        io = self._io
        if io is None or io.pid != os.getpid():
            return  # nothing was opened, or not by this process
        try:
            io.end_session()
        finally:
            io.stop()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, work: Operation[T] | NodeRequest[T], timeout: float) -> T:
        result: T = self._run_all([work], timeout)[0].result()
        return result

    def _run_all(
        self, works: Sequence[Operation[T] | NodeRequest[T]], timeout: float
    ) -> list[Call]:
        """Have all of them done at the same time; return the calls when all are done."""
        return self._here().run([Call(work, now_ms(), timeout) for work in works])

    def _perform(self, task: Task) -> None:
        self._here().perform(task)
        task.result()

    def _post(self, action: Action) -> None:
        self._check_process()
        io = self._io
        if io is None and not self._closed:
            io = self._started()
        if io is not None:
            io.post(action)

    def _await(
        self, subscription: Subscription, ready: Callable[[], bool], timeout: float | None
    ) -> bool:
        return self._here().wait_for_news(subscription, ready, timeout)

    def _check_process(self) -> None:
        if self._io is not None and self._io.pid != os.getpid():
            raise ForkedClient("this client is of another process: make a new one after a fork")

    def _here(self) -> _IoThread:
        io = self._io
        if io is None or self._closed or io.pid != os.getpid():
            io = self._started()
        return io

    def _started(self) -> _IoThread:
        """The I/O thread, started at the first call."""
        if self._closed:
            raise Unavailable("this client is closed")
        # Before the lock: in a forked child, a thread that is not there may hold it.
        self._check_process()
        with self._lock:
            if self._io is None:
                self._io = _IoThread(self.endpoints)
                weakref.finalize(self, self._io.stop)
            return self._io


def _cancel(call: Call, session: CoordinatingSession, now_ms: int) -> None:
    session.cancel(call, now_ms)


class _IoThread:
    """The thread that owns the session and its sockets. Holds no reference to the Client, so that
    one nobody uses any more can go."""

    def __init__(self, endpoints: Sequence[str]) -> None:
        self.pid = os.getpid()
        self._session = CoordinatingSession(endpoints, Random(SystemRandom().getrandbits(64)))
        self._inbox: deque[Call | Task | Action] = deque()
        self._wake_out, self._wake_in = socket.socketpair()
        self._wake_out.setblocking(False)
        self._wake_in.setblocking(False)
        self._awake = False
        self._stopping = False
        self._over: str | None = None  # why no call can be answered any more
        self._ending = threading.Lock()
        self._thread = threading.Thread(target=self._main, name="raftzmq-client", daemon=True)
        self._thread.start()

    # -- in the callers' threads --------------------------------------------------------------

    def run(self, calls: list[Call]) -> list[Call]:
        """Return the calls when all are done. What interrupts the wait cancels them."""
        for call in calls:
            call.waiter = threading.Lock()
            call.waiter.acquire()
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
        task.waiter = threading.Lock()
        task.waiter.acquire()
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
        waiter = threading.Lock()
        waiter.acquire()
        subscription.waiter = waiter  # from now on, what arrives releases it
        while not ready():
            if self._over is not None:
                raise Unavailable(self._over)
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
        self._end(self._over)
        call.waiter.acquire()

    def end_session(self) -> None:
        """Tell the cluster that the session is not needed; no matter if that fails."""
        if self._over is None and self._session.can_close_session:
            self.post(lambda session, now: session.leases.drop_all("the client was closed", now))
            self.run([Call(operations.close_session(), now_ms(), CLOSE_S)])

    def stop(self) -> None:
        """End the thread and what it owns. In a forked child there is nothing to end."""
        if self.pid != os.getpid():
            return
        self._stopping = True
        self._wake(force=True)
        if threading.current_thread() is not self._thread:  # where the collector may bring us
            self._thread.join(JOIN_S)

    def _wake(self, *, force: bool = False) -> None:
        if self._awake and not force:
            return
        self._awake = True
        # Full: it will wake. Closed: the calls are failed anyway.
        with contextlib.suppress(OSError):
            self._wake_out.send(b"!")

    # -- in the I/O thread --------------------------------------------------------------------

    def _main(self) -> None:
        why = "the client was closed"
        links = None
        try:
            links = Links()
            self._loop(links)
        except BaseException as error:
            why = f"the client's I/O thread has died ({error!r})"
            raise
        finally:
            self._end(why)
            if links is not None:
                links.close_all()
            self._wake_in.close()
            self._wake_out.close()

    def _loop(self, links: Links) -> None:
        session = self._session
        wake_fd = self._wake_in.fileno()
        sleeper = Sleeper(wake_fd)
        while not self._stopping:
            self._take_over()
            for call in turn(session, links):
                call.waiter.release()
            self._wake_waiting()
            if wake_fd in sleeper.sleep((session, links)):
                self._wake_in.recv(4096)
                self._awake = False  # before the queue is looked at: no wake-up is lost

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
