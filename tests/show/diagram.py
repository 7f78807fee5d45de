"""A recording as a picture that stands still: a sequence diagram, for the documents.

python -m tests.show.diagram    writes docs/stories/*.svg anew
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final
from xml.sax.saxutils import escape, quoteattr

from tests.show.stories import STORIES
from tests.sim.story import ROOT

FOLDER: Final = ROOT / "docs" / "stories"
DRAWN: Final = ("election", "split-vote", "conflict", "stale-read")
"""The stories whose diagrams docs/see-it.md has."""

LEFT, LANE, TOP, LINE = 120, 190, 74, 19
HEARTBEATS: Final = frozenset({"Heartbeat", "HeartbeatReply"})
TONES: Final = {
    "ask": "#7350bd",
    "yes": "#26794a",
    "no": "#b8323a",
    "append": "#2a65b8",
    "beat": "#666e7d",
    "answer": "#666e7d",
    "snapshot": "#96650b",
    "order": "#a83283",
}
STYLE: Final = """
text { font: 13px system-ui, "DejaVu Sans", sans-serif; fill: #1c2230; }
.page { fill: #fffefb; stroke: #e3dfd5; }
.title { font: 600 19px Palatino, Georgia, serif; }
.soft { fill: #565e6e; font-size: 12px; }
.name { font-weight: 600; text-anchor: middle; }
.life { stroke: #d8d3c7; }
.message { fill: none; stroke-width: 1.6; }
.lost { stroke-dasharray: 4 4; }
.label, .note, .soft { paint-order: stroke; stroke: #fffefb; stroke-width: 4px; }
.label { font-size: 12px; text-anchor: middle; }
.box { fill: #f1efe8; stroke: #d8d3c7; }
.event { font-size: 12px; text-anchor: middle; }
.note { font: italic 13.5px Palatino, Georgia, serif; }
"""
MARKED: Final = frozenset(
    {"client", "election", "fault", "start", "conflict", "commit", "snapshot"}
)
"""Kinds of events that stand on the line of their node, or at the edge where it is nobody's."""
EXPECTED: Final = "hear of commit"
"""The rule of what every follower does."""
SAID_BY_MESSAGES: Final = re.compile(r", and asks who .*| and votes for itself$")
"""What of an event's text the messages show."""


class Diagram:
    """Time runs down, a line for each node; a row for each thing that is drawn."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document
        self._nodes: list[str] = document["nodes"]
        self._rows = 0
        self._lines: list[str] = []
        self._boxes: list[str] = []
        self._labels: list[str] = []
        self._sent: dict[int, tuple[dict[str, Any], int]] = {}

    def svg(self) -> str:
        """The picture, a whole file."""
        for event in self._document["events"]:
            self._draw(event)
        width = LEFT + LANE * (len(self._nodes) - 1) + LEFT
        height = TOP + LINE * (self._rows + 3)
        bottom = height - LINE
        lines = [
            f'<path class="life" d="M{self._x(name)} {TOP}V{bottom}"/>'
            f'<text class="name" x="{self._x(name)}" y="{TOP - 8}">{escape(name)}</text>'
            for name in self._nodes
        ]
        title, about = self._document["title"], self._document["about"]
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
                f'width="{width}" role="img" aria-label={quoteattr(f"{title}. {about}")}>',
                f"<style>{STYLE}</style>",
                f'<rect class="page" width="{width}" height="{height}" rx="12"/>',
                f'<text class="title" x="24" y="34">{escape(title)}</text>',
                *lines,
                *self._lines,
                *self._boxes,
                *self._labels,
                "</svg>\n",
            ]
        )

    def _x(self, name: str) -> int:
        return LEFT + LANE * self._nodes.index(name)

    def _row(self) -> float:
        """The next row's place."""
        self._rows += 1
        return TOP + LINE * self._rows

    def _draw(self, event: dict[str, Any]) -> None:
        if "sent" in event and event["sent"]["type"] not in HEARTBEATS:
            self._sent[event["sent"]["id"]] = event["sent"], self._rows
        elif (ended := event.get("arrived", event.get("lost"))) in self._sent:
            self._message(*self._sent.pop(ended), lost="lost" in event)
        elif event["kind"] == "note":
            self._note(event)
        elif event["kind"] in MARKED and event.get("rule") != EXPECTED and event["at"] > 0:
            self._event(event)

    def _message(self, sent: dict[str, Any], begun: int, *, lost: bool) -> None:
        x1, x2 = self._x(sent["from"]), self._x(sent["to"])
        y2 = self._row()
        y1 = max(TOP + LINE * (begun + 0.5), y2 - 1.6 * LINE)
        tone = TONES[sent["shape"]]
        if lost:
            x2, y2 = (x1 + x2) // 2, (y1 + y2) / 2
        left = -1 if x2 < x1 else 1
        head = f"M{x2 - 8 * left} {y2 - 5}L{x2 - 1 * left} {y2}L{x2 - 8 * left} {y2 + 4}"
        if lost:
            head = f"M{x2 - 5} {y2 - 5}L{x2 + 5} {y2 + 5}M{x2 + 5} {y2 - 5}L{x2 - 5} {y2 + 5}"
        self._lines.append(
            f'<path class="message{" lost" if lost else ""}" stroke="{tone}" '
            f'd="M{x1} {y1:.0f}L{x2} {y2:.0f}"/><path class="message" stroke="{tone}" d="{head}"/>'
        )
        # Near its end, where lines from several senders are apart.
        x, y = x2 - 0.3 * (x2 - x1), y2 - 0.3 * (y2 - y1) - 3
        self._labels.append(
            f'<text class="label" x="{x:.0f}" y="{y:.0f}">{escape(sent["label"])}</text>'
        )

    def _note(self, event: dict[str, Any]) -> None:
        self._rows += 1
        for line in _wrapped(event["text"], 30 + 27 * (len(self._nodes) - 1)):
            y = self._row()
            self._labels.append(f'<text class="note" x="24" y="{y - 4:.0f}">{escape(line)}</text>')
        self._rows += 1

    def _event(self, event: dict[str, Any]) -> None:
        y = self._row()
        name = next(iter(event.get("nodes", {})), None)
        text = event["text"]
        if name is None:
            self._labels.append(f'<text class="soft" x="24" y="{y:.0f}">{escape(text)}</text>')
            return
        text = SAID_BY_MESSAGES.sub("", text.removeprefix(f"{name} "))
        width = 7.1 * len(text) + 16
        rightmost = LEFT * 2 + LANE * (len(self._nodes) - 1) - width / 2 - 8
        x = min(max(self._x(name), width / 2 + 8), rightmost)
        self._boxes.append(
            f'<rect class="box" x="{x - width / 2:.0f}" y="{y - 13:.0f}" width="{width:.0f}" '
            f'height="18" rx="9"/><text class="event" x="{x:.0f}" y="{y:.0f}">{escape(text)}</text>'
        )


def _wrapped(text: str, width: int) -> Iterator[str]:
    line = ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > width:
            yield line
            line = word
        else:
            line = f"{line} {word}".strip()
    yield line


def drawing_of(name: str) -> str:
    """The diagram of a story."""
    return Diagram(STORIES[name].tell().recorder.document()).svg()


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name in DRAWN:
        (FOLDER / f"{name}.svg").write_text(drawing_of(name))


if __name__ == "__main__":
    main()
