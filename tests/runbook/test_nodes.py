"""The runbook's commands that speak to nodes, word by word, on real processes.

What goes through `kubectl exec client -- raftzmq …` goes through a stand-in for kubectl here, that
does what the pod `client` would do.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runbook.blocks import BLOCKS, block, run
from tests.system.processes import STEADY, Cluster

pytestmark = [pytest.mark.system, pytest.mark.proof]

KUBECTL = """\
#!/bin/sh
[ "$1 $2 $3" = "exec client --" ] || exit 64
shift 3
exec "$@"
"""

EXEC = "kubectl exec client -- "


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("nodes"), arguments=STEADY) as three:
        yield three.start()


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory for the PATH, with the stand-in."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "kubectl").write_text(KUBECTL)
    (tmp_path / "kubectl").chmod(0o755)
    return tmp_path


def environment(cluster: Cluster) -> dict[str, str]:
    return {"RAFTZMQ_ENDPOINTS": ",".join(cluster.endpoints), "RAFTZMQ_TIMEOUT": "60"}


def test_what_takes_the_room(cluster: Cluster, path: Path) -> None:
    with cluster.client() as db:
        for key in ("logs/a", "logs/b", "users/c"):
            db.put(key, "value")
        look, delete = block("The store is full", "raftzmq client dump").commands
        told = run(look, {}, path, **environment(cluster)).stdout
        assert [line.split() for line in told.splitlines()] == [["1", "users"], ["2", "logs"]]
        run(delete, {}, path, **environment(cluster))
        assert db.get("logs/a") is None
        db.delete("users/c")


def put_in(command: str, held: int) -> dict[str, str]:
    """What stands for something else in a command, and what it is here."""
    words = {"KEY": "some/key", "172": str(held)}
    return {word: value for word, value in words.items() if word in command}


def test_what_is_asked_and_done_in_the_pod_client(cluster: Cluster, path: Path) -> None:
    commands = [c for b in BLOCKS for c in b.commands if c.startswith(EXEC)]
    assert len(commands) > 8
    with cluster.client() as db:
        db.put("some/key", "value")
        lease = db.lease(60)
        lock = db.lock("nightly", lease=lease)
        lock.acquire()
        for command in commands:
            run(command, put_in(command, lease.id), path, **environment(cluster))
        assert db.describe("lock", "nightly") is None
    saved = path / "backup.snapshot"
    run(f"raftzmq snapshot status {saved}", {}, path)
