"""What the commands that run a server have in common: listening, logging, and how they end."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final, TypeVar

import typer

from raftzmq.errors import InvalidRequest

LAST_WORDS_S: Final = 5
"""How long a server that fails waits for somebody to read why; then it ends all the same."""

LogLevel = Annotated[str, typer.Option(help="DEBUG, INFO, WARNING or ERROR.")]
LogFormat = Annotated[
    str,
    typer.Option(metavar="text|json", help="Lines of the log: text, or a JSON object each."),
]

Keys = Annotated[
    Path | None,
    typer.Option(
        help="Directory with node.key, server.key and users.toml, as `raftzmq keys create` "
        "makes it: only who has a key is let in, and all traffic is encrypted."
    ),
]
Insecure = Annotated[
    bool,
    typer.Option(
        "--insecure",
        help="Run without keys on addresses that other machines reach: whoever reaches them "
        "may do everything.",
    ),
]

Config = TypeVar("Config")


def endpoint(text: str | None) -> str | None:
    """Return a listening endpoint, tcp://ADDRESS:PORT; the tcp:// may be left out."""
    if not text:
        return None
    host, colon, port = text.removeprefix("tcp://").rpartition(":")
    if not (host and colon and port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise InvalidRequest(
            f"{text!r} is not an endpoint to listen on: it must be like tcp://*:6000"
        )
    return f"tcp://{host}:{port}"


def level(text: str) -> str:
    """Return the name of a log level. Raises InvalidRequest."""
    if text.upper() not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise InvalidRequest(f"--log-level {text!r} is not one of DEBUG, INFO, WARNING, ERROR")
    return text.upper()


def log_format(text: str) -> str:
    """Return the name of a format of the log. Raises InvalidRequest."""
    if text not in ("text", "json"):
        raise InvalidRequest(f"--log-format {text!r} is neither text nor json")
    return text


def with_last_words(serve: Callable[[Config], int], config: Config) -> int:
    """Serve until told to stop; return the exit code."""
    try:
        return serve(config)
    except BaseException:
        signal.alarm(LAST_WORDS_S)  # what is about to be printed may meet a full pipe
        raise
