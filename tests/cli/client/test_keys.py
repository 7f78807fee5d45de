"""Values, prefixes and pages."""

import io
import sys
from pathlib import Path

import pytest

from raftzmq.errors import InvalidRequest
from raftzmq_cli.client import keys as data
from tests.cli.client.fakes import FakeClient, invocation


def test_a_value_is_text_where_it_is_utf8_and_bytes_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes("schön\n".encode())
    (tmp_path / "image").write_bytes(b"\xff\xd8")
    assert data.read_value("word") == "word"
    assert data.read_value(f"@{tmp_path / 'text'}") == "schön\n"
    assert data.read_value(f"@{tmp_path / 'image'}") == b"\xff\xd8"
    assert data.literal_value("\udcff") == b"\xff"  # how Python hands over a byte of argv


def test_a_dash_is_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"from\nstdin")))
    assert data.read_value("-") == "from\nstdin"


def test_a_literal_value_is_taken_as_it_is() -> None:
    assert data.literal_value("-") == "-"
    assert data.literal_value("@home") == "@home"


def test_a_key_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="UTF-8"):
        data.text("\udcff", "key")


@pytest.mark.parametrize(
    ("prefix", "end"),
    [
        ("", ""),
        ("a", "b"),
        ("a/", "a0"),
        ("a\U0010ffff", "b"),
        ("\U0010ffff", ""),
        ("\ud7ff", "\ue000"),
    ],
)
def test_the_end_of_a_prefix_is_the_first_key_behind_it(prefix: str, end: str) -> None:
    assert data.prefix_end(prefix) == end


def test_pages_are_read_until_all_is_there() -> None:
    client = FakeClient(page_size=3)
    for number in range(10):
        client.put(f"k{number}", str(number), timeout=1)
    run = invocation(client)
    found = [item.key for item in data.pages(run, "", "", None, stale=False)]
    assert found == [f"k{number}" for number in range(10)]


def test_a_limit_holds_across_pages() -> None:
    client = FakeClient(page_size=3)
    for number in range(10):
        client.put(f"k{number}", str(number), timeout=1)
    run = invocation(client)
    found = [item.key for item in data.pages(run, "k2", "k9", 5, stale=False)]
    assert found == ["k2", "k3", "k4", "k5", "k6"]
