"""The few file operations that storage is made of, and what each promises after a crash.

Everything in this package uses a `Files`. So a test or a simulation can supply a disk that forgets
what was not synced, fills up, or fails, between any two operations.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from pathlib import Path
from typing import Final, Protocol

from raftzmq import descriptors
from raftzmq.descriptors import open_file
from raftzmq.errors import DiskFull, OutOfFiles
from raftzmq.file_modes import DIRECTORY_MODE, restrict
from raftzmq.histogram import Histogram

CURE: Final = ": free some, and the node takes writes again by itself"
"""The end of what is said of a refusal."""

_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})
_NO_DESCRIPTOR = frozenset({errno.EMFILE, errno.ENFILE})

STREAMS: Final = 3
"""The standard streams are the descriptors below this one."""

SYNC_BOUNDS_S: Final = (
    *(0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0),
)


def is_full(error: OSError) -> bool:
    """Whether there is no space, or no descriptor, which may pass, as opposed to a disk that
    fails. Only opening a file takes a descriptor, so nothing was written then."""
    return error.errno in _NO_SPACE or error.errno in _NO_DESCRIPTOR


def refusal(error: OSError, wanted: str) -> DiskFull:
    """What to raise for an error that is_full; `wanted` is what there was too little for."""
    kind = OutOfFiles if error.errno in _NO_DESCRIPTOR else DiskFull
    return kind(f"{shortage(error)} for {wanted}")


def shortage(error: OSError) -> str:
    """What there was none of, for the beginning of a sentence about an error that is_full."""
    return "too many files are open" if error.errno in _NO_DESCRIPTOR else "no space left"


class Closeable(Protocol):
    def close(self) -> None: ...


class AppendFile(Closeable, Protocol):
    """A file that is only ever written at its end."""

    def write(self, data: bytes) -> None:
        """Append all of `data`. When it raises OSError, part of it may have been appended."""

    def sync(self) -> None:
        """Return once everything written is durable. After an error nothing is known. The
        system may have dropped the data and forgotten it, so a second try proves nothing."""

    def truncate(self, size: int) -> None:
        """Cut the file to `size` bytes, durably."""


class Files(Protocol):
    """A file system. Names created, renamed or removed are durable only after sync_dir."""

    def lock(self, path: Path) -> Closeable:
        """Lock the file at `path` exclusively until closed. Raises BlockingIOError if taken."""

    def is_locked(self, path: Path) -> bool:
        """Whether somebody holds the lock of the file at `path`, which need not exist."""

    def make_dirs(self, path: Path) -> None:
        """Create a directory and its parents, durably. An existing one is made durable too,
        because the process that created it may have died before that."""

    def restrict(self, path: Path) -> None:
        """Take from a file or directory the rights of others than its user and group, if that is
        possible."""

    def exists(self, path: Path) -> bool: ...

    def names(self, path: Path) -> list[str]:
        """The names in a directory, sorted; none if it does not exist."""

    def size(self, path: Path) -> int: ...

    def read(self, path: Path, offset: int = 0, size: int = -1) -> bytes:
        """Up to `size` bytes from `offset` (all, if negative); fewer only at the end."""

    def create(self, path: Path) -> AppendFile:
        """Open a new file, or an existing one emptied."""

    def append(self, path: Path) -> AppendFile:
        """Open an existing file."""

    def write_again(self, path: Path, data: bytes) -> None:
        """Write what the file was read to hold, in place, and return once it is durable. The data
        may be only in the system's cache. After a failed sync, perhaps of another process, the
        system counts it as written, and only data that is written again reaches the disk."""

    def rename(self, old: Path, new: Path) -> None:
        """Give a file or directory another name; a file of that name is replaced at once."""

    def unlink(self, path: Path) -> None: ...

    def sync_dir(self, path: Path) -> None:
        """Return once the names in the directory are durable."""


def _write(fd: int, data: bytes) -> None:
    written = os.write(fd, data)
    while written < len(data):  # a disk that fills up, or more than the system takes at once
        written += os.write(fd, memoryview(data)[written:])


def open_beyond_streams(path: Path, flags: int) -> int:
    """Open a file that is written to, and never as one of the descriptors 0 to 2.

    Where a standard stream is closed, the system would give its number to the file, and what is
    printed would land among the data. Raises OSError.
    """
    descriptor = open_file(path, flags)
    if descriptor >= STREAMS:
        return descriptor
    try:
        return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, STREAMS)
    finally:
        os.close(descriptor)


class _OsAppendFile:
    def __init__(self, path: Path, flags: int, sync_seconds: Histogram) -> None:
        self._fd = open_beyond_streams(path, os.O_WRONLY | os.O_APPEND | flags)
        self._sync_seconds = sync_seconds

    def write(self, data: bytes) -> None:
        _write(self._fd, data)

    def sync(self) -> None:
        begun_s = time.perf_counter()
        os.fdatasync(self._fd)  # includes the size, without which the data could not be read
        self._sync_seconds.observe(time.perf_counter() - begun_s)

    def truncate(self, size: int) -> None:
        os.ftruncate(self._fd, size)
        os.fsync(self._fd)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class _OsLock:
    def __init__(self, path: Path) -> None:
        self._fd = open_beyond_streams(path, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self.close()
            raise
        with contextlib.suppress(OSError):  # a full disk does not make the lock less held
            os.ftruncate(self._fd, 0)
            os.write(self._fd, b"%d\n" % os.getpid())

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class OsFiles:
    """The real file system. `sync_seconds`: how long AppendFile.sync took, each time."""

    def __init__(self) -> None:
        self.sync_seconds = Histogram(SYNC_BOUNDS_S)

    def lock(self, path: Path) -> Closeable:
        return _OsLock(path)

    def is_locked(self, path: Path) -> bool:
        try:
            fd = open_file(path, os.O_RDONLY)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
        return False

    def make_dirs(self, path: Path) -> None:
        if path.is_dir():
            with contextlib.suppress(OSError):  # a parent that is not ours to read, or read-only
                self.sync_dir(path.parent)
            return
        if os.path.lexists(path):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
        self.make_dirs(path.parent)
        path.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
        self.sync_dir(path.parent)

    def restrict(self, path: Path) -> None:
        restrict(path)

    def exists(self, path: Path) -> bool:
        return os.path.lexists(path)

    def names(self, path: Path) -> list[str]:
        try:
            fd = open_file(path, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            return []
        try:
            with descriptors.spare():  # listing takes one more
                return sorted(os.listdir(fd))  # noqa: PTH208 (names, not paths)
        finally:
            os.close(fd)

    def size(self, path: Path) -> int:
        return path.stat().st_size

    def read(self, path: Path, offset: int = 0, size: int = -1) -> bytes:
        with os.fdopen(open_file(path, os.O_RDONLY), "rb") as file:
            file.seek(offset)
            return file.read(size)

    def create(self, path: Path) -> AppendFile:
        return _OsAppendFile(path, os.O_CREAT | os.O_TRUNC, self.sync_seconds)

    def append(self, path: Path) -> AppendFile:
        return _OsAppendFile(path, 0, self.sync_seconds)

    def write_again(self, path: Path, data: bytes) -> None:
        fd = open_beyond_streams(path, os.O_WRONLY)
        try:
            _write(fd, data)
            os.fsync(fd)  # and not fdatasync: its size may have been cut without a sync
        finally:
            os.close(fd)

    def rename(self, old: Path, new: Path) -> None:
        old.replace(new)

    def unlink(self, path: Path) -> None:
        path.unlink(missing_ok=True)

    def sync_dir(self, path: Path) -> None:
        fd = open_file(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def replace_file(files: Files, path: Path, data: bytes) -> None:
    """Put `data` at `path`, durably; after a crash the file is the old one or the new, whole.

    The data is synced before the name points to it, or the name could survive without the data;
    the directory after, or the old file could come back. Raises OSError.
    """
    new = path.with_name(path.name + ".new")
    try:
        file = files.create(new)
        try:
            file.write(data)
            file.sync()
        finally:
            file.close()
        files.rename(new, path)
        files.sync_dir(path.parent)
    except OSError:
        with contextlib.suppress(OSError):
            if files.exists(new):
                files.unlink(new)
        raise
