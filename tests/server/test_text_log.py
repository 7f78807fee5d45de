"""The log that people read neither blocks a node nor dies unnoticed."""

from __future__ import annotations

import json
import logging
import os
import re
import threading
import time
from pathlib import Path
from typing import Final

import pytest

from raftzmq.server import text_log
from raftzmq.server.text_log import QUEUE_LINES, TextLog
from tests.system.processes import wait_for

PATIENT_S: Final = 60.0


def test_a_line_has_time_level_node_event_and_details(capfd: pytest.CaptureFixture[str]) -> None:
    with TextLog("raft-0", "info") as log:
        log("is leader", term=3, why="it was elected")
        log("not worth telling", logging.DEBUG)
        log.warn("disk full")
    first, second = capfd.readouterr().err.splitlines()
    assert re.fullmatch(
        r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO raft-0 is leader term=3 why="it was elected"',
        first,
    )
    assert second.endswith(" WARNING raft-0 disk full")


HOSTILE: Final = 'a\nb\r\t"\\ \x1b[31m \x7f \u2028 é \udcff'
"""What could end a line, begin another, or be obeyed by a terminal."""


def test_as_json_a_line_is_one_object(capfd: pytest.CaptureFixture[str]) -> None:
    with TextLog("raft-0", "info", "json") as log:
        log("is leader", term=3, leader=None, share=0.5, path=Path("/d"))
        log.warn(f"says {HOSTILE}", what=HOSTILE)
    first, second = capfd.readouterr().err.splitlines()
    document = json.loads(first)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", document.pop("time"))
    assert document == {
        "level": "INFO",
        "node": "raft-0",
        "message": "is leader",
        "fields": {"term": 3, "leader": None, "share": 0.5, "path": "/d"},
    }
    assert second.isascii()
    assert second.isprintable()
    document = json.loads(second)
    assert document["message"] == f"says {HOSTILE}"
    assert document["fields"] == {"what": HOSTILE}


def test_as_json_dropped_lines_are_a_field(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with TextLog("raft-0", "INFO", "json") as log:
        log._handler.dropped = 7
        log("says more", term=3)
    line = json.loads(capfd.readouterr().err)
    assert line["fields"] == {"term": 3, "lines_dropped": 7}


def test_what_a_detail_was_when_it_was_told_is_written(capfd: pytest.CaptureFixture[str]) -> None:
    changing = ["before"]
    with TextLog("raft-0", "INFO", "json") as log:
        log("tells", what=changing)
        changing[0] = "after"
    assert json.loads(capfd.readouterr().err)["fields"]["what"] == "['before']"


def test_the_level_changes_while_it_runs(capfd: pytest.CaptureFixture[str]) -> None:
    with TextLog("raft-0", "INFO") as log:
        log.debug("not told")
        log.set_level("debug")
        log.debug("told")
        log.set_level("ERROR")
        log.warn("not told")
    assert [line.split()[-1] for line in capfd.readouterr().err.splitlines()] == ["told"]


def test_lines_that_nobody_reads_are_dropped_and_counted_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reading, writing = os.pipe()
    monkeypatch.setattr(text_log, "STDERR", writing)
    monkeypatch.setattr(text_log, "LAST_LINES_S", PATIENT_S)
    told = 0
    with TextLog("raft-0", "INFO") as log:
        for _ in range(3 * QUEUE_LINES):
            log("says something that takes a good part of a pipe's sixty-five thousand bytes")
            told += 1
        text = bytearray()
        reader = threading.Thread(target=_read, args=[reading, text])
        reader.start()
        deadline = time.monotonic() + PATIENT_S
        while b"lines_dropped=" not in text and time.monotonic() < deadline:
            log("says more")
            told += 1
            time.sleep(0.01)
    os.close(writing)
    reader.join()
    dropped = sum(map(int, re.findall(rb"lines_dropped=(\d+)", text)))
    assert dropped > 0
    lines = text.count(b"\n") - text.count(b"says no more")
    assert lines + dropped == told, "those that were dropped last count too"


def _read(reading: int, text: bytearray) -> None:
    while found := os.read(reading, 4096):
        text += found
    os.close(reading)


@pytest.mark.parametrize("lines", [QUEUE_LINES, 3 * QUEUE_LINES], ids=["room", "no_room"])
def test_a_log_that_nobody_reads_comes_to_an_end(
    lines: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, writing = os.pipe()
    monkeypatch.setattr(text_log, "STDERR", writing)
    monkeypatch.setattr(text_log, "LAST_LINES_S", 0.05)
    with TextLog("raft-0", "INFO") as log:
        for _ in range(lines):
            log("says something that takes a good part of a pipe's sixty-five thousand bytes")
    assert log.is_alive, "somebody read it"
    os.close(reading)  # which lets the thread go on
    deadline = time.monotonic() + PATIENT_S
    while not log._lines.empty():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.close(writing)


def test_nobody_at_the_other_end_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    monkeypatch.setattr(text_log, "STDERR", writing)
    with TextLog("raft-0", "INFO") as log:
        log("says something")
        log.check()
    os.close(writing)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_the_death_of_its_thread_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(fd: int, line: bytes) -> int:
        raise MemoryError

    with TextLog("raft-0", "INFO") as log:
        log.check()
        monkeypatch.setattr(os, "write", fail)
        log("says something")
        with pytest.raises(RuntimeError, match="the thread that writes the log of the node"):
            wait_for("its end", log.check)
