"""What a fork does to a client: the child begins anew, and holds nothing."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from typing import Final

from raftzmq.errors import ForkedClient

_BEGIN_ANEW: Final[dict[int, weakref.WeakMethod[Callable[[], None]]]] = {}


def begin_anew_in_children(method: Callable[[], None]) -> None:
    """Have the method called in each process that is forked from this one, before anything else
    runs there, as long as its object exists."""
    key = id(method.__self__)  # type: ignore[attr-defined]  # a bound method has it
    _BEGIN_ANEW[key] = weakref.WeakMethod(method, lambda _: _BEGIN_ANEW.pop(key, None))


def _after_fork() -> None:
    for reference in list(_BEGIN_ANEW.values()):
        method = reference()
        if method is not None:
            method()


os.register_at_fork(after_in_child=_after_fork)


class Origin:
    """The process in which something was taken: in one forked from that, nothing is held."""

    def __init__(self) -> None:
        self._pid = os.getpid()

    @property
    def is_here(self) -> bool:
        """Whether that is this process."""
        return self._pid == os.getpid()

    def check(self, what: str) -> None:
        """Raise ForkedClient in another process."""
        if not self.is_here:
            raise ForkedClient(
                f"{what} is of the process that this one was forked from: make a new one here"
            )
