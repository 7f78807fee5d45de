"""A write that changes nothing. "Up" means that one has just been acknowledged: after a restart a
leader that answers may have a long log to apply first, or be replaced."""

from __future__ import annotations

import json
from typing import Final

from raftzmq.errors import RaftzmqError
from raftzmq_cli.client.invocation import ClientInvocation

LEAST_S: Final = 1.0
MOST_S: Final = 5.0
"""How long to wait for an answer."""

NOT_YET: Final = "no write is acknowledged yet"

COMMAND: Final = ("raftzmq", "client", "txn", "-", "-w", "json", "--timeout", f"{MOST_S:g}")
TRANSACTION: Final = "{}"
"""The same as a command, and what it reads, for where the nodes are out of reach from here."""


def is_acknowledged(run: ClientInvocation, within_s: float) -> bool:
    """Write, and tell whether that is acknowledged."""
    try:
        run.client.txn(timeout=min(max(within_s, LEAST_S), MOST_S))
    except RaftzmqError:
        return False
    return True


def says_acknowledged(output: str) -> bool:
    """Whether COMMAND printed that its write is acknowledged."""
    try:
        document = json.loads(output)
    except ValueError:
        return False
    return isinstance(document, dict) and document.get("succeeded") is True
