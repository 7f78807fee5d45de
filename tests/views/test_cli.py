"""`raftzmq views client`, and `raftzmq local` with --design views."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from raftzmq_cli.main import run
from tests.cli.conftest import Result, execute
from tests.cli.hostile import TEXTS, is_safe
from tests.system.ports import free_ports

pytestmark = pytest.mark.system


class Local:
    """What `local up` started in a directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_ports(4)

    def __call__(self, verb: str, *more: str) -> Result:
        return execute(["local", verb, "--dir", str(self.directory), *more], RAFTZMQ_DEAD_MS="5000")

    def up(self, *more: str) -> Result:
        where = ["--design", "views", "--base-port", str(self.port), "--wait", "200"]
        return self("up", *where, *more)


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    made = Local(tmp_path_factory.mktemp("local"))
    try:
        started = made.up()
        assert started.code == 0, started
        assert "the service is up: view " in started.out
        assert f"export RAFTZMQ_VIEW_SERVER=127.0.0.1:{made.port}" in started.out
        yield made
    finally:
        assert made("down", "--purge").code == 0


class Program:
    def __init__(self, capture: pytest.CaptureFixture[str]) -> None:
        self._capture = capture

    def __call__(self, *words: str) -> Result:
        self._capture.readouterr()
        code = run(["views", "client", *words])
        captured = self._capture.readouterr()
        return Result(code, captured.out, captured.err)


@pytest.fixture
def program(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Program:
    for name in list(os.environ):
        if name.startswith(("RAFTZMQ_", "KUBERNETES_", "MINOMBREPOD")):
            monkeypatch.delenv(name)
    return Program(capfd)


@pytest.fixture
def views(local: Local, program: Program, monkeypatch: pytest.MonkeyPatch) -> Program:
    monkeypatch.setenv("RAFTZMQ_VIEW_SERVER", f"127.0.0.1:{local.port}")
    monkeypatch.setenv("RAFTZMQ_TIMEOUT", "60")
    return program


def test_what_is_put_appended_and_deleted_is_got(views: Program) -> None:
    written = views("put", "greeting", "hello", "-w", "json").json
    assert set(written) == {"index", "view", "primary", "revision"}
    assert written["primary"].startswith("storage-")
    assert views("append", "greeting", ", world").code == 0
    assert views("get", "greeting").out == "hello, world\n"
    (item,) = views("-w", "json", "get", "greeting").json
    assert (item["key"], item["value"]) == ("greeting", "hello, world")
    assert views("delete", "greeting", "-w", "json").json["deleted"] == 1
    assert views("delete", "greeting").out.startswith("0 keys deleted")
    assert views("get", "greeting").out == ""
    missing = views("get", "greeting", "--fail-missing")
    assert (missing.code, missing.err) == (1, "raftzmq: there is no key 'greeting'\n")


def test_status_names_every_server_and_its_role(views: Program, local: Local) -> None:
    document = views("status", "-w", "json").json
    roles = sorted(server["role"] for server in document["servers"])
    assert roles == ["backup", "idle", "primary"]
    assert all(server["healthy"] for server in document["servers"])
    names = {document["primary"], document["backup"], *document["idle"]}
    assert names == {"storage-0", "storage-1", "storage-2"}
    assert set(document["servers"][0]) >= {"name", "address", "role", "view", "keys", "healthy"}
    result = views("status")
    assert result.code == 0
    assert result.lines[0].startswith(f"view {document['view']}: primary {document['primary']}")
    shown = local("status", "-w", "json").json
    assert all(isinstance(server["pid"], int) for server in shown["servers"])
    assert "running already" in local.up().out


def test_check_tells_every_step(views: Program) -> None:
    result = views("check", "-w", "json")
    assert result.code == 0
    assert result.json["passed"]
    assert views("check").lines[-1].endswith("steps passed")


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["put", "", "v"], 2, "put: the key must not be empty"),
        (["append", "k", "@/nowhere"], 2, "/nowhere: No such file"),
        (["put", "k"], 2, "VALUE"),
        (["get", "k", "--timeout", "0"], 2, "--timeout must be"),
        (["get", "k", "--view-server", "nowhere"], 2, "'nowhere' is not an address"),
        (["get", "k", "--view-server", "127.0.0.1:1", "--timeout", "0.2"], 3, "nothing was done"),
        (["status", "--view-server", "127.0.0.1:1", "--timeout", "0.2"], 3, "does not answer"),
    ],
)
def test_an_error_is_one_line_and_an_exit_code(
    program: Program, words: list[str], code: int, told: str
) -> None:
    result = program(*words)
    assert (result.code, result.out) == (code, "")
    assert result.err.count("\n") == 1
    assert told in result.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["store", "Upper", "--view-server", "a:1"], "'Upper' is not a server's name"),
        (["store", "s", "--view-server", "a"], "'a' is not an address"),
        (["store", "s", "--view-server", "a:1", "--address", "b"], "'b' is not an address"),
        (["store", "s"], "--view-server"),
        (["server", "--listen", "here"], "'here' is not an endpoint to listen on"),
        (["server", "--ping-ms", "100", "--dead-ms", "150"], "at least twice"),
    ],
)
def test_a_server_that_cannot_be_says_why(
    program: Program, capfd: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    assert run(["views", *words]) == 2
    assert told in capfd.readouterr().err


def test_the_directory_of_one_design_is_not_taken_for_the_other(
    program: Program, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    document = {"format": 1, "nodes": 3, "base_port": 7000, "design": "views"}
    (tmp_path / "cluster.json").write_text(json.dumps(document))
    assert run(["local", "up", "--dir", str(tmp_path)]) == 2
    assert "belongs to another design" in capfd.readouterr().err
    (tmp_path / "cluster.json").write_text(json.dumps({"nodes": 3, "base_port": 6000}))
    assert run(["local", "up", "--dir", str(tmp_path), "--design", "views"]) == 2
    assert "belongs to a Raft cluster" in capfd.readouterr().err
    assert run(["local", "status", "--dir", str(tmp_path), "--design", "views"]) == 3
    assert "nothing of the older design" in capfd.readouterr().err
    assert run(["local", "down", "--dir", str(tmp_path), "--design", "views"]) == 0


def test_whatever_a_key_or_a_value_holds_is_shown_in_one_line(views: Program) -> None:
    for text in TEXTS.values():
        assert views("put", "--literal", "--", text, text).code == 0
        assert views("get", "--", text).out == f"{text}\n", "a pipe gets the value as it is"
        (item,) = views("get", "-w", "json", "--", text).json
        assert (item["key"], item["value"]) == (text, text)
        for shown in (
            views("get", "-w", "table", "--", text).out,
            views("get", "--fail-missing", "--", f"{text}/missing").err,
            views("append", "--literal", "--", text, text).out,
            views("delete", "--", text).out,
            views("status").out,
        ):
            assert is_safe(shown)
            assert "{'" in text or "{'" not in shown, "Python's form of a value"
