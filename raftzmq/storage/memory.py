"""A disk in memory that can crash: for tests and simulations of nodes."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from random import Random

from raftzmq.storage.config import StorageConfig
from raftzmq.storage.files import AppendFile, Closeable
from raftzmq.storage.storage import Storage, random_incarnation


class _File:
    """A file's bytes as a reader sees them, and how much of that a crash cannot undo.

    The first `synced` bytes are durable; but if the file was cut since, `before_cut` is.
    """

    def __init__(self) -> None:
        self.data = bytearray()
        self.synced = 0
        self.before_cut: bytes | None = None

    @property
    def durable(self) -> bytes:
        return bytes(self.data[: self.synced]) if self.before_cut is None else self.before_cut

    def truncate(self, size: int) -> None:
        self.before_cut = self.durable
        self.data[size:] = bytes(max(0, size - len(self.data)))  # as the system does

    def sync(self) -> None:
        self.synced = len(self.data)
        self.before_cut = None

    def is_synced(self) -> bool:
        return self.before_cut is None and self.synced == len(self.data)


class _Directory:
    """A directory's names, those that a crash cannot undo, and the changes between the two."""

    def __init__(self) -> None:
        self.names: dict[str, _File | _Directory] = {}
        self.durable: dict[str, _File | _Directory] = {}
        self.pending: list[_Change] = []

    def set(self, name: str, node: _File | _Directory | None) -> None:
        """Point a name to `node`, or remove it."""
        _Change([(self, name, node)])

    def sync(self) -> None:
        for change in list(self.pending):
            change.make_durable()


class _Change:
    """Names changed in one step, of which a crash keeps all or none (a rename has two)."""

    def __init__(self, edits: list[tuple[_Directory, str, _File | _Directory | None]]) -> None:
        self._edits = edits
        for directory, name, node in edits:
            _edit(directory.names, name, node)
            directory.pending.append(self)

    def make_durable(self) -> None:
        for directory, name, node in self._edits:
            _edit(directory.durable, name, node)
        self.forget()

    def forget(self) -> None:
        for directory, _, _ in self._edits:
            if self in directory.pending:
                directory.pending.remove(self)


def _edit(names: dict[str, _File | _Directory], name: str, node: _File | _Directory | None) -> None:
    if node is None:
        names.pop(name, None)
    else:
        names[name] = node


class _Handle:
    def __init__(self, files: MemoryFiles, path: Path, file: _File) -> None:
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
        self._root = _Directory()
        self._locks: set[Path] = set()

    # Finding things

    def _node(self, path: Path) -> _File | _Directory:
        node: _File | _Directory = self._root
        for part in path.parts[1:]:
            if not isinstance(node, _Directory):
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
            if part not in node.names:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
            node = node.names[part]
        return node

    def _directory(self, path: Path) -> _Directory:
        node = self._node(path)
        if isinstance(node, _Directory):
            return node
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))

    def _file(self, path: Path) -> _File:
        node = self._node(path)
        if isinstance(node, _File):
            return node
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))

    def room(self) -> int:
        """Bytes that can still be written."""
        if self.capacity is None:
            return 1 << 62
        return self.capacity - _bytes_in(self._root)

    # Files

    def lock(self, path: Path) -> Closeable:
        if path in self._locks:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN), str(path))
        if not self.exists(path):
            self._directory(path.parent).set(path.name, _File())
        self._locks.add(path)
        return _Lock(self._locks, path)

    def make_dirs(self, path: Path) -> None:
        if path == path.parent:
            return
        self.make_dirs(path.parent)
        parent = self._directory(path.parent)
        if path.name in parent.names:
            self._directory(path)
        else:
            self.before("mkdir", path)
            parent.set(path.name, _Directory())
        self.sync_dir(path.parent)

    def exists(self, path: Path) -> bool:
        try:
            self._node(path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def names(self, path: Path) -> list[str]:
        return sorted(self._directory(path).names) if self.exists(path) else []

    def size(self, path: Path) -> int:
        return len(self._file(path).data)

    def read(self, path: Path, offset: int = 0, size: int = -1) -> bytes:
        data = self._file(path).data
        return bytes(data[offset:] if size < 0 else data[offset : offset + size])

    def create(self, path: Path) -> AppendFile:
        self.before("create", path)
        parent = self._directory(path.parent)
        if path.name in parent.names:
            file = self._file(path)
            file.truncate(0)
        else:
            file = _File()
            parent.set(path.name, file)
        return _Handle(self, path, file)

    def append(self, path: Path) -> AppendFile:
        return _Handle(self, path, self._file(path))

    def write_again(self, path: Path, data: bytes) -> None:
        self.before("write", path)
        file = self._file(path)
        assert file.data == data, "that is not what was read"
        self.before("sync", path)
        file.sync()

    def rename(self, old: Path, new: Path) -> None:
        self.before("rename", new)
        node = self._node(old)
        there, here = self._directory(new.parent), self._directory(old.parent)
        _Change([(there, new.name, node), (here, old.name, None)])

    def unlink(self, path: Path) -> None:
        self.before("unlink", path)
        parent = self._directory(path.parent)
        if path.name in parent.names:
            parent.set(path.name, None)

    def sync_dir(self, path: Path) -> None:
        self.before("sync_dir", path)
        self._directory(path).sync()

    # Faults

    def put(self, path: Path, data: bytes) -> None:
        """Give a file its content, durably: damage from outside."""
        parent = self._directory(path.parent)
        file = _File()
        file.data += data
        file.sync()
        parent.set(path.name, file)
        parent.sync()

    def kill(self) -> None:
        """The process stops: its locks are gone, and nothing else."""
        self._locks.clear()

    def crash(self, random: Random | None = None, *, keep: bool = False) -> None:
        """The machine stops: what was not synced is lost, or kept, or with `random` something in
        between (of each file and directory separately). Locks are gone."""
        self.kill()
        _crash_directory(self._root, random, keep)


def _bytes_in(directory: _Directory) -> int:
    return sum(
        _bytes_in(node) if isinstance(node, _Directory) else len(node.data)
        for node in directory.names.values()
    )


def _crash_directory(directory: _Directory, random: Random | None, keep: bool) -> None:
    for change in list(directory.pending):
        if keep if random is None else random.random() < 0.5:
            change.make_durable()
        else:
            change.forget()
    directory.names = dict(directory.durable)
    for node in directory.names.values():
        if isinstance(node, _Directory):
            _crash_directory(node, random, keep)
        else:
            _crash_file(node, random, keep)


def _crash_file(file: _File, random: Random | None, keep: bool) -> None:
    if file.is_synced():
        return
    if random is not None:
        file.data[:] = _torn(file.durable, bytes(file.data), random)
    elif not keep:
        file.data[:] = file.durable
    file.sync()


def _torn(old: bytes, new: bytes, random: Random) -> bytes:
    """What may be left of a file that held `old` durably and `new` unsynced."""
    if new.startswith(old):  # bytes were appended: some, or some and then unwritten zeros
        size = random.randint(len(old), len(new))
        zeros = random.randint(0, len(new) - size) if random.random() < 0.3 else 0
        return new[:size] + bytes(zeros)
    kept = random.randint(0, len(new))  # it was cut, and perhaps rewritten: a mixture
    return new[:kept] + old[kept:]


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
