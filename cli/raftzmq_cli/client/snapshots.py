"""`raftzmq client snapshot save`: everything in a cluster at one moment, as a file."""

from __future__ import annotations

import re
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn

import typer

from raftzmq.errors import DataError, InvalidRequest, Unavailable
from raftzmq_cli.client import statuses
from raftzmq_cli.client.invocation import SHARED, ClientInvocation
from raftzmq_cli.common import messages, printers
from raftzmq_cli.common.backups import KEY_RECORD, keys_text, size_text
from raftzmq_cli.common.commands import Group
from raftzmq_cli.common.progress import Bar

if TYPE_CHECKING:
    from raftzmq.client.blocking import Snapshot
    from raftzmq.storage.snapshot_files import WholeSnapshot

TRIES: Final = 3
"""How often a snapshot is begun, if the node that it comes from goes."""

_KEPT: Final = re.compile(r"raftzmq-\d{8}T\d{6}Z-r\d+\.backup")

commands = Group(
    "snapshot",
    "Backups of the whole cluster, taken while it runs.",
    """
    raftzmq client snapshot save backup
    raftzmq client snapshot save --into /backups --keep 7 --verify
    raftzmq snapshot status backup               (without a cluster)
    """,
    shared=SHARED,
)


@commands.command(
    "save",
    """
    raftzmq client snapshot save backup
    raftzmq client snapshot save - | gzip > backup.gz
    raftzmq client snapshot save --into /backups --keep 7 --verify
    """,
)
def save(
    run: ClientInvocation,
    file: Annotated[
        str | None,
        typer.Argument(metavar="FILE", show_default=False, help="The file; - is standard output."),
    ] = None,
    *,
    force: Annotated[bool, typer.Option("--force", help="Replace FILE if it is there.")] = False,
    into: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="In place of FILE: a new file in DIR, named by time."),
    ] = None,
    keep: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="With --into: remove all but the newest N there."),
    ] = None,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify",
            help="Restore it into a temporary directory beside it, before others are removed.",
        ),
    ] = False,
    node: Annotated[
        str | None,
        typer.Option(
            metavar="NODE",
            help="Take it from this node, NAME or HOST:PORT (default: a follower, if there is "
            "one).",
        ),
    ] = None,
) -> None:
    """Save everything in the cluster at one moment: keys, leases, queues, sessions.

    It has every write that was acknowledged before. Writers are not held up. The file appears when
    it is whole and on the disk; what is interrupted leaves nothing. It takes an admin.

    `raftzmq snapshot restore` makes a new cluster of it.
    """
    if (file is None) == (into is None):
        raise InvalidRequest("say where to: either FILE, or --into DIR")
    if keep is not None and into is None:
        raise InvalidRequest("--keep requires --into")
    if file == "-":
        if verify or run.in_shell:
            raise InvalidRequest("standard output cannot be verified, nor be used in a shell")
        _save_to_output(run, node)
        return
    target = None if file is None else Path(file)
    directory = into or (target or Path()).parent
    if not directory.is_dir():
        raise InvalidRequest(f"there is no directory {messages.short(directory)}")
    if target is not None and target.exists() and not force:
        raise InvalidRequest(f"{file} is there already: name another file, or give --force")
    began_s = time.monotonic()
    with _ending_at_sigterm():
        snapshot, path, whole = _save_to_file(run, node, target, directory)
        if verify:
            _verify(path)
    run.client.note_backup(snapshot.revision, int(time.time()))
    removed = [] if keep is None else _remove_older(path, keep)
    seconds = time.monotonic() - began_s
    document = {
        "file": str(path),
        **_document(snapshot),
        "bytes": whole.size,
        "checksum": f"{whole.crc:08x}",
        "verified": verify,
        "removed": [str(old) for old in removed],
        "seconds": round(seconds, 3),
    }
    verified = ", verified" if verify else ""
    line = f"{messages.short(path)}: {_described(snapshot)}, checksum {whole.crc:08x}{verified}"
    lines = [line]
    lines += [f"removed {messages.short(old)}" for old in removed]
    run.show(document, lines)


def _save_to_file(
    run: ClientInvocation, node: str | None, target: Path | None, directory: Path
) -> tuple[Snapshot, Path, WholeSnapshot]:
    """Write a snapshot to `target`, or to a new file in the directory."""
    from raftzmq.offline import backups
    from raftzmq.storage import OsFiles

    for left in range(TRIES - 1, -1, -1):
        with _begun(run, node) as snapshot:
            path = target or directory / f"raftzmq-{_now()}-r{snapshot.revision}.backup"
            try:
                with Bar("saving", snapshot.keys) as bar:
                    whole = backups.write(OsFiles(), path, snapshot, _Progress(snapshot, bar))
            except Unavailable as error:
                if not left:
                    raise
                messages.say(f"{error}; it begins anew")
                continue
        return snapshot, path, whole
    raise AssertionError("the last try ends it")


def _save_to_output(run: ClientInvocation, node: str | None) -> None:
    """Write a snapshot to standard output. It cannot be begun anew there."""
    from raftzmq.storage.snapshot_lines import SnapshotCheck

    check = SnapshotCheck()
    with _begun(run, node) as snapshot, Bar("saving", snapshot.keys, prints=True) as bar:
        progress = _Progress(snapshot, bar)
        for piece in snapshot:
            check.feed(piece)
            printers.write_bytes(piece)
            progress(piece)
    sys.stdout.flush()
    if not check.is_whole():
        raise DataError("the snapshot has come damaged: take another")
    messages.say(_described(snapshot))


@contextmanager
def _begun(run: ClientInvocation, node: str | None) -> Iterator[Snapshot]:
    endpoint = None if node is None else statuses.find(run, node).endpoint
    with run.client.snapshot(endpoint=endpoint, timeout=run.timeout_s) as snapshot:
        yield snapshot


class _Progress:
    """Counts the keys in what comes, for the bar."""

    def __init__(self, snapshot: Snapshot, bar: Bar) -> None:
        self._snapshot = snapshot
        self._bar = bar
        self._keys = 0

    def __call__(self, piece: bytes) -> None:
        self._keys += piece.count(KEY_RECORD)
        self._bar.show(self._keys, f" from {self._snapshot.node}: {size_text(self._snapshot.size)}")


def _verify(path: Path) -> None:
    """Restore the backup beside it. Raises DataError."""
    from raftzmq.offline import backups
    from raftzmq.storage import OsFiles

    directory = tempfile.mkdtemp(prefix=".verify-", dir=path.parent)
    try:
        backups.verify(OsFiles(), path, Path(directory))
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _remove_older(newest: Path, keep: int) -> list[Path]:
    """Remove all but so many of the backups beside the newest, which stays; return which."""
    others = [path for path in newest.parent.iterdir() if _KEPT.fullmatch(path.name)]
    others = sorted(path for path in others if path != newest)
    removed = others[: max(0, len(others) - (keep - 1))]
    for path in removed:
        path.unlink()
    return removed


@contextmanager
def _ending_at_sigterm() -> Iterator[None]:
    """Let SIGTERM end the block as an interrupt does, so that it leaves nothing behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _document(snapshot: Snapshot) -> dict[str, Any]:
    return {
        "node": snapshot.node,
        "cluster": snapshot.cluster,
        "revision": snapshot.revision,
        "keys": snapshot.keys,
    }


def _described(snapshot: Snapshot) -> str:
    keys, size = keys_text(snapshot.keys), size_text(snapshot.size)
    return f"revision {snapshot.revision}, {keys}, {size}, from {snapshot.node}"


def _now() -> str:
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
