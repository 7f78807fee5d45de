"""watch and lease against three real nodes: what is shown, and COMMAND for each change."""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import Program

pytestmark = pytest.mark.system


def put(raftzmq: Program, *words: str) -> int:
    revision = raftzmq("client", "put", *words, "-w", "json").json["revision"]
    assert isinstance(revision, int)
    return revision


def test_every_change_is_shown_in_order(raftzmq: Program) -> None:
    first = put(raftzmq, "w/a", "1")
    second = put(raftzmq, "w/b", "2")
    raftzmq("client", "put", "other", "x")
    raftzmq("client", "delete", "w/a")
    watch = ("client", "watch", "w/", "--prefix", "--from", str(first), "--limit", "3")
    lines = raftzmq(*watch).lines
    assert lines[:2] == [f"{first}\tput\tw/a\t1", f"{second}\tput\tw/b\t2"]
    assert lines[2].endswith("\tdelete\tw/a")
    documents = [json.loads(line) for line in raftzmq(*watch, "-w", "json", "--previous").lines]
    third = documents[2]["revision"]
    assert third > second > first
    names = ("revision", "kind", "key", "value", "previous")
    assert documents == [
        dict(zip(names, (first, "put", "w/a", "1", None), strict=True)),
        dict(zip(names, (second, "put", "w/b", "2", None), strict=True)),
        dict(zip(names, (third, "delete", "w/a", None, "1"), strict=True)),
    ]
    assert "delete" in raftzmq(*watch, "-w", "table").out


def test_command_runs_for_each_change_with_its_value(raftzmq: Program) -> None:
    first = put(raftzmq, "hook", "text")
    raftzmq("client", "put", "hook", "-", stdin=b"\xff" * 200_000)
    raftzmq("client", "delete", "hook")
    script = (
        'echo "$RAFTZMQ_WATCH_KIND $RAFTZMQ_WATCH_KEY ${RAFTZMQ_WATCH_VALUE-none} $(wc -c)"; '
        'test "$RAFTZMQ_WATCH_REVISION" -gt 0'
    )
    watch = ("client", "watch", "hook", "--from", str(first), "--limit", "3", "--", "sh", "-c")
    done = raftzmq(*watch, script)
    assert (done.code, done.err) == (0, "")
    assert done.lines == ["put hook text 4", "put hook none 200000", "delete hook none 0"]


def test_a_command_that_fails_ends_the_watch_and_says_where_to_go_on(raftzmq: Program) -> None:
    first = put(raftzmq, "hook", "1")
    put(raftzmq, "hook", "2")
    watch = ("client", "watch", "hook", "--from", str(first), "--", "sh", "-c")
    done = raftzmq(*watch, "cat; exit 5")
    assert (done.code, done.out, done.err.count("\n")) == (5, "1", 1)
    assert f"--from {first}" in done.err
    assert raftzmq(*watch, "kill -TERM $PPID; sleep 60").code == 128 + 15


def test_keys_go_with_their_lease_or_after_their_time(raftzmq: Program) -> None:
    lease = raftzmq("client", "lease", "grant", "--ttl", "600", "-w", "json").json["lease"]
    first = put(raftzmq, "leased/a", "1", "--lease", str(lease))
    put(raftzmq, "leased/b", "1", "--ttl", "0.5")
    shown = raftzmq("client", "lease", "show", str(lease), "-w", "json").json
    assert set(shown) == {"lease", "ttl_s", "remaining_s", "keys", "places"}
    assert (shown["ttl_s"], shown["keys"], shown["places"]) == (600, 1, 0)
    assert 0 < shown["remaining_s"] <= 600
    assert lease in [one["lease"] for one in raftzmq("client", "lease", "list", "-w", "json").json]
    assert raftzmq("client", "lease", "keep", str(lease), "-w", "json").json["ttl_s"] == 600
    watch = ("client", "watch", "leased/", "--prefix", "--from", str(first), "--limit")
    assert raftzmq(*watch, "3").lines[2].endswith("\tdelete\tleased/b")
    assert raftzmq("client", "lease", "revoke", str(lease)).code == 0
    assert raftzmq(*watch, "4").lines[3].endswith("\tdelete\tleased/a")
    assert raftzmq("client", "lease", "revoke", str(lease)).code == 4
    assert raftzmq("client", "lease", "keep", str(lease)).code == 4
    assert raftzmq("client", "lease", "show", str(lease)).code == 1
    assert raftzmq("client", "put", "leased/a", "1", "--lease", str(lease)).code == 4


def test_a_watch_with_a_timeout_ends_when_nothing_comes(raftzmq: Program) -> None:
    done = raftzmq("client", "watch", "silent", "--timeout", "0.5")
    assert (done.code, done.out) == (3, "")
    assert "no change of 'silent' within 0.5 s" in done.err


def test_a_revision_in_the_future_is_said_to_be(raftzmq: Program) -> None:
    done = raftzmq("client", "watch", "k", "--from", "900000000", "--timeout", "0.5")
    assert done.code == 3
    assert "--from 900000000 is in the future: the newest revision is " in done.err
