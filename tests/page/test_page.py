"""The page in a real browser: what it shows, how one moves in it, and that all can use it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Dialog, Page, expect

from raftzmq.page import html
from raftzmq.page.recording import Recorder, encode
from tests.page.browser import Opened, browser, needs_browser
from tests.page.replaying import described, play
from tests.show.stories import STORIES
from tests.show.world import RecordedWorld
from tests.sim.options import plain
from tests.sim.story import ROOT

pytestmark = needs_browser

AXE = ROOT / "page" / "node_modules" / "axe-core" / "axe.min.js"
HOSTILE = "<img src=x onerror=alert(1)></script><b>\u202e\"'&"
FINE = {"message", "apply"}
"""Kinds of events that are no steps, unless one asks for every message."""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as started:
        yield started


@pytest.fixture
def opened(chromium: Browser) -> Iterator[Opened]:
    page = chromium.new_page(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    page.set_default_timeout(20_000)
    shown = Opened(page)
    yield shown
    page.close()
    assert not shown.complaints


@pytest.fixture(scope="module")
def story() -> dict[str, Any]:
    return STORIES["conflict"].tell().recorder.document()


@pytest.fixture(scope="module")
def file(story: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "story.html"
    path.write_text(html(story), "utf-8")
    return path


def state_after(document: dict[str, Any], events: int) -> dict[str, str]:
    return {
        name: described(name, facts, row) for name, (facts, row) in play(document, events).items()
    }


def steps_of(document: dict[str, Any]) -> list[int]:
    """How many events are over at each step."""
    return [n for n, e in enumerate(document["events"], 1) if e["kind"] not in FINE]


def event_of(page: Page) -> int:
    """How many events the page has played, as its address says."""
    return int(page.evaluate("location.hash").removeprefix("#event="))


def test_it_says_what_it_plays(opened: Opened, file: Path, story: dict[str, Any]) -> None:
    opened.open(file)
    expect(opened.page.get_by_role("heading", level=1)).to_have_text(story["title"])
    expect(opened.page).to_have_title(re.compile(story["title"]))
    expect(opened.page.get_by_role("button", name="Play")).to_be_visible()
    expect(opened.page.get_by_role("slider", name="Time")).to_be_visible()
    expect(opened.page.get_by_role("table", name="What happened")).to_be_visible()


def test_it_shows_the_state_at_each_event(
    opened: Opened, file: Path, story: dict[str, Any]
) -> None:
    events = len(story["events"])
    for event in (1, events // 3, events - 5):
        opened.open(file, event)
        assert opened.nodes() == state_after(story, event)


def test_it_shows_what_the_nodes_of_a_world_were(opened: Opened, tmp_path: Path) -> None:
    """The state of the nodes themselves, not what the recording makes of it."""
    moments: dict[int, dict[str, str]] = {}

    class Watched(RecordedWorld):
        def happen(self, what: Any) -> None:
            super().happen(what)
            if self.steps % 150 == 0 and all(one.up for one in self.processes.values()):
                moments[len(self.recorder.events)] = {
                    one.name: f"term {one.node.raft.term}, committed {one.node.raft.commit_index}, "
                    f"applied {one.node.raft.applied_index}, log to {one.node.raft.log.last_index}"
                    for one in self.processes.values()
                    if one.node
                }

    world = Watched(42, 5, plain(5))
    world.run()
    path = tmp_path / "world.html"
    path.write_text(html(world.recorder.document()), "utf-8")
    assert len(moments) > 4
    for event, nodes in list(moments.items())[:: max(1, len(moments) // 3)]:
        opened.open(path, event)
        for name, label in opened.nodes().items():
            assert label.endswith(nodes[name])


def test_it_goes_forth_and_back_by_the_keyboard_alone(
    opened: Opened, file: Path, story: dict[str, Any]
) -> None:
    page, steps = opened.page, steps_of(story)
    opened.open(file)
    page.keyboard.press("Home")
    assert event_of(page) == 0
    for _ in range(12):
        page.keyboard.press("ArrowRight")
    assert event_of(page) == steps[11]
    assert opened.nodes() == state_after(story, steps[11])
    for _ in range(4):
        page.keyboard.press("ArrowLeft")
    assert event_of(page) == steps[7]
    assert opened.nodes() == state_after(story, steps[7])
    page.keyboard.press("End")
    assert opened.nodes() == state_after(story, len(story["events"]))
    page.keyboard.press("Home")
    assert opened.nodes() == state_after(story, 0)


def test_everything_that_one_can_press_is_reached_by_the_tab_key(
    opened: Opened, file: Path
) -> None:
    opened.open(file)
    names = set()
    for _ in range(16):
        opened.page.keyboard.press("Tab")
        names.add(
            opened.page.evaluate("document.activeElement.id || document.activeElement.tagName")
        )
    wanted = {"file", "theme", "home", "back", "play", "next", "end", "time", "speed", "details"}
    assert wanted <= names


def test_it_plays_and_stops(opened: Opened, file: Path) -> None:
    page = opened.page
    opened.open(file, 40)
    page.get_by_label("Speed").select_option("as it was")
    page.get_by_role("heading", level=1).click()
    before = page.get_by_role("slider").input_value()
    page.keyboard.press(" ")
    expect(page.get_by_role("slider")).not_to_have_value(before)
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Play")).to_be_visible()


def test_a_row_of_the_table_leads_to_its_moment(
    opened: Opened, file: Path, story: dict[str, Any]
) -> None:
    opened.open(file, len(story["events"]))
    opened.page.get_by_role("cell", name="b wins, and leads term 3").click()
    wins = next(
        n for n, e in enumerate(story["events"], 1) if e.get("text") == "b wins, and leads term 3"
    )
    assert opened.nodes() == state_after(story, wins)
    status = opened.page.get_by_role("status").first
    expect(status).to_contain_text("b wins, and leads term 3")
    expect(status).to_contain_text("Thesis § 3.4")


def test_the_slider_leads_to_a_time(opened: Opened, file: Path, story: dict[str, Any]) -> None:
    opened.open(file)
    at_ms = story["events"][-1]["at"] // 2
    opened.page.get_by_role("slider").fill(str(at_ms))
    over = sum(event["at"] <= at_ms for event in story["events"])
    assert opened.nodes() == state_after(story, over)


def test_every_message_has_a_row_if_one_asks_for_it(opened: Opened, file: Path) -> None:
    opened.open(file, 60)
    append = opened.page.get_by_role("cell", name=re.compile("append 2 after 1 of term 1"))
    expect(append).to_have_count(0)
    opened.page.get_by_label("every message").check()
    expect(append.first).to_be_visible()


def test_a_log_says_what_it_holds(opened: Opened, file: Path, story: dict[str, Any]) -> None:
    opened.open(file, len(story["events"]))
    log = opened.page.get_by_role("img", name=re.compile("^Log of a:"))
    label = log.get_attribute("aria-label")
    assert label == (
        "Log of a: entries 1 to 4, term 1 from 1, term 2 from 2, term 3 from 3, committed 4"
    )


def test_a_message_on_its_way_has_a_label(
    opened: Opened, file: Path, story: dict[str, Any]
) -> None:
    sent = next(
        n for n, e in enumerate(story["events"], 1) if "sent" in e and e["sent"]["shape"] == "ask"
    )
    opened.open(file, sent)
    assert "pre-vote?" in opened.page.locator("#ring .flight text").all_text_contents()


def test_what_waits_for_an_answer_is_named(
    opened: Opened, file: Path, story: dict[str, Any]
) -> None:
    opened.open(file, len(story["events"]))
    waiting = opened.page.get_by_role("list", name="Clients that wait for an answer")
    expect(waiting.get_by_role("listitem")).to_have_count(2)


def test_hostile_text_stays_text(opened: Opened, tmp_path: Path) -> None:
    recorder = Recorder(HOSTILE, HOSTILE, source="story", name=HOSTILE)
    recorder.add(1, "client", HOSTILE, asked={"id": 1, "client": HOSTILE})
    fact = {"role": HOSTILE, "up": True, "member": "voter", "leader": HOSTILE, "term": 1}
    log = {"base": 0, "base_term": 0, "keep": 0, "add": [[1, "command", HOSTILE]]}
    recorder.add(2, "log", HOSTILE, nodes={HOSTILE: {**fact, "log": log}})
    sent = {"id": 1, "from": HOSTILE, "to": "b", "type": HOSTILE, "term": 1}
    recorder.add(
        3, "message", "", sent={**sent, "shape": HOSTILE, "label": HOSTILE, "says": HOSTILE}
    )
    path = tmp_path / "hostile.html"
    path.write_text(html(recorder.document([HOSTILE, "b"])), "utf-8")
    asked: list[str] = []

    def dismiss(dialog: Dialog) -> None:
        asked.append(dialog.message)
        dialog.dismiss()

    opened.page.on("dialog", dismiss)
    opened.open(path, 3)
    opened.page.get_by_label("every message").check()
    expect(opened.page.get_by_role("heading", level=1)).to_have_text(HOSTILE)
    assert opened.page.locator("img, b[onerror], script:not([type])").count() == 1  # its own
    assert not asked


def test_without_a_recording_it_opens_one(
    opened: Opened, story: dict[str, Any], tmp_path: Path
) -> None:
    page = opened.page
    path = tmp_path / "empty.html"
    path.write_text(html(), "utf-8")
    opened.open(path)
    expect(page.get_by_role("status")).to_have_text("Open a recording, or drop one here.")
    for name, data in (("no.json", b"{"), ("other.json", b'{"format": "x"}')):
        (tmp_path / name).write_bytes(data)
        page.get_by_label("Open a recording").set_input_files(tmp_path / name)
        expect(page.get_by_role("status")).to_contain_text("is no recording")
    (tmp_path / "story.json").write_bytes(encode(story))
    page.get_by_label("Open a recording").set_input_files(tmp_path / "story.json")
    expect(page.get_by_role("heading", level=1)).to_have_text(story["title"])


@pytest.mark.parametrize("width", [390, 768, 1600])
def test_nothing_is_wider_than_the_screen(opened: Opened, file: Path, width: int) -> None:
    opened.page.set_viewport_size({"width": width, "height": 850})
    opened.open(file, 100)
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_colours_are_the_systems_or_what_one_chooses(opened: Opened, file: Path) -> None:
    page = opened.page
    background = "getComputedStyle(document.documentElement).backgroundColor"
    opened.open(file)
    light = page.evaluate(background)
    page.emulate_media(color_scheme="dark")
    dark = page.evaluate(background)
    assert light != dark
    page.get_by_role("button", name="Colours: as the system says").click()
    assert page.evaluate(background) == light
    page.get_by_role("button", name="Colours: light").click()
    assert page.evaluate(background) == dark


@pytest.mark.skipif(not AXE.exists(), reason="axe-core is not there: `npm ci` in page/")
@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1280, "dark")])
def test_axe_finds_nothing_to_object_to(
    chromium: Browser, file: Path, scheme: Any, width: int
) -> None:
    context = chromium.new_context(
        viewport={"width": width, "height": 900},
        color_scheme=scheme,
        reduced_motion="reduce",
        bypass_csp=True,
    )
    page = context.new_page()
    page.goto(f"{file.as_uri()}#event=100")
    page.locator("summary").click()
    page.add_script_tag(path=AXE)
    found = [
        json.dumps([violation["id"], violation["help"], violation["nodes"][0]["html"][:120]])
        for violation in page.evaluate("axe.run()")["violations"]
    ]
    context.close()
    assert not found, "\n".join(found)
