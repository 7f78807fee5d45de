"""Changes of a table of keys, drawn by lot: while others read what it held before."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from raftzmq.machine.tables.keys import KeyTable


def change(table: KeyTable, names: Sequence[str], revision: int, random: Random) -> None:
    """Put some of the names, or one, or remove one, or all between two of them."""
    some = random.choices(names, k=random.randint(1, 6))
    kind = random.random()
    if kind < 0.4:
        revisions = range(revision, revision + len(some))
        table.put_all(some, ["w"] * len(some), revisions)
    elif kind < 0.6:
        table.put(some[0], "x", revision)
    elif kind < 0.95:
        table.remove(some[0], revision)
    elif kind < 0.98:
        table.count_versions(random.random() < 0.5)
    else:
        table.remove_span(some[0], random.choice([some[-1], ""]), revision)
