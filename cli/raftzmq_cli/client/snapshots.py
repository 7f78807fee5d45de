"""`raftzmq client snapshot save`: everything in a cluster at one moment, as a file."""

from __future__ import annotations

import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from raftzmq.errors import DataError, InvalidRequest, Unavailable
from raftzmq_cli.client import statuses
from raftzmq_cli.client.invocation import SHARED, ClientInvocation
from raftzmq_cli.common import messages, printers
from raftzmq_cli.common.backups import KEY_RECORD, keys_text, location_of, place_of, size_text
from raftzmq_cli.common.commands import Group
from raftzmq_cli.common.interrupts import interrupted_by
from raftzmq_cli.common.locations import Location, Written
from raftzmq_cli.common.progress import Bar

if TYPE_CHECKING:
    from raftzmq.client.blocking import Snapshot

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
    raftzmq client snapshot save --into s3://bucket/raft --keep 7 --verify
    """,
)
def save(
    run: ClientInvocation,
    file: Annotated[
        str | None,
        typer.Argument(
            metavar="FILE",
            show_default=False,
            help="The file, or s3://BUCKET/NAME; - is standard output.",
        ),
    ] = None,
    *,
    force: Annotated[bool, typer.Option("--force", help="Replace FILE if it is there.")] = False,
    into: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="In place of FILE: a new file in DIR, or in s3://BUCKET/PREFIX, named by time.",
        ),
    ] = None,
    keep: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="With --into: remove all but the newest N there."),
    ] = None,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify",
            help="Read it again and restore it into a temporary directory, before others are "
            "removed.",
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

    s3:// needs the extra raftzmq[s3], AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and for storage
    other than Amazon's AWS_ENDPOINT_URL.

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
    location, name = (location_of(str(into)), None) if file is None else place_of(file)
    location.check()
    if name is not None and not force and location.holds(name):
        raise InvalidRequest(f"{file} is there already: name another file, or give --force")
    began_s = time.monotonic()
    with interrupted_by(signal.SIGTERM):
        snapshot, name, written = _save_to(run, node, location, name)
        if verify:
            _verify(location, name)
    run.client.note_backup(snapshot.revision, int(time.time()))
    removed = [] if keep is None else _remove_older(location, name, keep)
    seconds = time.monotonic() - began_s
    document = {
        "file": location.full_name(name),
        **_document(snapshot),
        "bytes": written.size,
        "checksum": f"{written.crc:08x}",
        "verified": verify,
        "removed": [location.full_name(old) for old in removed],
        "seconds": round(seconds, 3),
    }
    verified = ", verified" if verify else ""
    what = f"{_described(snapshot)}, checksum {written.crc:08x}{verified}"
    lines = [f"{location.shown(name)}: {what}"]
    lines += [f"removed {location.shown(old)}" for old in removed]
    run.show(document, lines)


def _save_to(
    run: ClientInvocation, node: str | None, location: Location, name: str | None
) -> tuple[Snapshot, str, Written]:
    """Write a snapshot under that name, or under a new one."""
    for left in range(TRIES - 1, -1, -1):
        with _begun(run, node) as snapshot:
            new = name or f"raftzmq-{_now()}-r{snapshot.revision}.backup"
            try:
                with Bar("saving", snapshot.keys) as bar:
                    written = location.write(new, snapshot, _Progress(snapshot, bar))
            except Unavailable as error:
                if not left:
                    raise
                messages.say(f"{error}; it begins anew")
                continue
        return snapshot, new, written
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


def _verify(location: Location, name: str) -> None:
    """Read the backup from where it lies, and restore it. Raises DataError."""
    from raftzmq.offline import backups
    from raftzmq.storage import OsFiles

    with location.file(name) as path:
        directory = tempfile.mkdtemp(prefix=".verify-", dir=path.parent)
        try:
            backups.verify(OsFiles(), path, Path(directory))
        finally:
            shutil.rmtree(directory, ignore_errors=True)


def _remove_older(location: Location, newest: str, keep: int) -> list[str]:
    """Remove all but so many of the backups beside the newest, which stays; return which."""
    others = sorted(one for one in location.names() if _KEPT.fullmatch(one) and one != newest)
    removed = others[: max(0, len(others) - (keep - 1))]
    for name in removed:
        location.remove(name)
    return removed


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
