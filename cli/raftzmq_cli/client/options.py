"""Options and arguments that several commands of `raftzmq client` have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

import typer

from raftzmq.errors import InvalidRequest
from raftzmq_cli.common.values import is_text, text

TTL_HELP: Final = "Time to live without renewal, in seconds: 0.5 to a day."

Prefix = Annotated[
    bool, typer.Option("--prefix", help="All keys that start with KEY, which may be empty.")
]
All = Annotated[
    bool,
    typer.Option("--all", help="Every key of the cluster may be deleted."),
]
Fence = Annotated[
    list[str] | None,
    typer.Option(
        "--fence",
        metavar="NAME:TOKEN",
        help="Only while TOKEN holds the lock, semaphore or election NAME; else exit 4.",
    ),
]
Ttl = Annotated[
    float,
    typer.Option(
        metavar="SECONDS",
        help="A dead holder's lock, permits or leadership are freed after SECONDS.",
    ),
]
Grace = Annotated[
    float | None,
    typer.Option(
        metavar="SECONDS",
        help="Time from SIGTERM to SIGKILL for COMMAND, at most half of --ttl (default: a third of "
        "--ttl, at most 5).",
    ),
]
Owner = Annotated[
    str | None,
    typer.Option(
        metavar="TEXT",
        callback=is_text("owner"),
        help="Whose it is, as describe shows it.",
    ),
]
Words = Annotated[
    list[str] | None,
    typer.Argument(metavar="-- COMMAND", show_default=False, help="The command to run, after --."),
]
Limit = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Stop after N, with exit code 0.")
]


def fences(words: Sequence[str] | None) -> list[tuple[str, int]] | None:
    """What `--fence NAME:TOKEN` stands for; None if it was not given. Raises InvalidRequest."""
    pairs = []
    for word in words or ():
        name, _, token = word.rpartition(":")
        if not (name and token.isascii() and token.isdigit()):
            raise InvalidRequest(f"--fence must be NAME:TOKEN, such as nightly:12, not {word!r}")
        pairs.append((text(name, "name"), int(token)))
    return pairs or None


def refuse_empty_prefix(prefix: str) -> None:
    """Raises InvalidRequest for the prefix that all keys have: often a variable that is not set."""
    if not prefix:
        raise InvalidRequest("an empty prefix deletes every key: give --all if you mean that")


def without_command(words: Sequence[str] | None) -> None:
    """Raises InvalidRequest if a COMMAND was given to be run."""
    if words:
        raise InvalidRequest("--describe and --observe run no COMMAND")
