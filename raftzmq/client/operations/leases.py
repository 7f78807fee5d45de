"""Leases, for those who keep their numbers themselves. Times to live are in seconds."""

from __future__ import annotations

from typing import Any

from raftzmq.client.leased import AnyLease, Leased
from raftzmq.client.operations.arguments import (
    Answer,
    Operation,
    check_count,
    check_lease,
    check_limit,
    decode_nothing,
    decode_number,
    milliseconds,
    read,
    write,
)
from raftzmq.client.results import LeaseInfo, Leases


def number_of(lease: AnyLease) -> int:
    """The number of a lease, as it is sent."""
    return check_lease(lease.id if isinstance(lease, Leased) else lease)


def lease_grant(ttl: float, *, timeout: float = 5) -> Operation[int]:
    """Grant a lease that nobody keeps alive but by `lease_keep`; return its number.
    For example:

        lease = db.lease_grant(60)
        db.put("workers/7", "here", lease=lease)
    """
    return write("lease_grant", [milliseconds(ttl)], decode_number, timeout)


def lease_keep(lease: int, *, timeout: float = 5) -> Operation[float]:
    """Let a lease's time begin anew; return how many seconds that is. Raises LeaseExpired.
    For example:

        lease = db.lease_grant(60)
        print(db.lease_keep(lease))  # 60.0
    """
    args = [check_lease(lease)]
    return write("lease_keep", args, lambda answer: answer.body / 1000, timeout)


def lease_revoke(lease: int, *, timeout: float = 5) -> Operation[None]:
    """End a lease, with all that it holds. Raises LeaseExpired.
    For example:

        lease = db.lease_grant(60)
        db.lease_revoke(lease)
    """
    return write("lease_revoke", [check_lease(lease)], decode_nothing, timeout)


def lease_info(lease: int, *, timeout: float = 5) -> Operation[LeaseInfo | None]:
    """A lease as the cluster knows it; None if it has ended.
    For example:

        lease = db.lease_grant(60)
        if info := db.lease_info(lease):
            print(info.remaining, info.keys, info.places)
    """

    def decode(answer: Answer) -> LeaseInfo | None:
        return None if answer.body is None else _lease_info([lease, *answer.body])

    return read("lease", [check_lease(lease)], decode, timeout)


def leases(after: int = 0, limit: int = 1000, *, timeout: float = 5) -> Operation[Leases]:
    """The leases with numbers above `after`, at most `limit`.
    For example:

        for info in db.leases():
            print(info.id, info.ttl, info.remaining)
    """

    def decode(answer: Answer) -> Leases:
        items, more = answer.body
        return Leases(tuple(map(_lease_info, items)), bool(more))

    return read("leases", [check_count("after", after), check_limit(limit)], decode, timeout)


def _lease_info(body: list[Any]) -> LeaseInfo:
    lease, ttl_ms, remaining_ms, keys, places = body
    return LeaseInfo(lease, ttl_ms / 1000, remaining_ms / 1000, keys, places)
