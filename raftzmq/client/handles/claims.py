"""Locks, semaphores and elections: places in queues, asked for, waited for, held and given up."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from types import EllipsisType
from typing import ClassVar, Self

from raftzmq.client.forks import Origin
from raftzmq.client.handles.exclusive import Exclusive
from raftzmq.client.handles.lease import Lease, held_lease, lose
from raftzmq.client.leased import AnyLease
from raftzmq.client.operations import queues
from raftzmq.client.operations.arguments import milliseconds, timeout_ms
from raftzmq.client.operations.fences import Fencing
from raftzmq.client.results import Leader, Queue
from raftzmq.client.session.acquisition import Acquisition
from raftzmq.client.shell import Flag, OnLost, Shell
from raftzmq.errors import InvalidRequest, LeaseExpired, NotAcquired, NotHeld, RaftzmqError

Timeout = float | EllipsisType | None
"""Seconds; 0: only at once; None: however long it takes; `...`: what the object was made with."""


class Claim(Fencing):
    """A claim to something that others may claim too. One object is one claimant: make another
    for each thread or task that shares nothing with the others. `lost` is set once the lease has
    ended while it was held; acquiring anew clears it."""

    kind: ClassVar[str]
    lost: Flag

    def __init__(
        self,
        shell: Shell,
        name: str,
        *,
        ttl: float,
        lease: AnyLease | None,
        timeout: float | None,
        on_lost: OnLost,
        permits: int = 1,
        capacity: int = 0,
        value: str | None = None,
    ) -> None:
        self.name = name
        self._shell = shell
        self._ttl_ms = milliseconds(ttl)
        self._given = lease
        self._lease = held_lease(lease)
        self._timeout = timeout
        self._on_lost = on_lost
        self._permits = permits
        self._capacity = capacity
        self._value = value
        self._places: list[Acquisition] = []
        self._origin = Origin()  # of the places
        self.lost = shell.flag()
        self._acquiring = Exclusive(
            shell,
            f"this {self.kind} {name!r} is being acquired by another thread or task: another "
            "claimant needs an object of its own",
        )
        self._new_place(timeout)  # what is wrong with it, the caller learns now

    @property
    def held(self) -> bool:
        """Whether it was acquired, and neither released nor lost as far as this knows."""
        here = bool(self._places) and self._origin.is_here
        return here and not any(map(self._is_lost, self._places))

    @property
    def token(self) -> int:
        """The fencing token: higher than that of whoever held it before. Raises NotHeld."""
        return self._newest().token

    @property
    def tokens(self) -> tuple[int, ...]:
        """The tokens of all that is held, the oldest first."""
        self._check_origin()
        return tuple(place.token for place in self._places)

    @property
    def remaining(self) -> float:
        """How many seconds what is held certainly lasts without being kept alive; 0.0: it is lost.
        Raises NotHeld."""
        self._newest()
        now_ms = self._shell.now_ms()
        return max(0.0, min(place.remaining_ms(now_ms) for place in self._places) / 1000)

    def check(self) -> None:
        """Raise LeaseExpired if what is held is lost, which this knows by its own clock too;
        NotHeld if it is not held; ForkedClient in a process forked from the one that holds it."""
        self._newest()
        now_ms = self._shell.now_ms()
        for place in self._places:
            place.check(now_ms)

    async def _describe(self, *, timeout: float = 5) -> Queue | None:
        """Who holds it and who waits, as the cluster has it; None if nobody does."""
        return await self._shell.run(queues.describe(self.kind, self.name, timeout=timeout))

    # -- acquiring ----------------------------------------------------------------------------

    async def _acquire(self, timeout: Timeout = ...) -> Self:
        """Wait for it. Raises NotAcquired if it is not held within `timeout` seconds, and
        LeaseExpired if the lease that it was given ended before; then no place in the line is
        left behind."""
        with self._acquiring:
            self._forget_lost()
            if self._places:
                raise InvalidRequest(
                    f"this {self.kind} {self.name!r} is held already: another claimant needs an "
                    "object of its own"
                )
            await self._take(self._new_place(timeout))
        return self

    async def _take(self, place: Acquisition) -> None:
        """Wait until the place holds, or another in its stead: the caller may have waited for its
        turn to run longer than the lease lives. If the lease is the caller's, that is the end."""
        while True:
            if not self._places:
                self.lost.clear()
            held = False
            try:
                await self._shell.perform(place)
                held = True
                place.check(self._shell.now_ms())
                self._places.append(place)
                return
            except BaseException as error:
                place.on_lost = None  # it was never had
                self._give_up(place)
                if not (held and isinstance(error, LeaseExpired) and place.own_lease):
                    raise
                place = self._in_its_stead(place)

    def _in_its_stead(self, place: Acquisition) -> Acquisition:
        """Another place, to be had within what is left of the time. Raises NotAcquired if that is
        nothing."""
        timeout = None
        if place.timeout_ms is not None:
            left_ms = place.deadline_ms - self._shell.now_ms()
            if left_ms <= 0:
                raise NotAcquired(
                    f"could not acquire {self.kind} {self.name!r} in time: this process stood "
                    "still for longer than its lease lives"
                )
            timeout = left_ms / 1000 if place.timeout_ms else 0
        return self._new_place(timeout, place.permits)

    def _new_place(self, timeout: Timeout, permits: int | None = None) -> Acquisition:
        """A place to ask for."""
        self._check_origin()
        if not self._places:
            self._origin = Origin()
        if isinstance(self._given, Lease):
            self._given.check_origin()
        place = Acquisition(
            self.kind,
            self.name,
            timeout_ms=timeout_ms(self._timeout if timeout is ... else timeout),
            lease=self._lease,
            ttl_ms=self._ttl_ms,
            permits=self._permits if permits is None else permits,
            capacity=self._capacity,
            value=self._value,
        )
        # As of a lease: without this object.
        place.on_lost = partial(lose, self.lost, self._shell.teller(self._on_lost))
        return place

    # -- giving up ----------------------------------------------------------------------------

    async def _release(self, *, wait: bool = True, timeout: float = 5) -> None:
        """Give it up. Raises NotHeld if it was not held, LeaseExpired if it was lost before.
        Without `wait` the cluster is told in the background; as it is after an error here."""
        place = self._newest()
        self._shell.check_caller()
        if not wait or self._is_lost(place):
            self._leave()
            place.check(self._shell.now_ms())
            return
        try:
            self._remove(place)
            release = queues.release(self.kind, self.name, place.token, timeout=timeout)
            await self._shell.run(release)
            self._shell.post(lambda session, _: session.places.given_back(place))
        except NotHeld:
            self._shell.post(lambda session, _: session.places.given_back(place))
            place.check(self._shell.now_ms())
            raise
        except BaseException:
            self._give_up(place)
            raise

    def _leave(self) -> None:
        """Give the newest place up, without waiting for the cluster to say so."""
        place = self._newest()
        self._shell.check_caller()
        try:
            self._remove(place)
            self._give_up(place)
        except BaseException:  # an interrupt: giving up twice does no harm
            self._give_up(place)
            raise

    def _give_up(self, place: Acquisition) -> None:
        """Have the cluster told in the background that nobody wants the place."""
        self._check_origin()
        if place in self._places:
            with suppress(NotHeld):
                self._remove(place)
        self._shell.post(lambda session, now: session.abandon(place, now))

    def _remove(self, place: Acquisition) -> None:
        """Take it out of what is held. Raises NotHeld if another thread did."""
        try:
            self._places.remove(place)
        except ValueError:
            raise NotHeld(self._not_held) from None

    def _forget_lost(self) -> None:
        """What is lost is not in the way of acquiring anew."""
        self._check_origin()
        self._give_up_all_but([place for place in self._places if not self._is_lost(place)])

    def _is_lost(self, place: Acquisition) -> bool:
        return place.remaining_ms(self._shell.now_ms()) <= 0

    def _give_up_all_but(self, kept: Sequence[Acquisition]) -> None:
        for place in tuple(self._places):
            if place not in kept:
                self._give_up(place)

    def _exit(self, error: type[BaseException] | None) -> None:
        """Give it up without waiting. Raises LeaseExpired if it was lost meanwhile, unless the
        body raised something itself."""
        if not self._places:
            return  # the body gave it up
        place = self._places[-1]
        try:
            self._leave()
            place.check(self._shell.now_ms())
        except LeaseExpired as lost:
            if error is None:
                why = str(lost)
                what = f"{self.kind} {self.name!r} was lost"
                because = "" if why == what else f": {why}"
                raise LeaseExpired(f"{what} while held{because}") from None
        except RaftzmqError:
            if error is None:
                raise

    def _newest(self) -> Acquisition:
        """The place acquired last. Raises NotHeld."""
        if not self._places:
            raise NotHeld(self._not_held)
        self._check_origin()
        return self._places[-1]

    @property
    def _not_held(self) -> str:
        return f"this {self.kind} {self.name!r} is not held: acquire it first"

    def _check_origin(self) -> None:
        """Raise ForkedClient if what is held is the parent process's."""
        if self._places:
            self._origin.check(f"{self.kind} {self.name!r}")


