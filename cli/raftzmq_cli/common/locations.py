"""Where backups lie: a place for several, by name, that commands use without knowing which kind it
is. `Directory` is one kind; buckets.py has the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NamedTuple, Protocol

from raftzmq.errors import InvalidRequest
from raftzmq_cli.common import messages


class Written(NamedTuple):
    """What a backup is that was written: its bytes, and the checksum in its last line."""

    size: int
    crc: int


class Location(Protocol):
    """A place for backups. All of it raises DataError, in one line, for what the place refuses."""

    def check(self) -> None:
        """See whether the place is there. Raises InvalidRequest or DataError if it is not."""

    def holds(self, name: str) -> bool:
        """Whether something of that name is there."""

    def names(self) -> list[str]:
        """The names of all that is there."""

    def write(
        self, name: str, pieces: Iterable[bytes], progress: Callable[[bytes], object]
    ) -> Written:
        """Write a backup that comes in pieces, each of which `progress` is told. It appears under
        its name once it is whole and durable; whatever ends this before leaves nothing of that
        name. Raises DataError too if what came is no whole backup, and whatever `pieces` raises.
        """

    def file(self, name: str) -> AbstractContextManager[Path]:
        """A file with what has that name, as long as the context lasts. Temporary files may be made
        beside it. DamagedBackup that is raised meanwhile names the place."""

    def remove(self, name: str) -> None:
        """Remove what has that name."""

    def full_name(self, name: str) -> str:
        """The name as commands take it, for programs."""

    def shown(self, name: str) -> str:
        """The same for people."""


class Directory:
    """Backups as files."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def check(self) -> None:
        if not self._path.is_dir():
            raise InvalidRequest(f"there is no directory {messages.short(self._path)}")

    def holds(self, name: str) -> bool:
        return (self._path / name).exists()

    def names(self) -> list[str]:
        return [path.name for path in self._path.iterdir()]

    def write(
        self, name: str, pieces: Iterable[bytes], progress: Callable[[bytes], object]
    ) -> Written:
        from raftzmq.offline import backups
        from raftzmq.storage import OsFiles

        whole = backups.write(OsFiles(), self._path / name, pieces, progress)
        return Written(whole.size, whole.crc)

    @contextmanager
    def file(self, name: str) -> Iterator[Path]:
        yield self._path / name

    def remove(self, name: str) -> None:
        (self._path / name).unlink()

    def full_name(self, name: str) -> str:
        return str(self._path / name)

    def shown(self, name: str) -> str:
        return messages.short(self._path / name)
