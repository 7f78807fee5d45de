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
        Item,
        NodeStatus,
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
        ForkedClient,
        InvalidRequest,
        OutcomeUnknown,
        Overloaded,
        RaftzmqError,
        Refused,
        Unavailable,
    )

__version__ = "0.1.0"

_HOMES = {
    "raftzmq.client.aio": ["AsyncClient"],
    "raftzmq.client.blocking": ["Client"],
    "raftzmq.client.results": [
        "CasResult",
        "Deleted",
        "Item",
        "NodeStatus",
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
        "ForkedClient",
        "InvalidRequest",
        "OutcomeUnknown",
        "Overloaded",
        "RaftzmqError",
        "Refused",
        "Unavailable",
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
    "ForkedClient",
    "Get",
    "GetPrefix",
    "GetRange",
    "InvalidRequest",
    "Item",
    "NodeStatus",
    "OutcomeUnknown",
    "Overloaded",
    "Put",
    "RaftzmqError",
    "Range",
    "Refused",
    "TxnResult",
    "Unavailable",
    "Value",
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
