"""What a command comes to: a code and a body."""

from __future__ import annotations

from typing import Any

Outcome = tuple[str, Any]

DONE: Outcome = ("ok", None)


def refused(code: str, message: str) -> Outcome:
    """Return the outcome of a command that changed nothing."""
    return code, {"message": message}
