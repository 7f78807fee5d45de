"""The picture of docs/benchmarks.md: throughput against p99 of small puts, a line a system."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from tests.bench.points import SMALL_BYTES
from tests.bench.results import Results

WIDTH, HEIGHT = 860, 500
LEFT, RIGHT, TOP, BOTTOM = 84, 44, 84, 64
STEPS = (1, 2, 5)
DIGIT_WIDTH, DIGIT_HEIGHT = 7.7, 10.0  # of class count, 12 px
MARK_REACH = 5.0  # from the centre of a mark to its edge

# Name in the results, name for people, class of the style, shape of its points.
SYSTEMS = (
    ("raftzmq", "raftzmq", "green", "circle"),
    ("etcd", "etcd", "blue", "square"),
    ("pysyncobj", "PySyncObj (does not sync)", "ochre", "diamond"),
)

STYLE = """
    .ground { fill: #ffffff }
    text    { font: 14px system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif; fill: #1d2630 }
    .title  { font-size: 16px; font-weight: 600 }
    .small  { font-size: 12.5px; fill: #4d5b68 }
    .count  { font-size: 12px; stroke: #ffffff; stroke-width: 4; paint-order: stroke }
    .grid   { stroke: #e3e8ed; stroke-width: 1 }
    .axis   { stroke: #8795a3; stroke-width: 1.2 }
    .line   { fill: none; stroke-width: 2.5; stroke-linejoin: round }
    .green  { fill: #23803a } .line.green { fill: none; stroke: #23803a }
    .blue   { fill: #2f6fb7 } .line.blue  { fill: none; stroke: #2f6fb7 }
    .ochre  { fill: #a8690c } .line.ochre { fill: none; stroke: #a8690c; stroke-dasharray: 6 4 }
    @media (prefers-color-scheme: dark) {
      .ground { fill: #12171d }
      text    { fill: #e6ebf0 }
      .small  { fill: #a9b6c2 }
      .count  { stroke: #12171d }
      .grid   { stroke: #27303a }
      .axis   { stroke: #75828f }
      .green  { fill: #5cc477 } .line.green { stroke: #5cc477 }
      .blue   { fill: #6ba6ea } .line.blue  { stroke: #6ba6ea }
      .ochre  { fill: #e0a24a } .line.ochre { stroke: #e0a24a }
    }
"""  # noqa: E501 -- a family of fonts on one line


@dataclass(frozen=True, slots=True)
class Axis:
    """A logarithmic axis: values from `low` to `high` lie between two coordinates."""

    low: float
    high: float
    start: float
    end: float

    @classmethod
    def around(cls, values: Sequence[float], start: float, end: float) -> Axis:
        """The axis whose ends are round numbers that no value exceeds."""
        ticks = [step * 10.0**power for power in range(-4, 9) for step in STEPS]
        low = max(tick for tick in ticks if tick < min(values))
        high = min(tick for tick in ticks if tick > max(values))
        return cls(low, high, start, end)

    def at(self, value: float) -> float:
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return round(self.start + share * (self.end - self.start), 1)

    def ticks(self) -> list[float]:
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        ticks = [step * 10.0**power for power in powers for step in STEPS]
        return [tick for tick in ticks if self.low * 0.999 <= tick <= self.high * 1.001]


@dataclass(frozen=True, slots=True)
class Dot:
    outstanding: int
    rate: float
    latency_ms: float


def dots_of(results: Results, system: str) -> list[Dot]:
    """The points of a system's line, from few operations outstanding to many."""
    return sorted(
        (
            Dot(point.outstanding, one.ops_per_s, one.p99_ms)
            for (name, point), one in results.medians().items()
            if name == system and point.op == "put" and point.value_bytes == SMALL_BYTES
            if one.p99_ms and one.ops_per_s
        ),
        key=lambda dot: dot.outstanding,
    )


def draw(results: Results) -> str:
    """The picture, as SVG. Raises ValueError if there is nothing to draw."""
    lines = {name: dots for name, *_ in SYSTEMS if (dots := dots_of(results, name))}
    every = [dot for dots in lines.values() for dot in dots]
    if not every:
        raise ValueError(f"the results have no puts of {SMALL_BYTES} bytes")
    x = Axis.around([dot.rate for dot in every], LEFT, WIDTH - RIGHT)
    y = Axis.around([dot.latency_ms for dot in every], HEIGHT - BOTTOM, TOP)
    shown = [system for system in SYSTEMS if system[0] in lines]
    machine = results.machine
    about = (
        f"Puts of {SMALL_BYTES} bytes to three nodes on one machine with {machine['cores']} cores; "
        "the numbers are operations outstanding"
    )
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        'aria-labelledby="title about">',
        '<title id="title">Throughput and latency of raftzmq, etcd and PySyncObj</title>',
        f'<desc id="about">{escape(describe(lines))}</desc>',
        f"<style>{STYLE}</style>",
        f'<rect class="ground" width="{WIDTH}" height="{HEIGHT}" rx="10"/>',
        f'<text x="{LEFT}" y="30" class="title">'
        "Small puts: throughput against latency; right and down is better</text>",
        f'<text x="{LEFT}" y="50" class="small">{escape(about)}</text>',
        *_axes(x, y),
        *_legend(shown),
    ]
    marked: list[Mark] = []
    for name, _, style, shape in reversed(shown):  # the first is drawn last, on top
        dots = lines[name]
        points = [(x.at(dot.rate), y.at(dot.latency_ms)) for dot in dots]
        way = " L".join(f"{px} {py}" for px, py in points)
        parts.append(f'<path class="line {style}" d="M{way}"/>')
        parts += [mark(shape, style, px, py) for px, py in points]
        marked += [
            Mark(f"{dot.outstanding:,}", style, px, py)
            for dot, (px, py) in zip(dots, points, strict=True)
        ]
    parts += [
        f'<text x="{label.left}" y="{label.base}" class="count {one.style}">{one.text}</text>'
        for one, label in zip(marked, labels(marked), strict=True)
    ]
    return "\n".join([*parts, "</svg>", ""])


@dataclass(frozen=True, slots=True)
class Mark:
    """A point with the number to write beside it."""

    text: str
    style: str
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Label:
    """A number as a box: from its left edge, and up from the line on which the digits stand."""

    text: str
    left: float
    base: float

    @property
    def right(self) -> float:
        return self.left + DIGIT_WIDTH * len(self.text)

    @property
    def top(self) -> float:
        return self.base - DIGIT_HEIGHT

    def overlaps(self, other: Label) -> bool:
        beside = self.right <= other.left or other.right <= self.left
        return not beside and self.top < other.base and other.top < self.base

    def covers(self, one: Mark) -> bool:
        across = self.left - MARK_REACH < one.x < self.right + MARK_REACH
        return across and self.top - MARK_REACH < one.y < self.base + MARK_REACH

    def is_inside(self) -> bool:
        across = self.left > LEFT and self.right < WIDTH - RIGHT
        return across and self.top > TOP and self.base < HEIGHT - BOTTOM


def labels(marked: Sequence[Mark]) -> list[Label]:
    """A label for each mark, at a corner of it: the first at which it covers neither a mark nor a
    label below it. Lines rise to the right, so the corners off the line come first."""
    placed: dict[Mark, Label] = {}
    for one in sorted(marked, key=lambda one: -one.y):
        left, right = round(one.x - 9 - DIGIT_WIDTH * len(one.text), 1), round(one.x + 9, 1)
        below, above = round(one.y + 15, 1), round(one.y - 7, 1)
        corners = [
            Label(one.text, *corner)
            for corner in ((right, below), (left, above), (right, above), (left, below))
        ]
        free = (
            label
            for label in corners
            if label.is_inside()
            and not any(label.overlaps(other) for other in placed.values())
            and not any(label.covers(other) for other in marked)
        )
        placed[one] = next(free, corners[0])
    return [placed[one] for one in marked]


def describe(lines: dict[str, list[Dot]]) -> str:
    """The picture in words, for those who do not see it."""
    said = [
        f"{name} with {dot.outstanding} outstanding: {dot.rate:,.0f} a second, p99 "
        f"{dot.latency_ms:.1f} ms"
        for name, dots in lines.items()
        for dot in dots
    ]
    return "; ".join(said) + "."


def mark(shape: str, style: str, x: float, y: float) -> str:
    """A point of a line."""
    if shape == "circle":
        return f'<circle class="{style}" cx="{x}" cy="{y}" r="5"/>'
    turned = f' transform="rotate(45 {x} {y})"' if shape == "diamond" else ""
    return (
        f'<rect class="{style}" x="{x - 4.5:.1f}" y="{y - 4.5:.1f}" width="9" height="9"{turned}/>'
    )


def _legend(shown: Sequence[tuple[str, str, str, str]]) -> list[str]:
    parts, x = [], float(LEFT)
    for _, title, style, shape in shown:
        parts += [
            mark(shape, style, x + 6, 68),
            f'<text x="{x + 18}" y="73">{escape(title)}</text>',
        ]
        x += 44 + 8 * len(title)
    return parts


def _axes(x: Axis, y: Axis) -> list[str]:
    parts = []
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    for tick in x.ticks():
        at = x.at(tick)
        parts += [
            f'<line class="grid" x1="{at}" y1="{TOP}" x2="{at}" y2="{bottom}"/>',
            f'<text x="{at}" y="{bottom + 20}" text-anchor="middle" class="small">'
            f"{tick:,.0f}</text>",
        ]
    for tick in y.ticks():
        at = y.at(tick)
        parts += [
            f'<line class="grid" x1="{LEFT}" y1="{at}" x2="{right}" y2="{at}"/>',
            f'<text x="{LEFT - 10}" y="{at + 4}" text-anchor="end" class="small">'
            f"{tick:g} ms</text>",
        ]
    middle = (LEFT + right) / 2
    return [
        *parts,
        f'<path class="line axis" d="M{LEFT} {TOP} V{bottom} H{right}"/>',
        f'<text x="{middle}" y="{HEIGHT - 16}" text-anchor="middle">puts a second</text>',
        f'<text x="20" y="{(TOP + bottom) / 2}" text-anchor="middle" '
        f'transform="rotate(-90 20 {(TOP + bottom) / 2})">p99</text>',
    ]
