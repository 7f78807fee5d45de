"""What a server process asks of Python and of the system when it begins."""

from __future__ import annotations

import gc
import resource
from typing import Final

OPEN_FILES: Final = 65_536


def calm_garbage_collector() -> None:
    """Everything that a node makes is freed by its reference count; the collector only looks for
    cycles, and would look through every key and change again and again to find none. So it looks
    at new containers, once: at 20,000 of them, for a pause of one or two milliseconds (half a
    million took 40 to 70). What has survived that is looked at after a thousand such pauses; tuples
    of text and numbers, as keys and changes are, are left out of it by then."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 1_000, 100)


def raise_open_files() -> None:
    """Every connection takes a descriptor; the usual limit of 1,024 is soon reached."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
