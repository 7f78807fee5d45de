"""Whatever a text holds, people read it in one line, and no terminal obeys it."""

from __future__ import annotations

import json
import unicodedata

import pytest

from raftzmq_cli.common.escaping import escaped, fields, folded, quoted, safe_json, width

SHOWN = [
    ("a\tb\nc\rd", r"a\tb\nc\rd"),
    ("\0\x1b[31m\x7f", r"\x00\x1b[31m\x7f"),
    ("\x9b31m\x85", r"\u009b31m\u0085"),
    ("a\u2028b\u2029", r"a\u2028b\u2029"),
    ("\u202eabc\u2069", r"\u202eabc\u2069"),
    ("\udcff\ud800", r"\xff\ud800"),
    (b"\xff\0", r"\xff\x00"),
    ("sch\N{LATIN SMALL LETTER O WITH DIAERESIS}n", "schön"),
    ("e\N{COMBINING ACUTE ACCENT}", "e\N{COMBINING ACUTE ACCENT}"),
    ("\N{HEBREW LETTER ALEF}", "\N{HEBREW LETTER ALEF}"),
    ("\U0001f469\u200d\U0001f467", "\U0001f469\u200d\U0001f467"),
    (r"C:\new", r"C:\new"),
]


@pytest.mark.parametrize(("text", "shown"), SHOWN)
def test_a_text_is_shown_in_one_line(text: str | bytes, shown: str) -> None:
    assert escaped(text) == shown
    assert quoted(text) == f"'{shown}'"


def test_layout_may_be_kept() -> None:
    assert escaped("a\tb\nc\x1b", "\t\n") == "a\tb\nc\\x1b"
    assert fields(3, "put", "a\tb", b"\xff") == "3\tput\ta\\tb\t\\xff"


def test_no_character_controls_a_terminal() -> None:
    everything = "".join(map(chr, range(0x11_0000)))
    left = {unicodedata.category(c) for c in escaped(everything)}
    assert not left & {"Cc", "Cs", "Zl", "Zp"}
    bidirectional = {unicodedata.bidirectional(c) for c in escaped(everything)}
    assert not bidirectional & {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def test_safe_json_is_the_same_document() -> None:
    document = "".join(text for text, _ in SHOWN if isinstance(text, str))
    shown = safe_json(json.dumps(document, ensure_ascii=False))
    assert json.loads(shown) == document
    assert escaped(shown) == shown


def test_text_is_folded_by_what_it_takes_on_a_terminal() -> None:
    assert width("e\N{COMBINING ACUTE ACCENT}") == 1
    assert width("漢字") == 4
    assert folded("abcde", 2) == ["ab", "cd", "e"]
    assert folded("a漢字b", 3) == ["a漢", "字b"]
    assert folded("", 2) == [""]
