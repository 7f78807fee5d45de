"""raftzmq: a Raft-replicated key/value and coordination service over ZeroMQ.

    from raftzmq import Client

    with Client(["127.0.0.1:6001", "127.0.0.1:6011"]) as db:
        db.put("greeting", "hello")
        print(db.get("greeting").value)

Names are imported when they are first used: a node does not load the clients, nor they a node.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from raftzmq.client.aio import AsyncClient
    from raftzmq.client.blocking import Client
    from raftzmq.client.results import (
        CasResult,
        Deleted,
        Event,
        Item,
        Leader,
        LeaseInfo,
        Leases,
        NodeStatus,
        Place,
        Queue,
        Queues,
        QueueSummary,
        Range,
        TxnResult,
        Value,
        Written,
    )
    from raftzmq.client.transactions import (
        Compare,
        Delete,
        DeletePrefix,
        Get,
        GetPrefix,
        GetRange,
        Put,
    )
    from raftzmq.errors import (
        DiskFull,
        Fenced,
        ForkedClient,
        InvalidRequest,
        LeaseExpired,
        NotAcquired,
        NotFound,
        NotHeld,
        OutcomeUnknown,
        Overloaded,
        RaftzmqError,
        Refused,
        Unavailable,
        WatchLost,
    )

__version__ = "0.1.0"

_HOMES = {
    "raftzmq.client.aio": ["AsyncClient"],
    "raftzmq.client.blocking": ["Client"],
    "raftzmq.client.results": [
        "CasResult",
        "Deleted",
        "Event",
        "Item",
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
    ],
    "raftzmq.client.transactions": [
        "Compare",
        "Delete",
        "DeletePrefix",
        "Get",
        "GetPrefix",
        "GetRange",
        "Put",
    ],
    "raftzmq.errors": [
        "DiskFull",
        "Fenced",
        "ForkedClient",
        "InvalidRequest",
        "LeaseExpired",
        "NotAcquired",
        "NotFound",
        "NotHeld",
        "OutcomeUnknown",
        "Overloaded",
        "RaftzmqError",
        "Refused",
        "Unavailable",
        "WatchLost",
    ],
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "AsyncClient",
    "CasResult",
    "Client",
    "Compare",
    "Delete",
    "DeletePrefix",
    "Deleted",
    "DiskFull",
    "Event",
    "Fenced",
    "ForkedClient",
    "Get",
    "GetPrefix",
    "GetRange",
    "InvalidRequest",
    "Item",
    "Leader",
    "LeaseExpired",
    "LeaseInfo",
    "Leases",
    "NodeStatus",
    "NotAcquired",
    "NotFound",
    "NotHeld",
    "OutcomeUnknown",
    "Overloaded",
    "Place",
    "Put",
    "Queue",
    "QueueSummary",
    "Queues",
    "RaftzmqError",
    "Range",
    "Refused",
    "TxnResult",
    "Unavailable",
    "Value",
    "WatchLost",
    "Written",
    "__version__",
]


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
