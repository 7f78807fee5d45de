"""What a server process asks of Python and of the system when it starts."""

from __future__ import annotations

import gc


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
