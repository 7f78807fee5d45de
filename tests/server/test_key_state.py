"""What a node tells of its keys, for the doctor."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from raftzmq.access.key_directory import KeyDirectory
from raftzmq.server.access import REREAD_MS, Access
from raftzmq.server.text_log import TextLog


@pytest.fixture
def log() -> Iterator[TextLog]:
    with TextLog("raft-0", "ERROR") as made:
        yield made


def test_without_keys_there_are_none(log: TextLog) -> None:
    assert Access(None, log).state()["keys"] is False


def test_a_rotation_shows_until_its_last_step(tmp_path: Path, log: TextLog) -> None:
    keys = KeyDirectory(tmp_path / "keys")
    keys.create()

    def rotating() -> object:
        return Access(keys.path, log).state()["rotating"]

    assert rotating() == []
    keys.rotate("node")
    assert rotating() == ["node"]
    keys.rotate("admin")
    assert rotating() == ["node", "users"]
    for name in ("node", "admin") * 2:
        keys.rotate(name)
    assert rotating() == []


def test_files_that_cannot_be_read_again_are_a_fault_until_they_can(
    tmp_path: Path, log: TextLog
) -> None:
    keys = KeyDirectory(tmp_path / "keys")
    keys.create()
    access = Access(keys.path, log)
    users = keys.path / "users.toml"
    text = users.read_text()
    users.write_text("no users")
    access.reread(REREAD_MS)
    assert access.state()["fault"] is True
    users.write_text(text)
    access.reread(2 * REREAD_MS)
    assert access.state()["fault"] is False
