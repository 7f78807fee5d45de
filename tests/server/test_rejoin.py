"""--rejoin sets a directory aside, and only once."""

from __future__ import annotations

from pathlib import Path

from raftzmq.server.server import set_aside_once
from raftzmq.storage import Storage


def incarnation(path: Path) -> str:
    storage = Storage(path)
    try:
        return storage.open("raft-0").incarnation
    finally:
        storage.close()


def test_what_was_there_is_kept_aside_and_the_node_is_somebody_new(tmp_path: Path) -> None:
    before = incarnation(tmp_path)
    assert str(tmp_path / "aside-1") in set_aside_once(tmp_path)
    assert (tmp_path / "aside-1" / "node.json").exists()
    assert incarnation(tmp_path) != before


def test_an_option_left_in_a_manifest_does_no_harm_at_the_next_start(tmp_path: Path) -> None:
    incarnation(tmp_path)
    set_aside_once(tmp_path)
    rejoined = incarnation(tmp_path)
    told = set_aside_once(tmp_path)
    assert "ignored" in told
    assert "remove" not in told, "it may be the only copy"
    assert incarnation(tmp_path) == rejoined


def test_a_directory_that_is_not_there_is_no_trouble(tmp_path: Path) -> None:
    assert "nothing there" in set_aside_once(tmp_path / "new")
