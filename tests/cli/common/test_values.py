"""Words of the command line as keys and values."""

import io
import sys
from pathlib import Path

import pytest

from raftzmq.errors import InvalidRequest
from raftzmq_cli.common import values


def test_a_value_is_text_where_it_is_utf8_and_bytes_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes("schön\n".encode())
    (tmp_path / "image").write_bytes(b"\xff\xd8")
    assert values.read_value("word") == "word"
    assert values.read_value(f"@{tmp_path / 'text'}") == "schön\n"
    assert values.read_value(f"@{tmp_path / 'image'}") == b"\xff\xd8"
    assert (
        values.read_value("\udcff", literal=True) == b"\xff"
    )  # how Python hands over a byte of argv


def test_a_dash_is_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"from\nstdin")))
    assert values.read_value("-") == "from\nstdin"


def test_a_literal_value_is_taken_as_it_is() -> None:
    assert values.read_value("-", literal=True) == "-"
    assert values.read_value("@home", literal=True) == "@home"


def test_a_key_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="UTF-8"):
        values.text("\udcff", "key")