class Lock(Claim):
    """A lock: one holder at a time, in the order of asking. Made by `lock` of a client."""

    kind = queues.LOCK


class Election(Claim):
    """An election: the first candidate in line leads until it resigns or its lease ends. Made by
    `election` of a client."""

    kind = queues.ELECTION

    @property
    def term(self) -> int:
        """The term in which it leads, which is its fencing token too. Raises NotHeld."""
        return self.token

    async def _campaign(self, timeout: Timeout = ...) -> int:
        """Wait to be elected; return the term. Raises as `Lock.acquire`."""
        await self._acquire(timeout)
        return self.token

    async def _resign(self, *, wait: bool = True, timeout: float = 5) -> None:
        """Lead no longer. Raises as `Lock.release`."""
        await self._release(wait=wait, timeout=timeout)

    async def _leader(self, *, timeout: float = 5) -> Leader | None:
        """Who leads now, if anybody."""
        queue = await self._describe(timeout=timeout)
        if queue is None or not queue.holders:
            return None
        return Leader(queue.holders[0].token, queue.holders[0].value)

    async def _leader_after(self, term: int) -> Leader | None:
        """Who leads, once that is not the one of `term`."""
        while True:
            seen = await self._shell.run(queues.observe(self.name, term))
            if not isinstance(seen, bool):
                return seen


