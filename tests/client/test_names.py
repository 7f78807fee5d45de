"""A name with several addresses, of which some lead nowhere: the client finds the one that does.

libzmq connects to one address of a name, always the same where the resolver's order does not
change. The name is in an /etc/hosts of the test's own, in a mount namespace.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.ports import free_ports
from tests.system.processes import STEADY, Cluster, NodeProcess

pytestmark = pytest.mark.system

BLOCKING = """
import sys
from raftzmq import Client
with Client(sys.argv[1]) as db:
    db.put("k", "v", timeout=10)
    print(db.get("k").value)
"""

ASYNCIO = """
import asyncio, sys
from raftzmq import AsyncClient
async def main():
    async with AsyncClient(sys.argv[1]) as db:
        await db.put("k", "v", timeout=10)
        print((await db.get("k")).value)
asyncio.run(main())
"""


def can_have_hosts_of_its_own() -> bool:
    if os.geteuid() != 0 or not shutil.which("unshare"):
        return False
    bind = ["unshare", "-m", "mount", "--bind", "/etc/hosts", "/etc/hosts"]
    return subprocess.run(bind, capture_output=True, check=False).returncode == 0


HOST = "127.9.9.9"
"""Where the node is. By the rules of RFC 6724 the resolver names 127.0.0.1 before it."""


class OneNode(Cluster):
    """A cluster of one node at that address alone."""

    def make_node(self, name: str, directory: Path) -> NodeProcess:
        return NodeProcess(name, directory, free_ports(), HOST)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    with OneNode(tmp_path_factory.mktemp("node"), size=1, arguments=STEADY) as cluster:
        yield cluster.start().nodes[0]


@pytest.mark.skipif(not can_have_hosts_of_its_own(), reason="a mount namespace takes root")
@pytest.mark.parametrize("program", [BLOCKING, ASYNCIO], ids=["blocking", "asyncio"])
def test_the_address_where_a_node_is_gets_found(
    tmp_path: Path, node: NodeProcess, program: str
) -> None:
    hosts = tmp_path / "hosts"
    addresses = ["127.0.0.1", "127.9.9.8", HOST]
    hosts.write_text("".join(f"{address} db.test\n" for address in addresses))
    mount = 'mount --bind "$0" /etc/hosts && exec "$@"'
    within = ["unshare", "-m", "sh", "-c", mount, str(hosts)]
    done = subprocess.run(
        [*within, sys.executable, "-c", program, f"db.test:{node.port + 1}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("v\n", "")
