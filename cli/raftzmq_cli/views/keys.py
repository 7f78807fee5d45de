"""`raftzmq views client get | put | append | delete`: keys and values of the older design."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from raftzmq_cli.common.commands import Commands
from raftzmq_cli.common.escaping import quoted
from raftzmq_cli.common.exits import AnswerIsNo
from raftzmq_cli.common.values import (
    Key,
    Literal,
    ValueWord,
    read_value,
    show_items,
    text,
)
from raftzmq_cli.views.invocation import SHARED, ViewsInvocation

if TYPE_CHECKING:
    from raftzmq.views.client import Written

commands = Commands(shared=SHARED)


@commands.command(
    "get", "raftzmq views client get greeting\nraftzmq views client get greeting -w json"
)
def get(
    run: ViewsInvocation,
    key: Key,
    *,
    fail_missing: Annotated[
        bool, typer.Option("--fail-missing", help="Exit with 1 if the key is missing.")
    ] = False,
) -> None:
    """Print the value of a key, or nothing if it is missing. Reads are linearizable."""
    item = run.client.get(text(key, "key"), timeout=run.timeout_s)
    show_items(run, [] if item is None else [item], with_keys=False)
    if fail_missing and item is None:
        raise AnswerIsNo(f"there is no key {quoted(key)}")


@commands.command(
    "put",
    "raftzmq views client put greeting hello\ndate | raftzmq views client put now -",
    writes=True,
)
def put(
    run: ViewsInvocation,
    key: Key,
    value: ValueWord,
    *,
    literal: Literal = False,
) -> None:
    """Write a value. A value that is not UTF-8 text is stored as bytes."""
    content = read_value(value, literal)
    _show_written(run, run.client.put(text(key, "key"), content, timeout=run.timeout_s))


@commands.command("append", "raftzmq views client append greeting ', world'", writes=True)
def append(
    run: ViewsInvocation,
    key: Key,
    value: ValueWord,
    *,
    literal: Literal = False,
) -> None:
    """Append VALUE to the value of a key. Text and bytes together become bytes."""
    content = read_value(value, literal)
    _show_written(run, run.client.append(text(key, "key"), content, timeout=run.timeout_s))


@commands.command("delete", "raftzmq views client delete greeting", writes=True)
def delete(run: ViewsInvocation, key: Key) -> None:
    """Delete a key. A missing key is not an error."""
    result = run.client.delete(text(key, "key"), timeout=run.timeout_s)
    document = {
        "deleted": result.count,
        "index": result.index,
        "view": result.term,
        "primary": result.leader,
    }
    keys = "key" if result.count == 1 else "keys"
    run.show(document, [f"{result.count} {keys} deleted, index {result.index}"])


def _show_written(run: ViewsInvocation, written: Written) -> None:
    document = {
        "index": written.index,
        "view": written.view,
        "primary": written.primary,
        "revision": written.revision,
    }
    line = f"index {written.index}, view {written.view}, primary {written.primary}"
    run.show(document, [line])
