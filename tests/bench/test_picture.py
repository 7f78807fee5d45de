"""The picture is well formed, and everything in it is where it can be seen."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from tests.bench.picture import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Axis, Mark, draw, labels
from tests.bench.points import Point
from tests.bench.results import Results
from tests.bench.samples import measurement, results

SVG = "{http://www.w3.org/2000/svg}"


def marks(picture: str) -> list[tuple[str, float, float]]:
    """Class and centre of every mark in the plot; those of the legend are above it."""
    found = []
    for element in ET.fromstring(picture).iter():
        if element.tag == f"{SVG}circle":
            x, y = float(element.attrib["cx"]), float(element.attrib["cy"])
        elif element.tag == f"{SVG}rect" and element.attrib["class"] != "ground":
            x, y = float(element.attrib["x"]) + 4.5, float(element.attrib["y"]) + 4.5
        else:
            continue
        if y > TOP - 10:
            found.append((element.attrib["class"], x, y))
    return found


def test_every_point_of_every_system_lies_inside_the_axes() -> None:
    found = marks(draw(results()))
    assert len(found) == 12
    for _, x, y in found:
        assert LEFT <= x <= WIDTH - RIGHT
        assert TOP <= y <= HEIGHT - BOTTOM


def test_more_is_right_and_later_is_up() -> None:
    few, many = Point("put", 1, 100), Point("put", 64, 100)
    found = results()
    found.measurements = [
        measurement("raftzmq", few, rate=100.0, p99_ms=1.0),
        measurement("raftzmq", many, rate=9000.0, p99_ms=70.0),
    ]
    (_, x1, y1), (_, x2, y2) = marks(draw(found))
    assert x1 < x2
    assert y1 > y2


def test_texts_are_inside_the_picture() -> None:
    for text in ET.fromstring(draw(results())).iter(f"{SVG}text"):
        assert 0 <= float(text.attrib["x"]) <= WIDTH
        assert 0 <= float(text.attrib["y"]) <= HEIGHT


def test_labels_of_neighbouring_points_do_not_overlap() -> None:
    places = [("256", 400.0, 200.0), ("256", 401.0, 206.0), ("64", 404.0, 190.0)]
    beside = [Mark(text, "green", x, y) for text, x, y in places]
    placed = labels(beside)
    assert [label.text for label in placed] == ["256", "256", "64"]
    for label in placed:
        assert label.is_inside()
        assert not any(label.overlaps(other) for other in placed if other is not label)
        assert not any(label.covers(one) for one in beside)


def test_a_label_at_the_lower_axis_stands_above_its_point() -> None:
    (label,) = labels([Mark("1", "green", 300.0, HEIGHT - BOTTOM - 2.0)])
    assert label.base < HEIGHT - BOTTOM - 2.0


def test_other_loads_are_not_in_it() -> None:
    found = results()
    found.measurements.append(measurement("etcd", Point("get", 64, 100)))
    found.measurements.append(measurement("etcd", Point("put", 64, 4096)))
    assert draw(found) == draw(results())


def test_a_system_that_was_not_measured_is_not_in_the_legend() -> None:
    found = results()
    found.measurements = [one for one in found.measurements if one.system == "etcd"]
    texts = [text.text for text in ET.fromstring(draw(found)).iter(f"{SVG}text")]
    assert "etcd" in texts
    assert "raftzmq" not in texts


def test_without_puts_there_is_no_picture() -> None:
    with pytest.raises(ValueError, match="no puts"):
        draw(Results("", ""))


def test_an_axis_ends_at_round_numbers_beyond_its_values() -> None:
    axis = Axis.around([3.0, 60.0], 0.0, 100.0)
    assert (axis.low, axis.high) == (2.0, 100.0)
    assert (axis.at(2.0), axis.at(100.0)) == (0.0, 100.0)
    assert axis.ticks() == pytest.approx([2, 5, 10, 20, 50, 100])
