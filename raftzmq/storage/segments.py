"""Reading log segments: what is whole, what is a torn last write, and what is damage.

A segment is `log/<first index, 20 digits>.jsonl`: entries' lines, one after another. Reading
changes nothing. The only repair, cutting a torn tail, is in storage.log.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

from raftzmq.core.entry import COMMANDS, KINDS, Entry
from raftzmq.errors import CorruptFile, CorruptLine, UnknownEntry
from raftzmq.lines import decode_entry, decode_line, split_lines
from raftzmq.storage.files import Files

_NAME = re.compile(r"(\d{20})\.jsonl")


@dataclass(slots=True)
class Segment:
    """A file of `count` entries from index `first` on, in `size` bytes of whole lines."""

    path: Path
    first: int
    count: int = 0
    size: int = 0

    @property
    def last(self) -> int:
        """Index of the last entry; `first` - 1 when there is none."""
        return self.first + self.count - 1


@dataclass(frozen=True, slots=True)
class Torn:
    """The end of the last segment: bytes of a write that was cut short."""

    segment: Segment
    tail: bytes


@dataclass(frozen=True, slots=True)
class LoadedLog:
    """Everything in a log directory. Segments follow one another without gaps. The bodies of
    entries of many commands were checked and dropped."""

    segments: list[Segment]
    entries: list[Entry]
    torn: Torn | None


def segment_path(directory: Path, first: int) -> Path:
    return directory / f"{first:020d}.jsonl"


def segment_first(name: str) -> int | None:
    """The first index that a file name stands for; None if it is not a segment's."""
    match = _NAME.fullmatch(name)
    return int(match[1]) if match else None


def load_segments(files: Files, directory: Path) -> LoadedLog:
    """Read and check the whole log.

    Raises CorruptFile for any damage but a torn tail, UnknownEntry for an intact line that this
    version does not know, OSError.
    """
    firsts = sorted(f for n in files.names(directory) if (f := segment_first(n)) is not None)
    segments: list[Segment] = []
    entries: list[Entry] = []
    torn = None
    for first in firsts:
        segment = Segment(segment_path(directory, first), first)
        if segments and first != segments[-1].last + 1:
            raise CorruptFile(
                segment.path, 1, 0, f"the segment before it ends at index {segments[-1].last}"
            )
        data = files.read(segment.path)
        _load_lines(segment, data, entries)
        if segment.size < len(data):
            torn = Torn(segment, data[segment.size :])
            _check_torn(torn, last=first == firsts[-1])
        segments.append(segment)
    return LoadedLog(segments, entries, torn)


def _load_lines(segment: Segment, data: bytes, entries: list[Entry]) -> None:
    """Append the entries of the whole lines in `data`; set the segment's count and size."""
    end = data.rfind(b"\n") + 1
    index = segment.first
    term = entries[-1].term if entries else 0
    append = entries.append
    offset = 0
    try:
        for offset, line in split_lines(data if end == len(data) else data[:end]):
            entry = decode_entry(line, offset)
            if entry.index != index:
                raise CorruptLine(offset, f"index {entry.index} where {index} belongs")
            if entry.term < term:
                raise CorruptLine(offset, f"term {entry.term} after term {term}")
            term = entry.term
            index += 1
            # A log of a hundred megabytes would take half a gigabyte, all at once.
            append(entry._replace(body=None) if entry.kind == COMMANDS else entry)
    except CorruptLine as error:
        number = index - segment.first + 1
        line = data[offset : data.index(b"\n", offset) + 1]
        if _is_unknown_kind(line):
            raise UnknownEntry(
                f"{segment.path}, line {number}, byte {offset}: an entry of a kind that this "
                "version of raftzmq does not know: run the version that wrote it, or a newer one"
            ) from None
        raise CorruptFile(segment.path, number, offset, error.problem) from None
    segment.count = index - segment.first
    segment.size = end


def _is_unknown_kind(line: bytes) -> bool:
    try:
        value = decode_line(line)
    except CorruptLine:
        return False
    return (
        isinstance(value, list)
        and len(value) == 5
        and isinstance(value[3], str)
        and value[3] not in KINDS
    )


def _check_torn(torn: Torn, *, last: bool) -> None:
    """Raise CorruptFile unless the tail is what a write that was cut short leaves behind.

    Bytes without a newline at the end of the last segment were never acknowledged, whatever they
    are: an acknowledged write ends with a newline. The exception is a whole line whose newline
    itself was damaged, with or without a torn write behind it; a torn write never leaves another
    character there, except the zero of a page that was not written.
    """
    segment = torn.segment
    line = segment.count + 1
    if not last:
        raise CorruptFile(
            segment.path, line, segment.size, "the line has no end, and a segment follows"
        )
    end = _whole_line(torn.tail)
    if 0 < end < len(torn.tail) and torn.tail[end] != 0:
        raise CorruptFile(segment.path, line, segment.size, "the newline is damaged")


def _whole_line(data: bytes) -> int:
    """Where the newline of the entry's line at the start of `data` would be; 0 if it is not whole.

    Every `]` may be the end of the line. A torn write can follow it.
    """
    crc = 0
    start = 9
    while end := data.find(b"]", start) + 1:
        crc = crc32(data[start:end], crc)
        if data[:9] == b"%08x " % crc:
            return end
        start = end
    return 0
