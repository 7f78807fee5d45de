"""Looking for what would make nodes differ, while methods run: for tests and for development.

A method may depend on its arguments, its state, `self.time_ms` and `self.random`, and on nothing
else. `CheckedHost` watches it, and runs it twice. What depends on the order of a set shows only in
another process: replays.py.
"""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

from raftzmq.state_machine.definition import StateMachine
from raftzmq.state_machine.host import Host, Ran

OUTSIDE: Final = frozenset(
    {
        *("time", "_random", "random", "posix", "nt", "_socket", "_io", "io", "_ssl", "_uuid"),
        *("_posixsubprocess", "_thread", "select", "fcntl"),
    }
)
"""Modules of C whose functions tell what another node would not hear, or reach outside."""

NAMED: Final = frozenset({"id", "hash", "open", "input", "print", "exec", "eval", "compile"})
"""The same of functions that belong to everybody."""

AUDITED: Final = frozenset({"open", "os", "socket", "subprocess", "shutil", "ctypes", "import"})
"""The same of what Python audits, by the first word of the event."""

OF_DATES: Final = frozenset({"now", "today", "utcnow"})


class NotDeterministic(BaseException):
    """A method does what another node would not do alike. No method may catch it."""


class CheckedHost(Host):
    """A host that raises NotDeterministic for what it finds."""

    def _run(self, method: str, run: Callable[[], tuple[Any, StateMachine]]) -> Ran:
        watcher = _Watcher(f"{self.name}.{method}")
        first = watcher.watch(lambda: Host._run(self, method, run))
        second = watcher.watch(lambda: Host._run(self, method, run))
        if first != second:
            raise NotDeterministic(
                f"{self.name}.{method} did one thing, and another when it was run again: "
                f"{str(first)[:200]}, then {str(second)[:200]}"
            )
        return first

    def _failure(self, method: str, error: BaseException) -> str:
        """To tell of it, sources are read: that is not the method's doing."""
        with _unwatched():
            return super()._failure(method, error)


@contextmanager
def _unwatched() -> Iterator[None]:
    look, watcher = sys.getprofile(), _threads.watcher
    sys.setprofile(None)
    _threads.watcher = None
    try:
        yield
    finally:
        _threads.watcher = watcher
        sys.setprofile(look)


class _Watcher:
    """Sees which functions of C are called in this thread, and what Python itself audits: that is
    more, such as what a class of C does when it is made."""

    def __init__(self, method: str) -> None:
        self._method = method
        self._found = ""
        if not _audited:
            sys.addaudithook(_audit)  # it cannot be taken back
            _audited.append(True)

    def watch(self, run: Callable[[], Ran]) -> Ran:
        before, collects = sys.getprofile(), gc.isenabled()
        gc.disable()  # what others do while it collects is not the method's doing
        _threads.watcher = self
        sys.setprofile(self._look)
        try:
            return run()
        finally:
            sys.setprofile(before)
            _threads.watcher = None
            if collects:
                gc.enable()
            if self._found:
                raise NotDeterministic(
                    f"{self._method} calls {self._found}, which is not the same on every node: "
                    "it has self.time_ms and self.random, and may not reach outside"
                )

    def _look(self, _frame: FrameType, event: str, function: Any) -> None:
        if event == "c_call" and not self._found:
            self._found = _outside(function)

    def audited(self, event: str) -> None:
        """Python tells of what it is about to do."""
        if not self._found and event.partition(".")[0] in AUDITED:
            self._found = event


_threads = threading.local()
"""`watcher` is that of the method which a thread runs now."""

_audited: list[bool] = []


def _audit(event: str, _arguments: Any) -> None:
    watcher = getattr(_threads, "watcher", None)
    if watcher is not None:
        watcher.audited(event)


def _outside(function: Any) -> str:
    """What a function of C is called, if a method may not call it; else ""."""
    name = getattr(function, "__name__", "")
    owner = getattr(function, "__self__", None)
    module = getattr(function, "__module__", None)
    kind = owner if isinstance(owner, type) else type(owner)
    if module is None:
        module = getattr(owner, "__name__", None) if _is_module(owner) else kind.__module__
    if module in ("datetime", "_datetime") or kind.__module__ == "datetime":
        return f"{kind.__name__}.{name}" if name in OF_DATES else ""
    if module in OUTSIDE or kind.__module__ in OUTSIDE:
        return f"{module}.{name}"
    return f"{name}()" if module == "builtins" and name in NAMED and _is_module(owner) else ""


def _is_module(owner: object) -> bool:
    return isinstance(owner, type(sys))
