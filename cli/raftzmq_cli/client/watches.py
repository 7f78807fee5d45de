"""`raftzmq client watch` and `elect --observe`: showing what happens, or running COMMAND for it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from contextlib import closing
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from raftzmq.errors import WatchLost
from raftzmq_cli.client.keys import as_bytes, text
from raftzmq_cli.client.locks import GRACE_S
from raftzmq_cli.client.subprocess_runner import BY_SIGNAL, News, run_command
from raftzmq_cli.common import exits, printers
from raftzmq_cli.common.invocation import Invocation

if TYPE_CHECKING:
    from raftzmq import Event, Leader

_COLUMNS: Final = ("revision", "kind", "key", "value")
_VARIABLE_BYTES: Final = 64 * 1024
"""Longest value that becomes a variable: no program can be run with one of 128 KiB."""


def watch(
    run: Invocation,
    key: str,
    words: Sequence[str],
    *,
    prefix: bool,
    start: int | None,
    previous: bool,
    limit: int | None,
) -> int:
    """Show every change, or run COMMAND for each; return the exit code.

    Ends after `limit` changes, or with the first COMMAND that fails, whose exit code is returned.
    Raises WatchLost, whose text says from which revision one may go on.
    """
    key = text(key, "key")
    where: dict[str, Any] = {"prefix": key} if prefix else {"key": key}
    with closing(run.client.watch(**where, start=start, previous=previous)) as watching:
        watching.open(timeout=run.timeout_s)
        left = limit
        while left is None or left > 0:
            try:
                events = watching.batch()[:left]
            except WatchLost as error:
                raise WatchLost(_how_to_go_on(error), error.reason, error.start) from None
            left = None if left is None else left - len(events)
            if not words:
                _show(run, events, previous)
                continue
            for event in events:
                code = _run_for(event, words)
                if code != exits.DONE:
                    return code
    return exits.DONE


def observe(run: Invocation, name: str, limit: int | None) -> None:
    """Show who leads, and each who leads after that."""
    leaders: Iterable[Leader | None] = run.client.election(name).observe()
    for leader in islice(leaders, limit):
        document = {
            "name": name,
            "term": None if leader is None else leader.term,
            "value": None if leader is None else leader.value,
        }
        line = "nobody" if leader is None else f"{leader.term}\t{leader.value or ''}"
        run.show(document, [line])


def variables_of(event: Event) -> dict[str, str]:
    """What COMMAND finds in its environment. A value that cannot be a variable is not there."""
    variables = {
        "RAFTZMQ_WATCH_KEY": event.key,
        "RAFTZMQ_WATCH_REVISION": str(event.revision),
        "RAFTZMQ_WATCH_KIND": event.kind,
    }
    value = event.value
    if isinstance(value, str) and "\0" not in value and len(value.encode()) <= _VARIABLE_BYTES:
        variables["RAFTZMQ_WATCH_VALUE"] = value
    return variables


def _run_for(event: Event, words: Sequence[str]) -> int:
    """Run COMMAND with the value as its standard input; a value of any length and of any bytes."""
    with tempfile.TemporaryFile() as value:
        value.write(as_bytes(event.value or ""))
        value.seek(0)
        ended = run_command(words, variables_of(event), News(), grace_s=GRACE_S, stdin=value)
    if ended.signal is not None:
        return BY_SIGNAL + ended.signal
    if ended.code != exits.DONE:
        exits.say(
            f"raftzmq: COMMAND ended with {ended.code} at revision {event.revision} of "
            f"{event.key!r}; --from {event.revision} begins there again"
        )
    return ended.code


def _show(run: Invocation, events: Sequence[Event], previous: bool) -> None:
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


def _line(event: Event) -> bytes:
    line = f"{event.revision}\t{event.kind}\t{event.key}".encode()
    return line if event.value is None else line + b"\t" + as_bytes(event.value)


def _how_to_go_on(error: WatchLost) -> str:
    return f"{error}; read the keys anew, then watch with --from {error.start}"
