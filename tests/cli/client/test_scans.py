"""`client scan`: all keys with a prefix, printed as they come."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import pytest

from raftzmq import Client, Put
from tests.cli.conftest import PROGRAM, LocalCluster, Program, environment

pytestmark = pytest.mark.system

KEYS = [f"sc/{number:05}" for number in range(2500)]
"""More than one message of them."""


@pytest.fixture
def filled(raftzmq: Program, shared_cluster: LocalCluster) -> Iterator[Program]:
    with Client(shared_cluster.endpoints) as db:
        for start in range(0, len(KEYS), 100):
            db.txn(then=[Put(key, "v\t" + key) for key in KEYS[start : start + 100]])
        yield raftzmq
        db.delete_prefix("sc/")


def test_each_line_has_a_key_and_its_value(filled: Program) -> None:
    lines = filled("client", "scan", "sc/").lines
    assert [line.split("\t")[0] for line in lines] == KEYS
    assert lines[7] == "sc/00007\tv\\tsc/00007"
    nothing = filled("client", "scan", "nothing/")
    assert (nothing.code, nothing.out, nothing.err) == (0, "", "")


def test_json_is_an_object_a_line(filled: Program) -> None:
    found = [json.loads(line) for line in filled("client", "scan", "sc/", "-w", "json").lines]
    assert [one["key"] for one in found] == KEYS
    assert found[7]["value"] == "v\tsc/00007"
    assert type(found[7]["revision"]) is int
    keys = filled("client", "scan", "sc/", "--keys-only", "-w", "json").lines
    assert [json.loads(line) for line in keys] == [{"key": key} for key in KEYS]


def test_keys_alone_a_beginning_and_a_limit(filled: Program) -> None:
    assert filled("client", "scan", "sc/", "--keys-only").lines == KEYS
    chosen = ("--after", "sc/00010", "--limit", "3", "--stale")
    assert filled("client", "scan", "sc/", "--keys-only", *chosen).lines == KEYS[11:14]
    table = filled("client", "scan", "sc/", "-w", "table", *chosen).out
    assert table.count("sc/000") == 6
    assert filled("client", "scan", "sc/", "--limit", "0").code == 2


def test_a_reader_that_stops_early_ends_it_without_a_word(
    filled: Program, shared_cluster: LocalCluster
) -> None:
    for output in ("simple", "json"):
        scan = subprocess.Popen(
            [*PROGRAM, "client", "scan", "", "-w", output],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(RAFTZMQ_ENDPOINTS=shared_cluster.endpoints),
        )
        assert scan.stdout is not None
        assert scan.stderr is not None
        assert scan.stdout.readline()
        scan.stdout.close()
        assert scan.stderr.read() == b""
        scan.stderr.close()
        assert scan.wait(60) in (0, 141)
