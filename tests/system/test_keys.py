"""Real nodes with keys: who gets in, who does not, what is said of it, and keys that change while
somebody writes."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from raftzmq import AsyncClient, Client
from raftzmq.access.key_directory import KeyDirectory
from raftzmq.access.key_files import read_client_key
from raftzmq.access.users import User
from raftzmq.errors import OutcomeUnknown, RaftzmqError, Unauthorized, Unavailable
from tests.cli.conftest import environment
from tests.system.keyed import PATIENCE_S, KeyedCluster, Writer, made_keys
from tests.system.processes import STEADY, Cluster, NodeProcess, wait_for

pytestmark = pytest.mark.system

AT_ONCE_S = 10.0
"""Far less than what a client waits for an answer here; without load it takes a quarter second."""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeyedCluster]:
    with KeyedCluster(tmp_path_factory.mktemp("keyed")) as cluster:
        for node in cluster.nodes:
            node.start()
        cluster.wait_until_ready()
        yield cluster


@pytest.fixture
def other(tmp_path: Path) -> KeyDirectory:
    """The keys of another cluster."""
    return made_keys(tmp_path / "other")


def told_at_once(client: Client) -> str:
    """What a call says that no endpoint takes."""
    began = time.monotonic()
    with pytest.raises(Unauthorized) as told:
        client.put("a", "1", timeout=PATIENCE_S)
    assert time.monotonic() - began < AT_ONCE_S
    return str(told.value)


def test_a_client_with_a_key_reads_and_writes(shared: KeyedCluster) -> None:
    with shared.client() as db:
        db.put("greeting", "hello", timeout=PATIENCE_S)
        value = db.get("greeting", timeout=PATIENCE_S)
        assert value is not None
        assert value.value == "hello"


def test_one_without_a_key_is_told_so_at_once(shared: KeyedCluster) -> None:
    with Client(shared.endpoints) as db:
        assert told_at_once(db) == (
            f"{shared.endpoints[0]} wants a key: give --key FILE (RAFTZMQ_KEY)"
        )


def test_the_asyncio_client_is_let_in_and_told_alike(shared: KeyedCluster) -> None:
    async def ask() -> str:
        async with AsyncClient(shared.endpoints, key=shared.keys.file_of("admin")) as db:
            await db.put("async", "1", timeout=PATIENCE_S)
        async with AsyncClient(shared.endpoints) as db:
            with pytest.raises(Unauthorized) as told:
                await db.get("async", timeout=PATIENCE_S)
            return str(told.value)

    assert "wants a key" in asyncio.run(ask())


def test_one_whose_key_is_unknown_is_told_so_at_once(
    shared: KeyedCluster, other: KeyDirectory
) -> None:
    text = shared.keys.file_of("admin").read_text()
    stranger = other.file_of("stranger")
    own = next(
        line for line in other.file_of("admin").read_text().splitlines() if "secret-" in line
    )
    server = next(line for line in text.splitlines() if line.startswith("rzs"))
    stranger.write_text(f"{own}\n{server}\n")
    stranger.chmod(0o600)
    public = read_client_key(stranger).own.public
    with Client(shared.endpoints, key=stranger) as db:
        assert told_at_once(db) == (
            f"{shared.endpoints[0]} does not know the key {public.short} of 'stranger': add it to "
            "users.toml"
        )


def test_one_with_the_key_of_another_cluster_is_told_so_at_once(
    shared: KeyedCluster, other: KeyDirectory
) -> None:
    with Client(shared.endpoints, key=other.file_of("admin")) as db:
        assert told_at_once(db) == (
            f"{shared.endpoints[0]} is not the cluster this key is for, or no node"
        )
    nodes_port = [shared.nodes[0].address]
    with Client(nodes_port, key=shared.keys.file_of("admin")) as db:
        assert told_at_once(db).endswith("is not the cluster this key is for, or no node")


def test_one_that_works_beside_one_that_refuses_is_used(
    shared: KeyedCluster, tmp_path: Path
) -> None:
    with Cluster(tmp_path, 1) as plain:
        plain.nodes[0].start()
        plain.wait_until_ready()
        key = shared.keys.file_of("admin")
        with Client([plain.nodes[0].endpoint, *shared.endpoints], key=key) as db:
            db.put("beside", "1", timeout=PATIENCE_S)
        with Client([plain.nodes[0].endpoint], key=key) as db:
            assert told_at_once(db) == (
                f"{plain.nodes[0].endpoint} runs without keys: this client will not speak "
                "unencrypted"
            )


@pytest.mark.parametrize("words", [["get", "a"], ["status"], ["watch", "a"], ["lock", "a", "true"]])
def test_the_command_line_ends_with_exit_code_4(shared: KeyedCluster, words: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "raftzmq_cli", "client", *words],
        env=environment(RAFTZMQ_ENDPOINTS=",".join(shared.endpoints)),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 4, done
    assert "wants a key: give --key FILE (RAFTZMQ_KEY)" in done.stderr + done.stdout


def test_a_user_comes_and_goes_while_the_nodes_run(shared: KeyedCluster) -> None:
    shared.keys.add(User("billing", write=("billing/",)), None)
    key = shared.keys.file_of("billing")
    kept = key.read_bytes()
    with shared.client("billing") as db:

        def let_in() -> bool:
            try:
                db.put("billing/a", "1", timeout=5)
            except (Unauthorized, Unavailable):
                return False
            return True

        wait_for("the nodes have read users.toml", let_in)
        with db.watch("billing/a") as watch:
            db.put("billing/a", "2", timeout=PATIENCE_S)
            # A node that had not applied the first write yet tells of it too.
            assert "2" in (
                event.value for event in iter(partial(watch.next, timeout=PATIENCE_S), None)
            )
            shared.keys.remove("billing")

            def shut_out() -> str | None:
                try:
                    db.put("billing/a", "3", timeout=5)
                except OutcomeUnknown:
                    return None
                except RaftzmqError as error:
                    return str(error) if "does not know the key" in str(error) else None
                return None

            assert "of 'billing': add it to users.toml" in wait_for("it is refused", shut_out)
            with pytest.raises(RaftzmqError):  # the watch has ended, and says so
                [*iter(partial(watch.next, timeout=PATIENCE_S), None)]
    key.write_bytes(kept)
    key.chmod(0o600)
    with shared.client("billing") as db:
        assert "does not know the key" in told_at_once(db)
    key.unlink()


def test_a_broken_users_toml_changes_nothing_and_is_warned_of(shared: KeyedCluster) -> None:
    users = shared.keys.path / "users.toml"
    before = users.read_text()
    users.write_text("[users.admin")
    try:
        for node in shared.nodes:
            wait_for("a warning", partial(_says, node, "the keys stay as they were"))
        with shared.client() as db:
            db.put("still", "there", timeout=PATIENCE_S)
    finally:
        users.write_text(before)


def test_no_secret_is_in_a_log_or_in_the_arguments(shared: KeyedCluster) -> None:
    secrets = [
        line.rpartition("-")[2]
        for path in shared.keys.path.glob("*.key")
        for line in path.read_text().splitlines()
        if "-secret-" in line
    ]
    assert len(secrets) == 3
    for node in shared.nodes:
        seen = node.output() + Path(f"/proc/{node.pid}/cmdline").read_text()
        seen += Path(f"/proc/{node.pid}/environ").read_text()
        assert not [secret for secret in secrets if secret in seen]


def test_a_node_with_another_node_key_stays_out_and_it_is_said_who_refuses_it(
    tmp_path: Path, other: KeyDirectory
) -> None:
    with KeyedCluster(tmp_path) as cluster:
        first, second, third = cluster.nodes
        third.arguments = ["--peers", cluster.peers, "--keys", str(other.path), *STEADY]
        third.key = read_client_key(other.file_of("admin"))
        for node in cluster.nodes:
            node.start()

        def refusing() -> dict[str, str] | None:
            status = third.status()
            return (status or {}).get("refusing") or None

        said = wait_for("it knows who refuses it", refusing)
        assert set(said) <= {first.name, second.name}
        assert "is not of the cluster that this node's node.key is for" in next(iter(said.values()))
        wait_for("the log names the peer", lambda: "refuses this node" in third.output())


def test_a_node_is_refused_without_keys_where_others_reach_it(tmp_path: Path) -> None:
    node = NodeProcess("raft-0", tmp_path, 1)
    code, said = node.run("--peers", "raft-0=db.example:7000")
    assert code == 2
    assert said.count("\n") == 1
    assert "is open to other machines" in said
    assert "--keys DIR" in said
    assert "--insecure" in said


def _says(node: NodeProcess, text: str, count: int = 1) -> bool:
    return node.output().count(text) >= count


@pytest.mark.proof
@pytest.mark.parametrize("name", ["node", "server", "admin"])
def test_a_key_is_replaced_while_somebody_writes(tmp_path: Path, name: str) -> None:
    with KeyedCluster(tmp_path) as cluster:
        for node in cluster.nodes:
            node.start()
        cluster.wait_until_ready()
        with Writer(cluster.client) as writer:
            for _ in range(3):
                reread = [node.output().count("keys read again") for node in cluster.nodes]
                cluster.keys.rotate(name)
                for node, count in zip(cluster.nodes, reread, strict=True):
                    read = partial(_says, node, "keys read again", count + 1)
                    wait_for("the node has read its keys again", read)
                writer.go_on(50)
        assert writer.failed == []
