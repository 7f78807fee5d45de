"""What a caller waits for that takes more than one call: a lease, a place in a line."""

from __future__ import annotations

from typing import Any

from raftzmq.errors import RaftzmqError, WatchLost


class Task:
    """Shells hand it to a session like a call, and find it among what is finished when it is
    `done`: with the `error` that it ended with, or without one."""

    __slots__ = ("done", "error", "waiter")

    def __init__(self) -> None:
        self.done = False
        self.error: RaftzmqError | None = None
        self.waiter: Any = None  # the shell's own: what to wake

    def result(self) -> Any:
        """Return the task itself, or raise its error."""
        if self.error is not None:
            raise copy_of(self.error)
        return self


def copy_of(error: RaftzmqError) -> RaftzmqError:
    """The same error, to be raised by one of several: each that raises one changes it."""
    if isinstance(error, WatchLost):
        return WatchLost(str(error), error.reason, error.start)
    return type(error)(str(error))
