"""A disk in memory that can crash: for tests and simulations of nodes."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from random import Random

from raftzmq.storage.config import StorageConfig
from raftzmq.storage.files import AppendFile, Closeable
from raftzmq.storage.memory_disk import Change, Directory, File, bytes_in, crash_directory
from raftzmq.storage.storage import Storage, random_incarnation


class MemoryFile:
    """A file of `files` that is open for appending."""

    def __init__(self, files: MemoryFiles, path: Path, file: File) -> None:
        self._files = files
        self._path = path
        self._file = file

    def write(self, data: bytes) -> None:
        self._files.before("write", self._path)
        file = self._file
        room = self._files.room()
        file.data += data if room >= len(data) else data[: max(0, room)]
        if room < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))

    def sync(self) -> None:
        self._files.before("sync", self._path)
        self._file.sync()

    def truncate(self, size: int) -> None:
        self._files.before("truncate", self._path)
        self._file.truncate(size)
        self._files.before("sync", self._path)
        self._file.sync()

    def close(self) -> None:
        pass


class _Lock:
    def __init__(self, held: set[Path], path: Path) -> None:
        self._held = held
        self._path = path

    def close(self) -> None:
        self._held.discard(self._path)


def _nothing(operation: str, path: Path) -> None:
    pass


class MemoryFiles:
    """A file system in memory.

    `before(operation, path)` is called ahead of every operation that changes or syncs something,
    and may raise: that is how tests inject errors and crashes. `capacity` bounds the bytes of all
    files together; a write that exceeds it is carried out in part and fails with ENOSPC.
    """

    def __init__(self, capacity: int | None = None) -> None:
        self.capacity = capacity
        self.before: Callable[[str, Path], None] = _nothing
        self.root = Directory()
        """Everything on the disk, with what of it a crash would leave."""
        self._locks: set[Path] = set()

    # Finding things

    def node(self, path: Path) -> File | Directory:
        """What has that path. Raises FileNotFoundError, NotADirectoryError, as the system does."""
        node: File | Directory = self.root
        for part in path.parts[1:]:
            if not isinstance(node, Directory):
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
            if part not in node.names:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
            node = node.names[part]
        return node

    def directory(self, path: Path) -> Directory:
        node = self.node(path)
        if isinstance(node, Directory):
            return node
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))

    def file(self, path: Path) -> File:
        node = self.node(path)
        if isinstance(node, File):
            return node
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))

    def used(self) -> int:
        """Bytes in all files."""
        return bytes_in(self.root)

    def room(self) -> int:
        """Bytes that can still be written."""
        return 1 << 62 if self.capacity is None else self.capacity - self.used()

    # Files

    def lock(self, path: Path) -> Closeable:
        if path in self._locks:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN), str(path))
        if not self.exists(path):
            self.directory(path.parent).set(path.name, File())
        self._locks.add(path)
        return _Lock(self._locks, path)

    def is_locked(self, path: Path) -> bool:
        return path in self._locks

    def make_dirs(self, path: Path) -> None:
        if path == path.parent:
            return
        self.make_dirs(path.parent)
        parent = self.directory(path.parent)
        if path.name in parent.names:
            self.directory(path)
        else:
            self.before("mkdir", path)
            parent.set(path.name, Directory())
        self.sync_dir(path.parent)

    def restrict(self, path: Path) -> None:
        """A file in memory has no modes."""

    def exists(self, path: Path) -> bool:
        try:
            self.node(path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def names(self, path: Path) -> list[str]:
        return sorted(self.directory(path).names) if self.exists(path) else []

    def size(self, path: Path) -> int:
        return len(self.file(path).data)

    def read(self, path: Path, offset: int = 0, size: int = -1) -> bytes:
        data = self.file(path).data
        return bytes(data[offset:] if size < 0 else data[offset : offset + size])

    def create(self, path: Path) -> AppendFile:
        self.before("create", path)
        parent = self.directory(path.parent)
        if path.name in parent.names:
            file = self.file(path)
            file.truncate(0)
        else:
            file = File()
            parent.set(path.name, file)
        return MemoryFile(self, path, file)

    def append(self, path: Path) -> AppendFile:
        return MemoryFile(self, path, self.file(path))

    def write_again(self, path: Path, data: bytes) -> None:
        self.before("write", path)
        file = self.file(path)
        assert file.data == data, "that is not what was read"
        self.before("sync", path)
        file.sync()

    def rename(self, old: Path, new: Path) -> None:
        self.before("rename", new)
        node = self.node(old)
        there = self.directory(new.parent)
        here = self.directory(old.parent)
        Change([(there, new.name, node), (here, old.name, None)])

    def unlink(self, path: Path) -> None:
        self.before("unlink", path)
        parent = self.directory(path.parent)
        if path.name in parent.names:
            parent.set(path.name, None)

    def sync_dir(self, path: Path) -> None:
        self.before("sync_dir", path)
        self.directory(path).sync()

    # Faults

    def put(self, path: Path, data: bytes) -> None:
        """Give a file its content, durably: damage from outside."""
        parent = self.directory(path.parent)
        file = File()
        file.data += data
        file.sync()
        parent.set(path.name, file)
        parent.sync()

    def kill(self) -> None:
        """The process stops: its locks are released, and nothing else changes."""
        self._locks.clear()

    def crash(self, random: Random | None = None, *, keep: bool = False) -> None:
        """The machine stops: what was not synced is lost, or kept, or with `random` something in
        between (separately for each file and directory). Locks are released."""
        self.kill()
        crash_directory(self.root, random, keep)


class MemoryStorage(Storage):
    """Storage on a disk in memory. A restart is another MemoryStorage on the same `files`."""

    files: MemoryFiles

    def __init__(
        self,
        files: MemoryFiles | None = None,
        *,
        path: Path = Path("/data"),
        config: StorageConfig | None = None,
        incarnation: Callable[[], str] = random_incarnation,
    ) -> None:
        self.files = files or MemoryFiles()
        super().__init__(path, self.files, config=config, incarnation=incarnation)
