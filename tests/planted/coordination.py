"""Bugs of leases, queues and watches, which worlds with coordinators catch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from raftzmq.client.handles import rwlock
from raftzmq.client.operations import queues as queue_operations
from raftzmq.client.session import leases as client_leasing
from raftzmq.client.session.mirrors import Mirrored
from raftzmq.client.session.places import Acquisitions
from raftzmq.client.session.watches import Watches
from raftzmq.core.raft import Raft
from raftzmq.core.role import Role
from raftzmq.machine import snapshots
from raftzmq.machine.commands import ends, expiry, leases
from raftzmq.machine.commands.table import COMMANDS
from raftzmq.machine.state import State
from raftzmq.machine.tables.places import COUNTER, SEMAPHORE, Lease, Place, Queue
from raftzmq.machine.tables.queues import Queues
from raftzmq.versions import Spoken
from tests.planted.defect import Defect
from tests.sim import claims

if TYPE_CHECKING:
    import pytest

    from raftzmq.client.operations.arguments import Operation
    from raftzmq.client.operations.fences import Fence
    from raftzmq.client.session.acquisition import Acquisition
    from raftzmq.client.session.calls import Call
    from raftzmq.client.session.leases import HeldLease, LeaseKeeper
    from raftzmq.client.session.subscriptions import Stream
    from raftzmq.machine.commands.outcomes import Outcome
    from raftzmq.transport.watch_wire import Events

ACQUIRE: Final = COMMANDS["acquire"]
FENCED: Final = COMMANDS["fenced"]


def grant_on_an_ended_lease(patch: pytest.MonkeyPatch) -> None:
    """Whoever acquires is taken to have the lease that it names."""

    def acquire(state: State, kind: str, name: str, number: int, *rest: Any) -> Outcome:
        table = state.leases.table
        if number in table:
            return ACQUIRE.run(state, kind, name, number, *rest)
        table[number] = Lease(number, 1000, state.time_ms)
        try:
            return ACQUIRE.run(state, kind, name, number, *rest)
        finally:
            del table[number]

    patch.setitem(COMMANDS, "acquire", replace(ACQUIRE, run=acquire))


def stamp_with_the_leaders_own_clock(patch: pytest.MonkeyPatch) -> None:
    """Each leader stamps what its own clock shows, wherever the one before had got to."""

    def stamp_ms(raft: Raft) -> int:
        newest = raft.log.last_time_ms
        return max(newest, raft.now_ms) if raft.role is Role.LEADER else newest

    patch.setattr(Raft, "stamp_ms", property(stamp_ms))


def count_a_lease_from_the_answer(patch: pytest.MonkeyPatch) -> None:
    """A client believes in its lease for its whole time from when it hears that it is kept."""
    kept_alive = client_leasing.LeaseKeeper._kept_alive

    def answered(keeper: LeaseKeeper, lease: HeldLease, call: Call, now_ms: int) -> None:
        call.submitted_ms = now_ms
        kept_alive(keeper, lease, call, now_ms)

    patch.setattr(client_leasing.LeaseKeeper, "_kept_alive", answered)


def let_small_claims_overtake(patch: pytest.MonkeyPatch) -> None:
    """What is free goes to whoever can use it."""
    patch.setattr(Queue, "available", property(lambda queue: queue.free))


def keep_the_permits_of_ended_leases(patch: pytest.MonkeyPatch) -> None:
    """A place goes with its lease, and what it held with the place."""
    end_leases = ends.end_leases

    def forget(state: State, ended: list[Lease]) -> None:
        held = [p for lease in ended for p in lease.places.values() if p.held]
        for place in held:
            if place.queue.kind == SEMAPHORE:
                place.queue.free -= place.permits
        end_leases(state, ended)

    for module in (leases, expiry):
        patch.setattr(module, "end_leases", forget)


def number_anew_after_a_snapshot(patch: pytest.MonkeyPatch) -> None:
    """The numbering of commands is not restored: it goes on from the index of the entry."""
    restore = snapshots.restore

    def restored(source: Iterable[list[Any]], *spoken: Spoken) -> State:
        state = restore(source, *spoken)
        state.revision = state.applied_index
        return state

    patch.setattr(snapshots, "restore", restored)


def forget_the_line_in_snapshots(patch: pytest.MonkeyPatch) -> None:
    """Who waits is not in the snapshot: whoever restores it has them out of the line."""
    join = Queues.restore

    def restore(queues: Queues, place: Any, *, held: bool) -> None:
        if held:
            join(queues, place, held=held)

    patch.setattr(Queues, "restore", restore)


def take_a_piece_for_the_whole(patch: pytest.MonkeyPatch) -> None:
    """A watcher that has some events of an entry goes on after the entry."""
    take = Watches._events

    def hear(watches: Watches, stream: Stream, reply: Events, now_ms: int) -> None:
        take(watches, stream, reply, now_ms)
        if stream.partial:
            stream.position, stream.partial = list(reply.events)[-1][0], 0

    patch.setattr(Watches, "_events", hear)


def follow_from_now_on(patch: pytest.MonkeyPatch) -> None:
    """A mirror watches what is new, whatever happened since it was read."""
    begin_at = Mirrored.begin_at

    def begin(mirror: Mirrored, revision: int) -> None:
        begin_at(mirror, revision)
        mirror.start = None

    patch.setattr(Mirrored, "begin_at", begin)


def write_with_one_permit_less(patch: pytest.MonkeyPatch) -> None:
    """A writer leaves one permit of a read/write lock, which is a reader's."""

    def permits_of(*, writes: bool) -> int:
        return rwlock.READERS - 1 if writes else 1

    patch.setattr(rwlock, "permits_of", permits_of)


