"""What is wrong with an endpoint that does not answer."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence

import pytest

from raftzmq import NodeStatus
from raftzmq_cli.client.reachability import why_silent
from tests.cli.conftest import LocalCluster, Program


def nobody(endpoints: Sequence[str]) -> list[NodeStatus]:
    return [NodeStatus(endpoint, None, "no answer") for endpoint in endpoints]


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def test_a_name_that_does_not_resolve() -> None:
    found = why_silent("no-such-host.invalid:6001", nobody)
    assert found == "the name no-such-host.invalid does not resolve"


def test_a_port_where_nothing_listens(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    listener.close()
    assert why_silent(f"127.0.0.1:{port}", nobody) == "no connection: nothing listens there"


def test_one_that_listens_and_is_silent(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    assert why_silent(f"127.0.0.1:{port}", nobody) == "is connected, but does not answer"


def test_the_port_that_the_nodes_use_and_that_of_the_probes(
    raftzmq: Program, shared_cluster: LocalCluster
) -> None:
    right = f"127.0.0.1:{shared_cluster.base_port + 1}"
    for wrong, name in ((0, "the nodes' port"), (2, "the HTTP port")):
        endpoint = f"127.0.0.1:{shared_cluster.base_port + wrong}"
        for words in (("get", "k"), ("status",)):
            done = raftzmq("client", "--endpoints", endpoint, "--timeout", "0.5", *words)
            assert done.code == 3
            said = done.err or done.out
            assert f"{endpoint}: that is {name}; the client port is {right}" in said
