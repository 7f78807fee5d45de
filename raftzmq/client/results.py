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
from typing import TYPE_CHECKING, Any, Generic, NamedTuple

__all__ = [
    "CasResult",
    "Deleted",
    "Event",
    "Incremented",
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

if TYPE_CHECKING:  # checkers of types know it, and nobody else needs the default
    from typing_extensions import TypeVar

    ValueT_co = TypeVar("ValueT_co", default=Value, covariant=True)
else:
    from typing import TypeVar

    ValueT_co = TypeVar("ValueT_co", covariant=True)
"""What an item holds: a Value, but of the view `db.json` what the JSON says, or the model."""


@dataclass(frozen=True, slots=True)
class Written(Generic[ValueT_co]):
    """A put that is durable on a majority. `revision` is the key's new revision.

    Of a put with `if_absent`, `succeeded` may be False: nothing was written, and `revision` and
    `current` are those of the key that is there.

        written = db.put("greeting", "hello")
        print(written.revision)
    """

    index: int
    term: int
    leader: str | None
    revision: int
    succeeded: bool = True
    current: Item[ValueT_co] | None = None


@dataclass(frozen=True, slots=True)
class Incremented:
    """The number in a key, after something was added to it.
    `revision` is the key's new one.

        visits = db.incr("visits").value
    """

    value: int
    index: int
    term: int
    leader: str | None
    revision: int


@dataclass(frozen=True, slots=True)
class Deleted:
    """`count` keys were deleted; 0 when there was none. `more`: it is one step of a deletion, and
    there are more keys. No method of a client returns that. `previous` is what was deleted, where
    that was asked for; None: there was nothing.

        deleted = db.delete("greeting", previous=True)
        print(deleted.count, deleted.previous)
    """

    count: int
    index: int
    term: int
    leader: str | None
    revision: int
    more: bool = False
    previous: Item | None = None


@dataclass(frozen=True, slots=True)
class Item(Generic[ValueT_co]):
    """A key, its value, and the revision that wrote it.

    With `details`, `remaining` is how many seconds are left until the key ends, and `lease` the
    lease that it ends with; None: it stays, or ends by itself. `version` is how many times the key
    has been written since it was created: 1, 2, and so on. None: it was created while the cluster
    was at cluster version 1, which does not count.

        if item := db.get("greeting"):
            print(item.value, item.revision)
    """

    key: str
    value: ValueT_co
    revision: int
    lease: int | None = None
    remaining: float | None = None
    version: int | None = None


@dataclass(frozen=True, slots=True)
class CasResult(Generic[ValueT_co]):
    """A compare-and-put. If it `succeeded`, `revision` is the key's new revision and `current`
    what it now holds; otherwise they are what stood in the way: the present revision (0: the key
    is absent) and item (None: absent).

        done = db.cas("config", "second", revision)
        if not done.succeeded:
            print("it is at revision", done.revision, "with", done.current)
    """

    succeeded: bool
    revision: int
    current: Item[ValueT_co] | None
    index: int
    term: int
    leader: str | None


@dataclass(frozen=True, slots=True)
class Range(Generic[ValueT_co]):
    """Items in the order of their keys. `more`: the limit was reached before the end; `scan` of the
    client has no such limit. A watch from `revision + 1` goes on from here without a gap.

        found = db.prefix("config/")
        for item in found:
            print(item.key, item.value)
        watch = db.watch(prefix="config/", start=found.revision + 1)
    """

    items: tuple[Item[ValueT_co], ...]
    more: bool
    index: int
    revision: int

    def __iter__(self) -> Iterator[Item[ValueT_co]]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)


@dataclass(frozen=True, slots=True)
class Keys:
    """Keys alone, in their order. `more`: the limit was reached; go on `after` the last one.
    For example:

        for key in db.keys("cart/"):
            print(key)
    """

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
    `otherwise`. `results` has one value for each operation of that branch: Written for Put,
    Incremented for Incr, Deleted for Delete and DeletePrefix, Item or None for Get, Range for
    GetRange and GetPrefix.

        done = db.txn(then=[Put("a", "1"), Get("b")])
        written, item = done.results
    """

    succeeded: bool
    results: tuple[Written | Incremented | Deleted | Item | Range | None, ...]
    index: int
    term: int
    leader: str | None
    revision: int


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """What the node at `endpoint` said of itself (PROTOCOL.md has the fields), or None and the
    `error` in words. `unauthorized`: the handshake failed there.

        for node in db.statuses():
            print(node.endpoint, node.error or node.status)
    """

    endpoint: str
    status: dict[str, Any] | None
    error: str | None
    unauthorized: bool = False


@dataclass(frozen=True, slots=True)
class LeaseInfo:
    """A lease as the cluster knows it. `ttl` and what remains of it are in seconds; `keys` and
    `places` are how many of either end with it.

        if info := db.lease_info(db.lease_grant(60)):
            print(info.remaining)
    """

    id: int
    ttl: float
    remaining: float
    keys: int
    places: int


@dataclass(frozen=True, slots=True)
class Leases:
    """Leases in the order of their ids. `more`: go on after the last one's.
    For example:

        print(len(db.leases()))
    """

    items: tuple[LeaseInfo, ...]
    more: bool

    def __iter__(self) -> Iterator[LeaseInfo]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a queue: its token, the lease that it ends with, how many permits it has or waits
    for, and what its owner said of itself.

        if queue := db.describe("lock", "nightly"):
            print([place.token for place in queue.holders])
    """

    token: int
    lease: int
    permits: int
    value: str | None


@dataclass(frozen=True, slots=True)
class Queue:
    """A lock, semaphore, counter or election. `held` and `waiting` count its places; `holders` and
    `waiters` are the first thousand of them, the waiters in the order of the line.

        if queue := db.describe("semaphore", "api"):
            print(queue.free, "of", queue.capacity)
    """

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
    """A queue in a list of them: how many places hold and wait.
    For example:

        print([queue.name for queue in db.queues("lock") if queue.waiting])
    """

    name: str
    capacity: int
    held: int
    waiting: int


@dataclass(frozen=True, slots=True)
class Queues:
    """Queues in the order of their names. `more`: there are others, with longer prefixes to ask.
    For example:

        print(len(db.queues("lock", "report-")))
    """

    items: tuple[QueueSummary, ...]
    more: bool

    def __iter__(self) -> Iterator[QueueSummary]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)


@dataclass(frozen=True, slots=True)
class Leader:
    """Who is elected: the term, which is its fencing token too, and the candidate's value.
    For example:

        if leader := db.election("chief").leader():
            print(leader.value, "leads in term", leader.term)
    """

    term: int
    value: str | None


class Event(NamedTuple):
    """A change of a key at a revision. `value` is None where it was deleted (also because its time
    or its lease ended); `previous` is the value before, if the watch asked for it and there was
    one.

        with db.watch(prefix="config/") as watch:
            db.put("config/limits", "4")
            if event := watch.next():
                print(event.revision, event.kind, event.key, event.value)
    """

    revision: int
    key: str
    value: Value | None
    previous: Value | None

    @property
    def kind(self) -> str:
        """ "put" or "delete"."""
        return "delete" if self.value is None else "put"
