"""Disks that fail, and what of them would survive if the power went now.

`SimFiles` is the file system in memory of raftzmq.storage with a few more faults. `Durable` looks
at its durable side from outside, without the code that is being tested, and answers the question
on which every promise of a node rests: is this entry, this vote, safe?
"""

from __future__ import annotations

import copy
import errno
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any, Final

import orjson

from raftzmq.core.identity import NodeId
from raftzmq.core.ready import HardState
from raftzmq.storage import MemoryFiles
from raftzmq.storage.files import AppendFile
from raftzmq.storage.memory import MemoryFile
from raftzmq.storage.memory_disk import Directory, File

DATA: Final = Path("/data")


class PowerCut(BaseException):
    """The machine stops in the middle of a write. Not an Exception: nothing may catch it."""


class _SimHandle(MemoryFile):
    def sync(self) -> None:
        files = self._files
        assert isinstance(files, SimFiles)
        files.before("sync", self._path)
        if self._file not in files.forgotten:  # after an error, success means nothing
            self._file.sync()

    def truncate(self, size: int) -> None:
        self._files.before("truncate", self._path)
        self._file.truncate(size)
        self.sync()


class SimFiles(MemoryFiles):
    """`disturb(operation, path)` may raise or take time; `changes` counts what may have changed
    the durable side."""

    def __init__(self, disturb: Callable[[str, Path], None]) -> None:
        super().__init__()
        self.changes = 0
        self.fail_next_sync = False
        self.forgotten: set[File] = set()
        """Files of which a sync failed. The system takes for written what it was to write; it can
        be read as long as the machine runs, and no later sync brings it to the disk. (Nor what is
        appended later: one whole page with a gap before it is as good as lost.)"""
        self.syncs = 0
        self._disturb = disturb
        self.before = self._before

    def _before(self, operation: str, path: Path) -> None:
        if operation not in ("write", "create"):
            self.changes += 1
        if operation == "sync":
            self.syncs += 1
            if self.fail_next_sync:
                self.fail_next_sync = False
                if self.exists(path):
                    self.forgotten.add(self.file(path))
                raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        self._disturb(operation, path)

    def write_again(self, path: Path, data: bytes) -> None:
        self.forgotten.discard(self.file(path))  # what is written anew counts as unwritten anew
        super().write_again(path, data)

    def create(self, path: Path) -> AppendFile:
        super().create(path)
        self.forgotten.discard(self.file(path))
        return _SimHandle(self, path, self.file(path))

    def append(self, path: Path) -> AppendFile:
        return _SimHandle(self, path, self.file(path))

    def lose_power(self, random: Random) -> None:
        """What was not synced is lost, torn, or there."""
        self.crash(random)
        self.forgotten.clear()
        self.changes += 1

    def process_died(self) -> None:
        """Everything written stays readable; none of it became durable by that."""
        self.kill()
        self.changes += 1

    # Faults to a disk at rest

    def image(self) -> Directory:
        """A copy of everything, to be put back later."""
        return copy.deepcopy(self.root)

    def restore(self, image: Directory) -> None:
        self.root = image
        self.forgotten.clear()
        self.changes += 1

    def wipe(self) -> None:
        self.restore(Directory())

    def flip_a_bit(self, random: Random) -> str | None:
        """Damage one bit of what the node keeps; return where, None if there is nothing."""
        paths = [path for path in self._paths(DATA) if self.size(path)]
        if not paths:
            return None
        path = random.choice(paths)
        data = bytearray(self.read(path))
        place = random.randrange(len(data) * 8)
        data[place // 8] ^= 1 << place % 8
        self.put(path, bytes(data))
        self.changes += 1
        return f"{path}, byte {place // 8}"

    def _paths(self, directory: Path) -> list[Path]:
        """The files that hold a node's memory; what was set aside or kept as a copy does not."""
        found = [directory / name for name in ("node.json", "state.json")]
        for below in ("log", "snapshots"):
            found += [directory / below / name for name in self.names(directory / below)]
        return [path for path in found if path.suffix in {".jsonl", ".json"} if self.exists(path)]


class _Lines:
    """The terms of the entries in the durable part of one segment, parsed as it grows."""

    def __init__(self, file: File) -> None:
        self.file = file
        self.terms: list[int] = []
        self._seen = b""

    def refresh(self) -> None:
        file, seen = self.file, self._seen
        if file.before_cut is None and file.synced == len(seen) and file.data.startswith(seen):
            return
        data = file.durable
        if data.startswith(seen):
            fresh = data[len(seen) :]
        else:
            fresh, self.terms = data, []
        self.terms += [orjson.loads(line[9:])[1] for line in _whole_lines(fresh)]
        self._seen = data


def _whole_lines(data: bytes) -> list[bytes]:
    return data.split(b"\n")[:-1]


class Durable:
    """What a node would find again after the worst of crashes: everything unsynced is lost."""

    def __init__(self, files: SimFiles) -> None:
        self._files = files
        self._changes = -1
        self._state_bytes = b""
        self._lines: dict[File, _Lines] = {}
        self._segments: list[tuple[int, _Lines]] = []
        self.frozen = False
        """The disk is gone; this is what it held."""
        self.hard_state = HardState()
        self.snapshot: tuple[int, int] = (0, 0)
        self.first_index = 1
        self.last_index = 0

    def refresh(self) -> Durable:
        """Look again, if anything has changed."""
        if self._changes != self._files.changes and not self.frozen:
            self._changes = self._files.changes
            data = _directory(self._files.root, DATA.name)
            with suppress(ValueError, TypeError, LookupError):  # a damaged disk holds nothing new
                self._read_state(data)
                self._read_snapshots(_directory(data, "snapshots"))
                self._read_log(_directory(data, "log"))
        return self

    def _read_state(self, data: Directory | None) -> None:
        file = data.durable.get("state.json") if data else None
        found = file.durable if isinstance(file, File) else b""
        if found == self._state_bytes:
            return
        self._state_bytes = found
        value: dict[str, Any] = orjson.loads(found) if found else {}
        vote = value.get("vote")
        self.hard_state = HardState(value.get("term", 0), NodeId(*vote) if vote else None)

    def _read_snapshots(self, directory: Directory | None) -> None:
        self.snapshot = (0, 0)
        for name, file in directory.durable.items() if directory else ():
            stem, _, suffix = name.partition(".")
            index, _, term = stem.partition("-")
            complete = suffix == "jsonl" and index.isdigit() and isinstance(file, File)
            if complete and file.is_synced():  # type: ignore[union-attr]
                self.snapshot = max(self.snapshot, (int(index), int(term)))

    def _read_log(self, directory: Directory | None) -> None:
        segments: list[tuple[int, _Lines]] = []
        lines: dict[File, _Lines] = {}
        for name, file in directory.durable.items() if directory else ():
            stem, _, suffix = name.partition(".")
            if suffix == "jsonl" and stem.isdigit() and isinstance(file, File):
                known = lines[file] = self._lines.get(file) or _Lines(file)
                known.refresh()
                segments.append((int(stem), known))
        self._lines = lines
        segments.sort(key=lambda segment: segment[0])
        self._segments = segments
        self.first_index = segments[0][0] if segments else 1
        last = self.first_index - 1
        for first, known in segments:
            if first == last + 1:
                last += len(known.terms)
        self.last_index = (
            max(last, self.snapshot[0]) if last >= self.snapshot[0] else (self.snapshot[0])
        )

    def term_at(self, index: int) -> int | None:
        """The term of the durable entry at `index`; None if it is not there."""
        if index == self.snapshot[0]:
            return self.snapshot[1]
        for first, known in reversed(self._segments):
            if first <= index:
                place = index - first
                return known.terms[place] if place < len(known.terms) else None
        return None

    def holds(self, index: int, term: int) -> bool:
        """Whether the entry of that index and term is durable here, or a snapshot of it is."""
        self.refresh()
        if index <= self.snapshot[0]:
            return True
        return index <= self.last_index and self.term_at(index) == term


def _directory(parent: Directory | None, name: str) -> Directory | None:
    found = parent.durable.get(name) if parent else None
    return found if isinstance(found, Directory) else None
