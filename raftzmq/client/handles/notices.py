"""Telling a user's function of changes: once for all that come together, and one call at a time."""

from __future__ import annotations

from collections.abc import Callable
from inspect import isawaitable, iscoroutinefunction

from raftzmq.client.operations.arguments import quoted
from raftzmq.client.shell import Shell, finish
from raftzmq.errors import InvalidRequest

OnChange = Callable[[], object] | None
"""Called soon after changes: by the blocking client in a thread of its own, by the asyncio client
in its event loop, where it may be a coroutine function."""


class Notices:
    """`changed` may be called in any thread, and does not wait."""

    def __init__(self, shell: Shell, on_change: Callable[[], object]) -> None:
        """Raises InvalidRequest."""
        if not callable(on_change):
            raise InvalidRequest(
                f"on_change is a function without arguments, not {quoted(on_change)}"
            )
        if iscoroutinefunction(on_change) and not shell.has_tasks:
            raise InvalidRequest(
                "on_change is a coroutine function, which AsyncClient awaits and Client does not: "
                "give it a function"
            )
        self._on_change = on_change
        self._due = False
        self._running: dict[str, object] = {}
        self._tell = shell.teller(self._run if shell.has_tasks else lambda: finish(self._run()))

    def changed(self) -> None:
        """Have it called, after the call that runs now if there is one."""
        self._due = True
        self._start()

    def _start(self) -> None:
        me = object()
        if self._running.setdefault("one", me) is me and self._tell is not None:  # one step
            self._tell()

    async def _run(self) -> None:
        try:
            while self._due:
                self._due = False
                begun = self._on_change()
                if isawaitable(begun):
                    await begun
        finally:
            self._running.clear()
            if self._due:
                self._start()
