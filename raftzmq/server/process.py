"""What a server process asks of Python and of the system when it begins."""

from __future__ import annotations

import gc
import resource
from typing import Final

OPEN_FILES: Final = 65_536


def calm_garbage_collector() -> None:
    """Everything that a node makes is freed by its reference count; the collector only looks for
    cycles, and would look through every key and change to find none. It may look rarely:
    half a million containers that were made and not freed take some 20 ms to look through."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(500_000, 50, 100)


def raise_open_files() -> None:
    """Every connection takes a descriptor; the usual limit of 1,024 is soon reached."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
