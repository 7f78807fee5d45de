"""Wrong usage: exit code 2 and one line that helps; and the help itself."""

import json
from functools import cache
from pathlib import Path

import pytest

from raftzmq_cli import main
from raftzmq_cli.main import run

Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("nonsense", "No such command"),
        ("client nonsense", "No such command"),
        ("client get", "KEY"),
        ("client put key", "VALUE"),
        ("client put key -5", "write -- before"),
        ("client get key --nonsense", "--nonsense"),
        ("client get key -w xml", "simple, json, table"),
        ("client -w xml get key", "simple, json, table"),
        ("client get key --timeout soon", "soon"),
        ("client get key --timeout 0", "above 0"),
        ("client get key --timeout nan", "above 0"),
        ("client get key --endpoints nowhere", "HOST:PORT"),
        ("client --endpoints nowhere:port get key", "HOST:PORT"),
        ("client get key --limit 0 --prefix", "0"),
        ("client get key --limit 5", "--prefix"),
        ("client get key --prefix --range-end z", "cannot be combined"),
        ("client get key --raw -w json", "--raw"),
        ("client put key value --if-absent --if-revision 3", "cannot be combined"),
        ("client put key value --if-revision -1", "-1"),
        ("client put key @/no/such/file", "/no/such/file"),
        ("client txn", "FILE"),
        ("client txn /no/such/file", "/no/such/file"),
        ("client txn --then nonsense", "put, delete"),
        ("client txn --if nonsense", "KEY value|revision"),
        ("client put key value --fence lock", "NAME:TOKEN"),
        ("client delete", "KEY"),
        ("client delete --prefix", "KEY"),
        ("client delete key --all", "leave out KEY"),
        ("client delete key --fence lock:x", "NAME:TOKEN"),
        ("client delete key --fence :3", "NAME:TOKEN"),
        ("client put key value --keep-end --ttl 5", "--ttl"),
        ("client get key --keys-only", "--keys-only requires --prefix"),
        ("client get key --prefix --count --details", "stands alone"),
        ("client get key --details --raw", "stands alone"),
        ("client get key --prefix --details", "--details stands alone, or beside --stale"),
        ("client get key --prefix --count --limit 5", "beside --prefix and --stale"),
        ("client delete key --prefix --previous", "--previous is for one key"),
        ("client put key value --ttl 5 --lease 3", "give one of them"),
        ("client put key value --ttl 0.1", "0.5"),
        ("client lock", "NAME"),
        ("client lock name", "after --"),
        ("client lock name --ttl 0.1 -- true", "0.5"),
        ("client lock name --timeout -1 -- true", "-1"),
        ("client lock name --grace -1 -- true", "--grace"),
        ("client lock name ls -l", "before COMMAND"),
        ("client lock name --describe -- true", "no COMMAND"),
        ("client elect name --limit 3 -- true", "--observe"),
        ("client elect name --observe --describe", "cannot be combined"),
        ("client sem run name -n 0 -- true", "0"),
        ("client sem run name --permits 0 -- true", "0"),
        ("client sem run name -n 2 --permits 3 -- true", "3"),
        ("client sem wait name", "--lease"),
        ("client sem wait name --ttl 5 --plain", "--plain"),
        ("client sem signal name", "--token"),
        ("client sem signal name --token 3 --plain", "--plain"),
        ("client sem signal name --token 3 --permits 2", "--plain"),
        ("client sem signal name --token x", "whole number"),
        ("client sem resize name 0", "0"),
        ("client lease grant --ttl 1e9", "86400"),
        ("client lease keep x", "whole number"),
        ("client queues --kind door", "lock, semaphore"),
        ("client watch key --from 0", "0"),
        ("client bench --op fly", "put, get, stale"),
        ("client bench --outstanding 0", "0"),
        ("client bench --outstanding 2 --connections 3", "--connections 3"),
        ("client bench --connections 1 --processes 2", "--processes 2"),
        ("client member add three", "NAME-ORDINAL"),
        ("client member nonsense", "No such command"),
        ("client dump three", "NAME-ORDINAL"),
        ("client stop host:port", "HOST:PORT"),
        ("node", "POD"),
        ("node raft", "raft-0"),
        ("node raft-x", "raft-0"),
        ("node -1", "raft-0"),
        ("node raft-01", "raft-0"),
        ("node raft-0 --peers raft-0", "HOST:PORT"),
        ("node raft-0 --peers raft-0=here", "HOST:PORT"),
        ("node raft-0 --listen nowhere", "tcp://*:6000"),
        ("node raft-0 --log-level loud", "DEBUG"),
        ("node raft-0 --replicas 0", "0"),
        ("node raft-0 --heartbeat-ms 300 --election-timeout-ms 300", "--heartbeat-ms"),
        ("show", "FILE"),
        ("show /no/such/file", "/no/such/file: No such file"),
        ("show /dev/null", "no recording"),
        ("local up --nodes 0", "0"),
        ("local nonsense", "No such command"),
    ],
)
def test_wrong_usage_exits_with_2_and_one_line(
    arguments: str, words: str, capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAFTZMQ_POD", raising=False)
    monkeypatch.delenv("MINOMBREPOD", raising=False)
    assert run(arguments.split()) == 2
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert words in captured.err


@pytest.mark.parametrize(
    "arguments", ["", "client", "local", "client member", "client sem", "client lease"]
)
def test_a_bare_group_shows_its_help_and_exits_with_2(arguments: str, capfd: Capture) -> None:
    assert run(arguments.split()) == 2
    assert "Usage: raftzmq" in capfd.readouterr().err


@cache
def commands() -> list[str]:
    root = main.build()
    found = []
    for name, group in root.commands.items():
        for inner_name, inner in getattr(group, "commands", {}).items():
            found.append(f"{name} {inner_name}")
            found += [f"{name} {inner_name} {last}" for last in getattr(inner, "commands", {})]
        found.append(name)
    return found


@pytest.mark.parametrize("command", commands())
def test_every_command_has_help(command: str, capfd: Capture) -> None:
    assert run([*command.split(), "--help"]) == 0
    out = capfd.readouterr().out
    assert f"Usage: raftzmq {command}" in out
    description = out.split("\n\n")[1].strip()
    assert description
    assert not description.startswith("Options:")


@pytest.mark.parametrize("command", [c for c in commands() if c.startswith("client ")])
def test_every_client_command_takes_the_shared_options(command: str, capfd: Capture) -> None:
    run([*command.split(), "--help"])
    out = capfd.readouterr().out
    for option in ("--endpoints", "--timeout", "-w, --output"):
        assert option in out or command in ("client member", "client sem", "client lease")


@pytest.mark.parametrize("command", ["", *commands()])
def test_help_speaks_of_values_and_not_of_types(
    command: str, capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run([*command.split(), "--help"]) == 0
    out = capfd.readouterr().out
    for word in ("<int", "<float", "<str", "<path", "<list", " range>"):
        assert word not in out
    if command.startswith(("client", "views client")):
        assert "env var:" not in out, "an option of one command is no setting of a whole shell"
    listed = out.partition("\nCommands:\n")[2].partition("\n\n")[0]
    cut_off = [line for line in listed.splitlines() if line.endswith("...")]
    assert not cut_off


def test_no_variable_gives_an_option_of_a_client_command(
    capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAFTZMQ_PUT_IF_REVISION", "nonsense")
    monkeypatch.setenv("RAFTZMQ_ENDPOINTS", "also nonsense")
    assert run(["client", "put", "k", "v"]) == 2
    assert "also nonsense" in capfd.readouterr().err


def test_the_variable_of_a_pods_name_is_explained_once(capfd: Capture) -> None:
    run(["node", "--help"])
    words = " ".join(capfd.readouterr().out.split())
    assert "MINOMBREPOD (Spanish: my pod's name)" in words


def test_the_version_is_printed(capfd: Capture) -> None:
    assert run(["--version"]) == 0
    name, version = capfd.readouterr().out.split()
    assert name == "raftzmq"
    assert version[0].isdigit()


def test_a_missing_argument_may_come_from_the_environment(
    capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINOMBREPOD", "nonsense")
    assert run(["node"]) == 2
    assert "nonsense" in capfd.readouterr().err


def test_options_come_from_the_environment(capfd: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAFTZMQ_ENDPOINTS", "nonsense")
    assert run(["client", "get", "key"]) == 2
    assert "nonsense" in capfd.readouterr().err


def test_an_option_wins_over_the_environment(
    capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAFTZMQ_ENDPOINTS", "nonsense")
    assert run(["client", "--endpoints", "before", "get", "key"]) == 2
    assert "before" in capfd.readouterr().err
    assert run(["client", "get", "key", "--endpoints", "after"]) == 2
    assert "after" in capfd.readouterr().err


def test_the_local_cluster_is_none_before_it_is_made(tmp_path: Path, capfd: Capture) -> None:
    assert run(["local", "status", "--dir", str(tmp_path)]) == 3
    assert "local up" in capfd.readouterr().err
    assert run(["local", "down", "--dir", str(tmp_path)]) == 0
    assert "nothing to stop" in capfd.readouterr().out


def test_a_local_cluster_keeps_its_shape(tmp_path: Path, capfd: Capture) -> None:
    (tmp_path / "cluster.json").write_text(json.dumps({"nodes": 3, "base_port": 7000}))
    assert run(["local", "up", "--dir", str(tmp_path), "--nodes", "5"]) == 2
    assert "3 nodes from port 7000" in capfd.readouterr().err


def test_the_help_of_dump_says_that_it_is_no_backup(capfd: Capture) -> None:
    assert run(["client", "dump", "--help"]) == 0
    shown = " ".join(capfd.readouterr().out.split())
    assert "of one moment" in shown
    assert "A backup is `snapshot save`" in shown
    assert "permanent" in shown
