"""Real nodes with one directory of keys, and somebody who writes while those change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event, Thread
from typing import Final

from raftzmq import Client
from raftzmq.access.key_directory import KeyDirectory
from raftzmq.access.key_files import read_client_key
from raftzmq.errors import RaftzmqError
from tests.system.processes import STEADY, Cluster, wait_for

PATIENCE_S: Final = 60.0


def made_keys(path: Path) -> KeyDirectory:
    """A new directory of keys."""
    directory = KeyDirectory(path)
    directory.create()
    return directory


class KeyedCluster(Cluster):
    """Three nodes with one directory of keys."""

    def __init__(self, directory: Path, arguments: Sequence[str] = STEADY) -> None:
        self.keys = made_keys(directory / "keys")
        super().__init__(directory, 3, ("--keys", str(self.keys.path), *arguments))
        for node in self.nodes:
            node.key = read_client_key(self.keys.file_of("admin"))

    def client(self, name: str = "admin") -> Client:
        return Client(self.endpoints, key=self.keys.file_of(name))


class Writer:
    """Writes without a pause, and keeps what fails. In the end it reads its last value back."""

    def __init__(self, make: Callable[[], Client], key: str = "counter") -> None:
        self._key = key
        self.written: list[str] = []
        self.failed: list[str] = []
        self._make = make
        self._stop = Event()
        self._thread = Thread(target=self._write)

    def __enter__(self) -> Writer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _write(self) -> None:
        with self._make() as db:
            while not self._stop.is_set():
                value = str(len(self.written) + 1)
                try:
                    db.put(self._key, value, timeout=PATIENCE_S)
                    self.written.append(value)
                except RaftzmqError as error:
                    self.failed.append(repr(error))
            found = db.get(self._key, timeout=PATIENCE_S)
            if found is None or found.value != self.written[-1]:
                self.failed.append(f"found {found}")

    def go_on(self, count: int = 20) -> None:
        """Return once a few more writes are acknowledged, or one has failed."""
        before = len(self.written)
        wait_for("writes go on", lambda: len(self.written) > before + count or bool(self.failed))
