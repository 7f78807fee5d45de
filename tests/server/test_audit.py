"""The file of the audit trail: its lines, its rotation, and what a full disk does to it."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from raftzmq.access.users import User
from raftzmq.errors import DataError
from raftzmq.server.audit import AuditTrail
from raftzmq.server.text_log import TextLog
from raftzmq.transport.client_wire import OperationsRequest, Results
from raftzmq.transport.curve import CLIENTS
from raftzmq.transport.zap import Handshake

WHO = User("billing")


class Log(TextLog):
    """Keeps what it is told."""

    def __init__(self) -> None:
        super().__init__("raft-0", "INFO")
        self.said: list[str] = []

    def __call__(self, event: str, level: int = 20, **details: object) -> None:
        del level
        self.said.append(event + "".join(f" {key}={value}" for key, value in details.items()))


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


@pytest.fixture
def trail(file: Path, log: Log) -> Iterator[AuditTrail]:
    made = AuditTrail("raft-0", str(file), log)
    yield made
    made.close()


def write(trail: AuditTrail, *keys: str) -> None:
    """Have puts recorded."""
    ops = [[place, "put", key, "secret"] for place, key in enumerate(keys)]
    trail.asked(b"c", OperationsRequest(1, 0, False, ops), WHO, "10.0.0.7")
    results = [(place, "ok", 10 + place, None) for place in range(len(keys))]
    trail.answered(b"c", Results("raft-0", 1, "raft-0", results))
    trail.turn()


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def keys(file: Path) -> list[str]:
    return [line["key"] for line in lines(file)]


def test_a_record_is_one_line_of_json(trail: AuditTrail, file: Path) -> None:
    write(trail, "billing/7")
    (line,) = lines(file)
    assert list(line) == [
        *("time", "node", "user", "address", "operation", "key", "revision", "outcome"),
    ]
    assert line["time"].endswith("Z")
    del line["time"]
    assert line == {
        "node": "raft-0",
        "user": "billing",
        "address": "10.0.0.7",
        "operation": "put",
        "key": "billing/7",
        "revision": 10,
        "outcome": "ok",
    }
    assert "secret" not in file.read_text()


@pytest.mark.parametrize(
    "key", ["a\nb", "\x1b[2J", "\x7f\x9b", "\u202e\u2028ü日", "\ud7ff🙂", '"\\']
)
def test_whatever_a_key_holds_a_line_is_a_line_that_no_terminal_obeys(
    trail: AuditTrail, file: Path, key: str
) -> None:
    write(trail, key)
    text = file.read_bytes()
    assert text.count(b"\n") == 1
    assert all(0x20 <= byte < 0x7F for byte in text[:-1])
    assert keys(file) == [key]


def test_only_its_owner_and_group_may_read_it(trail: AuditTrail, file: Path) -> None:
    write(trail, "k")
    assert stat.S_IMODE(file.stat().st_mode) & 0o137 == 0


def test_a_restart_goes_on_in_the_same_file(file: Path, log: Log) -> None:
    for key in ("a", "b"):
        trail = AuditTrail("raft-0", str(file), log)
        write(trail, key)
        trail.close()
    assert keys(file) == ["a", "b"]


def test_long_files_are_moved_aside_and_the_oldest_is_deleted(file: Path, log: Log) -> None:
    trail = AuditTrail("raft-0", str(file), log, file_bytes=100, files=3)
    for key in "abcde":
        write(trail, key)
    trail.close()
    found = {path.name: keys(path) for path in file.parent.iterdir()}
    assert found == {
        "audit.jsonl": ["e"],
        "audit.jsonl.1": ["d"],
        "audit.jsonl.2": ["c"],
    }


def test_a_file_that_cannot_be_opened_is_said_at_once(tmp_path: Path, log: Log) -> None:
    with pytest.raises(DataError, match=r"--audit .*nowhere/a: No such file or directory; give"):
        AuditTrail("raft-0", str(tmp_path / "nowhere" / "a"), log)


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """A disk that takes so many bytes more, once the list has a number."""
    room: list[int] = []
    real = os.write

    def limited(descriptor: int, data: bytes) -> int:
        if not room:
            return real(descriptor, data)
        if room[0] <= 0:
            raise OSError(28, "No space left on device")
        part = data[: room[0]]
        room[0] -= len(part)
        return real(descriptor, part)

    monkeypatch.setattr(os, "write", limited)
    yield room
    room.clear()


def test_a_full_disk_loses_lines_and_says_how_many(
    trail: AuditTrail, file: Path, log: Log, full: list[int]
) -> None:
    write(trail, "a")
    full.append(10)
    write(trail, "b", "c")
    write(trail, "d")
    assert trail.fault
    assert keys(file) == ["a"]
    full.clear()
    write(trail, "e")
    assert not trail.fault
    first, lost, last = lines(file)
    assert (first["key"], lost["operation"], lost["lost"], last["key"]) == ("a", "audit", 3, "e")
    assert [said.split(" file=")[0] for said in log.said] == [
        "the audit trail cannot be written",
        "the audit trail is written again lost=3",
    ]


def test_what_was_lost_is_said_as_soon_as_there_is_room_though_nothing_else_is(
    trail: AuditTrail, file: Path, full: list[int]
) -> None:
    full.append(0)
    write(trail, "a")
    full.clear()
    trail.turn()
    assert [line["lost"] for line in lines(file)] == [1]


def test_a_trail_that_is_required_keeps_what_it_cannot_write(
    file: Path, log: Log, full: list[int]
) -> None:
    trail = AuditTrail("raft-0", str(file), log, required=True)
    full.append(3)
    write(trail, "a", "b")
    assert "is required: free space" in trail.fault
    assert file.read_text() == ""
    full.clear()
    trail.turn()
    assert not trail.fault
    assert keys(file) == ["a", "b"]
    trail.close()


def test_a_trail_that_is_required_is_durable(
    file: Path, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fdatasync", lambda fd: synced.append(os.fstat(fd).st_size))
    trail = AuditTrail("raft-0", str(file), log, required=True)
    write(trail, "a")
    assert synced == [file.stat().st_size]
    trail.close()


def test_it_may_go_to_the_text_log(log: Log) -> None:
    trail = AuditTrail("raft-0", "-", log)
    write(trail, "a b")
    trail.close()
    (said,) = log.said
    word, _, line = said.partition(" ")
    assert (word, json.loads(line)["key"]) == ("audit", "a b")


def test_strangers_do_not_drive_out_what_users_did(file: Path, log: Log) -> None:
    seconds = [100.0]
    trail = AuditTrail("raft-0", str(file), log, clock=lambda: seconds[-1])
    for number in range(25):
        trail.handshake_refused(Handshake(CLIENTS, bytes([number] * 32), "10.0.0.9"))
    seconds.append(101.0)
    trail.handshake_refused(Handshake(CLIENTS, bytes([25] * 32), "10.0.0.9"))
    trail.turn()
    found = lines(file)
    wanted = [f"rzu{bytes([number] * 32).hex()}" for number in (*range(10), 25)]
    assert [line["key"] for line in found] == wanted
    assert (found[0]["address"], found[0]["port"]) == ("10.0.0.9", CLIENTS)
    assert found[0]["operation"], found[0]["outcome"] == ("handshake", "unauthorized")
    assert found[-1]["others_before"] == 15
    trail.close()
