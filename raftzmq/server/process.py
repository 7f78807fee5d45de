"""What a server process asks of Python and of the system when it starts."""

from __future__ import annotations

import ctypes
import gc
import resource
from typing import Final

_PR_SET_DUMPABLE: Final = 4


def keep_memory_private() -> None:
    """Write no core dump, and let no other process of this user look into the memory: there are
    secret keys in it. Where the system knows no such wish, only the first."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def calm_garbage_collector() -> None:
    """Make the garbage collector's pauses short.

    Reference counts free everything that a node makes. The collector only looks for cycles; it
    would search every key and change again and again and find none. So it looks at new containers
    once, 20,000 at a time, for a pause of one or two milliseconds (half a million took 40 to 70).
    It looks at the survivors after a thousand such pauses. By then it no longer tracks tuples of
    text and numbers, such as keys and changes."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 1_000, 100)
