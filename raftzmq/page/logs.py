"""A log as a row of cells, and how one row becomes the next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from raftzmq.core.entry import CONFIG, NOOP, Entry
from raftzmq.core.log import RaftLog

TEXT_MAX: Final = 60
"""Characters of an entry's text; the rest is not recorded."""


class Cell(NamedTuple):
    """An entry on the page. `kind` is one of raftzmq/core/entry.py."""

    term: int
    kind: str
    text: str


@dataclass(slots=True)
class Row:
    """The cells `base + 1` and on; everything up to `base` is compacted away."""

    base: int = 0
    base_term: int = 0
    cells: list[Cell] = field(default_factory=list)

    @property
    def last(self) -> int:
        return self.base + len(self.cells)

    def term_at(self, index: int) -> int | None:
        position = index - self.base - 1
        if position == -1:
            return self.base_term
        return self.cells[position].term if 0 <= position < len(self.cells) else None


def shorten(text: str, limit: int = TEXT_MAX) -> str:
    """At most `limit` characters of a text."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def cell_of(entry: Entry, describe: Callable[[Any], str]) -> Cell:
    """The cell of an entry; `describe` says what the body of a command is."""
    if entry.kind == NOOP:
        return Cell(entry.term, entry.kind, "no-op")
    if entry.kind == CONFIG:
        names = ", ".join(
            m["name"] + ("" if m["voter"] else " (learner)") for m in entry.body["members"]
        )
        return Cell(entry.term, entry.kind, shorten(f"members {names}"))
    return Cell(entry.term, entry.kind, shorten(describe(entry.body)))


def change_of(row: Row, log: RaftLog, describe: Callable[[Any], str]) -> dict[str, Any] | None:
    """Make `row` equal to `log`; return the change, None if there is none.

    The change is {base, base_term, keep, add}: of the old cells those above `base` and up to
    `keep` stay, and `add` follows the later of the two. Two logs with an entry of the same index
    and term are equal up to there (thesis 3.5), so only the end is compared.
    """
    same_end = row.last == log.last_index and row.term_at(row.last) == log.last_term
    if same_end and row.base == log.base_index:
        return None
    low = log.base_index
    keep = low
    if row.base <= low:
        keep = max(low, min(row.last, log.last_index))
        while keep > low and row.term_at(keep) != log.term_at(keep):
            keep -= 1
    added = [cell_of(entry, describe) for entry in log.between(keep + 1, log.last_index)]
    kept = row.cells[low - row.base : keep - row.base] if row.base <= low else []
    row.base, row.base_term, row.cells = low, log.base_term, [*kept, *added]
    return {"base": low, "base_term": log.base_term, "keep": keep, "add": added}
