"""Claims of simulated clients: to locks, semaphores, counters and elections, one after the other.

Whoever holds the first lock adds to a register, behind the fence of the lock, and sometimes sleeps
in the middle for longer than its lease lives, and writes all the same when it wakes. What is taken
from the pool is put back into it.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any, Final

from raftzmq.client.handles import rwlock
from raftzmq.client.operations import fences, keys, queues, transactions
from raftzmq.client.operations.arguments import Operation
from raftzmq.client.operations.fences import Fence
from raftzmq.client.session.acquisition import HELD, Acquisition
from raftzmq.client.session.leases import HeldLease
from raftzmq.client.transactions import Put
from raftzmq.machine.tables.places import COUNTER, ELECTION, LOCK, SEMAPHORE
from tests.sim.history import OK, UNKNOWN, Op
from tests.sim.ledger import REGISTER, RWLOCK, WRITES
from tests.sim.pool import CAPACITY, POOL, Withdrawal

if TYPE_CHECKING:
    from tests.sim.coordinators import Coordinator

GUARD: Final = "guard"
"""The lock of those who write the register."""

KINDS: Final = {LOCK: 6, SEMAPHORE: 6, ELECTION: 1, COUNTER: 4}
TIMEOUTS_MS: Final = (0, 400, 2000, None, None)
WORK_S: Final = 3.0


def fenced(fence: Fence, operation: Operation[Any]) -> Operation[Any]:
    """What a holder writes, behind the fence of what it holds."""
    return fences.fenced([fence], operation)


class Claim:
    """One claimant. It claims something, holds it for a while, gives it up, and so on."""

    def __init__(self, client: Coordinator) -> None:
        self._client = client
        self._random = client.random
        self._rwlocks = Random(f"read/write locks of {client.name} in {client.world.seed}")
        """Apart, so that which claims these are does not depend on what the others draw."""
        self.place: Acquisition | None = None
        self.lease: HeldLease | None = None
        """Its own; None while it has none, or uses the client's."""
        self._begin_later()

    @property
    def _now_ms(self) -> int:
        return self._client.world.now_ms

    def _begin_later(self) -> None:
        delay_ms = int(self._random.expovariate(1 / 300)) + 1
        self._client.world.at(delay_ms, self._client.awake(self._begin))

    def _begin(self) -> None:
        if self._client.idle or self._client.dead:
            return
        ttl_ms = self._random.choice(self._client.world.options.lease_ttls_ms)
        if self._random.random() < 0.4:
            self.lease = HeldLease(ttl_ms)
            self._client.begin(self.lease, lambda: self._granted(ttl_ms))
        else:
            self._join(ttl_ms)

    def _granted(self, ttl_ms: int) -> None:
        if self.lease is None or self.lease.error is not None:
            self._over()
        elif not self._client.idle:
            self._join(ttl_ms)

    def _join(self, ttl_ms: int) -> None:
        random = self._random
        kind = random.choices(list(KINDS), list(KINDS.values()))[0]
        permits, capacity = 1, 0
        if kind == COUNTER and random.random() < 0.8:
            self._ask_for(self._withdrawal(ttl_ms), impatience=0.4)
            return
        if kind == SEMAPHORE and self._rwlocks.random() < 0.5:
            self._ask_for(self._read_or_write(ttl_ms), impatience=0.1)
            return
        if kind in (SEMAPHORE, COUNTER):
            permits, capacity = random.randint(1, CAPACITY), random.choice([0, 0, CAPACITY])
        place = Acquisition(
            kind,
            GUARD if kind == LOCK and random.random() < 0.7 else f"{kind}-0",
            timeout_ms=random.choice(TIMEOUTS_MS),
            lease=self.lease,
            ttl_ms=ttl_ms,
            permits=permits,
            capacity=capacity,
            value=self._client.name if kind == ELECTION else None,
        )
        self._ask_for(place, impatience=0.1)

    def _read_or_write(self, ttl_ms: int) -> Acquisition:
        """A claim to the read/write lock, which says what it is for."""
        writes = self._rwlocks.random() < 0.4
        return Acquisition(
            SEMAPHORE,
            RWLOCK,
            timeout_ms=self._rwlocks.choice(TIMEOUTS_MS),
            lease=self.lease,
            ttl_ms=ttl_ms,
            permits=rwlock.permits_of(writes=writes),
            capacity=rwlock.READERS,
            value=WRITES if writes else None,
        )

    def _withdrawal(self, ttl_ms: int) -> Withdrawal:
        return Withdrawal(
            self._client.account,
            self._random.randint(1, CAPACITY),
            timeout_ms=self._random.choice(TIMEOUTS_MS),
            lease=self.lease,
            ttl_ms=ttl_ms,
        )

    def _ask_for(self, place: Acquisition, impatience: float) -> None:
        """Begin to wait. With that probability the wait is cancelled some time later."""
        random = self._random
        self.place = place
        place.on_lost = lambda: self._later(1, lambda: self._lost(place))
        self._client.begin(place, lambda: self._acquired(place))
        if random.random() < impatience:
            self._later(random.randint(1, 1000), lambda: self._leave(place))

    def _later(self, delay_ms: int, what: Callable[[], None]) -> None:
        self._client.world.at(delay_ms, self._client.awake(what))

    def _acquired(self, place: Acquisition) -> None:
        counts = self._client.world.counts
        if place is not self.place:
            return
        if place.error is not None:
            counts["claims failed"] += 1
            self._over()
            return
        counts["claims held"] += 1
        ledger = self._client.world.ledger
        assert ledger is not None
        ledger.believed(self._client.name, place)
        if place.kind == LOCK and place.name == GUARD:
            self._add_one(place)
        elif isinstance(place, Withdrawal):
            counts["claims taken"] += 1
            delay_ms = int(self._random.expovariate(1 / 400)) + 1
            self._later(delay_ms, lambda: self._put_back(place))
        else:
            self._hold(place)

    def _put_back(self, place: Withdrawal) -> None:
        """Add to the pool what was taken from it."""
        if place is not self.place:
            return
        account, permits = self._client.account, place.permits
        account.taken -= permits
        account.doubtful += permits

        def done(op: Op) -> None:
            if op.outcome != UNKNOWN:
                account.doubtful -= permits
                account.taken += 0 if op.outcome == OK else permits

        op = self._client.operation("signal", POOL, permits)
        self._client.perform(op, queues.signal(POOL, permits), WORK_S, done)
        self._over()

    def _hold(self, place: Acquisition) -> None:
        self._later(int(self._random.expovariate(1 / 400)) + 1, lambda: self._leave(place))

    # -- the register -----------------------------------------------------------------------------

    def _add_one(self, place: Acquisition) -> None:
        """Read the register, perhaps sleep, and write what follows."""
        if place is not self.place or place.phase != HELD:
            return
        if self._client.idle:  # it goes, or those in line would keep their sessions for ever
            self._hold(place)
            return

        def found(op: Op) -> None:
            if op.outcome != OK:
                self._hold(place)
                return
            value = str(int(op.body[0] if op.body else 0) + 1)
            if self._random.random() < 0.15:
                self._client.pause(int(place.ttl_ms * self._random.uniform(0.5, 3)))
            self._later(1, lambda: self._write(place, value))

        self._client.read_register(found, WORK_S)

    def _write(self, place: Acquisition, value: str) -> None:
        """Without another look at the lease: so it is where there is a sleep after the look."""
        fence = (place.name, place.token)
        if self._random.random() < 0.5:
            operation: Operation[Any] = keys.put(REGISTER, value)
            inner: list[Any] = ["put", REGISTER, value]
        else:
            operation = transactions.txn([], [Put(REGISTER, value)], [])
            inner = ["txn", [], [["put", REGISTER, value]], []]
        op = self._client.operation("fenced", [list(fence)], inner)

        def done(op: Op) -> None:
            # What may yet be done must not be overtaken: nobody but this holder would lose by it.
            if self._random.random() < 0.5 and op.outcome != UNKNOWN:
                self._add_one(place)
            else:
                self._hold(place)

        self._client.perform(op, fenced(fence, operation), WORK_S, done)

    # -- the end of a claim -----------------------------------------------------------------------

    def _lost(self, place: Acquisition) -> None:
        if place is self.place:
            self._client.world.counts["claims lost"] += 1
            self._over()

    def _leave(self, place: Acquisition) -> None:
        """Give the place up, held or waited for; sometimes only with its lease."""
        if place is not self.place:
            return
        if self.lease is None or self._random.random() < 0.5:
            self._client.give_up(place)
        self._over()

    def _over(self) -> None:
        lease, self.lease, self.place = self.lease, None, None
        if lease is not None:
            self._client.give_up(lease)
        self._begin_later()

    def finish(self) -> None:
        """Give up whatever there is, for good."""
        if self.place is not None:
            self._client.give_up(self.place)
        if self.lease is not None:
            self._client.give_up(self.lease)
        self.place = self.lease = None
