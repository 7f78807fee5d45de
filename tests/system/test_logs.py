"""The log of a real node: as JSON, and at a level that is changed while it runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from raftzmq import Client
from tests.system.processes import Cluster, NodeProcess, wait_for
from tests.system.raw import Raw

pytestmark = pytest.mark.system


def lines_of(node: NodeProcess) -> list[dict[str, Any]]:
    return [json.loads(line) for line in node.output().splitlines(keepends=True) if "\n" in line]


def refusals(node: NodeProcess) -> list[dict[str, Any]]:
    return [line for line in lines_of(node) if line["message"] == "refused"]


def test_a_node_logs_json_and_more_of_it_when_an_operator_asks(tmp_path: Path) -> None:
    with Cluster(tmp_path, size=1, arguments=("--log-format", "json")) as cluster:
        cluster.start()
        node = cluster.nodes[0]
        first = lines_of(node)[0]
        assert set(first) == {"time", "level", "node", "message", "fields"}
        assert (first["level"], first["node"]) == ("INFO", "raft-0")
        assert first["fields"]["incarnation"]
        assert any(line["message"] == "is leader" for line in lines_of(node))

        refuse_something(node)
        environment = {k: v for k, v in os.environ.items() if not k.startswith("RAFTZMQ_")}
        done = subprocess.run(
            [
                *(sys.executable, "-m", "raftzmq_cli", "client", "--endpoints", node.endpoint),
                *("log-level", "raft-0", "debug", "-w", "json"),
            ],
            capture_output=True,
            text=True,
            env=environment,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done
        assert json.loads(done.stdout)["message"] == "raft-0 logs DEBUG and above"
        assert not refusals(node)
        refuse_something(node)
        said = wait_for("the refusal is logged", lambda: refusals(node) or None)
        assert (said[0]["level"], said[0]["fields"]) == (
            "DEBUG",
            {"code": "invalid", "requests": 1},
        )

        with Client(cluster.endpoints) as client:
            assert client.log_level(node.endpoint, "ERROR") == "raft-0 logs ERROR and above"
        before = node.output()
        refuse_something(node)
        node.terminate()
        assert node.wait() == 0
        assert node.output() == before


def refuse_something(node: NodeProcess) -> None:
    with Raw(node.endpoint) as raw:
        assert raw.ask({"type": "transfer", "id": 1, "to": "no node's name"})["code"] == "invalid"
