"""What the clients' calls return: small frozen values, the same from both clients.

`revision` is the number of the command that wrote, or of the newest one that a read saw. Watches,
compares and fencing tokens speak of revisions. A retried write reports that of its first and only
execution. `index` is the index of the log entry that the command came in, or the one up to which
the node that answered a read had applied its log. `status` speaks of indices. One entry may hold
many commands. A retried write reports the entry of the retry; 0: the node did not say it.
`term` and `leader` are those of the node that answered.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

__all__ = [
    "CasResult",
    "Deleted",
    "Event",
    "Item",
    "Keys",
    "Leader",
    "LeaseInfo",
    "Leases",
    "NodeStatus",
    "Place",
    "Queue",
    "QueueSummary",
    "Queues",
    "Range",
    "TxnResult",
    "Value",
    "Written",
]

Value = str | bytes
"""What a key holds. Text comes back as text and bytes as bytes."""


@dataclass(frozen=True, slots=True)
class Written:
    """A put that is durable on a majority. `revision` is the key's new revision.

    Of a put with `if_absent`, `succeeded` may be False: nothing was written, and `revision` and
    `current` are those of the key that is there."""

    index: int
    term: int
    leader: str | None
    revision: int
    succeeded: bool = True
    current: Item | None = None


@dataclass(frozen=True, slots=True)
class Deleted:
    """`count` keys were deleted; 0 when there was none. `more`: it is one step of a deletion, and
    there are more keys. No method of a client returns that. `previous` is what was deleted, where
    that was asked for; None: there was nothing."""

    count: int
    index: int
    term: int
    leader: str | None
    revision: int
    more: bool = False
    previous: Item | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """A key, its value, and the revision that wrote it.

    With `details`, `remaining` is how many seconds are left until the key ends, and `lease` the
    lease that it ends with; None: it stays, or ends by itself."""

    key: str
    value: Value
    revision: int
    lease: int | None = None
    remaining: float | None = None


@dataclass(frozen=True, slots=True)
class CasResult:
    """A compare-and-put. If it `succeeded`, `revision` is the key's new revision and `current`
    what it now holds; otherwise they are what stood in the way: the present revision (0: the key
    is absent) and item (None: absent)."""

    succeeded: bool
    revision: int
    current: Item | None
    index: int
    term: int
    leader: str | None


@dataclass(frozen=True, slots=True)
class Range:
    """Items in the order of their keys. `more`: the limit was reached before the end; read on
    from just behind the last key, `items[-1].key + "\\0"`. A watch from `revision + 1` goes on from
    here without a gap."""

    items: tuple[Item, ...]
    more: bool
    index: int
    revision: int

    def __iter__(self) -> Iterator[Item]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)


@dataclass(frozen=True, slots=True)
class Keys:
    """Keys alone, in their order. `more`: the limit was reached; go on `after` the last one."""

    items: tuple[str, ...]
    more: bool
    index: int
    revision: int

    def __iter__(self) -> Iterator[str]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)


@dataclass(frozen=True, slots=True)
class TxnResult:
    """A transaction. `succeeded`: all compares held, and the `then` branch was executed, else
    `otherwise`. `results` has one value for each operation of that branch: Written for Put, Deleted
    for Delete and DeletePrefix, Item or None for Get, Range for GetRange and GetPrefix."""

    succeeded: bool
    results: tuple[Written | Deleted | Item | Range | None, ...]
    index: int
    term: int
    leader: str | None
    revision: int


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """What the node at `endpoint` said of itself (PROTOCOL.md has the fields), or None and the
    `error` in words. `unauthorized`: the handshake failed there."""

    endpoint: str
    status: dict[str, Any] | None
    error: str | None
    unauthorized: bool = False


@dataclass(frozen=True, slots=True)
class LeaseInfo:
    """A lease as the cluster knows it. `ttl` and what remains of it are in seconds; `keys` and
    `places` are how many of either end with it."""

    id: int
    ttl: float
    remaining: float
    keys: int
    places: int


@dataclass(frozen=True, slots=True)
class Leases:
    """Leases in the order of their ids. `more`: go on after the last one's."""

    items: tuple[LeaseInfo, ...]
    more: bool

    def __iter__(self) -> Iterator[LeaseInfo]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a queue: its token, the lease that it ends with, how many permits it has or waits
    for, and what its owner said of itself."""

    token: int
    lease: int
    permits: int
    value: str | None


@dataclass(frozen=True, slots=True)
class Queue:
    """A lock, semaphore, counter or election. `held` and `waiting` count its places; `holders` and
    `waiters` are the first thousand of them, the waiters in the order of the line."""

    kind: str
    name: str
    capacity: int
    free: int
    held: int
    waiting: int
    holders: tuple[Place, ...]
    waiters: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class QueueSummary:
    """A queue in a list of them: how many places hold and wait."""

    name: str
    capacity: int
    held: int
    waiting: int


@dataclass(frozen=True, slots=True)
class Queues:
    """Queues in the order of their names. `more`: there are others, with longer prefixes to ask."""

    items: tuple[QueueSummary, ...]
    more: bool

    def __iter__(self) -> Iterator[QueueSummary]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)


@dataclass(frozen=True, slots=True)
class Leader:
    """Who is elected: the term, which is its fencing token too, and the candidate's value."""

    term: int
    value: str | None


class Event(NamedTuple):
    """A change of a key at a revision. `value` is None where it was deleted (also because its time
    or its lease ended); `previous` is the value before, if the watch asked for it and there was
    one."""

    revision: int
    key: str
    value: Value | None
    previous: Value | None

    @property
    def kind(self) -> str:
        """ "put" or "delete"."""
        return "delete" if self.value is None else "put"
