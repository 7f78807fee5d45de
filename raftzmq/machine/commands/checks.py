"""The checks of single arguments, which rows of the table name.

Each takes an argument and its name, and raises InvalidRequest, in one line that says what is wrong.
"""

from __future__ import annotations

from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from typing import Any

from raftzmq import limits
from raftzmq.errors import InvalidRequest
from raftzmq.machine.tables.places import KINDS, SIZED
from raftzmq.machine.values import text_size

INTEGER = f"an integer from 0 to {limits.INDEX_MAX}"


def check_key(key: Any, what: str) -> None:
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


def check_value(value: Any, what: str) -> None:
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


def check_revision(revision: Any, what: str) -> None:
    """Check a revision; 0 stands for none."""
    if type(revision) is not int or not 0 <= revision <= limits.INDEX_MAX:
        raise InvalidRequest(f"the {what} must be {INTEGER}, not {kind_of(revision)}")


def check_integer(number: Any, what: str, least: int, most: int) -> None:
    """Check an integer that has bounds."""
    if type(number) is not int or not least <= number <= most:
        raise InvalidRequest(
            f"the {what} must be an integer from {least} to {most}, not {kind_of(number)}"
        )


def check_limit(limit: Any, what: str) -> None:
    """Check how many items at most a read may give."""
    check_integer(limit, what, 1, limits.RANGE_LIMIT)


def check_flag(flag: Any, what: str) -> None:
    """Check a boolean."""
    if type(flag) is not bool:
        raise InvalidRequest(f"{what} must be true or false, not {kind_of(flag)}")


def check_lease(lease: Any, what: str) -> None:
    """Check the number of a lease."""
    check_integer(lease, what, 1, limits.INDEX_MAX)


def check_token(token: Any, what: str) -> None:
    """Check the token of a place in a queue."""
    check_integer(token, what, 1, limits.INDEX_MAX)


def check_ttl(ttl_ms: Any, what: str) -> None:
    """Check a lease's time to live."""
    check_integer(ttl_ms, what, limits.LEASE_TTL_MIN_MS, limits.LEASE_TTL_MAX_MS)


def check_key_ttl(ttl_ms: Any, what: str) -> None:
    """Check a key's time to live."""
    check_integer(ttl_ms, what, limits.LEASE_TTL_MIN_MS, limits.KEY_TTL_MAX_MS)


def check_permits(permits: Any, what: str) -> None:
    """Check a number of permits, of which there is one at least."""
    check_integer(permits, what, 1, limits.PERMITS)


def check_kind(kind: Any, what: str) -> None:
    """Check the kind of a queue."""
    _check_word(kind, what, KINDS)


def check_sized_kind(kind: Any, what: str) -> None:
    """Check the kind of a queue that has a number of permits."""
    _check_word(kind, what, SIZED)


def _check_word(word: Any, what: str, words: tuple[str, ...]) -> None:
    if word not in words:  # a list is not hashable: words are looked for in tuples, by equality
        raise InvalidRequest(
            f"the {what} must be {', '.join(words[:-1])} or {words[-1]}, not {shown(word)}"
        )


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


def check_place_value(value: Any, what: str) -> None:
    """Raise InvalidRequest for what a place may not be known by."""
    if value is None:
        return
    if type(value) is not str:
        raise InvalidRequest(f"the {what} must be a string or null, not {kind_of(value)}")
    check_value(value, what)
    size = text_size(value)
    if size > limits.PLACE_VALUE_BYTES:
        raise InvalidRequest(
            f"the {what} takes {size} bytes, the limit is {limits.PLACE_VALUE_BYTES}"
        )
