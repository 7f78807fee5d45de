"""A log with lines of text in it, as the runbook mends it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from raftzmq.core.ready import HardState
from raftzmq.errors import CorruptFile
from raftzmq.storage import OsFiles, Storage
from tests.storage.helpers import NODE, SMALL, US, entries

RUNBOOK = Path(__file__).parents[2] / "docs/runbook.md"
TEXT = b"2026-11-30T01:00:00.000Z INFO raft-0 is leader term=3 leader=raft-0\n"
TRACEBACK = b'Traceback (most recent call last):\n  File "x.py", line 1\nValueError: 00000000\n'


def test_no_data_file_takes_the_place_of_a_closed_stream(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from raftzmq.storage import files;"
        "found = files.open_beyond_streams(Path(sys.argv[1]), files.os.O_CREAT);"
        "sys.exit(found)"
    )
    shell = 'exec "$@" <&- >&- 2>&-'
    words = ["sh", "-c", shell, "sh", sys.executable, "-c", script, str(tmp_path / "log")]
    assert subprocess.run(words, check=False).returncode >= 3


def command() -> str:
    """The line of the runbook that takes out what is no entry."""
    found = re.search(r"^ {4}(for file in DATA/log.*)$", RUNBOOK.read_text(), re.MULTILINE)
    assert found
    return found[1]


def test_a_log_with_text_in_it_is_whole_again_after_the_runbooks_command(tmp_path: Path) -> None:
    data = tmp_path / "DATA"
    storage = Storage(data, OsFiles(), config=SMALL)
    storage.open(NODE)
    storage.save(HardState(1, US), [])
    written = entries(1, 40)
    for entry in written:
        storage.save(None, [entry])
    storage.close()
    segments = sorted((data / "log").glob("*.jsonl"))
    assert len(segments) > 1, "one segment proves less"
    for segment in segments:
        lines = segment.read_bytes().splitlines(keepends=True)
        segment.write_bytes(TEXT + b"".join(line + TRACEBACK for line in lines) + TEXT)
    with pytest.raises(CorruptFile):
        Storage(data, OsFiles(), config=SMALL).open(NODE)
    subprocess.run(["sh", "-c", command()], cwd=tmp_path, check=True)
    again = Storage(data, OsFiles(), config=SMALL)
    assert list(again.open(NODE).entries) == written
    again.close()
