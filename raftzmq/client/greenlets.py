"""Threads and locks for the blocking client, also where gevent or eventlet has patched them.

After their `monkey_patch` what `threading` makes are greenlets, of which one runs at a time in each
real thread: its *hub* decides which. The I/O thread waits in libzmq, where no hub can take over, so
it has to be a real thread. Callers wait on a lock of their hub's, so that other greenlets run
meanwhile. Such a lock is no other thread's business: its hub is asked to release it.

Whether that is so is asked with each call, because a program may patch after it made a client.
"""

from __future__ import annotations

import _socket
import contextlib
import os
import threading
import weakref
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any, ClassVar, Final, Protocol

Function = Callable[[], object]


class Waiter(Protocol):
    """A lock that one waits on until it is released, perhaps by another thread."""

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool: ...
    def release(self) -> None: ...
    def locked(self) -> bool: ...


class Thread(Protocol):
    """What the client needs of a thread."""

    @property
    def ident(self) -> int | None: ...
    def start(self) -> None: ...
    def join(self, timeout: float) -> None: ...
    def is_alive(self) -> bool: ...


def new_waiter() -> Waiter:
    """A lock that is taken already, for a caller of this thread to wait on."""
    lock = threading.Lock()
    lock.acquire()
    if type(lock).__module__ == "_thread":  # a hot path: each call has one
        return lock
    hub = _hub_of(lock)
    return lock if hub is None else _GreenWaiter(lock, hub())


def new_flag() -> Any:
    """A threading.Event that any thread may set, and whose `wait` lets other greenlets run."""
    hub = _hub_of(threading.Lock())
    return threading.Event() if hub is None else _GreenFlag()


def new_lock() -> contextlib.AbstractContextManager[object]:
    """A lock to be held for a moment, by any thread."""
    lock = threading.Lock()
    hub = _hub_of(lock)
    made: contextlib.AbstractContextManager[object] = lock
    if hub is not None:
        made = hub.threads().allocate_lock()
    return made


def new_thread(target: Function, name: str) -> Thread:
    """A real thread, which ends with the process."""
    hub = _hub_of(threading.Lock())
    if hub is None:
        return threading.Thread(target=target, name=name, daemon=True)
    return _BareThread(hub.threads(), target)


def new_notifier() -> Callable[[Function], None]:
    """How any thread may have a function called that takes its time: in a thread of its own, or in
    a greenlet where this is called in one."""
    hub = _hub_of(threading.Lock())
    return _call_in_thread if hub is None else hub().spawn


_UNCALLED: Final[deque[Function]] = deque()
"""For which there could be no thread so far."""


def _call_in_thread(function: Function) -> None:
    try:
        threading.Thread(target=function, name="raftzmq-lost", daemon=True).start()
    except RuntimeError:
        _UNCALLED.append(function)


def call_uncalled() -> bool:
    """Try again to call what notifiers were given while no thread could be started. Return whether
    there is something left, to be tried later."""
    for _ in range(len(_UNCALLED)):
        _call_in_thread(_UNCALLED.popleft())
    return bool(_UNCALLED)


class _Hub(ABC):
    """What runs the greenlets of this thread."""

    @abstractmethod
    def call_soon(self, function: Function) -> None:
        """Have the hub call what does not wait. From any thread."""

    @abstractmethod
    def spawn(self, function: Function) -> None:
        """Have it called in a greenlet of its own. From any thread."""

    @staticmethod
    @abstractmethod
    def threads() -> Any:
        """The module `_thread` as it was."""


class _GeventHub(_Hub):
    def __init__(self) -> None:
        self._gevent = import_module("gevent")
        self._loop = self._gevent.get_hub().loop

    def call_soon(self, function: Function) -> None:
        self._loop.run_callback_threadsafe(function)

    def spawn(self, function: Function) -> None:
        self._loop.run_callback_threadsafe(self._gevent.spawn, function)

    @staticmethod
    def threads() -> Any:
        return _Original(import_module("gevent.monkey").get_original)


class _Original:
    """What gevent has replaced in `_thread`."""

    def __init__(self, get_original: Callable[[str, str], Any]) -> None:
        self.allocate_lock = get_original("_thread", "allocate_lock")
        self.start_new_thread = get_original("_thread", "start_new_thread")


