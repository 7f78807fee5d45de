"""A cluster that runs without keys gets them, one node after the other, while somebody writes."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from raftzmq import Client
from raftzmq.access.key_files import read_client_key
from raftzmq.errors import Unauthorized
from tests.system.keyed import PATIENCE_S, Writer, made_keys
from tests.system.processes import STEADY, Cluster

pytestmark = pytest.mark.system


def test_a_running_cluster_gets_keys_step_by_step(tmp_path: Path) -> None:
    keys = made_keys(tmp_path / "keys")
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
