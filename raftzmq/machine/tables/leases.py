"""Leases: what a client holds ends with its lease, and the lease ends unless it is kept.

Time is the replicated one, and a lease ends only by an entry (`expire` or `lease_revoke`): that
its time has passed changes nothing by itself.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush, heapreplace

from raftzmq import limits
from raftzmq.machine.memory import LEASE
from raftzmq.machine.tables.places import Lease


class Leases:
    """All leases, at most limits.LEASES. The table is in order of numbers.

    Beside them those that have ended, in the order of their ends, as long as places or keys of
    theirs are left.
    """

    __slots__ = ("by_end", "ending", "swept", "table")

    def __init__(
        self,
        table: dict[int, Lease] | None = None,
        ending: dict[int, Lease] | None = None,
        swept: str = "",
    ) -> None:
        self.table: dict[int, Lease] = {} if table is None else table
        self.ending: dict[int, Lease] = {} if ending is None else ending
        self.swept = swept  # where the search for keys of those that have ended goes on
        # (end_ms, number) as they once were: lower bounds, put right when they get to the top.
        # Derived, so neither in a snapshot nor in the hash.
        self.by_end = [(lease.end_ms, number) for number, lease in self.table.items()]
        heapify(self.by_end)

    @property
    def memory(self) -> int:
        """About how many bytes the leases take, as memory.py counts, without places and keys."""
        return LEASE * (len(self.table) + len(self.ending))

    def grant(self, number: int, ttl_ms: int, time_ms: int, owner: str) -> bool:
        """Add a lease. Returns False if the table is full."""
        if len(self.table) >= limits.LEASES:
            return False
        if len(self.by_end) > 2 * len(self.table) + 64:  # mostly of leases that were revoked
            self.by_end = [(lease.end_ms, at) for at, lease in self.table.items()]
            heapify(self.by_end)
        lease = self.table[number] = Lease(number, ttl_ms, time_ms + ttl_ms, owner)
        heappush(self.by_end, (lease.end_ms, number))
        return True

    def begin_end(self, lease: Lease) -> None:
        """End a lease, of which places and keys are left."""
        del self.table[lease.number]
        lease.ended = True
        self.ending[lease.number] = lease

    @property
    def next_end_ms(self) -> int | None:
        """A time before which no lease ends by itself; None if there is none."""
        return self.by_end[0][0] if self.by_end else None

    def ended(self, time_ms: int) -> Lease | None:
        """Return the lease that should end next (of several, the oldest), if its time has come."""
        by_end = self.by_end
        while by_end and by_end[0][0] <= time_ms:
            end_ms, number = by_end[0]
            lease = self.table.get(number)
            if lease is None:
                heappop(by_end)
            elif lease.end_ms != end_ms:
                heapreplace(by_end, (lease.end_ms, number))
            else:
                return lease
        return None
