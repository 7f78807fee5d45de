"""`raftzmq show`, which makes a page of a recording."""

from __future__ import annotations

from pathlib import Path

import pytest

from raftzmq.page import html
from raftzmq.page.recording import Recorder, encode
from raftzmq_cli.common import exits
from raftzmq_cli.main import run

Capture = pytest.CaptureFixture[str]


def test_it_prints_the_page_of_a_recording(tmp_path: Path, capfd: Capture) -> None:
    recorder = Recorder("an incident", "at night", source="cluster", name="kv")
    recorder.add(1, "note", "something </script> happened")
    document = recorder.document(["raft-0"])
    (tmp_path / "incident.json").write_bytes(encode(document))
    assert run(["show", str(tmp_path / "incident.json")]) == exits.DONE
    out, err = capfd.readouterr()
    assert out == html(document)
    assert not err


@pytest.mark.parametrize("data", [b"", b"[]", b"\xff", b'{"format": "raftzmq recording"}'])
def test_what_is_no_recording_is_refused(data: bytes, tmp_path: Path, capfd: Capture) -> None:
    file = tmp_path / "a\x1b[31m.json"
    file.write_bytes(data)
    assert run(["show", str(file)]) == exits.USAGE
    out, err = capfd.readouterr()
    assert not out
    assert err.count("\n") == 1
    assert "recording" in err
    assert "\x1b" not in err
