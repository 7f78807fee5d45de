"""Nodes beyond the initial members: they wait, are admitted by hand, and removed again."""

from __future__ import annotations

import shutil
import socket

import pytest

from raftzmq import Client
from tests.system.processes import STEADY, Cluster, NodeProcess, wait_for
from tests.system.raw import Raw

pytestmark = [
    pytest.mark.system,
    pytest.mark.parametrize("cluster", [STEADY], indirect=True, ids=["steady"]),
]


def member(cluster: Cluster, action: str, name: str) -> str:
    """Change the membership at the leader; return what it answered."""
    with Raw(cluster.leader().endpoint) as raw:
        answer = raw.member(action, name)
    assert answer["type"] == "done", answer
    return str(answer["message"])


def members(node: NodeProcess) -> list[str]:
    status = node.status()
    assert status
    return [m["name"] for m in status["members"]]


def test_a_fourth_node_waits_says_so_is_admitted_and_removed(
    cluster: Cluster, client: Client
) -> None:
    for number in range(100):
        client.put(f"key/{number}", "value")
    fourth = cluster.add_process("raft-3")
    fourth.start()

    def waiting() -> str | None:
        status = fourth.status()
        return status["waiting"] if status and "add" in (status["waiting"] or "") else None

    text = wait_for("it says that somebody must add it", waiting)
    assert "raft-3" in text
    status = fourth.status()
    assert status
    assert status["role"] == "joining"
    assert not status["healthy"]

    assert "voter" in member(cluster, "add", "raft-3")
    cluster.wait_until_ready()
    assert members(fourth) == ["raft-0", "raft-1", "raft-2", "raft-3"]
    assert len(cluster.everything("key/")) == 100

    member(cluster, "remove", "raft-3")
    three = cluster.nodes[:3]
    names = [node.name for node in three]
    wait_for("the others know", lambda: all(members(node) == names for node in three))
    client.put("after", "removal")
    fourth.terminate()
    assert fourth.wait() == 0


@pytest.mark.proof
def test_a_fourth_node_needs_an_address_that_others_reach(cluster: Cluster) -> None:
    fourth = cluster.add_process("raft-3")
    fourth.arguments = ["--peers", cluster.peers]
    code, said = fourth.run()
    assert code == 2
    assert "--advertise" in said.splitlines()[-1]
    fourth.start("--listen", f"tcp://{fourth.address}")

    def waiting() -> bool:
        status = fourth.status()
        return status is not None and "add" in (status["waiting"] or "")

    wait_for("it says that somebody must add it", waiting)
    assert "voter" in member(cluster, "add", "raft-3")


@pytest.mark.proof
def test_nodes_that_are_told_of_on_loopback_listen_there_alone(cluster: Cluster) -> None:
    node = cluster.nodes[0]
    for port in (node.port, node.port + 1, node.port + 2):
        socket.create_connection(("127.0.0.1", port)).close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", port))


def test_a_leader_that_is_removed_steps_down_and_the_rest_goes_on(
    cluster: Cluster, client: Client
) -> None:
    leader = cluster.leader()
    rest = [node for node in cluster.nodes if node is not leader]
    member(cluster, "remove", leader.name)
    client.put("after", "removal")

    def goes_on() -> bool:
        statuses = [node.status() for node in rest]
        return all(s and s["leader"] in {n.name for n in rest} for s in statuses)

    wait_for("one of the others leads", goes_on)
    assert [members(node) for node in rest] == [[node.name for node in rest]] * 2


def test_what_cannot_be_is_refused(cluster: Cluster) -> None:
    with Raw(cluster.leader().endpoint) as raw:
        for action in ("add", "promote", "remove"):
            answer = raw.member(action, "raft-9")
            assert (answer["type"], answer["code"]) == ("error", "refused"), answer
            assert "raft-9" in answer["message"]


@pytest.mark.proof
def test_a_copy_of_a_running_node_is_told_and_changes_nothing(
    cluster: Cluster, client: Client
) -> None:
    client.put("before", "the copy")
    node = cluster.followers()[0]
    node.kill()
    copy = cluster.make_node(node.name, node.data_dir.parent / "copy")
    copy.data_dir.parent.mkdir()
    shutil.copytree(node.data_dir, copy.data_dir)
    node.start()
    cluster.wait_until_ready()
    copy.arguments = ["--peers", cluster.peers, "--advertise", copy.address, *STEADY]
    copy.start()
    try:
        leader = cluster.leader()

        def twice() -> bool:
            status = leader.status()
            return status is not None and status["twice"] == {node.name: copy.address}

        wait_for("the leader says that it runs twice", twice)

        def told() -> bool:
            status = copy.status()
            return status is not None and "copy" in (status["waiting"] or "")

        wait_for("the copy is told", told)
        # Both answer under one name and one incarnation.
        first, second = node.status(), copy.status()
        assert first
        assert second
        assert first["process"] != second["process"]
        client.put("after", "the copy")
        cluster.wait_until_ready()
        assert "runs twice" in leader.output()
    finally:
        copy.kill()


@pytest.mark.proof
def test_an_empty_node_elsewhere_does_not_replace_one_that_restarts(
    cluster: Cluster, client: Client
) -> None:
    client.put("key", "value")
    node = cluster.followers()[0]
    node.kill()
    second = cluster.make_node(node.name, node.data_dir.parent / "second")
    second.arguments = ["--peers", cluster.peers, "--advertise", second.address, *STEADY]
    second.data_dir.parent.mkdir()
    second.start()
    try:

        def told() -> bool:
            status = second.status()
            return status is not None and node.address in (status["waiting"] or "")

        wait_for("the second one is told where its name is", told)
        node.start()
        cluster.wait_until_ready()
        assert members(node) == ["raft-0", "raft-1", "raft-2"]
        assert cluster.everything("key")["key"].value == "value"
    finally:
        second.kill()


@pytest.mark.proof
def test_the_leader_names_addresses_that_do_not_answer(cluster: Cluster) -> None:
    lost = cluster.add_process("raft-3")
    lost.start("--listen", f"tcp://{lost.address}", "--advertise", "127.0.0.1:1")
    leader = cluster.leader()
    wait_for("it says who does not hear", lambda: "address=127.0.0.1:1" in leader.output())
    with Raw(leader.endpoint) as raw:
        answer = raw.member("add", "raft-3")
    assert "127.0.0.1:1" in answer["message"]
    lost.kill()
    down = next(node for node in cluster.nodes[:3] if node is not leader)
    down.kill()
    said = f"{down.name} does not answer address={down.address}"
    wait_for("it says who is silent", lambda: said in leader.output())
