"""IPv4 and IPv6: nodes, clients and HTTP, by names and by literal addresses.

All is in one network namespace, whose loopback has the addresses of each case and no others, under
an /etc/hosts of the test's own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from tests.system import namespaces
from tests.system.processes import NodeProcess, wait_for

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(bool(namespaces.missing()), reason=str(namespaces.missing())),
]

NAMES: Final = ("raft-0", "raft-1", "raft-2")
PORT: Final = 6000


@dataclass(frozen=True)
class Case:
    """`addresses` are formats of a node's addresses, all of which its name has. The peers are told
    `host`, the node listens at `listen`, by default where it does so by itself."""

    addresses: tuple[str, ...]
    host: str
    listen: str | None = None


CASES: Final = {
    "names of IPv6 alone": Case(("fd00::{}",), "node-{}.test"),
    "literals of IPv6": Case(("fd00::{}",), "[fd00::{}]"),
    "names of both, nodes of IPv6": Case(
        ("10.9.9.{}", "fd00::{}"), "node-{}.test", "tcp://[fd00::{}]:6000"
    ),
    "names of both, nodes of IPv4": Case(
        ("10.9.9.{}", "fd00::{}"), "node-{}.test", "tcp://10.9.9.{}:6000"
    ),
}


class Host:
    """The namespace, and nodes in it."""

    def __init__(self, directory: Path, case: Case) -> None:
        self._namespace = f"raftzmq-{os.getpid()}-0"  # tests/system/namespaces.py tidies up
        hosts = directory / "hosts"
        lines = ["::1 localhost"]
        for k in range(len(NAMES)):
            lines += [f"{address.format(k + 1)} node-{k + 1}.test" for address in case.addresses]
        hosts.write_text("\n".join([*lines, ""]))
        mount = 'mount --bind "$0" /etc/hosts && exec "$@"'
        self.within = ["nsenter", f"--net=/run/netns/{self._namespace}", "--"]
        self.within += ["unshare", "--mount", "--", "sh", "-c", mount, str(hosts)]
        self.hosts = [case.host.format(k + 1) for k in range(len(NAMES))]
        peers = ",".join(f"{n}={h}:{PORT}" for n, h in zip(NAMES, self.hosts, strict=True))
        self.nodes = []
        for k, (name, host) in enumerate(zip(NAMES, self.hosts, strict=True)):
            node = NodeProcess(name, directory, PORT, host, self.within)
            # Names that listen on all interfaces by default would all want the same ports.
            listen = case.listen or f"tcp://[{case.addresses[0]}]:{PORT}"
            given = [] if host.startswith("[") else ["--listen", listen.format(k + 1)]
            node.arguments = ["--peers", peers, "--insecure", *given]
            self.nodes.append(node)
        self._addresses = [a.format(k + 1) for a in case.addresses for k in range(len(NAMES))]

    def __enter__(self) -> Host:
        namespaces.remove_leftovers()
        _run("ip", "netns", "add", self._namespace)
        inside = ("ip", "-n", self._namespace)
        _run(*inside, "link", "set", "lo", "up")
        _run(*inside, "address", "flush", "dev", "lo")
        _run(*inside, "address", "add", "::1/128", "dev", "lo")
        for address in self._addresses:
            length = 128 if ":" in address else 32
            _run(
                *inside,
                "address",
                "add",
                f"{address}/{length}",
                "dev",
                "lo",
                *(["nodad"] if ":" in address else []),
            )
        return self

    def __exit__(self, *_: object) -> None:
        for node in self.nodes:
            node.kill()
        _run("ip", "netns", "delete", self._namespace)

    def client(self, *words: str) -> subprocess.CompletedProcess[str]:
        endpoints = ",".join(f"{host}:{PORT + 1}" for host in self.hosts)
        environment = {k: v for k, v in os.environ.items() if not k.startswith("RAFTZMQ_")}
        return subprocess.run(
            [*self.within, sys.executable, "-m", "raftzmq_cli", "client", *words],
            env={**environment, "RAFTZMQ_ENDPOINTS": endpoints},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def get(self, url: str) -> str:
        program = "import sys, urllib.request as r; print(r.urlopen(sys.argv[1]).status)"
        asked = [*self.within, sys.executable, "-c", program, url]
        return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()


def _run(*command: str) -> None:
    subprocess.run([word for word in command if word], check=True, capture_output=True)


PARAMETERS: Final = [
    pytest.param(name, marks=[pytest.mark.proof] if name != "literals of IPv6" else [])
    for name in CASES
]


@pytest.fixture(params=PARAMETERS)
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Host]:
    with Host(tmp_path, CASES[request.param]) as host:
        yield host


@pytest.mark.proof
def test_nodes_clients_and_http_find_one_another(host: Host) -> None:
    for node in host.nodes:
        node.start()

    def all_healthy() -> list[Any] | None:
        done = host.client("status", "-w", "json")
        return json.loads(done.stdout) if done.returncode == 0 else None

    documents = wait_for("all nodes are healthy", all_healthy)
    assert [document["node"] for document in documents] == list(NAMES)
    assert host.client("put", "k", "v").returncode == 0
    assert host.client("get", "k").stdout.strip() == "v"
    for name in host.hosts:
        assert host.get(f"http://{name}:{PORT + 2}/livez") == "200"
    leader = next(node for node in host.nodes if node.name == documents[0]["leader"])
    leader.kill()
    # Followers have not spoken to one another before.
    assert host.client("put", "k", "w", "--timeout", "20").returncode == 0
