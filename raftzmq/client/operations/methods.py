"""Every method of the clients that is one call: its arguments, their defaults, and what is asked.

Both clients have these as methods (`get = call(methods.get)`). `timeout` is in seconds. Each raises
InvalidRequest (nothing was sent), Refused (the cluster declined), Unavailable (nothing was done) or
OutcomeUnknown (a write that may have been done, or be done yet). `fence` of a write is a lock,
semaphore or election that is held, a name and a token, or several of these: it is refused (Fenced)
unless all of them hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from raftzmq.client.operations import cluster, coordination, keys
from raftzmq.client.operations.arguments import NodeRequest, Operation
from raftzmq.client.operations.coordination import AnyFence, AnyLease, guarded
from raftzmq.client.results import (
    CasResult,
    Deleted,
    Item,
    LeaseInfo,
    Leases,
    Queue,
    Queues,
    Range,
    TxnResult,
    Value,
    Written,
)
from raftzmq.client.transactions import Compare, TxnOperation
from raftzmq.errors import InvalidRequest

T = TypeVar("T")

Asked = tuple[Operation[T] | NodeRequest[T], float]
"""What is to be done, and within how many seconds."""


def put(
    key: str,
    value: Value,
    *,
    ttl: float | None = None,
    lease: AnyLease | None = None,
    fence: AnyFence = None,
    timeout: float = 5,
) -> Asked[Written]:
    """Write a key. It is deleted `ttl` seconds later unless written again, or when the `lease`
    ends."""
    if ttl is not None and lease is not None:
        raise InvalidRequest("a key ends with a lease or after a time to live: give one of them")
    if ttl is not None:
        write = coordination.put_ttl(key, value, ttl)
    elif lease is not None:
        write = coordination.put_leased(key, value, lease)
    else:
        write = keys.put(key, value)
        if fence is None:  # the hot path
            return write, timeout
    return guarded(write, fence), timeout


def get(
    key: str, *, stale: bool = False, endpoint: str | None = None, timeout: float = 5
) -> Asked[Item | None]:
    """Read a key; None if it is absent. Linearizable, unless `stale`: then whichever node is
    asked, or the one at `endpoint`, answers from what it has applied."""
    return keys.get(key, stale=stale, endpoint=endpoint), timeout


def delete(key: str, *, fence: AnyFence = None, timeout: float = 5) -> Asked[Deleted]:
    """Delete a key, if it is there."""
    return guarded(keys.delete(key), fence), timeout


def delete_prefix(prefix: str, *, fence: AnyFence = None, timeout: float = 5) -> Asked[Deleted]:
    """Delete every key that begins with `prefix`."""
    return guarded(keys.delete_prefix(prefix), fence), timeout


def cas(
    key: str, value: Value, revision: int, *, fence: AnyFence = None, timeout: float = 5
) -> Asked[CasResult]:
    """Write a key if its revision is `revision` (0: if it is absent)."""
    return guarded(keys.cas(key, value, revision), fence), timeout


def put_if_absent(
    key: str, value: Value, *, fence: AnyFence = None, timeout: float = 5
) -> Asked[CasResult]:
    """Write a key if it is absent."""
    return guarded(keys.put_if_absent(key, value), fence), timeout


def range_(
    start: str = "",
    end: str = "",
    limit: int = 1000,
    *,
    stale: bool = False,
    endpoint: str | None = None,
    timeout: float = 5,
) -> Asked[Range]:
    """Read the keys from `start` up to but excluding `end` ("": no end), at most `limit`."""
    return keys.range_(start, end, limit, stale=stale, endpoint=endpoint), timeout


def prefix(
    prefix: str,
    limit: int = 1000,
    *,
    stale: bool = False,
    endpoint: str | None = None,
    timeout: float = 5,
) -> Asked[Range]:
    """Read the keys that begin with `prefix`, at most `limit`."""
    return keys.prefix_(prefix, limit, stale=stale, endpoint=endpoint), timeout


def txn(
    compares: Sequence[Compare] = (),
    then: Sequence[TxnOperation] = (),
    otherwise: Sequence[TxnOperation] = (),
    *,
    fence: AnyFence = None,
    timeout: float = 5,
) -> Asked[TxnResult]:
    """Do the operations of `then` if every compare holds, else those of `otherwise`, all at one
    index."""
    return guarded(keys.txn(compares, then, otherwise), fence), timeout


def status(endpoint: str | None = None, *, timeout: float = 5) -> Asked[dict[str, Any]]:
    """What the node at `endpoint`, or any, says of itself; PROTOCOL.md has the fields."""
    return cluster.status(endpoint), timeout


def stop(endpoint: str, *, timeout: float = 5) -> Asked[str]:
    """Stop the node at `endpoint`, as SIGTERM does. Returns what it said."""
    return cluster.stop(endpoint), timeout


def transfer(to: str | None = None, *, timeout: float = 5) -> Asked[str]:
    """Hand leadership to the node named `to`, or to whoever is most caught up."""
    return cluster.transfer(to), timeout


def member_add(name: str, *, timeout: float = 5) -> Asked[str]:
    """Admit the waiting node `name`; done when it is a voter."""
    return cluster.member("add", name), timeout


def member_promote(name: str, *, timeout: float = 5) -> Asked[str]:
    """Make the learner `name` a voter."""
    return cluster.member("promote", name), timeout


def member_remove(name: str, *, timeout: float = 5) -> Asked[str]:
    """Remove the member `name`."""
    return cluster.member("remove", name), timeout


# -- leases and queues, for those who keep numbers themselves ------------------------------------


def lease_grant(ttl: float, *, timeout: float = 5) -> Asked[int]:
    """Grant a lease that nobody keeps alive but by `lease_keep`; return its number."""
    return coordination.lease_grant(ttl), timeout


def lease_keep(lease: int, *, timeout: float = 5) -> Asked[float]:
    """Let a lease's time begin anew; return how many seconds that is. Raises LeaseExpired."""
    return coordination.lease_keep(lease), timeout


