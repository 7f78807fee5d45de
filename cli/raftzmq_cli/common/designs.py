"""Which of the two designs a command is about."""

from __future__ import annotations

from enum import StrEnum


class Design(StrEnum):
    """Raft, or the older design: a primary and its backup, chosen by a view server."""

    RAFT = "raft"
    VIEWS = "views"
