"""Printing a command's answer: as simple text, as one JSON document, or as a table.

A command gives its answer as a document of plain values (the JSON form, from which the table is
made too) and as lines of text (the simple form).
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from raftzmq_cli.common.settings import Output

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
    """Print one line, in UTF-8 whatever the terminal's encoding is said to be."""
    write(line if isinstance(line, bytes) else line.encode("utf-8", "surrogateescape"))
    write(b"\n")


def write(data: bytes) -> None:
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def write_json(document: Document) -> None:
    import orjson

    write(orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE))


def value_document(value: str | bytes | None) -> Any:
    """A value as it stands in JSON: text as text, bytes as {"b64": ...}."""
    if isinstance(value, bytes):
        from base64 import b64encode

        return {"b64": b64encode(value).decode("ascii")}
    return value


def write_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Print a table with lines around it; rich is imported only here and for progress."""
    from rich.box import ROUNDED
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=ROUNDED)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell(row.get(column))) for column in columns))
    # A file or a pipe has no width: nothing may be folded there.
    console = Console(width=None if sys.stdout.isatty() else 10_000, highlight=False)
    console.print(table)


def aligned(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> list[str]:
    """Return lines of aligned text: `columns` maps a field to its heading."""
    table = [list(columns.values())]
    table += [[cell(row.get(field)) for field in columns] for row in rows]
    widths = [max(len(line[i]) for line in table) for i in range(len(columns))]
    return [
        "  ".join(word.ljust(width) for word, width in zip(line, widths, strict=True)).rstrip()
        for line in table
    ]


def cell(value: Any) -> str:
    """A field of a document as a word for people."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.2f}"
    if isinstance(value, Mapping):
        return str(value.get("b64") or value.get("name") or dict(value))
    if isinstance(value, list):
        return ",".join(cell(item) for item in value) or "-"
    return str(value)


def _fields(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(field for row in rows for field in row)) or ["(nothing)"]
