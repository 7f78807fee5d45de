"""`raftzmq client watch`: show what happens to keys, or run COMMAND for it."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from raftzmq.errors import WatchLost
from raftzmq_cli.client.invocation import SHARED, ClientInvocation
from raftzmq_cli.client.options import Limit, Prefix, Words
from raftzmq_cli.client.subprocess_runner import BY_SIGNAL, GRACE_S, News, refuse_nul, run_command
from raftzmq_cli.common import exits, messages, printers
from raftzmq_cli.common.commands import Commands
from raftzmq_cli.common.escaping import fields, quoted
from raftzmq_cli.common.exits import NotInTime
from raftzmq_cli.common.values import Key, as_bytes, text

if TYPE_CHECKING:
    from raftzmq import Event

_COLUMNS: Final = ("revision", "kind", "key", "value")
_VARIABLE_BYTES: Final = 64 * 1024
"""Longest value that becomes a variable: no program can be run with one of 128 KiB."""

commands = Commands(shared=SHARED)


@commands.command(
    "watch",
    """
    raftzmq client watch greeting
    raftzmq client watch config/ --prefix --from 120 -w json
    raftzmq client watch config/ --prefix -- sh -c 'echo "$RAFTZMQ_WATCH_KEY changed"'
    """,
)
def watch(
    run: ClientInvocation,
    key: Key,
    words: Words = None,
    *,
    prefix: Prefix = False,
    start: Annotated[
        int | None,
        typer.Option(
            "--from",
            min=1,
            metavar="REVISION",
            help="Start at REVISION (default: new changes only).",
        ),
    ] = None,
    previous: Annotated[
        bool,
        typer.Option("--previous", help="Show the previous values too."),
    ] = False,
    limit: Limit = None,
) -> int:
    """Show every change of a key, or run COMMAND for each.

    Changes come in order and exactly once.

    Each line has revision, put or delete, key and value, with control characters as escapes; -w
    json prints one exact document per line.
    COMMAND gets RAFTZMQ_WATCH_KEY, _KIND, _REVISION and _VALUE in its environment, and the value as
    standard input, where it may be of any length. If COMMAND fails, the watch ends with its exit
    code. Exit code 3: --timeout was given, and no change came for so long. Exit code 4: changes
    were missed; the message says where to resume.
    """
    key = text(key, "key")
    where: dict[str, Any] = {"prefix": key} if prefix else {"key": key}
    silence_s = run.settings.waiting_s()
    refuse_nul(words or [])
    if start is not None:
        _say_if_future(run, key, start)
    with closing(run.client.watch(**where, start=start, previous=previous)) as watching:
        watching.open(timeout=run.timeout_s)
        left = limit
        while left is None or left > 0:
            try:
                events = watching.batch(timeout=silence_s)[:left]
            except WatchLost as error:
                raise WatchLost(_how_to_go_on(error), error.reason, error.start) from None
            if not events:
                raise NotInTime(f"no change of {quoted(key)} within {silence_s:g} s")
            left = None if left is None else left - len(events)
            if not words:
                _show(run, events, previous)
                continue
            for event in events:
                code = _run_for(event, words)
                if code != exits.DONE:
                    return code
    return exits.DONE


def _say_if_future(run: ClientInvocation, key: str, start: int) -> None:
    """Say it if changes begin later: a mistyped revision would be waited for in silence."""
    newest = run.client.range(key, "", 1, timeout=run.timeout_s).revision
    if start > newest + 1:
        messages.say(
            f"raftzmq: --from {start} is in the future: the newest revision is {newest}; changes "
            f"before {start} are not shown"
        )


def variables_of(event: Event) -> dict[str, str | None]:
    """What COMMAND finds in its environment; None: not there, not even if this program has it. So
    is a value that cannot be a variable."""
    value = event.value
    if not isinstance(value, str) or "\0" in value or len(value.encode()) > _VARIABLE_BYTES:
        value = None
    return {
        "RAFTZMQ_WATCH_KEY": event.key,
        "RAFTZMQ_WATCH_REVISION": str(event.revision),
        "RAFTZMQ_WATCH_KIND": event.kind,
        "RAFTZMQ_WATCH_VALUE": value,
    }


def _run_for(event: Event, words: Sequence[str]) -> int:
    """Run COMMAND with the value as its standard input; a value of any length and of any bytes.

    Without its key COMMAND might do harm to another, so it does not run for one that it cannot get.
    """
    if "\0" in event.key:
        messages.say(
            f"raftzmq: COMMAND is not run for revision {event.revision}: the key "
            f"{quoted(event.key)} has a NUL in it, which no variable can have"
        )
        return exits.DONE
    with tempfile.TemporaryFile() as value:
        value.write(as_bytes(event.value or ""))
        value.seek(0)
        ended = run_command(words, variables_of(event), News(), grace_s=GRACE_S, stdin=value)
    if ended.signal is not None:
        return BY_SIGNAL + ended.signal
    if ended.code != exits.DONE:
        messages.say(
            f"raftzmq: COMMAND ended with {ended.code} at revision {event.revision} of "
            f"{quoted(event.key)}; --from {event.revision} resumes there"
        )
    return ended.code


def _show(run: ClientInvocation, events: Sequence[Event], previous: bool) -> None:
    documents = [_document(event, previous) for event in events]
    if run.is_json:
        for document in documents:
            printers.write_json(document)
        return
    columns = [*_COLUMNS, "previous"] if previous else list(_COLUMNS)
    run.show(documents, (_line(event) for event in events), columns)


def _document(event: Event, previous: bool) -> dict[str, Any]:
    document = {
        "revision": event.revision,
        "kind": event.kind,
        "key": event.key,
        "value": printers.value_document(event.value),
    }
    if previous:
        document["previous"] = printers.value_document(event.previous)
    return document


def _line(event: Event) -> str:
    value = () if event.value is None else (event.value,)
    return fields(event.revision, event.kind, event.key, *value)


def _how_to_go_on(error: WatchLost) -> str:
    return f"{error}; read the keys again, then watch with --from {error.start}"
