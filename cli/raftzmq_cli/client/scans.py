"""`raftzmq client scan`: all keys with a prefix, as they are at one moment."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import orjson
import typer

from raftzmq_cli.client.invocation import SHARED, ClientInvocation
from raftzmq_cli.common import printers
from raftzmq_cli.common.commands import Commands
from raftzmq_cli.common.escaping import escaped, fields
from raftzmq_cli.common.values import item_document, text

if TYPE_CHECKING:
    from raftzmq import Item

T = TypeVar("T")

commands = Commands(shared=SHARED)


@commands.command(
    "scan",
    """
    raftzmq client scan jobs/
    raftzmq client scan jobs/ --keys-only | wc -l
    raftzmq client scan '' -w json | jq -r .key | head
    raftzmq client scan jobs/ --after jobs/2026-11 --limit 100
    """,
)
def scan(
    run: ClientInvocation,
    prefix: Annotated[
        str, typer.Argument(metavar="PREFIX", help="All keys that start so; '': all keys.")
    ],
    *,
    keys_only: Annotated[
        bool, typer.Option("--keys-only", help="Print the keys without their values.")
    ] = False,
    after: Annotated[
        str, typer.Option(metavar="KEY", help="Begin behind KEY.", show_default=False)
    ] = "",
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Print at most N keys.")
    ] = None,
    stale: Annotated[
        bool,
        typer.Option("--stale", help="Any node may answer, with what it has applied so far."),
    ] = False,
) -> None:
    """Print all keys with a prefix, as they are at one moment, however many there are.

    Each line has a key and its value, or with -w json an object. They are printed as they come:
    neither this program nor the node holds all of them. It has every write that completed before,
    unless --stale. If its node goes before the end, the exit code is 3: run it again.
    """
    prefix, after = text(prefix, "prefix"), text(after, "key")
    about: Any = {"after": after, "limit": limit, "stale": stale, "timeout": run.timeout_s}
    if keys_only:
        with run.client.scan(prefix, keys_only=True, **about) as keys:
            _show(run, keys, _key_document, escaped, ["key"])
    else:
        with run.client.scan(prefix, **about) as items:
            _show(run, items, item_document, _line, ["key", "value", "revision"])


def _show(
    run: ClientInvocation,
    found: Iterable[T],
    document: Callable[[T], dict[str, Any]],
    line: Callable[[T], str],
    columns: Sequence[str],
) -> None:
    """Print what is found as it comes; a table, whose columns are as wide as they must be, at the
    end."""
    if run.is_json:
        printers.write_texts(orjson.dumps(document(one)) + b"\n" for one in found)
    elif run.is_simple:
        printers.write_lines(map(line, found))
    else:
        run.show([document(one) for one in found], (), columns)


def _key_document(key: str) -> dict[str, Any]:
    return {"key": key}


def _line(item: Item) -> str:
    return fields(item.key, item.value)
