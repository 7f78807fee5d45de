"""Writing a snapshot of the state machine a little at a time, between turns of the loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final
from zlib import crc32

from raftzmq.core.ready import SnapshotMeta
from raftzmq.lines import encode_line
from raftzmq.storage.files import Files, is_full, refusal
from raftzmq.storage.snapshot_files import (
    WRITING,
    SnapshotFile,
    encode_header,
    encode_trailer,
    snapshot_path,
)

LINE_RECORDS: Final = 128
LINE_BYTES: Final = 64 * 1024
"""A line ends with the record that reaches one of these; bytes as counted before encoding."""


class SnapshotWriter:
    """Made by Storage.begin_snapshot. Call step until it returns True, or abort."""

    def __init__(
        self,
        files: Files,
        directory: Path,
        meta: SnapshotMeta,
        records: Iterator[list[Any]],
        finished: Callable[[int | None], None],
    ) -> None:
        """`finished` is called once: with the size in bytes, or None if it was given up."""
        self.meta = meta
        self._directory = directory
        self._records = records
        self._finished = finished
        self._count = 0
        self._crc = 0
        self._open = True
        self._file = SnapshotFile(files, directory / f"{WRITING}{meta.index}-{meta.term}")

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return self._file.size

    def step(self, max_bytes: int) -> bool:
        """Write about `max_bytes` more; return whether the snapshot is durable and in place.

        Raises DiskFull, and has then aborted; OSError.
        """
        if not self._open:
            return True
        try:
            if self._file.size == 0:
                self._write(encode_header(self.meta))
            if not self._write_records(max_bytes):
                return False
            self._file.write(encode_trailer(self._count, self._crc))
            self._file.sync()
            meta = self.meta
            self._file.put_in_place(snapshot_path(self._directory, meta.index, meta.term))
        except OSError as error:
            self.abort()
            if is_full(error):
                raise refusal(error, f"a snapshot in {self._directory}") from error
            raise
        self._open = False
        self._finished(self._file.size)
        return True

    def _write_records(self, max_bytes: int) -> bool:
        """Write records until there are max_bytes of them; return whether none are left."""
        lines: list[bytes] = []
        size = 0
        while size < max_bytes and (records := self._next_records()):
            lines.append(encode_line(records))
            size += len(lines[-1])
        self._count += len(lines)
        self._write(b"".join(lines))
        return size < max_bytes

    def _next_records(self) -> list[list[Any]]:
        """The records of the next line. To encode and check each by itself takes twice as long."""
        records: list[list[Any]] = []
        size = 0
        for record in self._records:
            records.append(record)
            size += sum([len(part) for part in record if type(part) is str])
            if len(records) == LINE_RECORDS or size >= LINE_BYTES:
                break
        return records

    def _write(self, data: bytes) -> None:
        self._crc = crc32(data, self._crc)
        self._file.write(data)

    def abort(self) -> None:
        """Give up: remove the unfinished file. Nothing happens after the last step."""
        if self._open:
            self._open = False
            self._records = iter(())
            self._file.discard()
            self._finished(None)
