"""Every client command against three real nodes: what it prints, and its exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from raftzmq import limits
from tests.cli.conftest import LocalCluster, Program, Result

pytestmark = pytest.mark.system


def test_a_value_that_was_put_is_got(raftzmq: Program) -> None:
    assert raftzmq("client", "put", "greeting", "hello").code == 0
    assert raftzmq("client", "get", "greeting") == Result(0, "hello\n", "")


def test_put_tells_where_the_write_is(raftzmq: Program) -> None:
    document = raftzmq("client", "put", "a", "1", "-w", "json").json
    assert set(document) == {"index", "term", "leader", "revision"}
    assert 0 < document["index"] <= document["revision"]
    assert document["term"] > 0
    assert document["leader"].startswith("raft-")
    line = raftzmq("client", "put", "a", "2").out
    assert line.startswith("index ")
    assert document["leader"] in line


def test_the_index_of_a_write_is_an_index_of_the_log_and_its_revision_that_of_the_key(
    raftzmq: Program,
) -> None:
    assert raftzmq("client", "bench", "--op", "put", "--seconds", "0.5").code == 0
    written = raftzmq("client", "put", "a", "1", "-w", "json").json
    [item] = raftzmq("client", "get", "a", "-w", "json").json
    commits = [node["commit_index"] for node in raftzmq("client", "status", "-w", "json").json]
    assert written["index"] <= max(commits) < written["revision"] == item["revision"]
    assert max(commits) - written["index"] < 100, "it is the entry of this write, not an older one"
    deleted = raftzmq("client", "delete", "a")
    assert deleted.out.startswith("1 key deleted; index ")
    assert ", revision " in deleted.out


def test_get_as_json_is_a_list(raftzmq: Program) -> None:
    revision = raftzmq("client", "put", "a", "1", "-w", "json").json["revision"]
    item = {"key": "a", "value": "1", "revision": revision}
    assert raftzmq("client", "get", "a", "-w", "json").json == [item]
    assert raftzmq("client", "get", "missing", "-w", "json").json == []


def test_the_shared_options_stand_before_and_after_the_command(raftzmq: Program) -> None:
    raftzmq("client", "put", "a", "1")
    before = raftzmq("client", "-w", "json", "--timeout", "4", "get", "a")
    after = raftzmq("client", "get", "a", "-w", "json", "--timeout", "4")
    assert before == after
    assert raftzmq("client", "-w", "table", "get", "a", "-w", "json") == after


def test_endpoints_are_taken_before_after_and_from_the_environment(
    program: Program, shared_cluster: LocalCluster, nobody: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = shared_cluster.endpoints
    assert program("client", "--endpoints", where, "get", "x").code == 0
    assert program("client", "get", "x", "--endpoints", where).code == 0
    monkeypatch.setenv("RAFTZMQ_ENDPOINTS", nobody)
    assert program("client", "--endpoints", where, "get", "x").code == 0
    monkeypatch.setenv("RAFTZMQ_ENDPOINTS", where)
    monkeypatch.setenv("RAFTZMQ_OUTPUT", "json")
    assert program("client", "get", "x").json == []


def test_a_missing_key_prints_nothing(raftzmq: Program) -> None:
    assert raftzmq("client", "get", "missing") == Result(0, "", "")


def test_a_missing_key_is_a_no_when_asked_for(raftzmq: Program) -> None:
    missing = raftzmq("client", "get", "missing", "--fail-missing")
    assert (missing.code, missing.out) == (1, "")
    assert "missing" in missing.err
    raftzmq("client", "put", "there", "1")
    assert raftzmq("client", "get", "there", "--fail-missing").code == 0


def test_a_stale_read_is_answered(raftzmq: Program) -> None:
    assert raftzmq("client", "get", "missing", "--stale", "-w", "json").json == []


def test_keys_with_a_prefix_or_in_a_range_come_in_order(raftzmq: Program) -> None:
    for name in ("p/3", "p/1", "p/2", "q"):
        raftzmq("client", "put", name, name.upper())
    assert raftzmq("client", "get", "p/", "--prefix").lines == ["p/1\tP/1", "p/2\tP/2", "p/3\tP/3"]
    between = raftzmq("client", "get", "p/2", "--range-end", "q", "-w", "json").json
    assert [item["key"] for item in between] == ["p/2", "p/3"]
    limited = raftzmq("client", "get", "p/", "--prefix", "--limit", "2", "-w", "json").json
    assert [item["key"] for item in limited] == ["p/1", "p/2"]
    assert raftzmq("client", "get", "none/", "--prefix", "--fail-missing").code == 1


def test_a_value_comes_from_a_file_or_from_standard_input(raftzmq: Program, tmp_path: Path) -> None:
    (tmp_path / "value").write_bytes(b"two\nlines\n")
    raftzmq("client", "put", "file", f"@{tmp_path / 'value'}")
    assert raftzmq("client", "get", "file", "--raw").out == "two\nlines\n"
    raftzmq("client", "put", "stdin", "-", stdin=b"from stdin")
    assert raftzmq("client", "get", "stdin").out == "from stdin\n"


def test_bytes_are_marked_in_json(raftzmq: Program) -> None:
    raftzmq("client", "put", "bytes", "-", stdin=b"\xff\x00")
    (item,) = raftzmq("client", "get", "bytes", "-w", "json").json
    assert item["value"] == {"b64": "/wA="}


def test_values_that_look_like_something_else_can_be_written(raftzmq: Program) -> None:
    raftzmq("client", "put", "number", "--", "-5")
    assert raftzmq("client", "get", "number").out == "-5\n"
    raftzmq("client", "put", "handle", "@home", "--literal")
    assert raftzmq("client", "get", "handle").out == "@home\n"
    raftzmq("client", "put", "empty", "")
    assert raftzmq("client", "get", "empty").out == "\n"
    raftzmq("client", "put", "snow", "\N{SNOWMAN}")
    assert raftzmq("client", "get", "snow").out == "\N{SNOWMAN}\n"


def test_put_if_absent(raftzmq: Program) -> None:
    raftzmq("client", "delete", "lock")
    first = raftzmq("client", "put", "lock", "mine", "--if-absent", "-w", "json")
    assert first.code == 0
    second = raftzmq("client", "put", "lock", "yours", "--if-absent")
    assert (second.code, second.out) == (1, "")
    assert f"revision {first.json['revision']}" in second.err
    assert raftzmq("client", "get", "lock").out == "mine\n"


def test_put_once_for_a_while_and_keep_its_end(raftzmq: Program) -> None:
    put = ("client", "put", "seen/7", "1", "--if-absent", "--ttl", "3600")
    assert raftzmq(*put).code == 0
    assert raftzmq(*put).code == 1
    revision = raftzmq("client", "get", "seen/7", "-w", "json").json[0]["revision"]
    kept = raftzmq(
        "client", "put", "seen/7", "2", "--if-revision", str(revision), "--keep-end", "-w", "json"
    )
    assert kept.code == 0
    both = raftzmq("client", "put", "seen/7", "3", "--ttl", "5", "--keep-end")
    assert (both.code, both.out) == (2, "")
    assert "--ttl, --lease and --keep-end: give one of them" in both.err


def test_incr(raftzmq: Program) -> None:
    assert raftzmq("client", "incr", "incr/visits").out == "1\n"
    assert raftzmq("client", "incr", "incr/visits", "--by", "41").out == "42\n"
    document = raftzmq("client", "incr", "incr/visits", "--by", "-50", "-w", "json").json
    assert document.keys() == {"value", "index", "term", "leader", "revision"}
    assert document["value"] == -8
    assert raftzmq("client", "get", "incr/visits").out == "-8\n"
    raftzmq("client", "incr", "incr/timed", "--ttl", "3600")
    assert (
        0
        < raftzmq("client", "get", "incr/timed", "--details", "-w", "json").json[0]["ttl_s"]
        <= 3600
    )
    raftzmq("client", "put", "incr/text", "v")
    refused = raftzmq("client", "incr", "incr/text")
    assert (refused.code, refused.out) == (2, "")
    assert "'incr/text' does not hold a decimal integer; nothing was changed" in refused.err
    assert raftzmq("client", "incr", "n", "--ttl", "5", "--lease", "3").code == 2


def test_put_if_revision(raftzmq: Program) -> None:
    revision = raftzmq("client", "put", "a", "1", "-w", "json").json["revision"]
    put = ("client", "put", "a", "2", "--if-revision", str(revision), "-w", "json")
    done = raftzmq(*put)
    assert (done.code, set(done.json)) == (0, {"index", "term", "leader", "revision"})
    again = raftzmq(*put)
    assert again.code == 1
    assert again.json["succeeded"] is False
    assert again.json["revision"] == done.json["revision"]
    assert "nothing was written" in again.err


def test_delete_tells_how_many(raftzmq: Program) -> None:
    for name in ("d/1", "d/2", "d/3"):
        raftzmq("client", "put", name, "x")
    assert raftzmq("client", "delete", "d/1", "-w", "json").json["deleted"] == 1
    assert raftzmq("client", "delete", "d/1", "-w", "json").json["deleted"] == 0
    assert raftzmq("client", "delete", "d/", "--prefix").out.startswith("2 keys deleted")
    assert raftzmq("client", "get", "d/", "--prefix").out == ""


def test_keys_are_counted_and_listed_without_their_values(raftzmq: Program) -> None:
    for name in ("c/1", "c/2", "c/3"):
        raftzmq("client", "put", name, "x")
    assert raftzmq("client", "get", "--prefix", "c/", "--count").out == "3\n"
    assert raftzmq("client", "get", "--prefix", "c/", "--count", "-w", "json").json == {"count": 3}
    only = ("client", "get", "--prefix", "c/", "--keys-only")
    assert raftzmq(*only).lines == ["c/1", "c/2", "c/3"]
    assert raftzmq(*only, "--limit", "1", "-w", "json").json == [{"key": "c/1"}]
    wrong = raftzmq("client", "get", "c/", "--count")
    assert (wrong.code, wrong.out) == (2, "")


def test_a_key_with_its_remaining_time_and_what_it_was_when_it_is_deleted(
    raftzmq: Program,
) -> None:
    raftzmq("client", "put", "timed", "v", "--ttl", "3600")
    (found,) = raftzmq("client", "get", "timed", "--details", "-w", "json").json
    assert (found["value"], found["lease"]) == ("v", None)
    assert 0 < found["ttl_s"] <= 3600
    assert found["version"] == 1
    printed = raftzmq("client", "get", "timed", "--details").out
    assert printed.startswith("v\tno lease\tends in ")
    assert printed.endswith("\tversion 1\n")
    deleted = raftzmq("client", "delete", "timed", "--previous", "-w", "json").json
    assert (deleted["deleted"], deleted["previous"]["value"]) == (1, "v")
    again = raftzmq("client", "delete", "timed", "--previous", "-w", "json").json
    assert (again["deleted"], again["previous"]) == (0, None)


def test_a_transaction_from_options(raftzmq: Program) -> None:
    raftzmq("client", "put", "a", "1")
    txn = ("client", "txn", "--if", "a value = 1", "--then", "put a 2", "--else", "get a")
    done = raftzmq(*txn)
    assert done.code == 0
    assert done.lines[0].startswith("all compares held")
    other = raftzmq(*txn, "-w", "json")
    assert other.code == 1
    assert other.json["succeeded"] is False
    (read,) = other.json["results"]
    assert (read["op"], read["key"], read["value"]) == ("get", "a", "2")


def test_a_transaction_whose_keys_end(raftzmq: Program) -> None:
    raftzmq("client", "put", "ends/2", "v", "--ttl", "600")
    txn = ("client", "txn", "--then", "put ends/1 a ttl=60", "--then", "put ends/2 b keep_end")
    assert raftzmq(*txn).code == 0
    for key, most in (("ends/1", 60), ("ends/2", 600)):
        (item,) = raftzmq("client", "get", key, "--details", "-w", "json").json
        assert most / 2 < item["ttl_s"] <= most
    for wrong in ("ttl=0.1", "lease=0", "ttl=5 lease=7"):
        assert raftzmq("client", "txn", "--then", f"put ends/1 c {wrong}").code == 2
    assert raftzmq("client", "get", "ends/1").out == "a\n"


def test_a_transaction_from_json(raftzmq: Program, tmp_path: Path) -> None:
    document = {
        "if": [["t/new", "revision", "=", 0]],
        "then": [
            ["put", "t/new", {"b64": "/w=="}],
            ["get", "t/new"],
            ["prefix", "t/", 10],
            ["delete", "t/new"],
            ["get", "t/new"],
        ],
    }
    file = tmp_path / "txn.json"
    file.write_text(json.dumps(document))
    from_file = raftzmq("client", "txn", str(file), "-w", "json")
    from_stdin = raftzmq("client", "txn", "-", "-w", "json", stdin=json.dumps(document).encode())
    for done in (from_file, from_stdin):
        assert (done.code, done.json["succeeded"]) == (0, True)
        put, got, listed, deleted, gone = done.json["results"]
        assert put == {"op": "put", "revision": done.json["revision"]}
        assert got["value"] == {"b64": "/w=="}
        assert [item["key"] for item in listed["items"]] == ["t/new"]
        assert deleted == {"op": "delete", "deleted": 1}
        assert gone == {"op": "get"}


def test_status_tells_of_every_node(raftzmq: Program) -> None:
    done = raftzmq("client", "status", "-w", "json")
    assert done.code == 0
    assert [node["node"] for node in done.json] == ["raft-0", "raft-1", "raft-2"]
    fields = "node role term leader commit_index applied_index last_index members version healthy"
    for node in done.json:
        assert set(fields.split()) <= set(node)
        assert node["healthy"] is True
        assert len(node["members"]) == 3
    assert sorted(node["role"] for node in done.json) == ["follower", "follower", "leader"]
    assert len({node["leader"] for node in done.json}) == 1


@pytest.mark.parametrize("output", ["simple", "table"])
def test_status_for_people_names_roles_and_nodes(raftzmq: Program, output: str) -> None:
    out = raftzmq("client", "status", "-w", output).out
    for word in ("raft-0", "raft-1", "raft-2", "leader", "follower"):
        assert word in out


def test_dump_shows_what_a_node_has(raftzmq: Program) -> None:
    raftzmq("client", "put", "dumped", "value")
    whole = raftzmq("client", "dump", "-w", "json")
    leader = raftzmq("client", "status", "-w", "json").json[0]["leader"]
    by_name = raftzmq("client", "dump", leader, "-w", "json")
    assert by_name.code == whole.code == 0
    (item,) = [item for item in by_name.json if item["key"] == "dumped"]
    assert item["value"] == "value"
    assert "dumped\tvalue" in raftzmq("client", "dump", leader).lines
    assert leader in by_name.err


def test_dump_takes_an_address_and_refuses_a_node_that_there_is_not(
    raftzmq: Program, shared_cluster: LocalCluster
) -> None:
    endpoint = shared_cluster.endpoints.split(",")[1]
    assert raftzmq("client", "dump", endpoint).code == 0
    unknown = raftzmq("client", "dump", "raft-9")
    assert unknown.code == 2
    assert "raft-0, raft-1, raft-2" in unknown.err


def test_members_are_listed(raftzmq: Program) -> None:
    members = raftzmq("client", "member", "list", "-w", "json").json
    assert [member["name"] for member in members] == ["raft-0", "raft-1", "raft-2"]
    assert all(member["voter"] for member in members)
    assert sum(member["leader"] for member in members) == 1
    assert raftzmq("client", "member", "-w", "json", "list").json == members
    assert len(raftzmq("client", "member", "list").lines) == 4


def test_leadership_is_handed_over(raftzmq: Program) -> None:
    leader = raftzmq("client", "status", "-w", "json").json[0]["leader"]
    target = "raft-1" if leader != "raft-1" else "raft-2"
    assert raftzmq("client", "member", "transfer", target).code == 0
    assert raftzmq("client", "put", "a", "1", "-w", "json").json["leader"] == target


@pytest.mark.parametrize(
    "change", ["add raft-7", "promote raft-7", "remove raft-7", "transfer raft-7"]
)
def test_a_change_that_cannot_be_is_refused(raftzmq: Program, change: str) -> None:
    refused = raftzmq("client", "member", *change.split())
    assert (refused.code, refused.out) == (4, "")
    assert refused.err.count("\n") == 1
    assert "raft-7" in refused.err


def test_check_passes_and_leaves_nothing_behind(raftzmq: Program) -> None:
    done = raftzmq("client", "check")
    assert done.code == 0
    assert done.lines[-1].endswith("passed")
    writes = [line for line in done.lines if line.startswith("ok    write")]
    assert all("index" in line and "term" in line and "leader raft-" in line for line in writes)
    assert raftzmq("client", "get", "raftzmq-check/", "--prefix").out == ""


def test_check_as_json_is_one_document(raftzmq: Program) -> None:
    assert raftzmq("client", "check", "-w", "json").json["passed"] is True


@pytest.mark.parametrize("op", ["put", "get", "stale", "mixed"])
def test_bench_measures(raftzmq: Program, op: str) -> None:
    options = [
        "--outstanding",
        "16",
        "--seconds",
        "0.3",
        "--size",
        "32",
        "--keys",
        "20",
        "-w",
        "json",
    ]
    done = raftzmq("client", "bench", "--op", op, *options)
    assert done.code == 0
    document = done.json
    assert (document["op"], document["outstanding"], document["value_bytes"]) == (op, 16, 32)
    assert document["ops_per_s"] > 0
    assert document["errors"] == 0
    ordered = [document[f"{name}_ms"] for name in ("p50", "p99", "p999", "max")]
    assert ordered == sorted(ordered)
    assert raftzmq("client", "get", "raftzmq-bench/", "--prefix").out == ""


def test_bench_measures_over_connections_of_processes(raftzmq: Program) -> None:
    shape = ["--outstanding", "5", "--connections", "3", "--processes", "2"]
    done = raftzmq("client", "bench", "--seconds", "0.3", "--keys", "20", *shape, "-w", "json")
    assert done.code == 0
    document = done.json
    assert (document["connections"], document["processes"], document["errors"]) == (3, 2, 0)
    assert sum(one["count"] for one in document["histogram"]) >= 5
    assert raftzmq("client", "get", "raftzmq-bench/", "--prefix").out == ""


def test_bench_for_people(raftzmq: Program) -> None:
    done = raftzmq("client", "bench", "--seconds", "0.2", "--keys", "5")
    assert done.code == 0
    assert "operations a second" in done.out
    assert done.err == ""


def test_a_key_or_value_over_its_limit_is_wrong_usage(raftzmq: Program) -> None:
    long_key = raftzmq("client", "put", "k" * (limits.KEY_BYTES + 1), "x")
    assert long_key.code == 2
    assert str(limits.KEY_BYTES) in long_key.err
    long_value = raftzmq("client", "put", "k", "-", stdin=b"x" * (limits.VALUE_BYTES + 1))
    assert long_value.code == 2
    assert str(limits.VALUE_BYTES) in long_value.err
    assert raftzmq("client", "get", "").code == 2


@pytest.mark.parametrize(
    "command", ["get a", "put a b", "delete a", "check", "bench", "dump", "member list"]
)
def test_without_a_cluster_a_command_says_who_did_not_answer(
    program: Program, nobody: str, command: str
) -> None:
    words = command.split()
    done = program("client", "--endpoints", nobody, "--timeout", "0.3", *words)
    assert done.code == 3
    assert done.err.count("\n") == 1
    assert nobody in done.err


def test_status_without_a_cluster_says_so_for_each_endpoint(program: Program, nobody: str) -> None:
    words = ("client", "status", "--endpoints", nobody, "--timeout", "0.3", "-w", "json")
    done = program(*words)
    assert done.code == 3
    (node,) = done.json
    assert node["healthy"] is False
    assert node["endpoint"] == nobody
    assert node["error"]
