"""raftzmq: a Raft-replicated key/value and coordination service over ZeroMQ.

    from raftzmq import Client

    with Client(["127.0.0.1:6001", "127.0.0.1:6011"]) as db:
        db.put("greeting", "hello")
        if item := db.get("greeting"):
            print(item.value)

Names are imported when they are first used: a node does not load the clients, nor they a node.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False  # type checkers take it for true; `typing` itself would be most of the import
if TYPE_CHECKING:
    from typing import Any, Final

    from raftzmq.client.aio import AsyncClient as AsyncClient
    from raftzmq.client.aio_names import *  # noqa: F403 (it has `__all__`)
    from raftzmq.client.blocking import *  # noqa: F403 (it has `__all__`)
    from raftzmq.client.results import *  # noqa: F403 (it has `__all__`)
    from raftzmq.client.transactions import *  # noqa: F403 (it has `__all__`)
    from raftzmq.errors import *  # noqa: F403 (it has `__all__`)

__version__ = "0.3.0.dev0"

_CLIENTS: Final = {"AsyncClient": "raftzmq.client.aio", "Client": "raftzmq.client.blocking"}
"""What most programs import, which needs no look into the other homes."""
_HOMES: Final = (
    "raftzmq.errors",
    "raftzmq.client.results",
    "raftzmq.client.transactions",
    "raftzmq.client.blocking",
    "raftzmq.client.aio_names",
)
"""Modules whose `__all__` lists the names that are imported from here too."""


def _public() -> list[str]:
    listed = [name for home in _HOMES for name in import_module(home).__all__]
    return sorted({*_CLIENTS, *listed, "__version__"})


def __getattr__(name: str) -> Any:
    if name == "__all__":
        return _public()
    # Modules of this package are asked for here too, before they are imported: to tell them apart
    # loads nothing, for they begin with a small letter.
    homes = (_CLIENTS[name],) if name in _CLIENTS else _HOMES if name[:1].isupper() else ()
    for home in homes:
        module = import_module(home)
        if name in _CLIENTS or name in module.__all__:
            value = globals()[name] = getattr(module, name)
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_public()})
