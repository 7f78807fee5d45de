"""`just story` and `just show`: what they print, write and refuse."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from raftzmq.page import html
from raftzmq.page.recording import decode
from tests.show.__main__ import main
from tests.show.stories import STORIES
from tests.show.telling import lines
from tests.sim.invariants import Rules
from tests.sim.story import Violation

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Any:
    def run(*words: str) -> int:
        monkeypatch.setattr(sys, "argv", ["show", *words])
        return main()

    return run


def test_stories_are_listed(command: Any, capsys: Capture) -> None:
    assert command("story") == 0
    told = capsys.readouterr().out
    assert all(one.name in told and one.about in told for one in STORIES.values())


def test_a_story_is_told(command: Any, capsys: Capture) -> None:
    assert command("story", "conflict") == 0
    told = capsys.readouterr().out.splitlines()
    assert told == lines(STORIES["conflict"].tell().recorder.document())


def test_a_story_is_the_same_each_time(command: Any, tmp_path: Path) -> None:
    for name in ("one", "two"):
        assert command("show", "figure-8", "-o", str(tmp_path / f"{name}.json")) == 0
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()


def test_a_recording_becomes_a_page(command: Any, tmp_path: Path) -> None:
    recording, page = tmp_path / "x.json", tmp_path / "new" / "x.html"
    assert command("show", "election", "-o", str(recording)) == 0
    assert command("show", str(recording), "-o", str(page)) == 0
    assert page.read_text() == html(decode(recording.read_bytes()))


def test_a_world_is_shown_that_is_like_one_asks_for(command: Any, tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    words = ["--nodes", "5", "--faults", "isolate", "--seconds", "1", "-o", str(file)]
    assert command("show", "3", *words) == 0
    document = decode(file.read_bytes())
    assert document["nodes"] == [f"raft-{n}" for n in range(5)]
    assert document["source"] == {"kind": "world", "name": "3"}


def test_a_world_that_breaks_a_rule_is_shown_up_to_there(
    command: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    def check(self: Rules, process: Any) -> None:
        if process.world.now_ms > 500:
            raise Violation("something that must not be")

    monkeypatch.setattr(Rules, "check", check)
    file = tmp_path / "x.json"
    assert command("show", "42", "-o", str(file)) == 1
    last = decode(file.read_bytes())["events"][-1]
    assert last["text"] == "A rule is broken: something that must not be"
    assert "something that must not be" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["show", "elektion"], "is no story, seed or file"),
        (["show", "/no/such.json"], "No such file"),
        (["show", "42", "--faults", "kil"], "no kind of fault is called 'kil'"),
    ],
)
def test_what_cannot_be_shown_is_refused(command: Any, words: list[str], told: str) -> None:
    with pytest.raises(SystemExit, match=told):
        command(*words)
