"""What a server process asks of Python and of the system when it starts."""

from __future__ import annotations

import gc
import resource
from typing import Final

OPEN_FILES: Final = 65_536


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


def raise_open_files() -> None:
    """Raise the limit of open files: every connection takes one, and 1,024 are soon reached."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
