"""`raftzmq client export`: keys and values at one moment, for people, other programs and import."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from raftzmq_cli.client.invocation import SHARED, ClientInvocation
from raftzmq_cli.client.moments import items
from raftzmq_cli.common import messages, printers
from raftzmq_cli.common.backups import keys_text
from raftzmq_cli.common.commands import Commands
from raftzmq_cli.common.values import item_document, text

if TYPE_CHECKING:
    from raftzmq import Item
    from raftzmq.client.blocking import Snapshot

commands = Commands(shared=SHARED)


class Format(StrEnum):
    """How keys are written."""

    JSONL = "jsonl"
    JSON = "json"


@commands.command(
    "export",
    """
    raftzmq client export > keys.jsonl
    raftzmq client export --prefix config/ --format json > config.json
    raftzmq client import keys.jsonl
    """,
)
def export(
    run: ClientInvocation,
    *,
    prefix: Annotated[str, typer.Option(metavar="P", help="Only keys that start with P.")] = "",
    format_: Annotated[
        Format, typer.Option("--format", help="A line of JSON for each key, or one JSON list.")
    ] = Format.JSONL,
) -> None:
    """Print all keys at one moment, with values and revisions, and the time they have left.

    Every write that was acknowledged before is in it. Bytes are {"b64": ...}. ttl_s is there for a
    key that ends by itself, or with a lease. It takes an admin, because it reads everything.
    """
    text(prefix, "prefix")
    snapshot = run.client.snapshot(timeout=run.timeout_s)
    lines = _Lines(snapshot, prefix, as_list=run.is_json or format_ is Format.JSON)
    printers.write_texts(lines)
    messages.say(f"{keys_text(lines.count)} at revision {snapshot.revision}, from {snapshot.node}")


class _Lines:
    """The keys as lines, and how many there were."""

    def __init__(self, snapshot: Snapshot, prefix: str, *, as_list: bool) -> None:
        self._snapshot = snapshot
        self._prefix = prefix
        self._as_list = as_list
        self.count = 0

    def __iter__(self) -> Iterator[bytes]:
        for item, left_s in items(self._snapshot):
            if item.key.startswith(self._prefix):
                begin = (b"," if self.count else b"[") if self._as_list else b""
                end = b"" if self._as_list else b"\n"
                self.count += 1
                yield begin + orjson.dumps(_document(item, left_s)) + end
        if self._as_list:
            yield b"]\n" if self.count else b"[]\n"


def _document(item: Item, left_s: float | None) -> dict[str, Any]:
    left = {} if left_s is None else {"ttl_s": left_s}
    return {**item_document(item), **left}
