"""Locks, semaphores and elections of the blocking client."""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import wraps
from typing import Concatenate, ParamSpec, Self, TypeVar

from raftzmq.client.handles import claim, claims
from raftzmq.client.handles.decorating import check_function, name_of_call
from raftzmq.client.results import Leader
from raftzmq.client.shell import blocking, finish
from raftzmq.errors import RaftzmqError

T = TypeVar("T")
P = ParamSpec("P")
ClaimT = TypeVar("ClaimT", bound=claim.Claim)


def _or_nothing(
    method: Callable[Concatenate[ClaimT, P], T],
) -> Callable[Concatenate[ClaimT, P], T]:
    """If the method raises, it has taken nothing: an interrupt may come when it was taken already,
    and then the caller has nothing to give back with."""

    @wraps(method)
    def taking(self: ClaimT, /, *args: P.args, **kwargs: P.kwargs) -> T:
        kept = tuple(self._places)
        try:
            return method(self, *args, **kwargs)
        except BaseException:
            self._acquiring.leave()
            self._give_up_all_but(kept)
            raise

    return taking


class _Claim(claim.Claim):
    lost: threading.Event
    _entered = False

    describe = blocking(claim.Claim._describe)

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        kept = tuple(self._places[:-1])
        try:
            self._exit(error)
        except BaseException:  # an interrupt, perhaps: the body is over all the same
            self._give_up_all_but(kept)
            raise

    def __del__(self) -> None:
        """An interrupt may come before the first step of `__exit__`."""
        if self._entered:
            with suppress(RaftzmqError):
                self._give_up_all_but(())


class _Held(_Claim):
    """What a `with` may hold, or each call of a function."""

    @abstractmethod
    def __enter__(self) -> Self: ...

    def __call__(self, function: Callable[P, T]) -> Callable[P, T]:
        """Decorate a function: each call holds it while the body runs, as a claimant of its own. A
        `{parameter}` in the name is what the call gives for it. Raises InvalidRequest at once for
        one that the function does not have."""
        check_function(function, f"this {self.kind}", waits=False)
        name_of = name_of_call(self.name, function)
        of_name = self._of_name

        @wraps(function)
        def holding(*args: P.args, **kwargs: P.kwargs) -> T:
            with of_name(name_of(args, kwargs)):
                return function(*args, **kwargs)

        return holding


class Lock(_Held, claims.Lock):
    """A lock: one holder at a time, in the order of asking. Made by `Client.lock`.
    For example:

        with db.lock("nightly") as lock:
            db.put("report", "done", fence=lock)
    """

    acquire = _or_nothing(blocking(claims.Lock._acquire))
    try_acquire = _or_nothing(blocking(claims.Lock._try_acquire))
    release = blocking(claims.Lock._release)

    @_or_nothing
    def __enter__(self) -> Self:
        self._entered = True
        return self.acquire()


class Election(_Held, claims.Election):
    """An election: the first candidate in line leads until it resigns or its lease ends. Made by
    `Client.election`.

        with db.election("chief", value="10.0.0.7") as won:
            print(won.term, db.election("chief").leader())
    """

    campaign = _or_nothing(blocking(claims.Election._campaign))
    resign = blocking(claims.Election._resign)
    proclaim = blocking(claims.Election._proclaim)
    leader = blocking(claims.Election._leader)

    def observe(self) -> Iterator[Leader | None]:
        """Who leads now, at once, and then each who leads after that, or is known by another value;
        None when nobody does. What changed back in between may be left out. Never ends by
        itself."""
        seen: Leader | None = claims.NOBODY
        while True:
            seen = finish(self._leader_after(seen))
            yield seen

    @_or_nothing
    def __enter__(self) -> Self:
        self._entered = True
        self.campaign()
        return self


class Semaphore(_Held, claims.Semaphore):
    """A semaphore, first come first served. Made by `Client.semaphore`.
    For example:

        with db.semaphore("api", permits=3) as permit:
            print(permit.token)
    """

    wait = _or_nothing(blocking(claims.Semaphore._wait))
    try_wait = _or_nothing(blocking(claims.Semaphore._try_wait))
    signal = blocking(claims.Semaphore._signal)
    resize = blocking(claims.Semaphore._resize)

    @_or_nothing
    def __enter__(self) -> Self:
        self._entered = True
        self.wait()
        return self


class PlainSemaphore(_Claim, claims.PlainSemaphore):
    """A plain counting semaphore: waiting takes permits for good, and anybody may add some. Made
    by `Client.semaphore` with `plain=True`.

        tickets = db.semaphore("tickets", plain=True)
        tickets.signal(3)
        tickets.wait()  # two are left
    """

    wait = _or_nothing(blocking(claims.PlainSemaphore._wait))
    signal = blocking(claims.PlainSemaphore._signal)
