"""Whatever a key, a value or a name holds: every command prints it, passes it on, or refuses it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest

from raftzmq import Client, NotFound, limits
from raftzmq_cli.client.completion import completer
from raftzmq_cli.client.invocation import ClientInvocation
from raftzmq_cli.common.escaping import escaped
from raftzmq_cli.common.settings import Settings
from tests.amounts import sample
from tests.cli.conftest import LocalCluster, Program, environment
from tests.cli.forked_program import ForkedProgram, Seen, forked_program
from tests.cli.hostile import TEXTS, is_safe

pytestmark = pytest.mark.system

PLACES: Final = {"a pipe": None, "a terminal": 80, "a narrow terminal": 20}

# What each command that prints keys, values or names is run with; TEXT is the hostile one. The
# revision of its write is FROM.
PRINTING: Final = {
    "get": ["get", "TEXT"],
    "get, table": ["get", "TEXT", "-w", "table"],
    "range": ["get", "--prefix", "TEXT"],
    "range, table": ["get", "--prefix", "TEXT", "-w", "table"],
    "keys only": ["get", "--prefix", "TEXT", "--keys-only"],
    "keys only, table": ["get", "--prefix", "TEXT", "--keys-only", "-w", "table"],
    "details": ["get", "TEXT", "--details"],
    "details, table": ["get", "TEXT", "--details", "-w", "table"],
    "stale": ["get", "--prefix", "TEXT", "--stale"],
    "scan": ["scan", "TEXT"],
    "scan, table": ["scan", "TEXT", "-w", "table"],
    "scan, keys only": ["scan", "TEXT", "--keys-only", "--after", "TEXT"],
    "scan, missing": ["scan", "TEXT/missing"],
    "dump": ["dump"],
    "dump, table": ["dump", "-w", "table"],
    "export": ["export", "--prefix", "TEXT"],
    "top": ["top", "--once"],
    "top, table": ["top", "--once", "-w", "table"],
    "watch": ["watch", "TEXT", "--from", "FROM", "--limit", "1"],
    "watch, table": ["watch", "TEXT", "--from", "FROM", "--limit", "1", "-w", "table"],
    "watch, nothing": ["watch", "TEXT/nothing", "--timeout", "0.1"],
    "watch, previous": ["watch", "TEXT", "--from", "FROM", "--limit", "1", "--previous"],
    "txn": ["txn", "FILE"],
    "txn, table": ["txn", "FILE", "-w", "table"],
    "missing": ["get", "TEXT/missing", "--fail-missing"],
    "missing prefix": ["get", "TEXT/missing", "--prefix", "--fail-missing"],
    "not absent": ["put", "TEXT", "again", "--if-absent"],
    "fenced": ["put", "TEXT", "again", "--fence", "TEXT:1"],
    "lock": ["lock", "TEXT", "--describe"],
    "lock, table": ["lock", "TEXT", "--describe", "-w", "table"],
    "sem": ["sem", "describe", "TEXT"],
    "sem, missing": ["sem", "describe", "TEXT/missing"],
    "sem resize": ["sem", "resize", "TEXT", "3"],
    "sem signal": ["sem", "signal", "TEXT", "--plain"],
    "elect": ["elect", "TEXT", "--describe"],
    "elect, table": ["elect", "TEXT", "--describe", "-w", "table"],
    "elect, observe": ["elect", "TEXT", "--observe", "--limit", "1"],
    "queues": ["queues"],
    "queues, table": ["queues", "-w", "table"],
    "wrong command": ["TEXT"],
    "wrong output": ["get", "a", "-w", "TEXT"],
    "wrong endpoint": ["get", "a", "--endpoints", "TEXT"],
    "wrong fence": ["put", "a", "1", "--fence", "TEXT"],
    "wrong node": ["stop", "TEXT"],
    "wrong transaction": ["txn", "--then", "fly 'TEXT"],
    "no such file": ["put", "a", "@/no/TEXT"],
    "no such COMMAND": ["lock", "free", "--", "/no/TEXT"],
    "unknown kind": ["queues", "--kind", "TEXT"],
    "wrong member": ["member", "add", "TEXT"],
    "wrong dump": ["dump", "TEXT"],
    "wrong node of a snapshot": ["snapshot", "save", "/no/backup", "--node", "TEXT"],
    "no such directory": ["snapshot", "save", "/no/TEXT"],
    "wrong bucket": ["snapshot", "save", "s3://TEXT/name"],
    "wrong name in a bucket": ["snapshot", "save", "--into", "s3://bucket//TEXT"],
    "no such import": ["import", "/no/TEXT"],
    "wrong log level": ["log-level", "raft-0", "TEXT"],
    "log level of no node": ["log-level", "TEXT", "info"],
}
EVERY: Final = 4
"""A text is tried with every fourth command, the next text with the next of them: with all, it
would be three thousand runs of the program, and all print through one function."""
EXACT: Final = ("get",)
"""They print the value itself, as its bytes are; a terminal gets its lines."""


@pytest.fixture(scope="module")
def forked(
    shared_cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ForkedProgram]:
    variables = environment(
        RAFTZMQ_ENDPOINTS=shared_cluster.endpoints,
        TERM="xterm",
        HOME=str(tmp_path_factory.mktemp("home")),
        XDG_STATE_HOME="",
    )
    with forked_program(variables) as program:
        yield program


@pytest.fixture(scope="module")
def db(shared_cluster: LocalCluster) -> Iterator[Client]:
    with Client(shared_cluster.endpoints.split(",")) as client:
        yield client
        client.delete_prefix("")


def run(forked: ForkedProgram, words: list[str], columns: int | None) -> Seen:
    seen = forked("client", *words, columns=columns)
    assert b"Traceback" not in seen.out + seen.err, seen
    return seen


def words_of(words: list[str], text: str, **others: str) -> list[str]:
    replaced = [word.replace("TEXT", text) for word in words]
    return [others.get(word, word) for word in replaced]


@pytest.mark.parametrize("name", sample(list(TEXTS), 1))
def test_people_read_it_in_lines_that_nothing_in_it_can_forge(
    name: str, forked: ForkedProgram, db: Client, tmp_path: Path
) -> None:
    text = TEXTS[name]
    turn = list(TEXTS).index(name)
    tried = [of for number, of in enumerate(PRINTING.items()) if (number + turn) % EVERY == 0]
    shown = escaped(text)
    revision = db.put(text, text).revision
    file = tmp_path / "transaction"
    file.write_text(json.dumps({"then": [["get", text], ["prefix", text, 1]]}))
    db.resize(text, 2)
    election = db.election(text, text, ttl=60)
    election.campaign()
    try:
        for what, given in tried:
            if "\0" in text and what in ("no such COMMAND", "wrong command"):
                continue  # no argument of a process has a NUL
            words = words_of(given, text, FROM=str(revision), FILE=str(file))
            if "\0" in "".join(words):
                continue
            for columns in PLACES.values() if what.endswith("table") else (None, 80):
                seen = run(forked, words, columns)
                if what in EXACT and columns is None:
                    assert seen.out == text.encode() + b"\n"
                    continue
                if what == "export" and columns is None:
                    keys = [json.loads(line)["key"] for line in seen.out.splitlines()]
                    assert text in keys  # exact, as -w json is; other tests' keys may be there too
                    continue
                assert is_safe(seen.text), (what, seen)
                assert is_safe(seen.said), (what, seen)
                assert "{'" in text or "{'" not in seen.text, f"{what}: a Python repr"
                if what in ("range", "stale", "scan"):
                    assert seen.text.splitlines()[0] == f"{shown}\t{shown}", what
                if what == "watch":
                    assert seen.text == f"{revision}\tput\t{shown}\t{shown}\n"
                if seen.code == 2:
                    assert (seen.said or seen.text).count("\n") == 1, (what, seen)
                if what.endswith("table"):
                    lines = seen.text.splitlines()
                    assert {line[0] for line in lines if line} <= {*"╭│├╰", "r"}, what
    finally:
        election.resign()
        db.delete(text)
        db.forget("semaphore", text)
        if "\0" not in text:
            with suppress(NotFound):  # what failed before `signal` says more than this would
                db.forget("counter", text)


@pytest.mark.parametrize("name", sample([n for n in TEXTS if n != "NUL"], 1))
def test_json_is_exact_at_a_terminal_too(name: str, forked: ForkedProgram, db: Client) -> None:
    text = TEXTS[name]
    revision = db.put(text, text).revision
    item = {"key": text, "value": text, "revision": revision}
    for columns in PLACES.values():
        got = run(forked, ["get", text, "-w", "json"], columns)
        assert json.loads(got.out) == [item]
        watch = ["watch", text, "--from", str(revision), "--limit", "1", "-w", "json"]
        assert json.loads(run(forked, watch, columns).out) == {"kind": "put", **item}
        missing = run(forked, ["get", text + "/no", "--fail-missing", "-w", "json"], columns)
        last = (missing.err or missing.out).splitlines()[-1]
        assert json.loads(last)["code"] == "no"
        if columns:
            assert is_safe(got.text)
            assert is_safe(last.decode())
    db.delete(text)


@pytest.mark.parametrize("name", sample(list(TEXTS), 1))
def test_command_gets_it_as_it_is_or_is_not_run(
    name: str, forked: ForkedProgram, db: Client
) -> None:
    text = TEXTS[name]
    key = f"passed/{text}"
    db.delete_prefix("passed/")
    revision = db.put(key, text).revision
    watch = ["watch", "passed/", "--prefix", "--from", str(revision), "--limit", "1", "--"]
    seen = run(forked, [*watch, "sh", "-c", 'printf "%s" "$RAFTZMQ_WATCH_KEY"; cat'], None)
    assert seen.code == 0
    if "\0" in text:
        assert seen.out == b""
        assert seen.said.count("\n") == 1
        assert f"revision {revision}" in seen.said
        assert "has a NUL in it" in seen.said
    else:
        assert seen.out == (key + text).encode()
        held = run(forked, ["lock", text, "--", "sh", "-c", 'printf "%s" "$0"', text], None)
        assert (held.code, held.out) == (0, text.encode())
        named = run(forked, ["lock", text, "--", "printenv", "RAFTZMQ_LOCK_NAME"], None)
        assert named.out == text.encode() + b"\n"


def test_a_value_that_is_no_variable_is_not_that_of_an_outer_watch(
    forked: ForkedProgram, db: Client
) -> None:
    revision = db.put("passed", b"\xff").revision
    seen = forked(
        *("client", "watch", "passed", "--from", str(revision), "--limit", "1"),
        *("--", "sh", "-c", 'printf "%s" "${RAFTZMQ_WATCH_VALUE-none}"; cat'),
        environ={"RAFTZMQ_WATCH_VALUE": "of the outer one"},
    )
    assert seen.out == b"none\xff"


def test_bytes_go_raw_to_a_pipe_and_escaped_to_a_terminal(
    forked: ForkedProgram, db: Client
) -> None:
    data = bytes(range(256))
    db.put("data", data)
    for words in (["get", "data"], ["get", "data", "--raw"]):
        newline = b"" if "--raw" in words else b"\n"
        assert run(forked, words, None).out == data + newline
        shown = run(forked, words, 80).text
        assert is_safe(shown)
        assert r"\x00\x01" in shown
        assert r"\xfe\xff" in shown
    db.put("lines", "one\n\ttwo\n")
    assert run(forked, ["get", "lines"], 80).text == "one\n\ttwo\n\n"


@pytest.mark.parametrize("words", [["get"], ["delete"], ["watch"], ["lock"], ["elect"]], ids=str)
def test_a_key_or_name_of_other_bytes_is_refused(words: list[str], forked: ForkedProgram) -> None:
    for more in ([], ["-w", "json"]):
        seen = run(forked, [*words, "\udcff", *more], None)
        assert (seen.code, seen.out) == (2, b"")
        assert "is not UTF-8 text" in seen.said
        assert seen.said.count("\n") == 1


def test_exactly_each_limit_passes_and_one_more_is_refused(
    forked: ForkedProgram, db: Client, tmp_path: Path
) -> None:
    longest = "ü" * (limits.KEY_BYTES // 2)
    file = tmp_path / "value"
    value = b"x\n" * (limits.VALUE_BYTES // 2)
    file.write_bytes(value)
    assert run(forked, ["put", longest, f"@{file}"], None).code == 0
    written = db.get(longest)
    assert written is not None
    revision = written.revision
    assert run(forked, ["get", longest], None).out == value + b"\n"
    assert run(forked, ["get", longest], 80).out == value + b"\n"
    assert json.loads(run(forked, ["get", longest, "-w", "json"], 80).out)[0] == {
        "key": longest,
        "value": value.decode(),
        "revision": revision,
    }
    for columns in (None, 80):
        table = run(forked, ["get", longest, "-w", "table"], columns).text
        cells = [line.split("│") for line in table.splitlines() if line.startswith("│")]
        assert "".join(row[1].strip() for row in cells).removeprefix("key") == longest
        assert "".join(row[2].strip() for row in cells).removeprefix("value") == escaped(value)
    watch = ["watch", longest, "--from", str(revision), "--limit", "1", "--", "cat"]
    assert run(forked, watch, None).out == value
    assert run(forked, ["lock", longest, "--", "true"], None).code == 0
    candidate = "v" * (limits.PLACE_VALUE_BYTES - 2)  # and two quotes
    assert run(forked, ["elect", "a", "--value", candidate, "--", "true"], None).code == 0

    file.write_bytes(value + b"x")
    for words in (
        ["put", longest, f"@{file}"],
        ["put", longest + "x", "1"],
        ["get", longest + "x"],
        ["delete", longest + "x"],
        ["lock", longest + "x", "--", "true"],
        ["sem", "resize", longest + "x", "1"],
        ["elect", "a", "--value", candidate + "v", "--", "true"],
    ):
        seen = run(forked, words, None)
        assert (seen.code, seen.out, seen.said.count("\n")) == (2, b"", 1), seen
        assert "over" in seen.said
    db.delete(longest)


def test_keys_are_paged_behind_one_of_the_longest(
    raftzmq: Program, db: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "RANGE_LIMIT", 1)
    keys = [
        "paged/" + "x" * (limits.KEY_BYTES - 6),
        "paged/" + "x" * (limits.KEY_BYTES - 7) + "\x7f",
    ]
    keys += ["paged/y"]
    for key in keys:
        db.put(key, "1")
    assert [
        item["key"] for item in raftzmq("client", "get", "--prefix", "paged/", "-w", "json").json
    ] == keys
    longest = raftzmq("client", "get", "--prefix", keys[1], "-w", "json").json
    assert [item["key"] for item in longest] == keys[1:2]
    db.delete_prefix("paged/")


def test_an_empty_value_is_a_value(forked: ForkedProgram, db: Client) -> None:
    assert run(forked, ["put", "empty", ""], None).code == 0
    for columns in PLACES.values():
        assert run(forked, ["get", "empty"], columns).out == b"\n"
        assert (
            json.loads(run(forked, ["get", "empty", "-w", "json"], columns).out)[0]["value"] == ""
        )
    db.put("empty", b"")
    assert "b64" not in run(forked, ["get", "empty", "-w", "table"], None).text


def test_the_shell_takes_any_bytes_and_offers_no_key_that_cannot_be_typed(
    forked: ForkedProgram, db: Client, shared_cluster: LocalCluster
) -> None:
    db.delete_prefix("offered")
    db.put("offered", "1")
    db.put("offered\x1b[31m", "1")
    script = b"put k \xff\nget k\nput k @/no/\0\nput \xff 1\nlock a\0b -- true\n"
    for columns in PLACES.values():
        words = ["client", "shell", "--keep-going"]
        typed = script if columns is None else b"put k \xff\nget k\nexit\n"
        seen = forked(*words, columns=columns, stdin=typed)
        assert seen.code == 0
        assert b"Traceback" not in seen.out + seen.err
        assert b"unexpected" not in seen.out + seen.err
        if columns is None:
            assert seen.out.splitlines()[1:] == [b"\xff"]
            assert seen.err.count(b"\n") == 3
    run_ = ClientInvocation(Settings(shared_cluster.endpoints))
    try:
        assert completer(run_, {"get": _Get}, [])("offered", ["get"]) == ["offered"]
    finally:
        run_.close()


class _Get:
    """As much of a click command as completion looks at."""

    class _Key:
        name = "key"
        param_type_name = "argument"
        opts: tuple[str, ...] = ()

    params = (_Key,)


def test_paths_and_variables_of_other_bytes_are_refused_in_one_line(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RAFTZMQ_ENDPOINTS", "RAFTZMQ_TIMEOUT", "RAFTZMQ_OUTPUT"):
        with monkeypatch.context() as patch:
            patch.setitem(os.environ, name, "\udcff")
            refused = program("client", "get", "a")
            assert (refused.code, refused.out) == (2, "")
            assert refused.err.count("\n") == 1
