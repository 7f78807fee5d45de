"""Texts that keys, values and names may hold, and that a terminal or a table must survive."""

from __future__ import annotations

import re
from typing import Final

TEXTS: Final = {
    "tab": "a\tb",
    "newline": "a\nb",
    "carriage return": "a\rb",
    "NUL": "a\0b",
    "escape sequence": "\x1b[31mred\x1b]0;title\x07",
    "backspace": "a\x08\x08b",
    "DEL": "a\x7fb",
    "C1": "a\x9b31mb\x85",
    "line separator": "a\u2028b\u2029c",
    "emoji": "\U0001f469\u200d\U0001f469\u200d\U0001f467",
    "combining": "e\u0301 \u0301",
    "right to left": "\u05d0\u05d1",
    "override": "\u202eabc\u202c",
    "wide": "漢字",
    "quotes": "'a' \"b\" \\n",
    "markup": "[bold]{'a': 1}[/bold]",
}

_UNSAFE: Final = re.compile(
    "[\0-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def is_safe(text: str) -> bool:
    """Whether this is for people: no controls but newlines and tabs."""
    return not _UNSAFE.search(text)
