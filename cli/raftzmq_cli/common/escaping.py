"""Text for people: whatever a key, a value, a name or a path may hold, in one line and harmless.

A terminal obeys control characters, and some characters end a line or turn its direction. They are
shown as escapes: `\\n`, `\\x1b`, `\\u202e`; a byte that is not UTF-8 as `\\xff`. All others, emoji
and right-to-left letters among them, stay as they are. `-w json` is exact, and so is a value that
goes to a file or a pipe.
"""

from __future__ import annotations

import re
from typing import Final

_UNSAFE: Final = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # control characters
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # direction
    "\u2028\u2029"  # ends of lines and paragraphs
    "\u200b\u2060-\u2065\u206a-\u206f\ufeff\ufff9-\ufffb"  # invisible; emoji need U+200D
    "\ud800-\udfff"  # bytes that are not UTF-8, as Python holds them
    "]"
)
_NAMED: Final = {"\t": r"\t", "\n": r"\n", "\r": r"\r"}
_BYTES: Final = 0xDC00
"""Python holds the byte 0xff of an argument as U+DCFF."""


def escaped(text: str | bytes, keep: str = "") -> str:
    """Return text for people. `keep`: the control characters that are the text's own layout.

    >>> escaped("one\\ntwo \\x1b[31m")
    'one\\\\ntwo \\\\x1b[31m'
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "surrogateescape")
    return _UNSAFE.sub(lambda found: found[0] if found[0] in keep else _escape(found[0]), text)


def quoted(text: str | bytes) -> str:
    """Return a key, a value or a name as a sentence quotes it."""
    return f"'{escaped(text)}'"


def shown(value: str | bytes | None) -> str:
    """Return the beginning of a value, or that there is none, as a sentence quotes it."""
    return "nothing" if value is None else f"{quoted(value):.60}"


def fields(*values: str | bytes | int) -> str:
    """Return a line of values with tabs between them, and none within."""
    return "\t".join(str(v) if isinstance(v, int) else escaped(v) for v in values)


def safe_json(document: str) -> str:
    """The same JSON, with what is unsafe on a terminal as JSON's own escapes."""
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", document)


def width(text: str) -> int:
    """How many columns of a terminal escaped text takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def folded(text: str, columns: int) -> list[str]:
    """Return escaped text in pieces of at most so many columns, at least 2; nothing is lost."""
    if text.isascii():
        return [text[k : k + columns] for k in range(0, len(text), columns)] or [""]
    from rich.cells import chop_cells

    return chop_cells(text, columns)


def _escape(character: str) -> str:
    code = ord(character)
    if character in _NAMED:
        return _NAMED[character]
    if _BYTES + 0x80 <= code <= _BYTES + 0xFF:
        return f"\\x{code - _BYTES:02x}"
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}"
