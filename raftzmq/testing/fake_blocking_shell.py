"""How the fake blocking client waits: the node here does what is asked, and time passes."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from functools import partial
from inspect import iscoroutinefunction
from typing import TypeVar

from raftzmq.client.blocking_shell import BlockingShell
from raftzmq.client.operations.arguments import NodeRequest, Operation, Work, check_callback
from raftzmq.client.operations.cluster import close_session
from raftzmq.client.session.calls import Call
from raftzmq.client.session.session import Session
from raftzmq.client.session.subscriptions import Subscription
from raftzmq.client.session.tasks import Task
from raftzmq.client.shell import Action, OnLost, Teller
from raftzmq.errors import Unavailable
from raftzmq.testing.conversation import CLOSED, EVENT, Conversation, end, is_unbounded, words
from raftzmq.testing.memory_cluster import ENDPOINT, MemoryCluster

T = TypeVar("T")


class FakeBlockingShell(BlockingShell):
    """A blocking client's. Its calls are made one after the other, also those of several threads:
    one that waits for something has time pass until that is there, or its timeout is over."""

    def __init__(self, cluster: MemoryCluster) -> None:
        super().__init__((ENDPOINT,))
        self._cluster = cluster
        self._one = cluster.join()
        self._one.told = partial(_drain, self._one)
        weakref.finalize(self, end, self._one).atexit = False

    @property
    def conversation(self) -> Conversation:
        """Its client's part of the cluster."""
        return self._one

    def now_ms(self) -> int:  # type: ignore[override]  # a clock of one cluster, not of all
        return self._cluster.now_ms

    def time_of_day(self) -> str:  # type: ignore[override]
        return self._cluster.time_of_day()

    def teller(self, on_lost: OnLost) -> Teller:  # type: ignore[override]
        check_callback(on_lost)
        if iscoroutinefunction(on_lost):
            return BlockingShell.teller(on_lost)
        return None if on_lost is None else partial(self._cluster.tell, on_lost)

    def check_open(self) -> None:
        super().check_open()
        if self._one.over:
            raise Unavailable(self._one.why)

    async def run(self, work: Operation[T] | NodeRequest[T]) -> T:
        result: T = (await self.run_all([work]))[0].result()
        return result

    async def run_all(self, works: Sequence[Work]) -> list[Call]:
        self.check_open()
        with self._cluster.lock:
            now = self._cluster.now_ms
            calls = [Call(work, now) for work in works]
            return self._run(calls)

    def _run(self, calls: list[Call]) -> list[Call]:
        now = self._cluster.now_ms
        for call in calls:
            self._one.submit(call, now)
        latest_ms = max((call.deadline_ms for call in calls), default=now) + 1
        try:
            self._cluster.wait(lambda: all(call.done for call in calls), latest_ms, "a call")
        except BaseException:
            for call in calls:
                self.post(partial(_cancel, call))
            raise
        return calls

    async def perform(self, task: Task) -> None:
        self.check_open()
        with self._cluster.lock:
            self._one.begin(task, self._cluster.now_ms)
            # What has a bound is done by then: the session sees to that.
            until_ms = None if is_unbounded(task) else self._cluster.now_ms + 2**62
            try:
                self._cluster.wait(lambda: task.done, until_ms, words(task))
            except BaseException:
                self.post(lambda session, now: session.abandon(task, now))
                raise
        task.result()

    async def wait_for_news(
        self, _: Subscription, ready: Callable[[], bool], timeout: float | None
    ) -> bool:
        self.check_open()
        until_ms = None if timeout is None else self._cluster.now_ms + round(timeout * 1000)
        return self._cluster.wait(ready, until_ms, EVENT)

    def post(self, action: Action) -> None:
        if not (self._closed or self._one.over):
            self._one.inbox.append(action)
            self._cluster.settle()

    def post_from_collector(self, action: Action) -> None:
        self._one.inbox.append(action)

    def forget_parent(self) -> None:
        """A forked child has a cluster of its own, which is like the parent's."""

    def close(self) -> None:
        if self._closed:
            return
        with self._cluster.lock:
            one, now = self._one, self._cluster.now_ms
            if not one.over and one.session.can_close_session:
                one.session.leases.drop_all(CLOSED, now)
                one.session.submit(Call(close_session(), now, own=True), now)
                self._cluster.settle()
            self._closed = True
            one.end(CLOSED)
            self._cluster.settle()


def _cancel(call: Call, session: Session, now_ms: int) -> None:
    session.cancel(call, now_ms)


def _drain(one: Conversation) -> None:
    """Whoever waits looks at the call, the task or the subscription itself."""
    one.take_finished()
    one.session.take_tasks()
    one.session.take_news()
