"""All keys of a cluster at one moment, as commands read them: from a snapshot."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from raftzmq.client.operations.arguments import decode_value
from raftzmq_cli.common.progress import Bar

if TYPE_CHECKING:
    from raftzmq import Item
    from raftzmq.client.blocking import Snapshot


@dataclass(frozen=True, slots=True)
class Moment:
    """A snapshot that has arrived whole, in a file that is gone at the end of the block."""

    snapshot: Snapshot
    path: Path

    def items(self) -> Iterator[tuple[Item, float | None]]:
        """The keys in order, each with the seconds after which it ends, if it does."""
        from raftzmq import Item
        from raftzmq.storage import OsFiles
        from raftzmq.storage.snapshot_files import read_records

        now_ms = 0
        ends_ms: dict[int, int] = {}
        held: Item | None = None
        end_ms: int | None = None
        for record in read_records(OsFiles(), self.path):
            kind = record[0]
            if kind == "key":
                if held is not None:
                    yield held, _left_s(end_ms, now_ms)
                held, end_ms = Item(record[1], decode_value(record[2]), record[3]), None
            elif kind == "bond":  # it follows its key
                end_ms = ends_ms.get(record[2], now_ms) if record[2] else record[3]
            elif kind == "lease":
                ends_ms[record[1]] = record[3]
            elif kind == "machine":
                now_ms = record[3]
        if held is not None:
            yield held, _left_s(end_ms, now_ms)


def _left_s(end_ms: int | None, now_ms: int) -> float | None:
    return None if end_ms is None else max(0, end_ms - now_ms) / 1000


@contextmanager
def moment(snapshot: Snapshot) -> Iterator[Moment]:
    """Take a snapshot whole, for the block."""
    from raftzmq.offline import backups
    from raftzmq.storage import OsFiles

    with tempfile.TemporaryDirectory(prefix="raftzmq-") as directory, snapshot:
        path = Path(directory) / "snapshot"
        with Bar("reading", snapshot.keys) as bar:
            count = 0

            def progress(piece: bytes) -> None:
                nonlocal count
                count += piece.count(b'["key",')
                bar.show(count)

            backups.write(OsFiles(), path, snapshot, progress)
        yield Moment(snapshot, path)
