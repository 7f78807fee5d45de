"""One place in a queue, as the client that wants it knows it. What becomes of it: places.py."""

from __future__ import annotations

from collections.abc import Callable

from raftzmq.client.operations import queues
from raftzmq.client.operations.arguments import Operation
from raftzmq.client.session.agenda import NEVER_MS
from raftzmq.client.session.calls import Call
from raftzmq.client.session.leases import HeldLease
from raftzmq.client.session.tasks import Task
from raftzmq.errors import LeaseExpired

LEASE, ASKED, LINE, HELD, LEAVING, OVER = "lease", "asked", "line", "held", "leaving", "over"
TAKING, TAKEN = "taking", "taken"


class Acquisition(Task):
    """One place in a queue, from before it is asked for. As a task it is done when it holds, or
    has taken what a counter granted, or will do neither. If it holds, `lost` says whether its lease
    has ended; `on_lost` is told once."""

    __slots__ = (
        "busy",
        "call",
        "capacity",
        "deadline_ms",
        "kind",
        "lease",
        "lost",
        "name",
        "on_lease_end",
        "on_lost",
        "own_lease",
        "permits",
        "phase",
        "submitted_ms",
        "timeout_ms",
        "token",
        "ttl_ms",
        "value",
    )

    def __init__(
        self,
        kind: str,
        name: str,
        *,
        timeout_ms: int | None,
        lease: HeldLease | None = None,
        ttl_ms: int = 0,
        permits: int = 1,
        capacity: int = 0,
        value: str | None = None,
    ) -> None:
        """`timeout_ms` None: however long it takes; 0: only what can be granted at once. Without a
        `lease` it takes the client's own of `ttl_ms`. Raises InvalidRequest."""
        super().__init__()
        self.kind = kind
        self.name = name
        self.timeout_ms = timeout_ms
        self.lease = lease
        self.own_lease = lease is None
        self.ttl_ms = ttl_ms
        self.permits = permits
        self.capacity = capacity
        self.value = value
        self.token = 0
        self.phase = LEASE
        self.busy = False  # the cluster said that it cannot be had at once
        self.lost = False
        self.on_lost: Callable[[], None] | None = None
        self.on_lease_end: Callable[[int], None] | None = None
        self.submitted_ms = 0
        self.deadline_ms = NEVER_MS
        self.call: Call | None = None
        self.request(1)  # whatever is wrong with it, the caller learns now

    def request(self, lease: int) -> Operation[tuple[int, bool]]:
        """What asks for it under the lease of that number."""
        return queues.acquire(
            self.kind,
            self.name,
            lease,
            permits=self.permits,
            capacity=self.capacity,
            wait=self.timeout_ms != 0,
            value=self.value,
        )

    def remaining_ms(self, now_ms: int) -> int:
        """How long it certainly holds without being kept alive."""
        if self.lost or self.lease is None or self.lease.ended is not None:
            return 0
        return self.lease.deadline_ms - now_ms

    def check(self, now_ms: int) -> None:
        """Raise LeaseExpired unless it holds, as far as the client can know now."""
        assert self.lease is not None
        self.lease.check(now_ms)
        if self.lost:
            raise LeaseExpired(f"{self.kind} {self.name!r} was lost")