class _EventletHub(_Hub):
    """A hub of eventlet's takes nothing from other threads: a greenlet there waits for it."""

    def __init__(self) -> None:
        self._bell = _Bell.of(import_module("eventlet.hubs").get_hub())

    def call_soon(self, function: Function) -> None:
        self._bell.ring(function)

    def spawn(self, function: Function) -> None:
        self._bell.ring(partial(import_module("eventlet").spawn_n, function))

    @staticmethod
    def threads() -> Any:
        return import_module("eventlet.patcher").original("_thread")


_HUBS: Final[dict[str, type[_GeventHub | _EventletHub]]] = {
    "gevent": _GeventHub,
    "eventlet": _EventletHub,
}


def _hub_of(lock: object) -> type[_GeventHub | _EventletHub] | None:
    """The library that has made the lock; None: Python itself."""
    module = type(lock).__module__
    return None if module == "_thread" else _HUBS.get(module.partition(".")[0])


class _Bell:
    """A greenlet, one for each hub, that calls what other threads hand over."""

    bells: ClassVar[weakref.WeakKeyDictionary[Any, _Bell]] = weakref.WeakKeyDictionary()

    def __init__(self) -> None:
        self._functions: deque[Function] = deque()
        self._outside, self._inside = _socket.socketpair()
        self._outside.setblocking(False)
        self._inside.setblocking(False)
        import_module("eventlet").spawn_n(self._answer)

    @classmethod
    def of(cls, hub: Any) -> _Bell:
        bell = cls.bells.get(hub)
        if bell is None:
            bell = cls.bells[hub] = cls()
        return bell

    def ring(self, function: Function) -> None:
        self._functions.append(function)
        with contextlib.suppress(OSError):  # full: it will be answered
            self._outside.send(b"!")

    def _answer(self) -> None:
        wait = import_module("eventlet.hubs").trampoline
        while True:
            wait(self._inside.fileno(), read=True)
            self._inside.recv(4096)
            while self._functions:
                self._functions.popleft()()

    @classmethod
    def forget_all(cls) -> None:
        """In a forked child: the parent's greenlets are to be woken by the parent alone."""
        for bell in cls.bells.values():
            bell._outside.close()
            bell._inside.close()
        cls.bells.clear()


os.register_at_fork(after_in_child=_Bell.forget_all)


class _GreenWaiter:
    """A lock of a hub, which any thread may release, also more often than it is taken."""

    def __init__(self, lock: Waiter, hub: _Hub) -> None:
        self._lock = lock
        self._hub = hub

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        return self._lock.acquire(blocking, timeout)

    def locked(self) -> bool:
        return self._lock.locked()

    def release(self) -> None:
        self._hub.call_soon(self._release)

    def _release(self) -> None:
        if self._lock.locked():
            self._lock.release()


class _GreenFlag:
    """As threading.Event."""

    def __init__(self) -> None:
        self._is_set = False
        self._waiters: list[Waiter] = []

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        self._is_set = True
        for waiter in tuple(self._waiters):
            waiter.release()

    def clear(self) -> None:
        self._is_set = False

    def wait(self, timeout: float | None = None) -> bool:
        waiter = new_waiter()
        self._waiters.append(waiter)
        try:
            if not self._is_set:
                waiter.acquire(timeout=-1 if timeout is None else timeout)
        finally:
            self._waiters.remove(waiter)
        return self._is_set


class _BareThread:
    """A thread that no library has to do with."""

    def __init__(self, threads: Any, target: Function) -> None:
        self.ident: int | None = None
        self._threads = threads
        self._target = target
        self._running: Waiter = threads.allocate_lock()

    def start(self) -> None:
        self._running.acquire()
        self.ident = self._threads.start_new_thread(self._run, ())

    def _run(self) -> None:
        try:
            self._target()
        finally:
            self._running.release()

    def is_alive(self) -> bool:
        return self._running.locked()

    def join(self, timeout: float) -> None:
        if self._running.acquire(timeout=timeout):
            self._running.release()
