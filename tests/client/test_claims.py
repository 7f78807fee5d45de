"""Claims whose caller gets to run late: by then the lease of what it waited for may have ended."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from raftzmq.client.handles.claim import Claim
from raftzmq.client.handles.claims import Lock, PlainSemaphore, Semaphore
from raftzmq.client.session.acquisition import HELD, Acquisition
from raftzmq.client.session.leases import HeldLease
from raftzmq.client.session.subscriptions import Subscription
from raftzmq.client.session.tasks import Task
from raftzmq.client.shell import Action, OnLost, Shell, Teller, finish
from raftzmq.errors import LeaseExpired, NotAcquired

TTL_MS = 10_000


class LateShell(Shell):
    """Grants everything at once. The caller learns of it after a pause, of which there is one for
    each time that it waits."""

    clock_ms = 0

    def __init__(self, *pauses_ms: int) -> None:
        LateShell.clock_ms = 1_000_000
        self.pauses_ms = [*pauses_ms]
        self.performed: list[Acquisition] = []
        self.posted = 0

    @staticmethod
    def now_ms() -> int:
        return LateShell.clock_ms

    @staticmethod
    def time_of_day() -> str:
        return ""

    @staticmethod
    def flag() -> threading.Event:
        return threading.Event()

    @staticmethod
    def teller(on_lost: OnLost) -> Teller:
        return on_lost

    @staticmethod
    def caller() -> object:
        return None

    async def perform(self, task: Task) -> None:
        assert isinstance(task, Acquisition)
        self.performed.append(task)
        now_ms = self.now_ms()
        if task.lease is None:
            task.lease = HeldLease(TTL_MS)
            task.lease.id = len(self.performed)
            task.lease.deadline_ms = now_ms + TTL_MS
        if task.timeout_ms is not None:
            task.deadline_ms = now_ms + (task.timeout_ms or 5000)
        task.token, task.phase, task.done = len(self.performed), HELD, True
        LateShell.clock_ms += self.pauses_ms.pop(0)

    def check_caller(self) -> None:
        pass

    async def run(self, work: Any) -> Any:
        raise NotImplementedError

    async def run_all(self, works: Sequence[Any]) -> Any:
        raise NotImplementedError

    async def wait_for_news(
        self, subscription: Subscription, ready: Callable[[], bool], timeout: float | None
    ) -> bool:
        raise NotImplementedError

    def post(self, action: Action) -> None:
        self.posted += 1

    def post_from_collector(self, action: Action) -> None:
        self.post(action)

    def forget_parent(self) -> None:
        raise NotImplementedError


def claim(shell: Shell, kind: type[Claim], timeout: float | None = None, lease: int = 0) -> Any:
    made = kind(
        shell, "l", ttl=TTL_MS / 1000, lease=lease or None, timeout=timeout, on_lost=None, permits=1
    )
    assert not made.held
    return made


def test_a_wait_for_a_plain_semaphore_that_is_interrupted_gives_up_what_it_took() -> None:
    class Interrupted(LateShell):
        async def perform(self, task: Task) -> None:
            await super().perform(task)
            raise KeyboardInterrupt

    shell = Interrupted(0)
    with pytest.raises(KeyboardInterrupt):
        finish(claim(shell, PlainSemaphore)._wait())
    assert (len(shell.performed), shell.posted) == (1, 1)


@pytest.mark.parametrize("kind", [Lock, Semaphore])
@pytest.mark.parametrize("timeout", [None, 100])
def test_what_was_lost_before_the_caller_had_it_is_acquired_anew(
    kind: type[Claim], timeout: float | None
) -> None:
    shell = LateShell(TTL_MS, 2 * TTL_MS, 5)
    made = claim(shell, kind, timeout)
    finish(made._acquire() if kind is Lock else made._wait())
    assert (made.tokens, shell.posted) == ((3,), 2), "the other two were given up"
    made.check()
    assert not made.lost.is_set()
    left_ms = [place.timeout_ms for place in shell.performed]
    assert left_ms == ([100_000, 90_000, 70_000] if timeout else [None] * 3)


@pytest.mark.parametrize("timeout", [0, 5, 10])
def test_once_the_time_is_over_it_is_not_acquired(timeout: float) -> None:
    shell = LateShell(TTL_MS)
    made = claim(shell, Lock, timeout)
    with pytest.raises(NotAcquired, match="stood still for longer than its lease lives"):
        finish(made._acquire())
    assert (made.held, shell.posted) == (False, 1)


def test_a_lease_of_the_callers_ends_the_wait_with_it() -> None:
    shell = LateShell(5)
    made = claim(shell, Lock, lease=7)
    made._lease.ended = LeaseExpired("it was revoked")
    with pytest.raises(LeaseExpired, match="revoked"):
        finish(made._acquire())
    assert (made.held, shell.posted) == (False, 1)
