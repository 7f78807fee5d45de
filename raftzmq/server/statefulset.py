"""The watch on a StatefulSet's spec.replicas: a thread that never blocks the loop.

The thread takes turns. A turn is a GET, then a WATCH from the version that the GET saw, which the
server ends after a few minutes. Whatever ends a watch (its time, a broken connection, a version too
old, `refresh`), the next turn starts with a GET. So there is one way to start, and never a gap.
Growing, jittered pauses follow turns that fail or end too soon.

The loop reads `latest`, a reference that is swapped. The thread writes no log lines and raises
nothing. `ReplicaReading.problem` says what is wrong, and `check` whether the thread is alive.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from random import Random
from threading import Thread
from typing import Final

from raftzmq.errors import InvalidRequest
from raftzmq.server.statefulset_api import (
    GONE,
    ApiFailure,
    Configuration,
    Found,
    StatefulSetApi,
    configuration_of_the_pod,
    require_lightkube,
)

CLOSE_S: Final = 1.0
"""How long `close` waits for the thread; it is a daemon, and the process may end without it."""

_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_BY_HAND: Final = "`raftzmq client member list|add|promote|remove` changes members by hand"


@dataclass(frozen=True, slots=True)
class ReplicaReading:
    """What is known of the StatefulSet.

    `replicas` is its spec.replicas. It is None if that is not known yet, if this node may not read
    it, or if the StatefulSet does not exist or is being deleted. None removes and adds no members.
    `read_ms` is when the request for this answer was sent, in milliseconds of the monotonic clock,
    0 if there was none. The answer says nothing about any later moment. While the API cannot be
    asked, the last replicas stay for a few minutes, and `read_ms` with them.
    `problem` is one line for people, what is wrong and what to do, or None.
    """

    replicas: int | None = None
    read_ms: int = 0
    problem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchTiming:
    """How patient the watch is, in seconds.

    A half-open connection is noticed at the latest `watch_s + margin_s` after its watch began.
    """

    request_s: float = 10.0  # for the whole answer to a GET, and for the beginning of a watch's
    watch_s: int = 240  # after which the server is asked to end a watch
    margin_s: float = 30.0  # how much later it is given up here
    gap_s: float = 0.1  # between two GETs, whatever asks for them
    steady_s: float = 5.0  # a watch that lasted this long was a good one: pauses begin small again
    pause_s: float = 1.0  # the first pause after a failure; each is twice the one before
    pause_max_s: float = 30.0
    absent_s: float = 5.0  # after 404
    forbidden_s: float = 30.0  # after 403
    retry_after_max_s: float = 120.0  # how much of a Retry-After is granted
    known_s: float = 300.0  # how long the last replicas stay while the API cannot be asked


class Pauses:
    """How long to wait between turns: jittered, and twice as long after each bad one."""

    def __init__(self, timing: WatchTiming, random: Random) -> None:
        self._timing = timing
        self._random = random
        self._bad_turns = 0  # since the last good one

    def next_s(self, failure: ApiFailure | None, watched_s: float) -> float:
        """Seconds to wait after a turn that ended with `failure`, its watch `watched_s` old.

        None is no failure. But a turn whose watch ends too soon is bad even without a failure.
        Otherwise a server that ends each watch at once would be asked without a pause.
        """
        timing = self._timing
        jitter = self._random.uniform(0.5, 1.0)
        if failure is not None and failure.status == 403:
            return timing.forbidden_s * jitter
        if failure is not None and failure.status == 404:
            return timing.absent_s * jitter
        if watched_s >= timing.steady_s:
            self._bad_turns = 0
            if failure is None:
                return 0.0
        pause_s = min(timing.pause_s * 2.0 ** min(self._bad_turns, 30), timing.pause_max_s)
        self._bad_turns += 1
        return pause_s * jitter


class StatefulSetWatch:
    """Starts its thread when it is created. Call `close` at the end."""

    def __init__(
        self,
        name: str,
        namespace: str | None,
        *,
        on_change: Callable[[], None],
        configuration: Configuration = configuration_of_the_pod,
        timing: WatchTiming | None = None,
    ) -> None:
        """Watch StatefulSet `name`; without `namespace`, in that of the service account.

        `on_change` is called from the thread after each change of `latest`, and when the thread
        dies; it must not block. Raises InvalidRequest when the extra `kubernetes` is not installed,
        or the name cannot be one.
        """
        if not _NAME.fullmatch(name):
            raise InvalidRequest(
                f"{name!r} cannot be the name of a StatefulSet: give one like raft"
            )
        require_lightkube()
        self._name = name
        self._namespace = namespace
        self._on_change = on_change
        self._configuration = configuration
        self._timing = timing or WatchTiming()
        self._pauses = Pauses(self._timing, Random())
        self._latest = ReplicaReading()
        self._watch_problem: str | None = None  # why no watch could start, although GETs may work
        self._asked_s = float("-inf")  # when the last GET was sent, by the clock of the event loop
        self._begun_s: float | None = None  # when the watch of this turn began, by the same clock
        self._wanted = asyncio.Event()  # a GET sent later than now is wanted
        self._patience: asyncio.Timeout | None = None  # of the watch that runs
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self._death: BaseException | None = None
        self._thread = Thread(target=self._work, name="statefulset-watch", daemon=True)
        self._thread.start()

    @property
    def latest(self) -> ReplicaReading:
        """What is known now. Never waits."""
        return self._latest

    def refresh(self) -> None:
        """Have a GET sent now, without waiting for it; `latest.read_ms` says when it was sent.

        Ends a watch or a pause, but not a pause that the server asked for (429). A GET in progress
        goes on, and another follows it.
        """
        self._in_loop(self._want)

    def check(self) -> None:
        """Raise RuntimeError if the thread has died."""
        if self._death is not None or not (self._closing or self._thread.is_alive()):
            raise RuntimeError("the thread that watches the StatefulSet has died") from self._death

    def close(self) -> None:
        """End the thread; return after CLOSE_S at the latest. May be called again."""
        self._closing = True
        self._in_loop(lambda: self._task and self._task.cancel())
        self._thread.join(CLOSE_S)

    # What follows runs in the thread.

    def _in_loop(self, act: Callable[[], object]) -> None:
        """Run `act` in the thread's event loop soon. (This one is called from elsewhere.)"""
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(act)

    def _work(self) -> None:
        try:
            asyncio.run(self._turns())
        except asyncio.CancelledError:
            pass  # close
        except BaseException as error:
            self._death = error
            with suppress(Exception):
                self._on_change()

    def _want(self) -> None:
        self._wanted.set()
        if self._patience is not None:
            with suppress(RuntimeError):  # it expires just now
                self._patience.reschedule(asyncio.get_running_loop().time())

    async def _turns(self) -> None:
        self._task = asyncio.current_task()
        self._loop = asyncio.get_running_loop()  # from here on, `close` and `refresh` reach us
        while not self._closing:
            failure = await self._turn()
            if failure is not None and failure.retry_after_s is not None:
                await asyncio.sleep(min(failure.retry_after_s, self._timing.retry_after_max_s))
            if not self._wanted.is_set():
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._pauses.next_s(failure, self._watched_s())):
                        await self._wanted.wait()

    async def _turn(self) -> ApiFailure | None:
        """A GET and the watch that follows it, until there is a reason for another turn."""
        self._begun_s = None
        try:
            api = StatefulSetApi(self._name, self._namespace, self._configuration)
        except ApiFailure as failure:
            self._tell_failure(failure, _now_ms())
            return failure
        self._namespace = api.namespace
        try:
            async with api:
                found = await self._get(api)
                await self._watch(api, found.version)
        except ApiFailure as failure:
            return failure
        return None

    def _watched_s(self) -> float:
        """How long ago the watch of this turn began; 0 if none did."""
        return 0.0 if self._begun_s is None else self._clock_s() - self._begun_s

    async def _get(self, api: StatefulSetApi) -> Found:
        """Ask once and publish the answer. Raises ApiFailure, after publishing it."""
        timing = self._timing
        await asyncio.sleep(self._asked_s + timing.gap_s - self._clock_s())
        self._wanted.clear()
        sent_ms = _now_ms()
        self._asked_s = self._clock_s()
        try:
            async with asyncio.timeout(timing.request_s):
                found = await api.get()
        except TimeoutError:
            failure = ApiFailure(f"no answer within {timing.request_s:g} s")
            self._tell_failure(failure, sent_ms)
            raise failure from None
        except ApiFailure as failure:
            self._tell_failure(failure, sent_ms)
            raise
        self._tell(found, sent_ms)
        return found

    async def _watch(self, api: StatefulSetApi, version: str) -> None:
        """Publish changes until the watch ends or `refresh` is called.

        Raises ApiFailure. People are told only if no watch could start. After a watch that was cut,
        the next turn either works or says what is wrong.
        """
        timing = self._timing
        if self._wanted.is_set():
            return
        sent_ms = _now_ms()
        try:
            async with (
                asyncio.timeout(timing.request_s) as self._patience,
                aclosing(api.watch(version, timing.watch_s)) as events,
            ):
                async for found in events:
                    if found is None:
                        self._begin_watch(self._patience)
                    else:
                        self._tell(found, sent_ms)
        except TimeoutError:
            if not self._wanted.is_set() and self._begun_s is None:
                silence = ApiFailure(f"no answer within {timing.request_s:g} s")
                self._tell_watch_problem(self._words(silence))
        except ApiFailure as failure:
            if failure.status == GONE:
                return
            if self._begun_s is None:
                self._tell_watch_problem(self._words(failure))
            raise
        finally:
            self._patience = None

    def _begin_watch(self, patience: asyncio.Timeout) -> None:
        self._begun_s = self._clock_s()
        if not self._wanted.is_set():
            patience.reschedule(self._begun_s + self._timing.watch_s + self._timing.margin_s)
        if self._watch_problem is not None:
            if self._latest.problem == self._watch_problem:
                self._swap(replace(self._latest, problem=None))
            self._watch_problem = None

    def _tell(self, found: Found, sent_ms: int) -> None:
        problem = self._watch_problem
        if found.deleting or found.gone:
            state = "has been deleted" if found.gone else "is being deleted"
            problem = f"{self._subject} {state}: no members are removed for that; {_BY_HAND}"
        self._swap(ReplicaReading(found.replicas, sent_ms, problem))

    def _tell_failure(self, failure: ApiFailure, sent_ms: int) -> None:
        """A GET failed. 403 and 404 are answers; otherwise the last replicas stay for a while."""
        problem = self._words(failure)
        last = self._latest
        if failure.status in {403, 404}:
            self._swap(ReplicaReading(None, sent_ms, problem))
        elif sent_ms - last.read_ms > self._timing.known_s * 1000:
            self._swap(ReplicaReading(None, last.read_ms, problem))
        else:
            self._swap(replace(last, problem=problem))

    def _tell_watch_problem(self, problem: str) -> None:
        if self._latest.problem in {None, self._watch_problem}:
            self._swap(replace(self._latest, problem=problem))
        self._watch_problem = problem

    def _swap(self, reading: ReplicaReading) -> None:
        if reading != self._latest:
            self._latest = reading
            self._on_change()

    @property
    def _subject(self) -> str:
        return f"StatefulSet {self._namespace}/{self._name}"

    def _words(self, failure: ApiFailure) -> str:
        """The line for people about a request that failed."""
        if failure.status == 403:
            return (
                f"no permission to watch {self._subject}: allow the pod's service account "
                f"get and watch on statefulsets.apps {self._name}; until then scaling changes no "
                f"members, and {_BY_HAND}"
            )
        if failure.status == 404:
            return f"there is no {self._subject}: scaling changes no members; {_BY_HAND}"
        if failure.status == 401:
            return (
                "the Kubernetes API does not accept this pod's token "
                f"(401 {failure}): scaling changes no members until it does; {_BY_HAND}"
            )
        what = f"{failure.status} {failure}" if failure.status else str(failure)
        return f"the Kubernetes API gives no answer to rely on ({what}): it is asked again"

    @staticmethod
    def _clock_s() -> float:
        return asyncio.get_running_loop().time()


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000
