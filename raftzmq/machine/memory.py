"""How much memory the state takes: counted, so that every node counts the same, and not measured.

The figures are those of CPython 3.11 on a 64-bit machine, rounded up: a million of each were made,
and the resident memory of the process divided. tests/machine/test_memory.py measures them again.
The tables add up as they change, in O(1) for each change; the sums are derived, so they are
neither in snapshots nor in the state's hash.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, cast

from raftzmq.machine.values import Value

KEY: Final = 288
"""A key without its text and its value: two objects of text, a pair, a number, the two places
where the table has it, and what these keep free to grow."""

BOND: Final = 208
"""That a key ends with a lease, or at a time of its own."""

LEASE: Final = 440
QUEUE: Final = 480
PLACE: Final = 368
SESSION: Final = 512
RESULT: Final = 176
"""One of each, with what finds it; without the text and the bodies in it."""

REFUSAL: Final = 304
"""The body of a result that refuses: a message."""

WIDE: Final = 4
"""Bytes of a character, in text that is not ASCII throughout. Python takes one to four, and keeps
UTF-8 beside it where the text has come from or gone into a message."""


def memory_of(value: Value) -> int:
    """Return about how many bytes the characters of a text, or the bytes of a value, take."""
    return WIDE * len(value) if type(value) is str and not value.isascii() else len(value)


def memory_of_all(values: Collection[Value]) -> int:
    """Return the sum of `memory_of`. Most values are ASCII text, and a call for each would cost
    more than the rest of a write."""
    try:
        together = "".join(cast("Collection[str]", values))
    except TypeError:  # some are bytes
        return sum(map(memory_of, values))
    return len(together) if together.isascii() else sum(map(memory_of, values))
