"""What the checks of operations are made of: forms, and the checks of single arguments.

Each raises InvalidRequest, in one line that says what is wrong.
"""

from __future__ import annotations

from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable
from typing import Any, NamedTuple

from raftzmq import limits
from raftzmq.errors import InvalidRequest


class Form(NamedTuple):
    """The form of an operation: its arguments' names, and what checks them."""

    arguments: tuple[str, ...]
    check: Callable[..., None]


INTEGER = f"an integer from 0 to {limits.INDEX_MAX}"


def check_key(key: Any, what: str = "key") -> None:
    """Check a key, or a name that is bound as keys are."""
    check_bound(key, what)
    if not key:
        raise InvalidRequest(f"the {what} must not be empty")


def check_bound(text: Any, what: str) -> None:
    """Check a prefix, or a start or end of a range: a key that may be empty."""
    if type(text) is not str:
        raise InvalidRequest(f"the {what} must be a string, not {kind_of(text)}")
    size = len(text) if text.isascii() else _utf8_size(text, what)
    if size > limits.KEY_BYTES:
        raise InvalidRequest(f"the {what} has {size} bytes, the limit is {limits.KEY_BYTES}")


def check_value(value: Any, what: str = "value") -> None:
    """Check a value: text, or bytes in their wire form."""
    if type(value) is str:
        size = len(value) if value.isascii() else _utf8_size(value, what)
    elif type(value) is dict:
        size = _bytes_size(value, what)
    else:
        raise InvalidRequest(
            f'the {what} must be a string, or {{"b64": "…"}} for bytes, not {kind_of(value)}'
        )
    if size > limits.VALUE_BYTES:
        raise InvalidRequest(f"the {what} has {size} bytes, the limit is {limits.VALUE_BYTES}")


def _utf8_size(text: str, what: str) -> int:
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        raise InvalidRequest(f"the {what} has a lone surrogate, which is no character") from None


def _bytes_size(value: dict[Any, Any], what: str) -> int:
    text = value.get("b64")
    if len(value) != 1 or type(text) is not str:
        raise InvalidRequest(f'bytes as the {what} are written {{"b64": "…"}}, with nothing else')
    if len(text) > 4 * (limits.VALUE_BYTES // 3 + 1):  # do not decode what is too long anyway
        return len(text) // 4 * 3
    try:
        data = a2b_base64(text)
        # Decoding is lenient; encoding again shows whether it was the one way to write it.
        if b2a_base64(data, newline=False) == text.encode():
            return len(data)
    except (Base64Error, ValueError):
        pass
    raise InvalidRequest(f"the {what} is not canonical base64 (RFC 4648, padded, no line breaks)")


def check_revision(revision: Any, what: str = "revision") -> None:
    if type(revision) is not int or not 0 <= revision <= limits.INDEX_MAX:
        raise InvalidRequest(f"the {what} must be {INTEGER}, not {kind_of(revision)}")


def check_integer(number: Any, what: str, least: int, most: int) -> None:
    if type(number) is not int or not least <= number <= most:
        raise InvalidRequest(
            f"the {what} must be an integer from {least} to {most}, not {kind_of(number)}"
        )


def check_limit(limit: Any) -> None:
    check_integer(limit, "limit", 1, limits.RANGE_LIMIT)


def unknown(kind: str, name: Any, forms: dict[str, Form]) -> InvalidRequest:
    """Return the error about a name that is none of the forms."""
    return InvalidRequest(f"unknown {kind} {shown(name)}; there are {', '.join(forms)}")


def wrong_count(name: str, arguments: tuple[str, ...], count: int) -> InvalidRequest:
    """Return the error about too few or too many arguments."""
    wanted = ", ".join(arguments) if arguments else "no arguments"
    return InvalidRequest(f"{name} takes {wanted}; {count} given")


def kind_of(value: Any) -> str:
    """Return in JSON's words what a value is, with the number if it is one."""
    match value:
        case None:
            return "null"
        case bool():
            return f"the boolean {str(value).lower()}"
        case int() if value.bit_length() > 64:
            return "a number far beyond all bounds"
        case int() | float():
            return f"the number {value!r:.30}"
        case str():
            return "a string"
        case list():
            return "a list"
        case dict():
            return "an object"
    return type(value).__name__


def shown(word: Any) -> str:
    """Return a word that was not understood, short and on one line."""
    return f"{word[:40]!r}" if type(word) is str else kind_of(word)
