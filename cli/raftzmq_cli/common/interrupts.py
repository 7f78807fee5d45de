"""Signals that end a command as Ctrl-C does, so that it cleans up behind itself."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn


@contextmanager
def interrupted_by(*signals: signal.Signals) -> Iterator[None]:
    """Let each of these signals raise KeyboardInterrupt in the block. In a thread that is not the
    main one nothing changes, because Python handles signals there alone."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
