r"""Checksummed lines: the one encoding of everything that lies in a log or snapshot file.

A line is `<crc32 hex> <json>\n`: eight lowercase hex digits of the CRC-32 of the JSON bytes, a
space, one JSON value without newlines, a newline. A log entry is the JSON array
`[index, term, time_ms, kind, body]`. Its line is made once, by the leader, and written verbatim
on every disk; the checksum travels with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from zlib import crc32

import orjson

from raftzmq import limits
from raftzmq.core.entry import KINDS, Entry
from raftzmq.errors import CorruptLine

_PREFIX = 9  # eight hex digits and a space


def encode_line(value: Any) -> bytes:
    """Return the line of a JSON value."""
    text = orjson.dumps(value)
    return b"%08x %b\n" % (crc32(text), text)


def decode_line(line: bytes, offset: int = 0) -> Any:
    """Return the value of one line (with or without its newline).

    `offset` is where the line begins in its file or frame; it is only used in the error.
    Raises CorruptLine when the form, the checksum or the JSON is wrong.
    """
    text = line[_PREFIX:-1] if line.endswith(b"\n") else line[_PREFIX:]
    if line[: _PREFIX - 1] != b"%08x" % crc32(text) or line[_PREFIX - 1 : _PREFIX] != b" ":
        raise CorruptLine(offset, "the checksum does not match")
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise CorruptLine(offset, f"not JSON ({error})") from None


def encode_entry(index: int, term: int, time_ms: int, kind: str, body: Any) -> Entry:
    """Return a new entry with its line."""
    text = orjson.dumps((index, term, time_ms, kind, body))
    line = b"%08x %b\n" % (crc32(text), text)
    return Entry(index, term, time_ms, kind, body, line)


def encode_entries(
    first: int, term: int, time_ms: int, kind: str, bodies: Sequence[Any]
) -> list[Entry]:
    """Return new entries with their lines, the first at index `first`."""
    return [
        encode_entry(index, term, time_ms, kind, body) for index, body in enumerate(bodies, first)
    ]


def decode_entry(line: bytes, offset: int = 0) -> Entry:
    """Return the entry of one whole line, newline included. Raises CorruptLine."""
    value = decode_line(line, offset)
    if not (isinstance(value, list) and len(value) == 5):
        raise CorruptLine(offset, "not an entry")
    index, term, time_ms, kind, body = value
    if not (
        type(index) is int
        and type(term) is int
        and type(time_ms) is int
        and 0 < index <= limits.INDEX_MAX
        and 0 < term <= limits.TERM_MAX
        and time_ms >= 0
        and type(kind) is str
        and kind in KINDS
    ):
        raise CorruptLine(offset, "not an entry")
    return Entry(index, term, time_ms, kind, body, line)


def with_body(entry: Entry) -> Entry:
    """Return an entry of commands with its body, read from its line if it was forgotten."""
    return entry if entry.body is not None else decode_entry(entry.line)


def split_lines(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (offset, line) for each line, newline included; the last may lack its newline."""
    offset = 0
    for line in data.splitlines(keepends=True) if b"\r" not in data else _split(data):
        yield offset, line
        offset += len(line)


def _split(data: bytes) -> list[bytes]:
    # bytes.splitlines also breaks at a carriage return, which only damaged data can hold.
    pieces = [piece + b"\n" for piece in data.split(b"\n")]
    last = pieces.pop()[:-1]
    return [*pieces, last] if last else pieces
