"""raftzmq within the frameworks that applications use: a file for each, an extra for each.

Nothing else of raftzmq imports these. They use what every user of the package has, and nothing
more. docs/frameworks.md says how each is set up and what it promises.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from typing import Any

from raftzmq import Client

_clients: dict[Any, Client] = {}
_making = threading.Lock()


def missing(library: str, extra: str) -> ImportError:
    """The error of a module whose library is not installed."""
    return ImportError(f"{library} is not installed: pip install 'raftzmq[{extra}]'")


def shared_client(
    endpoints: str | Sequence[str] | None, key: str | None = None, timeout: float | None = None
) -> Client:
    """The one client of this process for that cluster, for all of its threads. Endpoints in text
    are separated by commas or semicolons; without any it is what `Client()` finds."""
    parts = re.split("[;,]", endpoints) if isinstance(endpoints, str) else endpoints or ()
    found = tuple(part.strip() for part in parts if part.strip())
    with _making:
        asked = (found, key, timeout)
        if asked not in _clients:
            _clients[asked] = Client(found or None, key=key, timeout=timeout)
        return _clients[asked]