class Semaphore(Claim):
    """A semaphore, first come first served. Made by `semaphore` of a client."""

    kind = queues.SEMAPHORE

    async def _wait(self, count: int | None = None, timeout: Timeout = ...) -> int:
        """Wait for `count` permits; return the token of the place that holds them. Raises as
        `Lock.acquire`, and InvalidRequest if the semaphore has fewer, or comes to have fewer. May
        be repeated for more."""
        self._forget_lost()
        await self._take(self._new_place(timeout, count))
        return self.token

    async def _signal(self, *, wait: bool = True, timeout: float = 5) -> None:
        """Give back the permits of the newest `wait`. Raises as `Lock.release`."""
        await self._release(wait=wait, timeout=timeout)

    async def _resize(self, permits: int, *, timeout: float = 5) -> None:
        """Let it have so many permits. Who holds more than there are goes on holding them; who
        waits for more gets InvalidRequest."""
        await self._shell.run(queues.resize(self.name, permits, timeout=timeout))


class PlainSemaphore(Claim):
    """A plain counting semaphore: waiting takes permits for good, and anybody may add some. Made
    by `semaphore` of a client with `plain=True`."""

    kind = queues.COUNTER

    async def _wait(self, count: int | None = None, timeout: Timeout = ...) -> int:
        """Wait for `count` permits and take them; return the token of the place that got them.
        Raises NotAcquired as `Lock.acquire`, and then none are taken; OutcomeUnknown if it cannot
        be known whether they are."""
        place = self._new_place(timeout, count)
        try:
            await self._shell.perform(place)
            return place.token
        except BaseException:
            self._give_up(place)  # also if they were taken, and an interrupt came then
            raise

    async def _signal(self, count: int = 1, *, timeout: float = 5) -> int:
        """Add `count` permits; return how many there are then."""
        return await self._shell.run(queues.signal(self.name, count, timeout=timeout))
