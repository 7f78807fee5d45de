"""All keys of a cluster at one moment, as commands read them: from a snapshot, while it comes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from raftzmq.client.operations.arguments import decode_value
from raftzmq.errors import DataError
from raftzmq_cli.common.backups import KEY_RECORD
from raftzmq_cli.common.progress import Bar

if TYPE_CHECKING:
    from raftzmq import Item
    from raftzmq.client.blocking import Snapshot


def items(snapshot: Snapshot) -> Iterator[tuple[Item, float | None]]:
    """The keys in order, each with the seconds after which it ends, if it does. Raises DataError at
    the end if what came was not whole."""
    from raftzmq import Item

    now_ms = 0
    ends_ms: dict[int, int] = {}
    held: Item | None = None
    end_ms: int | None = None
    for record in _records(snapshot):
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


def _records(snapshot: Snapshot) -> Iterator[list[Any]]:
    """The records of the state machine. Neither the header nor the trailer is a list of lists."""
    from raftzmq.lines import decode_line

    with snapshot:
        for line in _lines(snapshot, snapshot.keys):
            value = decode_line(line)
            if type(value) is list and value and type(value[0]) is list:
                yield from value


def _lines(pieces: Iterable[bytes], keys: int) -> Iterator[bytes]:
    """The lines that pieces make, without their newlines."""
    from raftzmq.storage.snapshot_lines import SnapshotCheck

    check = SnapshotCheck()
    rest = b""
    count = 0
    with Bar("reading", keys, prints=True) as bar:
        for piece in pieces:
            check.feed(piece)
            count += piece.count(KEY_RECORD)
            bar.show(count)
            *lines, rest = (rest + piece).split(b"\n")
            yield from lines
    if not check.is_whole():
        raise DataError("the snapshot has come damaged: ask again")
