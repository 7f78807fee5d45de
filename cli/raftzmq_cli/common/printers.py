"""Printing a command's answer: as simple text, as one JSON document, or as a table.

A command gives its answer as a document of plain values (the JSON form, from which the table is
made too) and as lines (the simple form): text for people, which is escaped, or the bytes of a
value, which are exact unless they go to a terminal.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import Any, Final

from raftzmq.errors import InvalidRequest
from raftzmq_cli.common.escaping import escaped, folded, safe_json, width
from raftzmq_cli.common.settings import Output

FILE_COLUMNS: Final = 10_000
"""A file or a pipe has no width. But one long value must not make every row as long."""

BLOCK_BYTES: Final = 64 * 1024

CELL_COLUMNS: Final = 4
"""No column of a table is made narrower."""

Document = Mapping[str, Any] | Sequence[Mapping[str, Any]]


def show(
    output: Output,
    document: Document,
    lines: Iterable[str | bytes],
    columns: Sequence[str] | None = None,
) -> None:
    """Print an answer on stdout. `columns` are the fields that a table shows; None: all."""
    if output is Output.JSON:
        write_json(document)
    elif output is Output.TABLE:
        rows = [document] if isinstance(document, Mapping) else list(document)
        write_table(rows, columns or _fields(rows))
    else:
        for line in lines:
            write_line(line)
    sys.stdout.flush()


def write_line(line: str | bytes) -> None:
    """Print a line of text, or a value; in UTF-8 whatever the terminal's encoding is said to be."""
    if isinstance(line, bytes):
        write_value(line)
    else:
        _write(escaped(line, "\t").encode())
    _write(b"\n")


def write_value(value: bytes) -> None:
    """Print a value: its exact bytes to a file or a pipe; its lines, escaped, on a terminal."""
    _write(escaped(value, "\t\n").encode() if sys.stdout.isatty() else value)


def write_bytes(data: bytes) -> None:
    """Print bytes that are no text. Raises InvalidRequest rather than to fill a terminal."""
    if sys.stdout.isatty():
        raise InvalidRequest("this is no text: send standard output to a file or a pipe")
    _write(data)


def write_texts(texts: Iterable[bytes]) -> None:
    """Print many pieces of JSON, a block at a time."""
    if sys.stdout.isatty():
        texts = (safe_json(text.decode()).encode() for text in texts)
    _write_blocks(texts)


def write_lines(lines: Iterable[str]) -> None:
    """Print many lines of text, a block at a time."""
    _write_blocks(escaped(line, "\t").encode() + b"\n" for line in lines)


def _write_blocks(pieces: Iterable[bytes]) -> None:
    held = bytearray()
    for piece in pieces:
        held += piece
        if len(held) >= BLOCK_BYTES:
            _write(bytes(held))
            held.clear()
    _write(bytes(held))


def write_json(document: Document) -> None:
    import orjson

    text = orjson.dumps(document)
    if sys.stdout.isatty():
        text = safe_json(text.decode()).encode()
    _write(text + b"\n")


def _write(data: bytes) -> None:
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def value_document(value: str | bytes | None) -> Any:
    """A value as it stands in JSON: text as text, bytes as {"b64": ...}."""
    if isinstance(value, bytes):
        from base64 import b64encode

        return {"b64": b64encode(value).decode("ascii")}
    return value


def write_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Print a table with lines around it, its cells folded so that it fits."""
    available = shutil.get_terminal_size().columns if sys.stdout.isatty() else FILE_COLUMNS
    lines = table_lines(rows, columns, available)
    _write("".join(f"{line}\n" for line in lines).encode())


def table_lines(
    rows: Sequence[Mapping[str, Any]], columns: Sequence[str], available: int
) -> list[str]:
    """The lines of a table that is at most `available` columns wide, if that is enough for
    CELL_COLUMNS in each cell; a terminal that is narrower folds the lines itself."""
    cells = [[cell(row.get(column)) for column in columns] for row in rows]
    words = [columns, *cells]
    widths = [max(width(line[i]) for line in words) for i in range(len(columns))]
    widths = _narrowed(widths, available - 3 * len(columns) - 1)

    def rule(left: str, between: str, right: str) -> str:
        return left + between.join("─" * (size + 2) for size in widths) + right

    lines = [rule("╭", "┬", "╮"), *_row(columns, widths), rule("├", "┼", "┤")]
    for line in cells:
        lines += _row(line, widths)
    return [*lines, rule("╰", "┴", "╯")]


def _narrowed(widths: Sequence[int], available: int) -> list[int]:
    """Make the widest columns narrower, as much as is needed and possible."""
    for cap in range(available, CELL_COLUMNS, -1):
        narrowed = [min(size, cap) for size in widths]
        if sum(narrowed) <= available:
            return narrowed
    return [min(size, CELL_COLUMNS) for size in widths]


def _row(cells: Sequence[str], widths: Sequence[int]) -> list[str]:
    """The lines of one row."""
    folds = [folded(text, size) for text, size in zip(cells, widths, strict=True)]
    return [
        "│ " + " │ ".join(map(_padded, parts, widths)) + " │"
        for parts in zip_longest(*folds, fillvalue="")
    ]


def _padded(text: str, size: int) -> str:
    return text + " " * (size - width(text))


def aligned(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> list[str]:
    """Return lines of aligned text: `columns` maps a field to its heading."""
    table = [list(columns.values())]
    table += [[cell(row.get(field)) for field in columns] for row in rows]
    widths = [max(width(line[i]) for line in table) for i in range(len(columns))]
    return ["  ".join(map(_padded, line, widths)).rstrip() for line in table]


def cell(value: Any) -> str:
    """A field of a document as a word for people, in one line."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.2f}"
    if isinstance(value, Mapping):
        word = value.get("b64", value.get("name"))
        return _json(value) if word is None else cell(word)
    if isinstance(value, list):
        return ",".join(cell(item) for item in value) or "-"
    return escaped(str(value))


def _json(value: Mapping[str, Any]) -> str:
    import orjson

    return safe_json(orjson.dumps(value).decode())


def _fields(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(field for row in rows for field in row)) or ["(nothing)"]
