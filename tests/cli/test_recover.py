"""`raftzmq recover`: what it prints, what it refuses, and with which exit code."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path
from typing import Final

import pytest

from raftzmq.storage import OsFiles, Storage
from tests.cli.conftest import Program
from tests.offline.remains import live
from tests.offline.test_programs import CALLS

MACHINE: Final = "examples.counter:Counter"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the data of raft-1 in d1."""
    monkeypatch.chdir(tmp_path)
    live(OsFiles(), Path("d1"))
    return tmp_path


def content(directory: Path) -> dict[str, bytes]:
    return {str(f): f.read_bytes() for f in sorted(directory.rglob("*")) if f.is_file()}


def test_one_survivor_is_shown_with_what_is_lost_and_how_to_go_on(
    program: Program, here: Path
) -> None:
    before = content(here)
    shown = program("recover", "d1")
    assert shown.code == 0
    heading, row, _, *verdict = shown.lines
    assert heading.split("  ")[0] == "DIRECTORY"
    assert row.split() == ["d1", "raft-1", "c1", "3", "12", "0", "11", "9", "0", "yes", "ok"]
    assert verdict[1].startswith("kept      all 9 keys up to revision 11,")
    assert verdict[2].startswith("lost      what was written after revision 11 (entry 12)")
    assert verdict[3] == "not seen  raft-0, raft-2: if their directories exist, name them too"
    assert verdict[4] == (
        "go on     raftzmq recover d1 --as-new-cluster "
        "--confirm 'lose everything after revision 11'"
    )
    assert content(here) == before


def test_the_command_that_it_names_makes_the_new_cluster(program: Program, here: Path) -> None:
    command = program("recover", "d1", "-w", "json").json["command"]
    done = program(*shlex.split(command)[1:], "-w", "json")
    assert done.code == 0
    assert done.json["node"] == "raft-1"
    assert done.json["address"] == "10.0.0.1:6000"
    restored = Storage(here / "d1").open("raft-1")
    assert restored.cluster == done.json["cluster"]
    assert (here / "d1" / "aside-1" / "node.json").exists()


def test_what_comes_next_is_told(program: Program, here: Path) -> None:
    words = ["--as-new-cluster", "--confirm", "lose everything after revision 11"]
    done = program("recover", "d1", *words)
    assert done.lines[0].startswith("recovered d1: raft-1 is the only node of cluster ")
    assert [line.partition(" with")[0] for line in done.lines[2:]] == [
        "start raft-0",
        "start raft-2",
    ]


def test_a_table_has_a_row_for_each_directory(program: Program, here: Path) -> None:
    live(OsFiles(), here / "d2", 8, 2)
    table = program("recover", "d1", "d2", "-w", "table")
    assert table.code == 0
    assert len(table.lines) == 6
    rows = program("recover", "d1", "d2", "-w", "json").json["survivors"]
    assert [(row["node"], row["last_index"], row["newest"]) for row in rows] == [
        ("raft-1", 12, True),
        ("raft-2", 8, False),
    ]


def test_without_a_directory_that_can_be_read_the_answer_is_no(
    program: Program, here: Path
) -> None:
    shown = program("recover", "nothing", "-w", "json")
    assert shown.code == 1
    assert shown.json["newest"] is None
    assert "no node's data" in shown.json["survivors"][0]["damage"]
    refused = program("recover", "nothing", "--as-new-cluster")
    assert refused.code == 1
    assert "no node's data" in refused.err
    assert not (here / "nothing").exists()


def test_the_words_of_the_loss_must_be_given(program: Program, here: Path) -> None:
    for confirm in ([], ["--confirm", "yes"]):
        refused = program("recover", "d1", "--as-new-cluster", *confirm)
        assert refused.code == 2
        assert 'say --confirm "lose everything after revision 11"' in refused.err


def test_a_survivor_is_not_taken_when_another_is_newer_unless_one_insists(
    program: Program, here: Path
) -> None:
    live(OsFiles(), here / "d2", 20, 2)
    words = ["d1", "d2", "--as-new-cluster", "--confirm", "lose everything after revision 11"]
    refused = program("recover", *words)
    assert refused.code == 2
    assert "d2 is newer: term 3, index 20, and not term 3, index 12" in refused.err
    assert "--even-so" in refused.err
    assert program("recover", *words, "--even-so").code == 0


@pytest.mark.parametrize(
    ("option", "value"), [("--name", "no name"), ("--address", "nowhere")], ids=["name", "address"]
)
def test_nonsense_is_refused_first(option: str, value: str, program: Program, here: Path) -> None:
    before = content(here)
    assert program("recover", "d1", "--as-new-cluster", option, value).code == 2
    assert content(here) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_cannot_be_written_can_be_looked_at(program: Program, here: Path) -> None:
    (here / "d1").chmod(0o500)
    try:
        assert program("recover", "d1").code == 0
    finally:
        (here / "d1").chmod(0o700)


def test_damage_is_told_with_file_line_and_byte(program: Program, here: Path) -> None:
    log = here / "d1" / "log" / f"{1:020d}.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join([lines[0], b"x" + lines[1][1:], *lines[2:]]))
    shown = program("recover", "d1", "-w", "json")
    (row,) = json.loads(shown.out)["survivors"]
    assert row["damage"].endswith(f"line 2, byte {len(lines[0])}: the checksum does not match")
    assert row["node"] == "raft-1"


def test_a_log_with_calls_of_a_state_machine_needs_it_and_the_next_command_has_it(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    live(OsFiles(), tmp_path / "d1", calls=CALLS)
    shown = program("recover", str(tmp_path / "d1"), "-w", "json")
    assert shown.code == 1
    assert "give it --machine PACKAGE.MODULE:CLASS" in shown.json["survivors"][0]["damage"]
    shown = program("recover", str(tmp_path / "d1"), "--machine", MACHINE, "-w", "json")
    assert shown.json["command"].endswith(f" --machine {MACHINE}")
    monkeypatch.setenv("RAFTZMQ_MACHINE", MACHINE)
    words = ["--as-new-cluster", "--confirm", shown.json["confirm"]]
    done = program("recover", str(tmp_path / "d1"), *words)
    assert done.code == 0
    storage = Storage(tmp_path / "d1")
    storage.open("raft-1")
    assert ["program", "Counter", 1, '{"count":11}'] in list(storage.snapshot_records())
    storage.close()


def test_a_state_machine_that_is_wrong_is_refused(program: Program, tmp_path: Path) -> None:
    live(OsFiles(), tmp_path / "d1", calls=CALLS)
    for wrong in (
        "nowhere:Counter",
        "examples.counter:Nothing",
        "examples.counter",
        "examples.bank:",
    ):
        refused = program("recover", str(tmp_path / "d1"), "--machine", wrong)
        assert refused.code == 2
        assert "--machine" in refused.err
    other = program("recover", str(tmp_path / "d1"), "--machine", "examples.bank:Bank")
    assert "this process has Bank version 1" in other.out
