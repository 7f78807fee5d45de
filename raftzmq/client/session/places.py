"""Getting a place in a queue: asked for, waited for in the line, held, given up.

    lease -> asked -> line -> held -> over
      |        |        |       |
      +--------+--------+-------+----> leaving -> over

             line -> taking -> taken        of a counter

An acquisition is done when it holds or when it fails, and whoever waits may leave at any time: at
the deadline, on Ctrl-C, when a task is cancelled. Then nothing may stay behind in the cluster. What
was never sent is taken back. A place that is known is released. If it is not known whether there is
one, because the answer is still to come, the request is repeated in the background under its
serial until it is answered, and the place that it turns out to have made is released; or until the
lease ends, which is not kept alive then, and ends in the cluster with all its places.

What a counter grants is taken by a further request. Until then it is only set aside, and comes
back when the place is cancelled or its lease ends. Should the request have been executed for
somebody who has left meanwhile, as many permits are added again.

A place that is gone, although its lease lives as far as is known here, is asked for again: the
answer says that the lease has ended after all, or that there will never be so many permits, or it
is another place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from raftzmq.client.operations import queues
from raftzmq.client.operations.arguments import LONGEST_TIMEOUT_S, Operation
from raftzmq.client.session.acquisition import (
    ASKED,
    HELD,
    LEASE,
    LEAVING,
    LINE,
    OVER,
    TAKEN,
    TAKING,
    Acquisition,
)
from raftzmq.client.session.agenda import NEVER_MS, Agenda
from raftzmq.client.session.calls import Call
from raftzmq.client.session.leases import LeaseKeeper, Submit
from raftzmq.client.session.tasks import Task
from raftzmq.errors import (
    Denied,
    LeaseExpired,
    NotAcquired,
    NotHeld,
    OutcomeUnknown,
    RaftzmqError,
    Unavailable,
)

AT_ONCE_MS: Final = 5000
"""How long to wait for the answer whether a place can be granted at once."""


class Acquisitions:
    """What becomes of all acquisitions of a client."""

    def __init__(
        self,
        leases: LeaseKeeper,
        submit: Submit,
        cancel: Submit,
        finish: Callable[[Task], None],
        account: Callable[[int], str],
    ) -> None:
        """`account(since_ms)` says in words which node answered what since then."""
        self._leases = leases
        self._submit = submit
        self._cancel = cancel
        self._finish = finish
        self._account = account
        self._waiting: dict[Acquisition, None] = {}
        self._deadlines: Agenda[Acquisition] = Agenda()

    def begin(self, place: Acquisition, now_ms: int) -> None:
        """Ask for a place."""
        place.submitted_ms = now_ms
        if place.timeout_ms is not None:
            place.deadline_ms = now_ms + (place.timeout_ms or AT_ONCE_MS)
        self._wait(place)
        self._join(place, now_ms)

    def leave(self, place: Acquisition, now_ms: int) -> None:
        """Nobody wants the place any more, whether it holds, waits or was only asked for."""
        phase, call, lease = place.phase, place.call, place.lease
        unsent = call is not None and _never_sent(call)
        self._waits_no_more(place)
        if phase in (LEAVING, OVER) or lease is None:
            return
        if phase == TAKEN:
            self._over(place)
            self._give_back(place, now_ms)
            return
        if phase == LEASE or (phase == ASKED and unsent):
            self._over(place)
            if call is not None:
                self._leases.settled(lease, call)
                self._cancel(call, now_ms)
            return
        place.phase = LEAVING
        if phase != ASKED and (phase != TAKING or unsent):  # else the answer says what to give up
            if call is not None:
                self._leases.settled(lease, call)
                self._cancel(call, now_ms)
            self._release(place, now_ms)

    def given_back(self, place: Acquisition) -> None:
        """The place was released by a call of the caller's own."""
        if place.phase == HELD:
            self._over(place)

    def tick(self, now_ms: int) -> None:
        for place in self._deadlines.take(now_ms):
            error = self._not_in_time(place)
            self.leave(place, now_ms)
            self._fail(place, error)

    def close(self, why: str) -> None:
        """End whatever waits."""
        for place in list(self._waiting):
            place.phase = OVER
            self._fail(place, Unavailable(f"{why} before {_named(place)} was acquired"))

    @property
    def due_ms(self) -> int:
        """When `tick` is wanted next."""
        return self._deadlines.due_ms

    def _wait(self, place: Acquisition) -> None:
        self._waiting[place] = None
        if place.deadline_ms != NEVER_MS:
            self._deadlines.set(place, place.deadline_ms)

    def _waits_no_more(self, place: Acquisition) -> None:
        self._waiting.pop(place, None)
        self._deadlines.remove(place)

    # -- on the way to hold -------------------------------------------------------------------

    def _join(self, place: Acquisition, now_ms: int) -> None:
        """Take a lease, and ask under it as soon as there is one."""
        lease = place.lease
        if lease is None:
            lease = place.lease = self._leases.shared(place.ttl_ms, now_ms)
        place.phase = LEASE
        lease.users += 1
        place.on_lease_end = lambda now: self._lease_ended(place, now)
        lease.listeners[place.on_lease_end] = None
        if lease.ended is not None:
            self._lease_ended(place, now_ms)
        elif lease.id:
            self._ask(place, now_ms)
        else:
            lease.when_granted.append(lambda now: self._ask(place, now))

    def _ask(self, place: Acquisition, now_ms: int) -> None:
        if place.phase == LEASE and place.lease is not None:
            place.phase = ASKED
            request = place.request(place.lease.id)
            self._call(place, request, self._asked, now_ms, own=False)

    def _asked(self, place: Acquisition, call: Call, now_ms: int) -> None:
        try:
            place.token, held = call.result()
        except LeaseExpired as error:
            assert place.lease is not None
            self._leases.end(place.lease, error, now_ms)
        except NotAcquired as error:
            place.busy = True
            self._over(place)
            self._fail(place, NotAcquired(f"could not acquire {_named(place)} at once ({error})"))
        except RaftzmqError as error:
            assert place.lease is not None
            if isinstance(error, OutcomeUnknown) and place.lease.ttl_ms:
                # Perhaps a place that nobody knows of: its lease is ended, and takes it along.
                self._leases.drop(place.lease, f"{_named(place)}: {error}", now_ms)
            else:
                self._over(place)
                self._fail(place, error)
        else:
            if place.phase == LEAVING:
                self._release(place, now_ms)
            elif held:
                self._granted(place, now_ms)
            else:
                place.phase = LINE
                self._await(place, now_ms)

    def _await(self, place: Acquisition, now_ms: int) -> None:
        work = queues.await_place(place.kind, place.name, place.token)
        self._call(place, work, self._awaited, now_ms)

    def _awaited(self, place: Acquisition, call: Call, now_ms: int) -> None:
        try:
            held = call.result()
        except NotHeld:
            self._ask_again(place, now_ms)
        except RaftzmqError as error:
            self.leave(place, now_ms)
            if not isinstance(error, Denied):
                error = NotAcquired(f"could not wait for {_named(place)}: {error}")
            self._fail(place, error)
        else:
            if held is True:
                self._granted(place, now_ms)
            else:
                self._await(place, now_ms)

    def _ask_again(self, place: Acquisition, now_ms: int) -> None:
        """The cluster has the place no more."""
        assert place.lease is not None
        place.phase = LEASE
        if place.lease.ended is not None:
            self._lease_ended(place, now_ms)
        else:
            self._ask(place, now_ms)

    def _granted(self, place: Acquisition, now_ms: int) -> None:
        lease = place.lease
        assert lease is not None
        if place.kind == queues.COUNTER:
            place.phase = TAKING
            take = queues.release(place.kind, place.name, place.token)
            # Not given up with the lease: the answer says which of the two came first.
            place.call = self._internal(place, take, self._took, now_ms)
            self._submit(place.call, now_ms)
        elif now_ms >= lease.deadline_ms:
            # Nobody looked at the clock for longer than the lease lives: it was granted, and lost.
            self._leases.end(lease, LeaseExpired(lease.overdue), now_ms)
        else:
            self._settle(place, HELD)

    def _took(self, place: Acquisition, call: Call, now_ms: int) -> None:
        wanted = place.phase == TAKING
        try:
            call.result()
        except NotHeld:
            if wanted:
                self._ask_again(place, now_ms)
            elif place.phase == LEAVING:
                self._over(place)
        except RaftzmqError as error:
            if place.phase != OVER:
                place.phase = LEAVING
                self._release(place, now_ms)  # it does nothing if they were taken
            self._fail(place, error)
        else:
            self._over(place)
            if wanted:
                self._settle(place, TAKEN)
            else:
                self._give_back(place, now_ms)

    def _settle(self, place: Acquisition, phase: str) -> None:
        """It has what it was asked for."""
        place.phase = phase
        self._waits_no_more(place)
        place.done = True
        self._finish(place)

    # -- on the way out -----------------------------------------------------------------------

    def _release(self, place: Acquisition, now_ms: int) -> None:
        counts = place.kind == queues.COUNTER
        leave = queues.cancel if counts else queues.release
        self._call(place, leave(place.kind, place.name, place.token), self._released, now_ms)

    def _give_back(self, place: Acquisition, now_ms: int) -> None:
        """Permits of a counter were taken for somebody who has left before he learned of it."""
        signal = queues.signal(place.name, place.permits)
        told = Call(signal, now_ms, LONGEST_TIMEOUT_S, internal=lambda _call, _now: None, own=True)
        self._submit(told, now_ms)

    def _released(self, place: Acquisition, call: Call, now_ms: int) -> None:
        if isinstance(call.error, OutcomeUnknown):
            self._release(place, now_ms)  # to do it twice does no harm
        elif place.phase != OVER:
            self._over(place)

    def _lease_ended(self, place: Acquisition, now_ms: int) -> None:
        """All places under the lease are gone, or will be."""
        lease, phase = place.lease, place.phase
        assert lease is not None
        assert lease.ended is not None
        if phase == TAKING:
            return
        place.call = None  # given up with the lease
        self._over(place)
        if phase == HELD:
            place.lost = True
            if place.on_lost is not None:
                place.on_lost()
        elif phase == LEAVING:
            pass
        elif place.own_lease and isinstance(
            lease.ended, LeaseExpired | Unavailable | OutcomeUnknown
        ):
            place.lease = None  # the wait goes on, in a new place
            self._wait(place)
            self._join(place, now_ms)
        else:
            self._fail(place, lease.ended)

    def _over(self, place: Acquisition) -> None:
        """The place takes part in nothing any more."""
        lease = place.lease
        place.phase = OVER
        self._waits_no_more(place)
        if lease is not None and place.on_lease_end is not None:
            lease.listeners.pop(place.on_lease_end, None)
            lease.users -= 1
            place.on_lease_end = None

    def _call(
        self,
        place: Acquisition,
        work: Operation[Any],
        then: Callable[[Acquisition, Call, int], None],
        now_ms: int,
        *,
        own: bool = True,
    ) -> None:
        assert place.lease is not None
        place.call = self._internal(place, work, then, now_ms, own=own)
        self._leases.call(place.lease, place.call, now_ms)

    def _internal(
        self,
        place: Acquisition,
        work: Operation[Any],
        then: Callable[[Acquisition, Call, int], None],
        now_ms: int,
        *,
        own: bool = True,
    ) -> Call:
        """A call for a place, after whose answer it goes on."""
        lease = place.lease
        assert lease is not None

        def answered(call: Call, now: int) -> None:
            self._leases.settled(lease, call)
            if place.call is call:
                place.call = None
            then(place, call, now)

        return Call(work, now_ms, LONGEST_TIMEOUT_S, internal=answered, own=own)

    def _fail(self, place: Acquisition, error: RaftzmqError) -> None:
        if not place.done:
            self._waits_no_more(place)
            place.error = error
            place.done = True
            self._finish(place)

    def _not_in_time(self, place: Acquisition) -> NotAcquired:
        if place.phase == LINE:
            why = "others hold it or come first"
        else:
            why = self._account(place.submitted_ms)
        within = (
            "at once" if place.timeout_ms == 0 else f"within {(place.timeout_ms or 0) / 1000:g} s"
        )
        return NotAcquired(f"could not acquire {_named(place)} {within} ({why})")


def _never_sent(call: Call) -> bool:
    """Whether no node can have the request."""
    return call.batch is None and not call.in_doubt


def _named(place: Acquisition) -> str:
    return f"{place.kind} {place.name!r}"
