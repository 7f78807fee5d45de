"""Keys and values: from the words of a command line, and as they are shown."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from raftzmq import limits
from raftzmq.errors import InvalidRequest
from raftzmq_cli.common import printers, standard_input
from raftzmq_cli.common.escaping import escaped, fields, quoted
from raftzmq_cli.common.invocation import Invocation

if TYPE_CHECKING:
    from raftzmq import CasResult, Deleted, Incremented, Item, TxnResult, Written

    Done = Written | Incremented | CasResult | Deleted | TxnResult

Value = str | bytes

Key = Annotated[str, typer.Argument(metavar="KEY", help="The key.")]
ValueWord = Annotated[
    str,
    typer.Argument(metavar="VALUE", help="The value; @FILE reads a file, - standard input."),
]
Literal = Annotated[bool, typer.Option("--literal", help="Take VALUE as it is, even - or @FILE.")]


def text(word: str, what: str) -> str:
    """An argument that must be text. Raises InvalidRequest for bytes that are not UTF-8."""
    try:
        word.encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidRequest(f"the {what} is not UTF-8 text") from None
    return word


def is_text(what: str) -> Callable[[str | None], str | None]:
    """What checks an argument or option that must be text, as a callback of Typer."""

    def check(word: str | None) -> str | None:
        return None if word is None else text(word, what)

    return check


def read_value(word: str, literal: bool = False) -> Value:
    """The value that an argument stands for: @FILE, - for standard input, or itself.

    With `literal` it is always itself. The shell hands over bytes, which need not be UTF-8.
    """
    if literal:
        return from_bytes(os.fsencode(word))
    if word == "-":
        return from_bytes(standard_input.read_bytes(limits.VALUE_BYTES + 1))
    if not word.startswith("@"):
        return from_bytes(os.fsencode(word))
    try:
        with Path(word[1:]).open("rb") as file:
            return from_bytes(file.read(limits.VALUE_BYTES + 1))
    except (OSError, ValueError) as error:
        hint = f"--literal takes {quoted(word)} as it is"
        raise InvalidRequest(f"{unreadable(word[1:], error)}; {hint}") from None


def unreadable(path: str, error: OSError | ValueError) -> str:
    """Why a file cannot be read. ValueError is for a NUL in its path."""
    return f"{escaped(path)}: {getattr(error, 'strerror', None) or error}"


def from_bytes(data: bytes) -> Value:
    """Text if it is UTF-8, else bytes."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data


def as_bytes(value: Value) -> bytes:
    return value if isinstance(value, bytes) else value.encode("utf-8")


def item_document(item: Item) -> dict[str, Any]:
    return {
        "key": item.key,
        "value": printers.value_document(item.value),
        "revision": item.revision,
    }


def show_items(run: Invocation, items: Iterable[Item], *, with_keys: bool) -> None:
    """Print the values as they are; with keys, a line with key and value for each."""
    items = list(items)
    documents = [item_document(item) for item in items]
    lines = (fields(item.key, item.value) if with_keys else as_bytes(item.value) for item in items)
    run.show(documents, lines, ["key", "value", "revision"])


def written_document(done: Done) -> dict[str, Any]:
    """Where a write stands: the index of its log entry, its term and leader, and its revision."""
    return {
        "index": done.index,
        "term": done.term,
        "leader": done.leader,
        "revision": done.revision,
    }


def written_line(done: Done) -> str:
    return f"index {done.index}, term {done.term}, leader {done.leader}, revision {done.revision}"
