"""The runbook's commands on data directories, word by word."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from raftzmq.core.identity import NodeId
from raftzmq.core.membership import Member, Membership
from raftzmq.offline.survivors import survey
from raftzmq.storage import OsFiles, Storage, StorageConfig
from tests.offline.remains import MEMBERS, live
from tests.runbook.blocks import block, run


def test_what_was_set_aside_is_put_back(tmp_path: Path) -> None:
    data = tmp_path / "data"
    live(OsFiles(), data)
    Storage.set_aside(data)
    empty = Storage(data)
    empty.open("raft-1")
    empty.close()
    assert survey(OsFiles(), data).keys == 0
    commands = block("Every node has set its data aside", "mkdir").commands
    run("\n".join(commands), {"DATA": str(data)}, tmp_path)
    found = survey(OsFiles(), data)
    assert (found.damage, found.keys) == ("", 9)


def test_two_directories_of_five_are_left(tmp_path: Path) -> None:
    more = (Member(NodeId(f"raft-{k}", f"{k}" * 16), f"10.0.0.{k}:6000", True) for k in (3, 4))
    five = replace(MEMBERS, members=(*MEMBERS.members, *more))
    assert isinstance(five, Membership)
    older, newer = tmp_path / "0", tmp_path / "2"
    live(OsFiles(), older, 8, 0, members=five)
    live(OsFiles(), newer, 12, 2, members=five)
    look, recover = block("A majority is gone for good", "raftzmq recover").commands
    directories = {"DATA-0": str(older), "DATA-2": str(newer)}
    told = run(look, directories, tmp_path).stdout
    assert "newest    " in told
    assert "--confirm 'lose everything after revision 11'" in told
    done = run(recover, {**directories, "revision N": "revision 11"}, tmp_path).stdout
    assert "raft-2 is the only node of cluster" in done
    assert (newer / "aside-1" / "node.json").exists()
    assert run(recover, {**directories, "revision N": "revision 11"}, tmp_path).stdout.startswith(
        "was recovered before"
    )


def test_the_only_survivor_is_damaged(tmp_path: Path) -> None:
    data = tmp_path / "data"
    live(OsFiles(), data, 30, config=StorageConfig(segment_entries=8))
    segments = sorted((data / "log").glob("*.jsonl"))
    assert len(segments) > 3
    hurt = segments[1]
    lines = hurt.read_bytes().splitlines(keepends=True)
    hurt.write_bytes(b"".join([*lines[:3], b"x" + lines[3][1:], *lines[4:]]))
    byte = sum(map(len, lines[:3]))
    assert f"{hurt}, line 4, byte {byte}:" in survey(OsFiles(), data).damage
    commands = block("The only survivor is damaged", "cp -a").commands
    run("\n".join(commands), {"BYTE": str(byte), "FILE": hurt.name, "DATA": str(data)}, tmp_path)
    found = survey(OsFiles(), data)
    assert (found.damage, found.last_index) == ("", 11)
    assert survey(OsFiles(), Path(f"{data}.copy")).damage
