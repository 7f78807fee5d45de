"""`raftzmq client import`: keys that export has written, into a running cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import orjson
import typer

from raftzmq import limits
from raftzmq.client.direct import DirectClient
from raftzmq.client.operations import keys
from raftzmq.client.operations.arguments import Operation, decode_value
from raftzmq.errors import InvalidRequest, RaftzmqError
from raftzmq_cli.client.invocation import SHARED, ClientInvocation
from raftzmq_cli.common.backups import file_of, keys_text
from raftzmq_cli.common.commands import Commands
from raftzmq_cli.common.progress import Bar
from raftzmq_cli.common.values import text

if TYPE_CHECKING:
    from raftzmq.client.session.calls import Call

OUTSTANDING: Final = 4000
"""Keys on their way at a time."""

LEAST_TTL_S: Final = limits.LEASE_TTL_MIN_MS / 1000

commands = Commands(shared=SHARED)


@commands.command(
    "import",
    """
    raftzmq client import keys.jsonl
    raftzmq client import keys.jsonl --prefix config/ --into restored/
    raftzmq client import keys.jsonl --if-absent
    raftzmq client export | raftzmq client --endpoints other:6001 import -
    """,
    writes=True,
)
def import_(
    run: ClientInvocation,
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="What export, dump -w json or get -w json wrote; - is standard input.",
        ),
    ],
    *,
    prefix: Annotated[str, typer.Option(metavar="P", help="Only keys that start with P.")] = "",
    into: Annotated[
        str | None,
        typer.Option(metavar="Q", help="Begin each key with Q in place of P (default: with P)."),
    ] = None,
    if_absent: Annotated[
        bool, typer.Option("--if-absent", help="Leave keys alone that are there already.")
    ] = False,
) -> None:
    """Write keys of a file into the cluster, and say how many were written and skipped.

    The whole file is checked before the first write. Writers may go on meanwhile: this is no single
    moment. One that was interrupted can be run again. Keys that end by themselves get the time that
    they had left at the export. Keys get new revisions.
    """
    wanted = _Wanted(text(prefix, "prefix"), prefix if into is None else text(into, "prefix"))
    if file == "-" and run.in_shell:
        raise InvalidRequest("standard input is this shell: name a file")
    with file_of(file) as path:
        count = sum(1 for _ in _entries(path, wanted))
        work = (
            _write(entry, if_absent=if_absent, timeout_s=run.timeout_s)
            for entry in _entries(path, wanted)
        )
        settings = run.settings
        with (
            closing(DirectClient(settings.endpoints, settings.key)) as client,
            Bar("importing", count) as bar,
        ):
            written = _written(client, work, run.timeout_s, bar.show)
    skipped = count - written
    run.show(
        {"written": written, "skipped": skipped},
        [f"{keys_text(written)} written, {skipped:,} skipped"],
    )


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Which keys are wanted, and what they are to begin with."""

    prefix: str
    into: str

    def name(self, key: str) -> str | None:
        """What a key is to be called; None: it is not wanted."""
        if not key.startswith(self.prefix):
            return None
        return self.into + key[len(self.prefix) :]


Entry = tuple[str, str | bytes, float | None]
"""A key, its value, and the seconds after which it ends."""


def _entries(path: Path, wanted: _Wanted) -> Iterator[Entry]:
    """The wanted keys of a file. Raises InvalidRequest, with the line, for what is none."""
    for where, document in _documents(path):
        try:
            key, value = document["key"], decode_value(document["value"])
            name = wanted.name(key)
            left_s = document.get("ttl_s")
            if name is None:
                continue
            if left_s is not None:
                left_s = max(LEAST_TTL_S, left_s)
            entry = name, value, left_s
            _write(entry, if_absent=False, timeout_s=1.0)  # says what a node would refuse
        except InvalidRequest as error:
            raise InvalidRequest(f"{where}: {error}; nothing was written") from None
        except (KeyError, TypeError, ValueError, AttributeError):
            raise InvalidRequest(
                f'{where}: not a key as export writes it, {{"key": …, "value": …}}; nothing was '
                "written"
            ) from None
        yield entry


def _documents(path: Path) -> Iterator[tuple[str, Any]]:
    """What is in a file of lines of JSON, or of one JSON list; and where, for people."""
    try:
        with path.open("rb") as file:
            if file.read(1) == b"[":
                file.seek(0)
                listed = _parsed(file.read(), f"{path}")
                yield from ((f"{path}, item {k}", one) for k, one in enumerate(listed, 1))
                return
            file.seek(0)
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield f"{path}, line {number}", _parsed(line, f"{path}, line {number}")
    except OSError as error:
        raise InvalidRequest(f"{path}: {error.strerror}") from None


def _parsed(data: bytes, where: str) -> Any:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"{where}: not JSON ({error}); nothing was written") from None


def _write(entry: Entry, *, if_absent: bool, timeout_s: float) -> Operation[Any]:
    """The operation that writes a key."""
    name, value, left_s = entry
    if if_absent:
        return keys.put_if_absent(name, value, ttl=left_s, timeout=timeout_s)
    return keys.put(name, value, ttl=left_s, timeout=timeout_s)


def _written(
    client: DirectClient,
    work: Iterator[Operation[Any]],
    timeout_s: float,
    show: Callable[[float], None],
) -> int:
    """Do it all, many at a time; return how many keys were written, and not skipped."""
    waiting = done = written = 0
    more = True
    while more or waiting:
        while more and waiting < OUTSTANDING:
            operation = next(work, None)
            if operation is None:
                more = False
            else:
                client.submit(operation, timeout_s)
                waiting += 1
        if not waiting:
            break
        for call in client.wait():
            waiting -= 1
            done += 1
            written += _is_written(call, written)
        show(done)
    return written


def _is_written(call: Call, before: int) -> bool:
    try:
        result = call.result()
    except RaftzmqError as error:
        raise type(error)(f"{keys_text(before)} written, then: {error}; run it again") from error
    return bool(getattr(result, "succeeded", True))
