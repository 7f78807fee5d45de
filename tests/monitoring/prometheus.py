"""A real Prometheus that watches the nodes of a test, and what it answers."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import yaml

from tests.monitoring.rules import ALERTS
from tests.system.processes import wait_for


@dataclass(frozen=True, slots=True)
class Prometheus:
    """Asks one that runs."""

    port: int

    def ask(self, path: str, **parameters: str) -> Any:
        """The data of an answer; an error of Prometheus fails the test."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        with closing(connection):
            connection.request("GET", f"/api/v1/{path}?{urlencode(parameters)}")
            answer = json.loads(connection.getresponse().read())
        assert answer["status"] == "success", answer
        return answer["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series that an expression gives now."""
        found: list[dict[str, Any]] = self.ask("query", query=expression)["result"]
        return found

    def answers(self) -> bool:
        with suppress(OSError, http.client.HTTPException, ValueError):
            return bool(self.ask("status/runtimeinfo"))
        return False


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@contextmanager
def running(targets: Sequence[str], directory: Path) -> Iterator[Prometheus]:
    """A Prometheus with the alerts, which reads these HOST:PORT each second. Skips without one."""
    if shutil.which("prometheus") is None:
        pytest.skip("prometheus is not installed (Debian: apt install prometheus)")
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(ALERTS)],
        "scrape_configs": [{"job_name": "raftzmq", "static_configs": [{"targets": [*targets]}]}],
    }
    directory.mkdir()
    (directory / "prometheus.yml").write_text(yaml.safe_dump(config))
    port = free_port()
    words = [
        "prometheus",
        f"--config.file={directory / 'prometheus.yml'}",
        f"--storage.tsdb.path={directory / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (
        (directory / "output").open("wb") as output,
        subprocess.Popen(words, stdout=output, stderr=output) as process,
    ):
        try:
            prometheus = Prometheus(port)
            wait_for("prometheus answers", prometheus.answers)
            yield prometheus
        finally:
            process.terminate()
