"""The parts of a transaction, as a caller writes them.

db.txn(
    compares=[Compare("config", "revision", "=", 0)],
    then=[Put("config", "first"), Put("owner", "me")],
    otherwise=[Get("owner")],
)
"""

from __future__ import annotations

from dataclasses import dataclass

from raftzmq.client.leased import AnyLease
from raftzmq.client.results import Value

__all__ = [
    "Compare",
    "Delete",
    "DeletePrefix",
    "Get",
    "GetPrefix",
    "GetRange",
    "Incr",
    "Put",
]


@dataclass(frozen=True, slots=True)
class Compare:
    """`field` is "value" or "revision" (0: the key is absent), `operator` is "=", "!=", "<" or ">";
    the latter two only for revisions. `operand` None compares with the value of an absent key.

        db.txn([Compare("config", "revision", "=", 0)], [Put("config", "first")])
    """

    key: str
    field: str
    operator: str
    operand: Value | int | None


@dataclass(frozen=True, slots=True)
class Put:
    """`ttl`, `lease` and `keep_end` as of a client's `put`; with one of them the transaction needs
    cluster version 2.

        db.txn(then=[Put("cart/9", "2 books", ttl=3600), Put("carts", "9")])
    """

    key: str
    value: Value
    ttl: float | None = None
    lease: AnyLease | None = None
    keep_end: bool = False


@dataclass(frozen=True, slots=True)
class Incr:
    """`by`, `ttl` and `lease` as of a client's `incr`. If the key holds no number, nothing of the
    transaction is done: InvalidRequest. It needs cluster version 2.

        db.txn(then=[Incr("stock/apples", by=-3), Put("orders/7", "3 apples")])
    """

    key: str
    by: int = 1
    ttl: float | None = None
    lease: AnyLease | None = None


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete a key.
    For example:

        db.txn(then=[Put("done/letter", "sent"), Delete("jobs/letter")])
    """

    key: str


@dataclass(frozen=True, slots=True)
class DeletePrefix:
    """Delete every key that begins with `prefix`, 2,048 at most.
    For example:

        db.txn(then=[DeletePrefix("cart/9/"), Delete("cart/9")])
    """

    prefix: str


@dataclass(frozen=True, slots=True)
class Get:
    """Read a key.
    For example:

        result = db.txn(then=[Get("config"), Get("owner")])
        print(result.results)  # an Item or None for each
    """

    key: str


@dataclass(frozen=True, slots=True)
class GetRange:
    """Keys from `start` up to but excluding `end`; an empty `end` means no end.
    For example:

        db.txn(then=[GetRange("jobs/a", "jobs/n", limit=10)])
    """

    start: str = ""
    end: str = ""
    limit: int = 1000


@dataclass(frozen=True, slots=True)
class GetPrefix:
    """Read the keys that begin with `prefix`.
    For example:

        db.txn(then=[GetPrefix("jobs/"), GetPrefix("workers/")])  # both at one moment
    """

    prefix: str
    limit: int = 1000


TxnOperation = Put | Incr | Delete | DeletePrefix | Get | GetRange | GetPrefix
