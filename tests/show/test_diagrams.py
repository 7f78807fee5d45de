"""The diagrams of the stories are whole; those of the documents are what the stories give now."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from raftzmq.page.recording import Recorder
from tests.show.diagram import DRAWN, FOLDER, Diagram, drawing_of
from tests.show.stories import STORIES

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("name", sorted(STORIES))
def test_every_story_can_be_drawn_within_its_frame(name: str) -> None:
    picture = ElementTree.fromstring(drawing_of(name))
    _, _, width, height = map(float, picture.attrib["viewBox"].split())
    for text in picture.iter(f"{SVG}text"):
        assert 0 < float(text.attrib["x"]) < width
        assert 0 < float(text.attrib["y"]) < height
    for box in picture.iter(f"{SVG}rect"):
        assert float(box.attrib.get("x", 0)) >= 0
        assert float(box.attrib.get("x", 0)) + float(box.attrib["width"]) <= width


def test_messages_and_events_are_in_it() -> None:
    texts = [
        text.text for text in ElementTree.fromstring(drawing_of("election")).iter(f"{SVG}text")
    ]
    for words in ("vote?", "append 3", "wins, and leads term 2", "client asks: a to write x = 1"):
        assert words in texts


@pytest.mark.parametrize("name", DRAWN)
def test_the_diagrams_of_the_documents_are_of_these_stories(name: str) -> None:
    assert (FOLDER / f"{name}.svg").read_text() == drawing_of(name), "run `just stories`"


def test_hostile_text_stays_text() -> None:
    hostile = '<script>"&'
    recorder = Recorder(hostile, hostile, source="story", name="x")
    recorder.add(1, "note", hostile)
    picture = ElementTree.fromstring(Diagram(recorder.document(["a"])).svg())
    assert [text.text for text in picture.iter(f"{SVG}text")] == [hostile, "a", hostile]
