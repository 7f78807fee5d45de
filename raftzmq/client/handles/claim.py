"""A claim: what locks, semaphores and elections have in common. Places in queues, asked for, waited
for, held and given up."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from types import EllipsisType
from typing import Any, ClassVar, Self

from raftzmq.client.forks import Origin
from raftzmq.client.handles.exclusive import Exclusive
from raftzmq.client.handles.lease import Lease, held_lease, lose
from raftzmq.client.leased import AnyLease
from raftzmq.client.operations import queues
from raftzmq.client.operations.arguments import milliseconds, quoted, timeout_ms
from raftzmq.client.operations.fences import Fencing
from raftzmq.client.results import Queue
from raftzmq.client.session.acquisition import Acquisition
from raftzmq.client.shell import Flag, OnLost, Shell, Teller
from raftzmq.errors import (
    InvalidRequest,
    LeaseExpired,
    NotAcquired,
    NotHeld,
    RaftzmqError,
    Unavailable,
)

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
        cancel_on_loss: bool = False,
    ) -> None:
        self._options: dict[str, Any] = {
            "ttl": ttl,
            "lease": lease,
            "timeout": timeout,
            "on_lost": on_lost,
            "permits": permits,
            "capacity": capacity,
            "value": value,
            "cancel_on_loss": cancel_on_loss,
        }
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
        self._cancel_on_loss = self._checked(cancel_on_loss)
        self._places: list[Acquisition] = []
        self._origin = Origin()  # of the places
        self.lost = shell.flag()
        self._acquiring = Exclusive(
            shell,
            f"this {self.kind} {name!r} is being acquired by another thread or task: another "
            "claimant needs an object of its own",
        )
        self._new_place(timeout)  # what is wrong with it, the caller learns now

    def _checked(self, cancel_on_loss: bool) -> bool:
        """The same. Raises InvalidRequest."""
        if type(cancel_on_loss) is not bool:
            raise InvalidRequest(f"cancel_on_loss is True or False, not {quoted(cancel_on_loss)}")
        if cancel_on_loss and self.kind == queues.COUNTER:
            raise InvalidRequest("cancel_on_loss: a plain semaphore holds nothing that is lost")
        if cancel_on_loss and not self._shell.has_tasks:
            raise InvalidRequest(
                "cancel_on_loss is of AsyncClient, for no thread can be stopped from outside: use "
                "on_lost, or check() where the work may stop"
            )
        return cancel_on_loss

    def _of_name(self, name: str) -> Self:
        """Another claimant, to what has that name, and else made as this one was."""
        return type(self)(self._shell, name, **self._options)

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
            self._check_free()
            await self._take(self._new_place(timeout))
        return self

    async def _try_acquire(self) -> bool:
        """Acquire it if that is possible at once; return whether it is held now. False: others hold
        it, or were first. Raises Unavailable if the cluster does not answer, and else as
        `acquire`."""
        with self._acquiring:
            self._check_free()
            return await self._take_if_free(self._new_place(0))

    def _check_free(self) -> None:
        """Raise InvalidRequest if it is held. What is lost is not."""
        self._forget_lost()
        if self._places:
            raise InvalidRequest(
                f"this {self.kind} {self.name!r} is held already: another claimant needs an "
                "object of its own"
            )

    async def _take_if_free(self, place: Acquisition) -> bool:
        """Whether the place, which waits for nobody, came to hold."""
        try:
            await self._take(place)
        except NotAcquired as error:
            if place.busy:
                return False
            raise Unavailable(str(error)) from None
        return True

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

    def _tell_of_loss(self, tell: Teller) -> None:
        """Have it called too once the newest place is lost."""
        place = self._newest()
        known = place.on_lost

        def lost() -> None:
            if known is not None:
                known()
            if tell is not None:
                tell()

        place.on_lost = lost

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
