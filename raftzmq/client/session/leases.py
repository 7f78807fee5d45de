"""Leases as their client knows them: granted, kept alive, and lost by the client's own clock.

A lease ends in the cluster `ttl` after the entry that granted or kept it last; the client counts
from when it *sent* that request, which was earlier, so that it never believes in a lease longer
than the cluster does. An unanswered request does not count.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from raftzmq.client.operations.arguments import LONGEST_TIMEOUT_S, Operation, call_ms
from raftzmq.client.operations.leases import lease_grant, lease_keep, lease_revoke
from raftzmq.client.session.agenda import NEVER_MS, Agenda
from raftzmq.client.session.calls import Call
from raftzmq.client.session.tasks import Task
from raftzmq.errors import LeaseExpired, RaftzmqError, Unavailable

KEEPS_IN_TTL: Final = 3
"""A lease is kept alive so often in its time to live."""

Submit = Callable[[Call, int], None]
Listener = Callable[[int], None]


class HeldLease(Task):
    """A lease. As a task it is done when it is granted, or is not going to be.

    It lives until `deadline_ms` by the client's clock, and no longer once it has `ended`, which
    says why; `listeners` are told of that, with the time. `calls` are of use only while it lives.
    `users` counts the places that are held, waited for or asked for under it.
    """

    __slots__ = (
        "calls",
        "deadline_ms",
        "ended",
        "id",
        "keep_ms",
        "keep_work",
        "keeping",
        "listeners",
        "shared",
        "timeout_s",
        "ttl_ms",
        "used_ms",
        "users",
        "when_granted",
    )

    def __init__(
        self, ttl_ms: int, *, timeout_s: float | None = None, shared: bool = False
    ) -> None:
        """To be granted within `timeout_s`, by default the time to live. Raises InvalidRequest."""
        super().__init__()
        self.id = 0
        if timeout_s is not None:
            call_ms(timeout_s)
        self.timeout_s = ttl_ms / 1000 if timeout_s is None else timeout_s
        self.ttl_ms = ttl_ms
        self.shared = shared  # the client's own, for all who bring no lease
        self.deadline_ms = NEVER_MS
        self.keep_ms = NEVER_MS  # when to keep it alive next
        self.keep_work: Operation[float] | None = None  # made once
        self.keeping: Call | None = None
        self.ended: RaftzmqError | None = None
        self.users = 0
        self.used_ms = 0
        self.listeners: dict[Listener, None] = {}
        self.when_granted: list[Listener] = []
        self.calls: dict[Call, None] = {}

    @classmethod
    def numbered(cls, number: int) -> HeldLease:
        """A lease that somebody else keeps alive: of its end this client knows nothing."""
        lease = cls(0)
        lease.id = number
        lease.done = True
        return lease

    def alive(self, now_ms: int) -> bool:
        """Whether it is granted and, as far as this client knows, has not ended."""
        return bool(self.id) and self.ended is None and now_ms < self.deadline_ms

    def check(self, now_ms: int) -> None:
        """Raise LeaseExpired if it has ended."""
        if self.ended is not None:
            raise LeaseExpired(str(self.ended))
        if now_ms >= self.deadline_ms:
            raise LeaseExpired(self.overdue)

    @property
    def overdue(self) -> str:
        return (
            f"lease {self.id} was not confirmed within its {self.ttl_ms / 1000:g} s: "
            "what it held may be others' by now"
        )


class LeaseKeeper:
    """Keeps leases alive: any number, for a few microseconds a keep."""

    def __init__(self, submit: Submit, cancel: Submit, finish: Callable[[Task], None]) -> None:
        self._submit = submit
        self._cancel = cancel
        self._finish = finish
        self._kept: dict[HeldLease, None] = {}
        self._shared: dict[int, HeldLease] = {}
        self._agenda: Agenda[HeldLease] = Agenda()

    @property
    def due_ms(self) -> int:
        """When `tick` has something to do next."""
        return self._agenda.due_ms

    def begin(self, lease: HeldLease, now_ms: int) -> None:
        """Have a lease granted."""
        self._kept[lease] = None
        grant = lease_grant(lease.ttl_ms / 1000)

        def answered(call: Call, now: int) -> None:
            self._granted(lease, call, now)

        self._submit(Call(grant, now_ms, lease.timeout_s, internal=answered), now_ms)

    def shared(self, ttl_ms: int, now_ms: int) -> HeldLease:
        """The client's own lease of that time to live: one, for as many places as there are."""
        lease = self._shared.get(ttl_ms)
        if lease is None:
            lease = self._shared[ttl_ms] = HeldLease(ttl_ms, shared=True)
            self.begin(lease, now_ms)
        lease.used_ms = now_ms
        return lease

    def call(self, lease: HeldLease, call: Call, now_ms: int) -> None:
        """Make a call that is given up when the lease ends."""
        lease.calls[call] = None
        self._submit(call, now_ms)

    def settled(self, lease: HeldLease, call: Call) -> None:
        """A call under the lease has its answer."""
        lease.calls.pop(call, None)

    def drop(self, lease: HeldLease, why: str, now_ms: int) -> None:
        """End a lease of this client now, in the cluster as soon as that can be told."""
        if lease.ended is not None:
            return
        if lease.id:
            self._revoke(lease, now_ms)
        self.end(lease, LeaseExpired(why), now_ms)

    def end(self, lease: HeldLease, error: RaftzmqError, now_ms: int) -> None:
        """The lease is not to be relied on any more. It is not kept alive either."""
        if lease.ended is not None:
            return
        lease.ended = error
        self._kept.pop(lease, None)
        if self._shared.get(lease.ttl_ms) is lease:
            del self._shared[lease.ttl_ms]
        if lease.keeping is not None:
            self._cancel(lease.keeping, now_ms)
        for call in list(lease.calls):
            self._cancel(call, now_ms)
        lease.calls.clear()
        self._agenda.remove(lease)
        if not lease.done:
            lease.error = error
            self._done(lease)
        for listener in list(lease.listeners):
            listener(now_ms)

    def drop_all(self, why: str, now_ms: int) -> None:
        """End every lease."""
        for lease in list(self._kept):
            self.drop(lease, why, now_ms)

    def close(self, why: str, now_ms: int) -> None:
        """Rely on no lease any more, and tell nobody in the cluster."""
        for lease in list(self._kept):
            self.end(lease, Unavailable(why), now_ms)

    def tick(self, now_ms: int) -> None:
        for lease in self._agenda.take(now_ms):
            if now_ms >= lease.deadline_ms:
                self.end(lease, LeaseExpired(lease.overdue), now_ms)
            elif lease.shared and not lease.users and now_ms - lease.used_ms >= lease.ttl_ms:
                self.drop(lease, "not in use", now_ms)
            else:
                self._keep(lease, now_ms)

    def _keep(self, lease: HeldLease, now_ms: int) -> None:
        if lease.users:
            lease.used_ms = now_ms
        if lease.keep_work is None:
            lease.keep_work = lease_keep(lease.id)
        lease.keeping = Call(
            lease.keep_work,
            now_ms,
            (lease.deadline_ms - now_ms) / 1000,
            internal=lambda call, now: self._kept_alive(lease, call, now),
            own=True,
        )
        # It has no time in the agenda meanwhile: the call ends by the lease's end.
        self._submit(lease.keeping, now_ms)

    def _granted(self, lease: HeldLease, call: Call, now_ms: int) -> None:
        try:
            lease.id = call.result()
        except RaftzmqError as error:
            self.end(lease, error, now_ms)
            return
        if lease.ended is not None:  # nobody wants it any more
            self._revoke(lease, now_ms)
            return
        self._confirmed(lease, call)
        if now_ms >= lease.deadline_ms:
            self.end(lease, LeaseExpired(lease.overdue), now_ms)
        else:
            self._done(lease)
            for listener in lease.when_granted:
                listener(now_ms)
            lease.when_granted.clear()
            self._schedule(lease)

    def _kept_alive(self, lease: HeldLease, call: Call, now_ms: int) -> None:
        lease.keeping = None
        try:
            call.result()
        except LeaseExpired as error:
            self.end(lease, error, now_ms)
        except RaftzmqError:  # there is time yet to try again
            lease.keep_ms = now_ms + lease.ttl_ms // (3 * KEEPS_IN_TTL)
        else:
            self._confirmed(lease, call)
        if lease.ended is None:
            self._schedule(lease)

    def _confirmed(self, lease: HeldLease, call: Call) -> None:
        lease.deadline_ms = call.submitted_ms + lease.ttl_ms
        lease.keep_ms = call.submitted_ms + lease.ttl_ms // KEEPS_IN_TTL

    def _revoke(self, lease: HeldLease, now_ms: int) -> None:
        """Should this fail too, the lease ends by itself."""
        revoke = lease_revoke(lease.id)
        timeout_s = min(LONGEST_TIMEOUT_S, lease.ttl_ms / 1000)
        call = Call(revoke, now_ms, timeout_s, internal=lambda _call, _now: None, own=True)
        self._submit(call, now_ms)

    def _done(self, lease: HeldLease) -> None:
        lease.done = True
        if not lease.shared:
            self._finish(lease)

    def _schedule(self, lease: HeldLease) -> None:
        self._agenda.set(lease, min(lease.deadline_ms, lease.keep_ms))
