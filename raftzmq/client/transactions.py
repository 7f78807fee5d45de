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
    "Put",
]


@dataclass(frozen=True, slots=True)
class Compare:
    """`field` is "value" or "revision" (0: the key is absent), `operator` is "=", "!=", "<" or ">";
    the latter two only for revisions. `operand` None compares with the value of an absent key."""

    key: str
    field: str
    operator: str
    operand: Value | int | None


@dataclass(frozen=True, slots=True)
class Put:
    """`ttl`, `lease` and `keep_end` as of a client's `put`; with one of them the transaction needs
    cluster version 2."""

    key: str
    value: Value
    ttl: float | None = None
    lease: AnyLease | None = None
    keep_end: bool = False


@dataclass(frozen=True, slots=True)
class Delete:
    key: str


@dataclass(frozen=True, slots=True)
class DeletePrefix:
    prefix: str


@dataclass(frozen=True, slots=True)
class Get:
    key: str


@dataclass(frozen=True, slots=True)
class GetRange:
    """Keys from `start` up to but excluding `end`; an empty `end` means no end."""

    start: str = ""
    end: str = ""
    limit: int = 1000


@dataclass(frozen=True, slots=True)
class GetPrefix:
    prefix: str
    limit: int = 1000


TxnOperation = Put | Delete | DeletePrefix | Get | GetRange | GetPrefix
