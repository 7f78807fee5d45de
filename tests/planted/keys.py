"""Bugs in who is let in: on real processes with keys, as those in processes.py."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest

from raftzmq import Client
from raftzmq.access.key_directory import KeyDirectory
from raftzmq.access.key_files import ClientKey, new_pair, read_client_key
from raftzmq.access.keys import Kind
from raftzmq.access.node_keys import read_node_keys
from raftzmq.access.users import User
from raftzmq.errors import RaftzmqError, Unauthorized
from raftzmq.transport import curve
from raftzmq.transport.handshakes import Verdict, inspect
from tests.planted.launch import VARIABLE
from tests.planted.processes import PATIENT_S, Planted, ProcessDefect
from tests.system.processes import Cluster, wait_for
from tests.system.raw import NoAnswer, Raw

USER: Final = "billing"
"""Somebody who may write nothing but keys that begin so."""


class _Keyed(Cluster):
    """One node with keys, and two users."""

    def __init__(self, directory: Path, planted: Planted) -> None:
        self.keys = KeyDirectory(directory / "keys")
        self.keys.create()
        self.keys.add(User(USER, write=(USER,)), None)
        super().__init__(directory, 1, ("--keys", str(self.keys.path)))
        (self.node,) = self.nodes
        self.node.key = read_client_key(self.keys.file_of("admin"))
        self.node.program = "tests.planted.launch"
        self.node.within = ("env", f"{VARIABLE}={' '.join(planted)}")
        self.node.start()
        wait_for("the node leads", self._leads, PATIENT_S)

    def _leads(self) -> bool:
        status = self.node.status(1.0)
        return status is not None and status["role"] == "leader"

    def put(self, name: str, key: str, patience_s: float) -> None:
        with Client([self.node.endpoint], key=self.keys.file_of(name)) as db:
            db.put(key, "1", timeout=patience_s)


def a_stranger_comes(directory: Path, planted: Planted, patience_s: float) -> None:
    """Somebody knows the cluster's public key and has one of his own, as anybody can."""
    with _Keyed(directory, planted) as cluster:
        server = read_node_keys(cluster.keys.path).server.own.public
        found = inspect(cluster.node.endpoint, new_pair(Kind.USER), [server])
        assert found.verdict is Verdict.UNKNOWN_KEY, f"a stranger at the clients' port: {found}"


def a_user_comes_to_the_nodes_port(directory: Path, planted: Planted, patience_s: float) -> None:
    """A user's key is let in at port 6001, and only there."""
    with _Keyed(directory, planted) as cluster:
        server = read_node_keys(cluster.keys.path).node.own.public
        own = read_client_key(cluster.keys.file_of("admin")).own
        found = inspect(cluster.node.address, own, [server])
        assert found.verdict is Verdict.UNKNOWN_KEY, f"a user at the nodes' port: {found}"


def a_user_takes_the_identity_of_another(
    directory: Path, planted: Planted, patience_s: float
) -> None:
    """An identity is the client's choice. An admin used it before."""
    with _Keyed(directory, planted) as cluster:
        request: dict[str, object] = {"type": "operations", "session": 0, "ack": 0, "stale": True}
        request["ops"] = [[1, "get", "of nobody else's business"]]
        for name in ("admin", USER):
            key = read_client_key(cluster.keys.file_of(name))

            def asked(key: ClientKey = key) -> str | None:
                """Nothing, while libzmq has not forgotten the connection before."""
                with suppress(NoAnswer), Raw(cluster.node.endpoint, key, b"x") as raw:
                    return str(raw.ask(request, 1.0))
                return None

            said = wait_for("an answer", asked, PATIENT_S)
        assert "denied" in said, f"a user was taken for another with its identity: {said}"


def a_users_key_is_removed(directory: Path, planted: Planted, patience_s: float) -> None:
    """Soon it is of no use, not even on a connection that was let in before."""
    with _Keyed(directory, planted) as cluster:
        key = read_client_key(cluster.keys.file_of(USER))
        with Raw(cluster.node.endpoint, key) as raw:
            assert raw.status() is not None
            cluster.keys.remove(USER)

            def shut_out() -> bool:
                try:
                    raw.status(0.5)
                except NoAnswer:
                    return True
                return False

            wait_for("a removed key is shut out", shut_out, patience_s)


def a_node_runs_without_keys(directory: Path, planted: Planted, patience_s: float) -> None:
    """A client with a key does not speak to it."""
    with Cluster(directory, 1) as cluster:
        (node,) = cluster.nodes
        node.start()
        cluster.wait_until_ready()
        keys = KeyDirectory(directory / "keys")
        keys.create()
        with Client([node.endpoint], key=keys.file_of("admin")) as db:
            try:
                db.put("a", "1", timeout=patience_s)
            except Unauthorized:
                return
            except RaftzmqError as error:
                raise AssertionError(f"not told why: {error}") from None
        raise AssertionError("a client with a key has spoken unencrypted")


def _fall_back_to_plain(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(curve, "connect_with", lambda *_: None)


DEFECTS: Final = (
    ProcessDefect(
        40,
        "every key is let in",
        "let_everybody_in",
        (),
        a_stranger_comes,
        told="a stranger at the clients' port: .*FINE",
    ),
    ProcessDefect(
        41,
        "a key is let in at whichever port",
        "mind_no_domain",
        (),
        a_user_comes_to_the_nodes_port,
        told="a user at the nodes' port: .*FINE",
    ),
    ProcessDefect(
        42,
        "users are remembered by the identity of their connection",
        "remember_users_by_identity",
        ("routing_ids_are_chosen",),
        a_user_takes_the_identity_of_another,
        told="taken for another with its identity",
    ),
    ProcessDefect(
        43,
        "a removed key still works",
        "never_read_users_again",
        (),
        a_users_key_is_removed,
        told="a removed key is shut out",
    ),
    ProcessDefect(
        44,
        "a client with a key falls back to plain",
        "",
        (),
        a_node_runs_without_keys,
        told="has spoken unencrypted",
        here=_fall_back_to_plain,
    ),
)