def keep_what_a_counter_granted(patch: pytest.MonkeyPatch) -> None:
    """What a counter has granted is gone, whether or not anybody takes it."""
    leave = Queues.leave

    def left(queues: Queues, place: Place) -> None:
        (Queues.take if place.held and place.queue.kind == COUNTER else leave)(queues, place)

    patch.setattr(Queues, "leave", left)


def leave_a_counter_with_what_it_granted(patch: pytest.MonkeyPatch) -> None:
    """A client that waits no more releases its place, as if it had taken what it waited for."""

    def release(places: Acquisitions, place: Acquisition, now_ms: int) -> None:
        work = queue_operations.release(place.kind, place.name, place.token)
        places._call(place, work, places._released, now_ms)

    patch.setattr(Acquisitions, "_release", release)


def wait_for_what_there_will_never_be(patch: pytest.MonkeyPatch) -> None:
    """Those who wait for more than a semaphore has from now on stay in its line."""

    def resize(queues: Queues, queue: Queue, capacity: int) -> None:
        queue.capacity = capacity
        queues.advance(queue)

    patch.setattr(Queues, "resize", resize)


def check_no_fence_of_transactions(patch: pytest.MonkeyPatch) -> None:
    def fenced(state: State, fences: Any, operation: Any) -> Outcome:
        if operation[0] == "txn":
            return COMMANDS["txn"].run(state, *operation[1:])
        return FENCED.run(state, fences, operation)

    patch.setitem(COMMANDS, "fenced", replace(FENCED, run=fenced))


def write_without_a_fence(patch: pytest.MonkeyPatch) -> None:
    """What many programs do with a lock: it is held, so write. Nothing in raftzmq is wrong."""

    def bare(_fence: Fence, operation: Operation[Any]) -> Operation[Any]:
        return operation

    patch.setattr(claims, "fenced", bare)


DEFECTS: Final = (
    Defect(
        15,
        "a lock is granted on a lease that has ended",
        grant_on_an_ended_lease,
        told="under lease .*, which has ended|should have given .*'lease_expired'",
        seeds=30,
        half="b",
    ),
    Defect(
        21,
        "leases end by the clock of whoever leads",
        stamp_with_the_leaders_own_clock,
        told="before its time|and it holds nothing|there are still|no write of .* was done",
        seeds=60,
        half="a",
    ),
    Defect(
        21,
        "a client counts its lease from the answer",
        count_a_lease_from_the_answer,
        told="before its time|and it holds nothing",
        seeds=60,
        half="b",
        start=5014,
    ),
    Defect(
        22,
        "a waiter is overtaken",
        let_small_claims_overtake,
        told="was overtaken|was granted to the tokens|should have given",
        seeds=100,
    ),
    Defect(
        23,
        "permits are not returned when a lease ends",
        keep_the_permits_of_ended_leases,
        told="free, and .* held",
        seeds=30,
    ),
    Defect(
        24,
        "tokens are used again after a snapshot",
        number_anew_after_a_snapshot,
        told=", others got|granted to the tokens|should have given|have different states|has the ",
        seeds=30,
        half="a",
    ),
    Defect(
        24,
        "the line of waiters is missing after a snapshot",
        forget_the_line_in_snapshots,
        told=", others got|should have given|has the places|have different states",
        seeds=60,
        half="b",
    ),
    Defect(
        25,
        "a watch that goes on loses the rest of an entry's events",
        take_a_piece_for_the_whole,
        told="at revision .* got .*, and it was",
        seeds=60,
    ),
    Defect(
        37,
        "a writer and a reader hold a read/write lock together",
        write_with_one_permit_less,
        told="is held by a writer and by others",
        seeds=100,
    ),
    Defect(
        38,
        "a mirror misses what happens between its reading and its watch",
        follow_from_now_on,
        told="the mirror of .*: holds .*, and there was",
        seeds=150,
    ),
    Defect(
        26,
        "a fence is not checked in a transaction",
        check_no_fence_of_transactions,
        told="update of the register was lost|should have given .*'fenced'",
        seeds=60,
    ),
    Defect(
        28,
        "a counter's place that leaves keeps what it was granted",
        keep_what_a_counter_granted,
        told="permits are free and .* granted, of",
        seeds=60,
        half="a",
    ),
    Defect(
        28,
        "a client that gives up takes what a counter has granted it",
        leave_a_counter_with_what_it_granted,
        told="permits of the pool are lost",
        seeds=150,
        half="b",
        start=5014,
    ),
    Defect(
        29,
        "the first in line waits for more permits than there are",
        wait_for_what_there_will_never_be,
        told="permits, and somebody waits for",
        seeds=100,
        start=5013,
    ),
)

CONTROL: Final = Defect(
    0,
    "a register is written under a lock, and without its fence",
    write_without_a_fence,
    told="update of the register was lost",
    seeds=60,
)
"""What fences are there for: without them it goes wrong, though every lock is granted rightly."""
