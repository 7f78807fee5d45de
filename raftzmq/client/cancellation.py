"""The body of an `async with` that is cancelled when what it holds is lost.

As asyncio.timeout does it: the task is cancelled, and at the end of the body that cancellation, and
no other, becomes an error. A cancellation from outside that comes too stays one.
"""

from __future__ import annotations

import asyncio
from typing import Any

from raftzmq.errors import InvalidRequest


class Cancellation:
    """Of one body, in the task that runs it."""

    def __init__(self) -> None:
        """Begin, in that task. Raises InvalidRequest outside of any."""
        task = asyncio.current_task()
        if task is None:
            raise InvalidRequest("cancel_on_loss cancels a task, and here is none: make one")
        self._task: asyncio.Task[Any] | None = task
        self._requests = task.cancelling()  # those before it
        self._fired = False

    @property
    def is_here(self) -> bool:
        """Whether its task is the one that runs."""
        return self._task is asyncio.current_task()

    def fire(self) -> None:
        """Cancel the body, unless it is over. Called by the event loop alone: then the task stands
        at an `await`, and gets the cancellation there."""
        if self._task is not None and not self._fired:
            self._fired = True
            self._task.cancel()

    def end(self, error: type[BaseException] | None) -> bool:
        """The body is over, with that error. Return whether this cancelled it, and nobody else
        did."""
        task, self._task = self._task, None
        if task is None or not self._fired:
            return False
        others = task.uncancel() > self._requests
        return not others and error is not None and issubclass(error, asyncio.CancelledError)
