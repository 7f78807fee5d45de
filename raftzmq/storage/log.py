"""The log: segments of entries' lines, appended to, replaced from a conflict on, compacted.

Storage.open checks the files (segments.py); from then on this class knows them by their counts
and sizes and keeps no entries. See DESIGN.md for the order of operations and why.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from operator import itemgetter
from pathlib import Path

from raftzmq.core.entry import Entry
from raftzmq.errors import DataError
from raftzmq.lines import decode_entry
from raftzmq.storage.config import StorageConfig
from raftzmq.storage.files import CURE, AppendFile, Files, is_full, refusal
from raftzmq.storage.segments import LoadedLog, Segment, Torn, segment_first, segment_path

_line_of = itemgetter(Entry._fields.index("line"))
_NEW = ".new"


class Log:
    """The log of an open data directory; always has at least one segment, perhaps empty."""

    def __init__(
        self, files: Files, directory: Path, config: StorageConfig, segments: list[Segment]
    ) -> None:
        self._files = files
        self._directory = directory
        self._config = config
        self._segments = segments
        self._file: AppendFile = files.append(segments[-1].path)
        self._settled = True  # False: the files hold more than the segments say
        self._broken = False  # an error other than a full disk: nothing is known any more

    @property
    def first_index(self) -> int:
        """Index of the first entry, or, without any, of the one that will be the first."""
        return self._segments[0].first

    @property
    def last_index(self) -> int:
        """Index of the last entry; first_index - 1 when there is none."""
        return self._segments[-1].last

    @property
    def size(self) -> int:
        """Bytes of all segments."""
        return sum(segment.size for segment in self._segments)

    def term_at(self, index: int) -> int | None:
        """The term of the entry at `index`, read from its file; None if it is not in the log."""
        if not self.first_index <= index <= self.last_index:
            return None
        segment = next(s for s in reversed(self._segments) if s.first <= index)
        lines = self._files.read(segment.path, 0, segment.size).split(b"\n")
        return decode_entry(lines[index - segment.first] + b"\n").term

    def append(self, entries: Sequence[Entry]) -> int:
        """Append entries, or replace everything from the index of the first one on.

        One write and one sync for all of them; they are durable when this returns the number of
        bytes. Raises DiskFull with the log as it was before, ValueError for entries that would
        leave a gap, OSError for anything else, after which the log takes no more.
        """
        first = entries[0].index
        if not (
            self.first_index <= first <= self.last_index + 1
            and entries[-1].index - first == len(entries) - 1
        ):
            raise ValueError(
                f"entries {first} to {entries[-1].index} do not fit a log "
                f"of {self.first_index} to {self.last_index}"
            )
        data = b"".join(map(_line_of, entries))
        try:
            with self._changing():
                if first <= self.last_index:
                    self._replace(first, data, len(entries))
                else:
                    self._extend(data, len(entries))
        except OSError as error:
            if not is_full(error):
                raise
            self._put_back()
            raise refusal(error, f"the log in {self._directory}{CURE}") from error
        return len(data)

    def _put_back(self) -> None:
        """Restore the files now. If there is no space even for that, the next change does it
        first."""
        try:
            with self._changing():
                pass
        except OSError as error:
            if not is_full(error):
                raise

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        """Around every change: start with files that are as the segments say. After an error they
        may differ. After an error that is not about space nothing more is written."""
        if self._broken:
            raise DataError(f"an earlier write to {self._directory} failed: restart the node")
        try:
            self._settle()
            yield
        except OSError as error:
            self._settled = False
            self._broken = not is_full(error)
            raise

    def _extend(self, data: bytes, count: int) -> None:
        segment = self._segments[-1]
        if segment.count >= self._config.segment_entries or (
            segment.size >= self._config.segment_bytes
        ):
            segment = self._rotate()
        self._file.write(data)
        self._file.sync()
        segment.size += len(data)
        segment.count += count

    def _rotate(self) -> Segment:
        """Begin a new segment. Its name is durable before anything in it can be acknowledged."""
        first = self.last_index + 1
        segment = Segment(segment_path(self._directory, first), first)
        file = self._files.create(segment.path)
        try:
            self._files.sync_dir(self._directory)
        except OSError:
            file.close()
            raise
        self._file.close()
        self._file = file
        self._segments.append(segment)
        return segment

    def _replace(self, first: int, data: bytes, count: int) -> None:
        """Replace the entries from `first` on by new ones, in a segment of their own.

        The new segment is whole and durable under another name before anything is removed, so a
        full disk changes nothing. Removal goes backwards, durably at each step, so that a crash
        leaves a log that is shorter but has no gap.
        """
        path = segment_path(self._directory, first)
        new = path.with_name(path.name + _NEW)
        file = self._files.create(new)
        try:
            file.write(data)
            file.sync()
            while self._segments[-1].first > first:
                self._drop_last()
            segment = self._segments[-1]
            if segment.first < first:
                segment.size = self._offset(segment, first)
                segment.count = first - segment.first
                self._file.truncate(segment.size)
            self._files.rename(new, path)
        except OSError:
            file.close()
            raise
        self._file.close()
        self._file = file
        if segment.first == first:
            self._segments.pop()  # its file has just been replaced
        self._segments.append(Segment(path, first, count, len(data)))
        self._files.sync_dir(self._directory)

    def _drop_last(self) -> None:
        self._files.unlink(self._segments[-1].path)
        self._segments.pop()
        self._file.close()
        self._file = self._files.append(self._segments[-1].path)
        self._files.sync_dir(self._directory)

    def _offset(self, segment: Segment, index: int) -> int:
        """The byte at which the line of `index` begins."""
        data = self._files.read(segment.path, 0, segment.size)
        offset = 0
        for _ in range(index - segment.first):
            offset = data.index(b"\n", offset) + 1
        return offset

    def _settle(self) -> None:
        """After a full disk: remove whatever an unfinished change left in the files.

        Durable before the next append: otherwise, after a crash, remains of this write could
        stand behind the lines of the next one.
        """
        if self._settled:
            return
        self._file.truncate(self._segments[-1].size)
        ours = {segment.path.name for segment in self._segments}
        for name in self._files.names(self._directory):
            if _is_unfinished(name) or (segment_first(name) is not None and name not in ours):
                self._files.unlink(self._directory / name)
        self._files.sync_dir(self._directory)
        self._settled = True

    def compact(self, index: int) -> bool:
        """Delete the oldest segment if it holds nothing after `index` (the last one always stays).
        Return whether the next is to go too.

        The caller has a durable snapshot of everything up to `index`. One at a time, because
        freeing the space of many stalls the loop. Oldest first, with each removal durable before
        the next, so that there is never a gap.
        """
        with self._changing():
            if self._is_superfluous(index):
                self._files.unlink(self._segments[0].path)
                self._files.sync_dir(self._directory)
                del self._segments[0]
        return self._is_superfluous(index)

    def _is_superfluous(self, index: int) -> bool:
        return len(self._segments) > 1 and self._segments[0].last <= index

    def reset(self, first: int) -> None:
        """Forget every entry; the next one will have index `first`, beyond what the log held
        or in place of it.

        The caller has a durable snapshot up to `first` - 1. Entries are removed backwards, as in
        _replace. The remaining empty segment is renamed, so that there is always a segment. A crash
        in between leaves a log that still does not reach the snapshot, or does not agree with it.
        Opening such a log calls this again.
        """
        with self._changing():
            while len(self._segments) > 1:
                self._drop_last()
            segment = self._segments[0]
            segment.size = 0
            segment.count = 0
            self._file.truncate(0)
            if segment.first != first:
                path = segment_path(self._directory, first)
                self._files.rename(segment.path, path)
                self._segments = [Segment(path, first)]
                self._files.sync_dir(self._directory)

    def close(self) -> None:
        self._file.close()


def _is_unfinished(name: str) -> bool:
    return name.endswith(_NEW) and segment_first(name.removesuffix(_NEW)) is not None


def open_log(
    files: Files, directory: Path, config: StorageConfig, loaded: LoadedLog
) -> tuple[Log, list[str]]:
    """Make a loaded log ready to append to: cut a torn tail, remove unfinished files.

    Returns it with a sentence for each repair. Raises OSError.
    """
    for name in files.names(directory):
        if _is_unfinished(name):
            files.unlink(directory / name)
    repairs = [] if loaded.torn is None else [_cut(files, loaded.torn)]
    _make_durable(files, directory, loaded)
    return Log(files, directory, config, loaded.segments), repairs


def _make_durable(files: Files, directory: Path, loaded: LoadedLog) -> None:
    """Make durable what was found in the files. A process that died between a write and its sync,
    or because the sync failed, leaves lines that can be read but may still be lost. They are in
    the last segment, because every other one was complete before the next was begun."""
    segment = loaded.segments[-1]
    lines = map(_line_of, loaded.entries[len(loaded.entries) - segment.count :])
    files.write_again(segment.path, b"".join(lines))
    files.sync_dir(directory)


def create_log(files: Files, directory: Path, first: int) -> None:
    """Make the directory and its first, empty segment, which begins at index `first`, durably."""
    files.make_dirs(directory)
    files.create(segment_path(directory, first)).close()
    files.sync_dir(directory)


def _cut(files: Files, torn: Torn) -> str:
    """Cut a torn tail, keeping a copy of it beside the segment."""
    segment = torn.segment
    where = f"{segment.path}, line {segment.count + 1}, byte {segment.size}"
    cut = f"{where}: a write of {len(torn.tail)} bytes was cut short and is removed; it had not "
    cut += "been acknowledged"
    stem = f"torn-{segment.first:020d}-{segment.size}-"
    taken = set(files.names(segment.path.parent))
    number = next(n for n in range(1, len(taken) + 2) if f"{stem}{n}" not in taken)
    copy = segment.path.with_name(f"{stem}{number}")
    try:
        file = files.create(copy)
        try:
            file.write(torn.tail)
            file.sync()
        finally:
            file.close()
        files.sync_dir(copy.parent)
        kept = f"; a copy is in {copy}"
    except OSError as error:
        if not is_full(error):
            raise
        # A full disk tears writes, and a node that cannot start never frees space.
        with contextlib.suppress(OSError):
            files.unlink(copy)
        kept = "; there was no space to keep a copy"
    with contextlib.closing(files.append(segment.path)) as tail:
        tail.truncate(segment.size)
    return cut + kept
