"""A frame as lines of text that fit a terminal of any size. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from raftzmq_cli.common.escaping import escaped, folded, width
from raftzmq_cli.top.samples import Frame, Line, NodeRow

GAP: Final = "  "

Column = tuple[str, Callable[[NodeRow], str], int]
"""Heading, cell, and how soon the column is left out where it is narrow: the highest first."""

COLUMNS: Final[tuple[Column, ...]] = (
    ("NODE", lambda row: row.node, 0),
    ("ROLE", lambda row: row.role, 4),
    ("WRITES/s", lambda row: _number(row.writes_per_s), 1),
    ("READS/s", lambda row: _number(row.reads_per_s), 2),
    ("FSYNC p99", lambda row: _milliseconds(row.fsync_p99_ms), 3),
    ("LAG", lambda row: _number(row.lag), 5),
    ("MEMORY", lambda row: _size(row.memory_bytes), 6),
    ("WATCHES", lambda row: _number(row.watches), 7),
)


def picture(frame: Frame, columns: int, rows: int | None = None) -> list[str]:
    """At most `rows` lines, of at most `columns` columns each."""
    lines = [
        *_folded([frame.verdict], columns),
        *_table(frame.nodes, columns),
        "",
        *_folded(_facts(frame), columns),
    ]
    queues = _queues(frame, columns)
    if queues:
        lines += ["", *queues]
    return lines if rows is None else lines[:rows]


def _facts(frame: Frame) -> list[str]:
    """The cluster's own figures, in pieces that stay together."""
    quota = f" of {_size(frame.quota_bytes)}" if frame.quota_bytes else ""
    behind = f" ({frame.watches_behind:,} behind)" if frame.watches_behind else ""
    pieces = [
        f"writes {_number(frame.writes_per_s)}/s",
        f"reads {_number(frame.reads_per_s)}/s",
        f"commit p50 {_milliseconds(frame.commit_p50_ms)}",
        f"p99 {_milliseconds(frame.commit_p99_ms)}",
        f"keys {_number(frame.keys)}",
        f"store {_size(frame.store_bytes)}{quota}",
        f"sessions {_number(frame.sessions)}",
        f"leases {_number(frame.leases)}",
        f"watches {_number(frame.watches)}{behind}",
    ]
    if frame.slowest is not None:
        pieces.append(f"slowest follower {frame.slowest}, {_number(frame.slowest_lag)} behind")
    return pieces


def _folded(pieces: Sequence[str], columns: int) -> list[str]:
    """Lines of as many pieces as fit; a piece that is too long is broken."""
    lines: list[str] = []
    for piece in map(escaped, pieces):
        if lines and width(lines[-1]) + len(GAP) + width(piece) <= columns:
            lines[-1] += GAP + piece
        else:
            lines += _broken(piece, columns)
    return lines


def _broken(text: str, columns: int) -> list[str]:
    """The words of a text in lines of at most so many columns."""
    lines = [""]
    for word in text.split(" "):
        for part in folded(word, max(2, columns)):
            longer = f"{lines[-1]} {part}" if lines[-1] else part
            if width(longer) <= columns:
                lines[-1] = longer
            else:
                lines.append(part)
    return [line for line in lines if line]


def _table(nodes: Sequence[NodeRow], columns: int) -> list[str]:
    chosen = list(COLUMNS)
    while True:
        lines = _aligned(
            [
                [heading for heading, _, _ in chosen],
                *([escaped(cell(row)) for _, cell, _ in chosen] for row in nodes),
            ]
        )
        if max(map(width, lines)) <= columns or len(chosen) == 1:
            return [_cut(line, columns) for line in lines]
        chosen.remove(max(chosen, key=lambda column: column[2]))


def _queues(frame: Frame, columns: int) -> list[str]:
    if not frame.lines and not frame.lines_remark:
        return []
    remark = f": {frame.lines_remark}" if frame.lines_remark else ""
    heading = _folded([f"LONGEST LINES{remark}"], columns)
    cells = [[_number(line.waiting), _short(line), escaped(line.name)] for line in frame.lines]
    table = _aligned([["WAIT", "KIND", "NAME"], *cells]) if cells else []
    return [*heading, *(_cut(line, columns) for line in table)]


def _short(line: Line) -> str:
    return {"semaphore": "sem", "election": "elect"}.get(line.kind, line.kind)


def _aligned(table: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(width, column)) for column in zip(*table, strict=True)]
    return [
        GAP.join(
            cell + " " * (size - width(cell)) for cell, size in zip(row, widths, strict=True)
        ).rstrip()
        for row in table
    ]


def _cut(text: str, columns: int) -> str:
    """The beginning of a line that is too long, with a sign that it is one."""
    return text if width(text) <= columns else folded(text, max(2, columns - 1))[0] + "…"


def _number(number: float | None) -> str:
    return "-" if number is None else f"{number:,.0f}"


def _milliseconds(ms: float | None) -> str:
    return "-" if ms is None else f"{ms:.1f} ms" if ms < 10 else f"{ms:,.0f} ms"


def _size(size: int | None) -> str:
    if size is None:
        return "-"
    for unit, power in (("GiB", 3), ("MiB", 2)):
        if size >= 10 * 1024**power:
            return f"{size / 1024**power:,.0f} {unit}"
    return f"{size / 1024:,.0f} KiB"
