"""A snapshot as the bytes of its file, made and checked a little at a time: pure, whoever writes or
reads the bytes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final
from zlib import crc32

from raftzmq.core.ready import SnapshotMeta
from raftzmq.lines import encode_line
from raftzmq.storage.records import FORMAT

LINE_RECORDS: Final = 128
LINE_BYTES: Final = 64 * 1024
"""A line ends with the record that reaches one of these; bytes as counted before encoding."""

_TRAILER_BYTES: Final = 64  # ample: its count has at most 16 digits


def encode_header(meta: SnapshotMeta, remarks: dict[str, str] | None = None) -> bytes:
    """The first line. `remarks` are further fields, for people: nodes do not read them."""
    return encode_line(
        {
            "format": FORMAT,
            "index": meta.index,
            "term": meta.term,
            "time_ms": meta.time_ms,
            "membership": meta.membership.to_body(),
            **(remarks or {}),
        }
    )


def encode_trailer(count: int, crc: int) -> bytes:
    """The last line: how many lines of records there are, and the CRC-32 of all bytes before."""
    return encode_line(["end", count, f"{crc:08x}"])


class SnapshotLines:
    """The header, lines of records, and the trailer. `take` until `done`."""

    def __init__(self, header: bytes, records: Iterator[list[Any]]) -> None:
        self.done = False
        self._header = header
        self._records = records
        self._count = 0
        self._crc = 0

    def take(self, max_bytes: int) -> bytes:
        """About `max_bytes` of records more, in whole lines; b"" once it is done."""
        if self.done:
            return b""
        lines, self._header = [self._header], b""
        size = 0
        while size < max_bytes:
            if not (records := self._next_records()):
                self.done = True
                break
            lines.append(encode_line(records))
            self._count += 1
            size += len(lines[-1])
        data = b"".join(lines)
        self._crc = crc32(data, self._crc)
        return data + encode_trailer(self._count, self._crc) if self.done else data

    def _next_records(self) -> list[list[Any]]:
        """The records of the next line. To encode and check each by itself takes twice as long."""
        records: list[list[Any]] = []
        size = 0
        for record in self._records:
            records.append(record)
            for part in record:  # a list of lengths and its sum take twice as long
                if type(part) is str:
                    size += len(part)
            if len(records) == LINE_RECORDS or size >= LINE_BYTES:
                break
        return records


class SnapshotCheck:
    """Whether bytes that come one piece after another are a whole snapshot, each as it was written.
    It says no more: where the damage is, the lines' own checksums tell."""

    def __init__(self) -> None:
        self.size = 0
        self.header = b""
        """The first line, as far as it has come."""
        self.crc = 0
        """Once all has come, what the trailer says."""
        self._count = 0
        self._tail = b""  # may be the trailer's, or its beginning

    def feed(self, data: bytes) -> None:
        """Take the next piece."""
        self.size += len(data)
        if not self.header.endswith(b"\n"):
            newline = data.find(b"\n") + 1
            self.header += data[:newline] if newline else data
        data = self._tail + data
        self._tail = data[-_TRAILER_BYTES:]
        self._count_in(data[:-_TRAILER_BYTES])

    def is_whole(self) -> bool:
        """Whether what has come is a snapshot from its first byte to its last. Ask once."""
        start = self._tail.rfind(b"\n", 0, -1) + 1
        self._count_in(self._tail[:start])
        return self._tail[start:] == encode_trailer(self._count - 1, self.crc)

    def _count_in(self, data: bytes) -> None:
        self.crc = crc32(data, self.crc)
        self._count += data.count(b"\n")
