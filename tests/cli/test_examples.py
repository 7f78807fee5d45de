"""The examples in examples/ do what they say, against three real nodes."""

from __future__ import annotations

import http.server
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from tests.cli.conftest import LIMIT_S, LocalCluster, Program, environment

EXAMPLES = Path(__file__).parents[2] / "examples"

pytestmark = pytest.mark.system


def begin(
    words: Sequence[str], cluster: LocalCluster, directory: Path, **more: str
) -> subprocess.Popen[str]:
    """Start a program that finds `raftzmq` and `python` on its PATH, and the cluster."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.Popen(
        list(words),
        cwd=directory,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(RAFTZMQ_ENDPOINTS=cluster.endpoints, PATH=path, **more),
    )


def said(process: subprocess.Popen[str]) -> tuple[int, str]:
    """How it ended, and what it printed."""
    out, _ = process.communicate(timeout=LIMIT_S)
    return process.returncode, out


@pytest.mark.proof
def test_a_cron_job_on_several_machines_runs_once_unless_it_fails(
    raftzmq: Program, shared_cluster: LocalCluster, tmp_path: Path
) -> None:
    def nightly(script: str) -> subprocess.Popen[str]:
        words = [str(EXAMPLES / "nightly.sh"), "sh", "-c", script]
        return begin(words, shared_cluster, tmp_path, NIGHT="2026-01-01")

    assert said(nightly("exit 5")) == (5, "")
    machines = [nightly("echo the report of $NIGHT") for _ in range(2)]
    assert sorted(map(said, machines)) == [(0, ""), (0, "the report of 2026-01-01\n")]
    assert raftzmq("client", "get", "nightly/2026-01-01", "--fail-missing").code == 0


class Service(http.server.ThreadingHTTPServer):
    """Counts who is being served, and lets go of them when three are there or no more come."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.lock = threading.Lock()
        self.present = 0
        self.most = 0
        self.served = 0
        self.crowd = threading.Event()


class Answer(http.server.BaseHTTPRequestHandler):
    server: Service

    def do_GET(self) -> None:
        service = self.server
        with service.lock:
            service.present += 1
            service.most = max(service.most, service.present)
            if service.present == 3:
                service.crowd.set()
        service.crowd.wait(LIMIT_S)  # the first three are there together
        with service.lock:
            service.present -= 1
            service.served += 1
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def service() -> Iterator[Service]:
    with Service() as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield made
        made.crowd.set()
        made.shutdown()
        thread.join()


def test_of_four_workers_three_at_a_time_call_the_service(
    shared_cluster: LocalCluster, service: Service, tmp_path: Path
) -> None:
    url = f"http://127.0.0.1:{service.server_port}/"
    words = [sys.executable, str(EXAMPLES / "three_at_a_time.py"), url, url]
    workers = [begin(words, shared_cluster, tmp_path, no_proxy="*") for _ in range(4)]
    tokens = []
    for worker in workers:
        code, out = said(worker)
        assert code == 0
        tokens += re.findall(r"5 bytes, under token (\d+)\n", out)
    assert len(set(tokens)) == service.served == 8
    assert service.most == 3


def manifest() -> dict[str, Any]:
    """The objects of leader.yaml by their kinds."""
    documents = yaml.safe_load_all((EXAMPLES / "leader.yaml").read_text())
    return {document["kind"]: document for document in documents}


@pytest.mark.parametrize("version", ["1.25", "1.31"])
def test_the_manifest_of_the_worker_is_valid(version: str) -> None:
    for item in manifest().values():
        assert kubernetes_validate.validate(item, version, strict=True) == version


def test_the_second_replica_of_the_worker_takes_over(
    shared_cluster: LocalCluster, tmp_path: Path
) -> None:
    objects = manifest()
    for name, text in objects["ConfigMap"]["data"].items():
        (tmp_path / name).write_text(text)
    (container,) = objects["Deployment"]["spec"]["template"]["spec"]["containers"]
    words = [*container["command"], *container["args"]]
    first = begin(words, shared_cluster, tmp_path)
    replicas = [first]
    try:
        assert first.stdout is not None
        before = re.fullmatch(r"1 done, in term (\d+)\n", first.stdout.readline())
        assert before
        second = begin(words, shared_cluster, tmp_path)
        replicas.append(second)
        first.send_signal(signal.SIGTERM)
        assert said(first)[0] == 128 + signal.SIGTERM
        assert second.stdout is not None
        after = re.fullmatch(r"\d+ done, in term (\d+)\n", second.stdout.readline())
        assert after
        assert int(after[1]) > int(before[1])
        second.send_signal(signal.SIGTERM)
        assert said(second)[0] == 128 + signal.SIGTERM
    finally:
        for replica in replicas:
            replica.kill()
            replica.communicate()
