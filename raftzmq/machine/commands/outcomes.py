"""What a command comes to: a code and a body."""

from __future__ import annotations

from typing import Any

Outcome = tuple[str, Any]

DONE: Outcome = ("ok", None)


def refused(code: str, message: str) -> Outcome:
    """Return the outcome of a command that changed nothing."""
    return code, {"message": message}


def no_room() -> Outcome:
    """Return the outcome of what must be done whole, in an entry that has removed much already."""
    return refused("overloaded", "others remove many keys at the same moment: retry")
