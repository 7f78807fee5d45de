"""A cluster that runs without keys gets them, one node after the other, while somebody writes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Event, Thread

import pytest

from raftzmq import Client
from raftzmq.access.key_directory import KeyDirectory
from raftzmq.access.key_files import read_client_key
from raftzmq.errors import RaftzmqError, Unauthorized
from tests.system.processes import STEADY, Cluster, wait_for

pytestmark = pytest.mark.system

PATIENCE_S = 60.0


class Writer:
    """Writes without a pause, and keeps what fails."""

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

    def go_on(self) -> None:
        """Return once a few more writes are acknowledged."""
        before = len(self.written)
        wait_for("writes go on", lambda: len(self.written) > before + 20 or bool(self.failed))


@pytest.mark.proof
def test_a_running_cluster_gets_keys_step_by_step(tmp_path: Path) -> None:
    keys = KeyDirectory(tmp_path / "keys")
    keys.create()
    admin = keys.file_of("admin")
    with Cluster(tmp_path, 3, STEADY) as cluster:
        plain = partial(Client, [node.endpoint for node in cluster.nodes])
        keyed = partial(plain, key=admin)
        for node in cluster.nodes:
            node.start()
        cluster.wait_until_ready()

        def restart_each(*more: str) -> None:
            for node in cluster.nodes:
                node.terminate()
                assert node.wait() == 0
                node.start(*more)
                writer.go_on()
                cluster.wait_until_caught_up(node)
                writer.go_on()

        with Writer(plain) as writer:
            writer.go_on()
            restart_each("--keys", str(keys.path), "--also-plain")
        assert writer.failed == []
        for node in cluster.nodes:
            assert "starting with keys, and for now without: all who reach it" in node.output()
        # Now both kinds of clients work, and the clients get their keys.
        with Writer(plain, "other") as old, Writer(keyed) as writer:
            old.go_on()
            writer.go_on()
        assert old.failed == writer.failed == []
        for node in cluster.nodes:
            node.key = read_client_key(admin)
        with Writer(keyed) as writer:
            writer.go_on()
            restart_each("--keys", str(keys.path))
        assert writer.failed == []
        with plain() as db, pytest.raises(Unauthorized, match="wants a key"):
            db.get("counter", timeout=PATIENCE_S)
