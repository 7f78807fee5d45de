"""Snapshot files: written in steps, received in chunks, checked whole, read again in chunks.

`snapshots/<index>-<term>.jsonl` has a header line, one line a record of the state machine, and a
trailer `["end", number of records, crc32 of everything before it]`. Only a file that is complete
and durable ever has such a name.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raftzmq import limits
from raftzmq.core.membership import Membership
from raftzmq.core.ready import SnapshotMeta
from raftzmq.errors import CorruptFile, CorruptLine
from raftzmq.lines import decode_line
from raftzmq.storage.files import AppendFile, Files
from raftzmq.storage.records import check_format
from raftzmq.storage.snapshot_lines import SnapshotCheck

WRITING = "writing-"
INCOMING = "incoming-"

_NAME = re.compile(r"(\d+)-(\d+)\.jsonl")
_BLOCK_BYTES = 1024 * 1024
_SYNC_BYTES = 1024 * 1024


def snapshot_path(directory: Path, index: int, term: int) -> Path:
    return directory / f"{index}-{term}.jsonl"


def list_snapshots(files: Files, directory: Path) -> list[tuple[int, int]]:
    """(index, term) of every complete snapshot, oldest first."""
    matches = (_NAME.fullmatch(name) for name in files.names(directory))
    return sorted((int(m[1]), int(m[2])) for m in matches if m)


class SnapshotFile:
    """A snapshot on its way to being complete, under a name that open() will remove."""

    def __init__(self, files: Files, path: Path) -> None:
        self.path = path
        self.size = 0
        self.intact = True
        """Whether the file holds exactly the first `size` bytes given to it."""
        self._files = files
        self._file: AppendFile = files.create(path)
        self._unsynced = 0

    def write(self, data: bytes) -> None:
        """Append; sync now and then, so that the last sync does not stall the loop for long."""
        self.intact = False
        try:
            self._file.write(data)
        except OSError:
            self._file.truncate(self.size)
            self.intact = True
            raise
        self.intact = True
        self.size += len(data)
        self._unsynced += len(data)
        if self._unsynced >= _SYNC_BYTES:
            self.sync()

    def sync(self) -> None:
        self.intact = False  # what a failed sync leaves behind is not known
        self._file.sync()
        self.intact = True
        self._unsynced = 0

    def put_in_place(self, path: Path) -> None:
        """Give the synced file its name, durably."""
        self.intact = False
        self._file.close()
        self._files.rename(self.path, path)
        self._files.sync_dir(path.parent)

    def discard(self) -> None:
        """Remove the file; if that fails, the next start does it."""
        with contextlib.suppress(OSError):
            self._file.close()
            self._files.unlink(self.path)


def _decode_header(path: Path, line: bytes) -> tuple[SnapshotMeta, dict[str, Any]]:
    try:
        value = decode_line(line)
    except CorruptLine as error:
        raise CorruptFile(path, 1, 0, error.problem) from None
    if not isinstance(value, dict):
        raise CorruptFile(path, 1, 0, "not a snapshot's header")
    check_format(path, value)
    try:
        index, term, time_ms = (int(value[key]) for key in ("index", "term", "time_ms"))
        membership = Membership.from_body(value["membership"])
    except (KeyError, TypeError, ValueError, RecursionError):
        raise CorruptFile(path, 1, 0, "not a snapshot's header") from None
    if not (0 < index <= limits.INDEX_MAX and 0 < term <= limits.TERM_MAX):
        raise CorruptFile(path, 1, 0, "index or term is out of bounds")
    return SnapshotMeta(index, term, time_ms, membership), value


@dataclass(frozen=True, slots=True)
class WholeSnapshot:
    """A snapshot file in which every byte is as it was written: what it stands for, all fields of
    its header, its size in bytes, and the CRC-32 that its trailer has."""

    meta: SnapshotMeta
    header: Mapping[str, Any]
    size: int
    crc: int


def check_snapshot(files: Files, path: Path) -> WholeSnapshot:
    """Read the whole file, and say what it is.

    Raises CorruptFile with the place of the damage, DataError for another format, OSError.
    """
    check = SnapshotCheck()
    while block := files.read(path, check.size, _BLOCK_BYTES):
        check.feed(block)
    if not check.is_whole():
        raise _find_damage(files, path)
    return WholeSnapshot(*_decode_header(path, check.header), check.size, check.crc)


def verify_snapshot(files: Files, path: Path, index: int, term: int) -> tuple[SnapshotMeta, int]:
    """Read the whole file of the snapshot at `index`; return its meta and its size in bytes.
    Raises as `check_snapshot`."""
    whole = check_snapshot(files, path)
    if (whole.meta.index, whole.meta.term) != (index, term):
        raise CorruptFile(
            path, 1, 0, f"the header is of index {whole.meta.index}, term {whole.meta.term}"
        )
    return whole.meta, whole.size


def _find_damage(files: Files, path: Path) -> CorruptFile:
    """Where the damage is in a file that is known to be damaged."""
    number = 0
    offset = 0
    line = b""
    for number, offset, line in _lines(files, path):
        try:
            decode_line(line)
        except CorruptLine as error:
            return CorruptFile(path, number, offset, error.problem)
    if not line.endswith(b"\n"):
        return CorruptFile(path, max(number, 1), offset, "the file is incomplete")
    return CorruptFile(path, number, offset, "the last line is not the right trailer")


def _lines(files: Files, path: Path) -> Iterator[tuple[int, int, bytes]]:
    """Yield (number from 1, byte offset, line with its newline) of a file read in blocks."""
    number = 1
    offset = 0
    position = 0
    rest = b""
    while block := files.read(path, position, _BLOCK_BYTES):
        position += len(block)
        *lines, rest = (rest + block).split(b"\n")
        for line in lines:
            yield number, offset, line + b"\n"
            number += 1
            offset += len(line) + 1
    if rest:
        yield number, offset, rest


def read_records(files: Files, path: Path) -> Iterator[list[Any]]:
    """Yield the state machine's records. Raises CorruptFile at a damaged one."""
    held = None  # one line late, because the last one is the trailer
    for number, offset, line in _lines(files, path):
        try:
            value = decode_line(line)
        except CorruptLine as error:
            raise CorruptFile(path, number, offset, error.problem) from None
        if number > 2 and held is not None:
            if held and type(held[0]) is list:
                yield from held
            else:
                yield held
        held = value


class SnapshotReceiver:
    """A snapshot that arrives in chunks. Nothing of it counts until all of it is verified."""

    def __init__(self, files: Files, directory: Path, index: int, term: int) -> None:
        self.index = index
        self.term = term
        self.file = SnapshotFile(files, directory / f"{INCOMING}{index}-{term}")
        self._files = files
        self._path = snapshot_path(directory, index, term)

    def add(self, offset: int, data: bytes, done: bool) -> tuple[SnapshotMeta, int] | None:
        """Take one chunk. After the last one, put the verified file in place and return its meta
        and size. A repeated chunk is ignored. Raises CorruptFile for a gap, or damage; OSError."""
        missing = self.file.size - offset
        if missing < 0 or (0 < missing < len(data)):
            raise CorruptFile(
                self.file.path, 1, self.file.size, f"a chunk begins at byte {offset} instead"
            )
        if missing == 0:
            self.file.write(data)
        if not done:
            return None
        self.file.sync()
        result = verify_snapshot(self._files, self.file.path, self.index, self.term)
        self.file.put_in_place(self._path)
        return result