def lease_revoke(lease: int, *, timeout: float = 5) -> Asked[None]:
    """End a lease, with all that it holds. Raises LeaseExpired."""
    return coordination.lease_revoke(lease), timeout


def lease_info(lease: int, *, timeout: float = 5) -> Asked[LeaseInfo | None]:
    """A lease as the cluster knows it; None if it has ended."""
    return coordination.lease_info(lease), timeout


def leases(after: int = 0, limit: int = 1000, *, timeout: float = 5) -> Asked[Leases]:
    """The leases with numbers above `after`, at most `limit`."""
    return coordination.leases(after, limit), timeout


def release(kind: str, name: str, token: int, *, timeout: float = 5) -> Asked[None]:
    """Give up a place, whether it holds or waits. Raises NotHeld if it does neither."""
    return coordination.release(kind, name, token), timeout


def signal(name: str, permits: int = 1, *, timeout: float = 5) -> Asked[int]:
    """Add permits to a plain semaphore, made if there is none; return how many it has."""
    return coordination.signal(name, permits), timeout


def resize(name: str, permits: int, *, timeout: float = 5) -> Asked[None]:
    """Let a semaphore have so many permits; it is made if there is none."""
    return coordination.resize(name, permits), timeout


def forget(kind: str, name: str, *, timeout: float = 5) -> Asked[None]:
    """Remove a semaphore or counter. Raises NotFound, or NotAcquired while it is in use."""
    return coordination.forget(kind, name), timeout


def describe(kind: str, name: str, *, timeout: float = 5) -> Asked[Queue | None]:
    """Who holds and who waits; None if there is no such queue."""
    return coordination.describe(kind, name), timeout


def queues(kind: str, prefix: str = "", limit: int = 1000, *, timeout: float = 5) -> Asked[Queues]:
    """The queues of a kind whose names begin with `prefix`, at most `limit`."""
    return coordination.queues(kind, prefix, limit), timeout
