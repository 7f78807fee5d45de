"""Locks, semaphores and elections of the asyncio client."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable, Coroutine
from functools import cached_property, wraps
from typing import Any, ParamSpec, Self, TypeVar

from raftzmq.client.cancellation import Cancellation
from raftzmq.client.handles import claim, claims
from raftzmq.client.handles.decorating import check_function, name_of_call
from raftzmq.client.results import Leader
from raftzmq.errors import LeaseExpired

T = TypeVar("T")
P = ParamSpec("P")


class _Claim(claim.Claim):
    lost: asyncio.Event

    describe = claim.Claim._describe


class _Held(_Claim):
    """What an `async with` may hold, or each call of a coroutine function."""

    @abstractmethod
    async def _enter(self) -> object: ...

    async def __aenter__(self) -> Self:
        body = Cancellation() if self._cancel_on_loss else None
        await self._enter()
        if body is not None:
            self._bodies.append(body)
            self._tell_of_loss(self._shell.teller(body.fire))
        return self

    async def __aexit__(
        self, error: type[BaseException] | None, value: BaseException | None, _: object
    ) -> None:
        body = next((body for body in reversed(self._bodies) if body.is_here), None)
        if body is None:
            self._exit(error)
            return
        self._bodies.remove(body)
        if not body.end(error):
            self._exit(error)
            return
        try:
            self._exit(None)
        except LeaseExpired as lost:
            raise lost from value
        raise LeaseExpired(f"{self.kind} {self.name!r} was lost while held") from value

    @cached_property
    def _bodies(self) -> list[Cancellation]:
        """Those that are cancelled when it is lost, the newest last."""
        return []

    def __call__(
        self, function: Callable[P, Coroutine[Any, Any, T]]
    ) -> Callable[P, Coroutine[Any, Any, T]]:
        """Decorate a coroutine function: each call holds it while the body runs, as a claimant of
        its own. A `{parameter}` in the name is what the call gives for it. Raises InvalidRequest
        at once for one that the function does not have."""
        check_function(function, f"this {self.kind}", waits=True)
        name_of = name_of_call(self.name, function)
        of_name = self._of_name

        @wraps(function)
        async def holding(*args: P.args, **kwargs: P.kwargs) -> T:
            async with of_name(name_of(args, kwargs)):
                return await function(*args, **kwargs)

        return holding


class Lock(_Held, claims.Lock):
    """A lock: one holder at a time, in the order of asking. Made by `AsyncClient.lock`."""

    acquire = claims.Lock._acquire
    try_acquire = claims.Lock._try_acquire
    release = claims.Lock._release

    _enter = claims.Lock._acquire


class Election(_Held, claims.Election):
    """An election: the first candidate in line leads until it resigns or its lease ends. Made by
    `AsyncClient.election`."""

    campaign = claims.Election._campaign
    resign = claims.Election._resign
    proclaim = claims.Election._proclaim
    leader = claims.Election._leader

    async def observe(self) -> AsyncIterator[Leader | None]:
        """Who leads now, at once, and then each who leads after that, or is known by another value;
        None when nobody does. What changed back in between may be left out. Never ends by
        itself."""
        seen: Leader | None = claims.NOBODY
        while True:
            seen = await self._leader_after(seen)
            yield seen

    _enter = claims.Election._campaign


class Semaphore(_Held, claims.Semaphore):
    """A semaphore, first come first served. Made by `AsyncClient.semaphore`."""

    wait = claims.Semaphore._wait
    try_wait = claims.Semaphore._try_wait
    signal = claims.Semaphore._signal
    resize = claims.Semaphore._resize

    _enter = claims.Semaphore._wait


class PlainSemaphore(_Claim, claims.PlainSemaphore):
    """A plain counting semaphore: waiting takes permits for good, and anybody may add some. Made
    by `AsyncClient.semaphore` with `plain=True`."""

    wait = claims.PlainSemaphore._wait
    signal = claims.PlainSemaphore._signal
