"""The three ways to print an answer."""

import json
from typing import Any

import pytest

from raftzmq_cli.common.escaping import width
from raftzmq_cli.common.printers import (
    CELL_COLUMNS,
    aligned,
    cell,
    show,
    table_lines,
    value_document,
)
from raftzmq_cli.common.settings import Output

ROWS = [
    {"key": "a", "value": "one", "revision": 4},
    {"key": "bb", "value": {"b64": "/w=="}, "revision": 5},
]


def test_json_is_one_document_on_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    show(Output.JSON, ROWS, ["not shown"])
    out = capfd.readouterr().out
    assert json.loads(out) == ROWS
    assert out.count("\n") == 1


def test_simple_is_the_lines_as_they_are(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    show(Output.SIMPLE, ROWS, ["snow \N{SNOWMAN}", b"\xff\x00"])
    assert capfdbinary.readouterr().out == "snow \N{SNOWMAN}\n".encode() + b"\xff\x00\n"


def test_a_table_has_a_row_for_each_document(capfd: pytest.CaptureFixture[str]) -> None:
    show(Output.TABLE, ROWS, ["not shown"], ["key", "revision"])
    lines = capfd.readouterr().out.splitlines()
    assert [line.strip("│ ").split() for line in lines if "│" in line] == [
        ["key", "│", "revision"],
        ["a", "│", "4"],
        ["bb", "│", "5"],
    ]


def test_a_table_of_one_document_shows_all_its_fields(capfd: pytest.CaptureFixture[str]) -> None:
    show(Output.TABLE, {"index": 7, "leader": None}, [])
    out = capfd.readouterr().out
    assert "index" in out
    assert "7" in out
    assert "leader" in out


def test_a_table_does_not_read_values_as_markup(capfd: pytest.CaptureFixture[str]) -> None:
    show(Output.TABLE, [{"value": "[bold]x[/bold]"}], [])
    assert "[bold]x[/bold]" in capfd.readouterr().out


def test_an_empty_list_is_a_table_without_rows(capfd: pytest.CaptureFixture[str]) -> None:
    show(Output.TABLE, [], [], ["key", "value"])
    assert "key" in capfd.readouterr().out


@pytest.mark.parametrize("columns", [1, 20, 80, 10_000])
def test_a_table_folds_its_cells_and_loses_nothing(columns: int) -> None:
    rows = [{"key": "k" * 50, "value": "漢" * 30, "revision": 12_345, "leader": None}]
    lines = table_lines(rows, list(rows[0]), columns)
    assert len({width(line) for line in lines}) == 1
    assert width(lines[0]) <= max(columns, 4 * (CELL_COLUMNS + 3) + 1)
    cells = [[part.strip() for part in line.split("│")] for line in lines if line[0] == "│"]
    joined = ["".join(part) for part in zip(*cells, strict=True)]
    assert joined[1:-1] == ["key" + "k" * 50, "value" + "漢" * 30, "revision12345", "leader-"]


def test_no_cell_is_pythons_form_of_a_value() -> None:
    assert cell({"b64": ""}) == ""
    assert cell({"name": "raft-0", "voter": True}) == "raft-0"
    assert cell([{"op": "get", "key": "a\x7f"}]) == r'{"op":"get","key":"a\u007f"}'


def test_a_line_is_one_line_and_bytes_are_exact(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    show(Output.SIMPLE, {}, ["a\nb\tc\x1b", b"a\nb\x1b"])
    assert capfdbinary.readouterr().out == b"a\\nb\tc\\x1b\na\nb\x1b\n"


def test_bytes_are_marked_as_such_in_json() -> None:
    assert value_document(b"\xff") == {"b64": "/w=="}
    assert value_document("text") == "text"


def test_aligned_columns_line_up() -> None:
    rows: list[dict[str, Any]] = [{"a": "x", "b": None}, {"a": "longer", "b": True}]
    assert aligned(rows, {"a": "A", "b": "B"}) == ["A       B", "x       -", "longer  yes"]
