"""Keys out of a cluster, at one moment, and into one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from raftzmq_cli.client.imports import _write
from tests.cli.conftest import Program

pytestmark = pytest.mark.system


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def some(raftzmq: Program) -> Program:
    """Keys under `ex/`: text, bytes, and one that ends by itself."""
    raftzmq("client", "delete", "--prefix", "ex/")
    raftzmq("client", "delete", "--prefix", "im/")
    raftzmq("client", "put", "ex/text", "täxt\nin two lines")
    raftzmq("client", "put", "ex/bytes", "--literal", "\udcff")
    raftzmq("client", "put", "ex/short", "v", "--ttl", "600")
    return raftzmq


def test_each_key_is_a_line_with_what_time_it_has_left(some: Program) -> None:
    done = some("client", "export", "--prefix", "ex/")
    found = {one["key"]: one for one in lines(done.out)}
    assert set(found) == {"ex/text", "ex/bytes", "ex/short"}
    assert found["ex/text"]["value"] == "täxt\nin two lines"
    assert found["ex/bytes"]["value"] == {"b64": "/w=="}
    assert 500 < found["ex/short"]["ttl_s"] <= 600
    assert "ttl_s" not in found["ex/text"]
    assert found["ex/text"]["revision"] < found["ex/short"]["revision"]
    assert "3 keys at revision " in done.err


@pytest.mark.parametrize("words", [["--format", "json"], ["-w", "json"]])
def test_a_list_is_one_document(some: Program, words: list[str]) -> None:
    assert len(some("client", "export", "--prefix", "ex/", *words).json) == 3
    assert some("client", "export", "--prefix", "none/", *words).json == []


def test_what_was_exported_comes_back_elsewhere(some: Program, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(some("client", "export").out)
    words = ("client", "import", str(tmp_path / "keys"), "--prefix", "ex/", "--into", "im/")
    assert some(*words, "-w", "json").json == {"written": 3, "skipped": 0}
    before, after = (lines(some("client", "export", "--prefix", p).out) for p in ("ex/", "im/"))
    assert [one["key"] for one in after] == [f"im/{one['key'][3:]}" for one in before]
    assert [one["value"] for one in after] == [one["value"] for one in before]
    assert [500 < one.get("ttl_s", 0) <= 600 for one in after] == [False, True, False]


def test_what_is_there_stays_if_absent(some: Program, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(some("client", "export", "--prefix", "ex/").out)
    some("client", "put", "ex/text", "newer")
    some("client", "delete", "ex/bytes")
    done = some("client", "import", str(tmp_path / "keys"), "--if-absent")
    assert done.out == "1 key written, 2 skipped\n"
    assert some("client", "get", "ex/text").out == "newer\n"
    assert some("client", "import", str(tmp_path / "keys")).out == "3 keys written, 0 skipped\n"
    assert some("client", "get", "ex/text").out == "täxt\nin two lines\n"


def test_a_key_that_ends_by_itself_is_written_if_absent_with_its_time(
    some: Program, tmp_path: Path
) -> None:
    (tmp_path / "keys").write_text(some("client", "export", "--prefix", "ex/").out)
    some("client", "delete", "ex/short")
    done = some("client", "import", str(tmp_path / "keys"), "--if-absent")
    assert done.out == "1 key written, 2 skipped\n"
    (short,) = lines(some("client", "export", "--prefix", "ex/short").out)
    assert 500 < short["ttl_s"] <= 600


def test_whether_it_is_absent_is_asked_in_the_same_operation() -> None:
    written = _write(("k", "v", 600.0), if_absent=True, timeout_s=5)
    assert json.loads(b"[" + written.tail) == ["put_if", "k", "v", 0, ["ttl", 600_000]]


def test_a_dump_can_be_imported_too(some: Program, tmp_path: Path) -> None:
    (tmp_path / "dump").write_text(some("client", "dump", "-w", "json").out)
    words = ("client", "import", str(tmp_path / "dump"), "--prefix", "ex/", "--into", "im/")
    assert some(*words).out == "3 keys written, 0 skipped\n"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("nonsense", "line 2: not JSON"),
        ('{"key": "im/b"}', "line 2: not a key as export writes it"),
        ('{"key": "im/b", "value": 7}', "line 2: not a key"),
        ('{"key": "", "value": "v"}', "line 2: a key is text that is not empty"),
        ('{"key": "im/b", "value": {"b64": "?"}}', "line 2: "),
        ('["im/b", "v"]', "line 2: not a key"),
    ],
)
def test_nothing_is_written_of_a_file_with_a_fault(
    some: Program, tmp_path: Path, line: str, said: str
) -> None:
    (tmp_path / "keys").write_text('{"key": "im/a", "value": "v"}\n' + line + "\n")
    done = some("client", "import", str(tmp_path / "keys"))
    assert done.code == 2
    assert said in done.err
    assert "nothing was written" in done.err
    assert some("client", "get", "im/a").out == ""


def test_a_file_that_is_not_there(some: Program, tmp_path: Path) -> None:
    done = some("client", "import", str(tmp_path / "none"))
    assert (done.code, done.err.count("\n")) == (2, 1)
