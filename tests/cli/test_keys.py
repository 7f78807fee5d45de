"""`raftzmq keys`: what it makes, what it prints, and what it never prints."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from raftzmq.access.key_files import read_client_key
from raftzmq.access.node_keys import read_node_keys
from raftzmq_cli.main import run

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> Path:
    monkeypatch.setenv("RAFTZMQ_KEYS", str(tmp_path / "keys"))
    assert run(["keys", "create"]) == 0
    capsys.readouterr()
    return tmp_path / "keys"


def secrets(directory: Path) -> list[str]:
    lines = [line for path in directory.glob("*.key") for line in path.read_text().splitlines()]
    return [line.rpartition("-")[2] for line in lines if "-secret-" in line]


def test_the_first_steps_are_told(tmp_path: Path, capsys: Capture) -> None:
    assert run(["keys", "create", str(tmp_path / "k")]) == 0
    out = capsys.readouterr().out
    assert "node.key, server.key, users.toml, admin.key" in out
    assert "--keys" in out
    assert "client --key" in out
    assert run(["keys", "create", str(tmp_path / "k")]) == 2
    assert "exists and is not overwritten" in capsys.readouterr().err


def test_users_are_listed_with_their_rights(keys: Path, capsys: Capture) -> None:
    words = ["--read", "prices/", "--write", "billing/", "--write", "b2/"]
    assert run(["keys", "add", "billing", *words]) == 0
    assert run(["keys", "list", "-w", "json"]) == 0
    rows = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [row["name"] for row in rows] == ["(nodes)", "(cluster)", "admin", "billing"]
    assert [row["kind"] for row in rows] == ["node", "server", "user", "user"]
    billing = rows[-1]
    assert (billing["read"], billing["write"], billing["admin"]) == (
        ["prices/"],
        ["billing/", "b2/"],
        False,
    )
    assert billing["keys"] == [str(read_client_key(keys / "billing.key").own.public)]
    assert run(["keys", "remove", "billing"]) == 0
    assert not (keys / "billing.key").exists()
    assert run(["keys", "remove", "billing"]) == 2


def test_an_owner_keeps_the_secret_key(keys: Path, tmp_path: Path, capsys: Capture) -> None:
    server = str(read_node_keys(keys).server.own.public)
    file = tmp_path / "mine.key"
    assert run(["keys", "new", str(file), "--server", server]) == 0
    public = capsys.readouterr().out.strip()
    assert run(["keys", "add", "me", "--public", public, "--admin", "-w", "json"]) == 0
    added = json.loads(capsys.readouterr().out)
    assert (added["keys"], added["file"], added["servers"]) == ([public], None, [server])
    assert str(read_client_key(file).own.public) == public
    assert not (keys / "me.key").exists()


def test_the_last_admin_is_missed(keys: Path, capsys: Capture) -> None:
    assert run(["keys", "remove", "admin"]) == 0
    assert "no user is an admin any more" in capsys.readouterr().err


def test_each_step_of_a_rotation_says_the_next(keys: Path, capsys: Capture) -> None:
    for number, follows in ((1, True), (2, True), (3, False)):
        assert run(["keys", "rotate", "node"]) == 0
        out = capsys.readouterr().out
        assert f"step {number} of 3" in out
        assert "node.key" in out
        assert ("`raftzmq keys rotate node` again" in out) is follows


def test_nothing_that_is_printed_has_a_secret_in_it(keys: Path, capsys: Capture) -> None:
    for words in (["list"], ["list", "-w", "table"], ["add", "x"], ["rotate", "x"]):
        assert run(["keys", *words]) == 0
    told = "".join(capsys.readouterr())
    assert len(secrets(keys)) == 5
    assert not [secret for secret in secrets(keys) if secret in told]


def test_the_secrets_of_kubernetes_have_what_pods_need(keys: Path, capsys: Capture) -> None:
    assert run(["keys", "secret"]) == 0
    nodes, client = json.loads(capsys.readouterr().out)["items"]
    assert (nodes["metadata"]["name"], client["metadata"]["name"]) == ("raft-keys", "raft-client")
    assert sorted(nodes["data"]) == ["node.key", "server.key", "users.toml"]
    for name, text in nodes["data"].items():
        assert base64.b64decode(text) == (keys / name).read_bytes()
    assert base64.b64decode(client["data"]["client.key"]) == (keys / "admin.key").read_bytes()


def test_secrets_are_not_written_to_a_terminal(
    keys: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert run(["keys", "secret"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "pipe it into `kubectl apply -f -`" in said.err
