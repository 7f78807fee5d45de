"""Checks of client operations before they reach the log.

What passes here can be applied by every node, whatever the state; so nothing that an operation
may be refused for by its form or size is left to `Machine.apply`.
"""

from __future__ import annotations

from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from raftzmq import limits
from raftzmq.errors import InvalidRequest
from raftzmq.machine.values import text_size, wire_size


class Form(NamedTuple):
    """The form of an operation: its arguments' names, and what checks them."""

    arguments: tuple[str, ...]
    check: Callable[..., None]


def validate_write(op: Any) -> None:
    """Check a write `[serial, name, …arguments]`. Raises InvalidRequest with what is wrong."""
    _validate(op, WRITE_FORMS, READ_FORMS, "write", "read")


def validate_read(op: Any) -> None:
    """Check a read `[id, name, …arguments]`. Raises InvalidRequest with what is wrong."""
    _validate(op, READ_FORMS, WRITE_FORMS, "read", "write")


def are_plain_puts(ops: Sequence[Any]) -> bool:
    """Whether each of these operations, of which there is one at least, is a put of ASCII text
    that `validate_write` lets pass: what most are, told by a few calls for all of them."""
    if set(map(len, ops)) != {4} or any(op[1] != "put" for op in ops):
        return False
    return _are_ascii([op[2] for op in ops], 1, limits.KEY_BYTES) and _are_ascii(
        [op[3] for op in ops], 0, limits.VALUE_BYTES
    )


def are_plain_gets(ops: Sequence[Any]) -> bool:
    """The same of gets, and `validate_read`."""
    if set(map(len, ops)) != {3} or any(op[1] != "get" for op in ops):
        return False
    return _are_ascii([op[2] for op in ops], 1, limits.KEY_BYTES)


def _are_ascii(texts: list[Any], least: int, most: int) -> bool:
    return (
        set(map(type, texts)) == {str}
        and all(map(str.isascii, texts))
        and least <= min(map(len, texts))
        and max(map(len, texts)) <= most
    )


def _validate(
    op: Any, forms: dict[str, Form], others: dict[str, Form], kind: str, other_kind: str
) -> None:
    if type(op) is not list or len(op) < 2:
        raise InvalidRequest("an operation is a list: [id, name, arguments…]")
    serial, name = op[0], op[1]
    if type(serial) is not int or not 0 <= serial <= limits.INDEX_MAX:
        raise InvalidRequest(f"an operation's id must be {_INTEGER}, not {_kind(serial)}")
    form = forms.get(name) if type(name) is str else None
    if form is None:
        if type(name) is str and name in others:
            raise InvalidRequest(f"{name} is a {other_kind}, not a {kind}")
        raise _unknown(kind, name, forms)
    arguments, check = form
    if len(op) != len(arguments) + 2:
        raise _wrong_count(name, arguments, len(op) - 2)
    try:
        check(*op[2:])
    except InvalidRequest as error:
        raise InvalidRequest(f"{name}: {error}") from None


_INTEGER = f"an integer from 0 to {limits.INDEX_MAX}"


def _key(key: Any, what: str = "key") -> None:
    if type(key) is not str:
        raise InvalidRequest(f"the {what} must be a string, not {_kind(key)}")
    size = len(key) if key.isascii() else _utf8_size(key, what)
    if size > limits.KEY_BYTES:
        raise InvalidRequest(f"the {what} has {size} bytes, the limit is {limits.KEY_BYTES}")
    if not key and what == "key":
        raise InvalidRequest("the key must not be empty")


def _bound(text: Any, what: str) -> None:
    """Check a prefix, or a start or end of a range: a key that may be empty."""
    _key(text, what)


def _value(value: Any, what: str = "value") -> None:
    if type(value) is str:
        size = len(value) if value.isascii() else _utf8_size(value, what)
    elif type(value) is dict:
        size = _bytes_size(value, what)
    else:
        raise InvalidRequest(
            f'the {what} must be a string, or {{"b64": "…"}} for bytes, not {_kind(value)}'
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


def _revision(revision: Any) -> None:
    if type(revision) is not int or not 0 <= revision <= limits.INDEX_MAX:
        raise InvalidRequest(f"the revision must be {_INTEGER}, not {_kind(revision)}")


def _limit(limit: Any) -> None:
    if type(limit) is not int or not 0 < limit <= limits.RANGE_LIMIT:
        raise InvalidRequest(
            f"the limit must be an integer from 1 to {limits.RANGE_LIMIT}, not {_kind(limit)}"
        )


def _nothing() -> None:
    pass


def _put(key: Any, value: Any) -> None:
    _key(key)
    _value(value)


def _cas(key: Any, value: Any, revision: Any) -> None:
    _key(key)
    _value(value)
    _revision(revision)


def _prefix(prefix: Any) -> None:
    _bound(prefix, "prefix")


def _read_range(start: Any, end: Any, limit: Any) -> None:
    _bound(start, "start")
    _bound(end, "end")
    _limit(limit)


def _read_prefix(prefix: Any, limit: Any) -> None:
    _bound(prefix, "prefix")
    _limit(limit)


def _txn(compares: Any, then: Any, otherwise: Any) -> None:
    size = 0
    for part, name, check in (
        (compares, "compares", _compare),
        (then, "then", _branch_operation),
        (otherwise, "else", _branch_operation),
    ):
        if type(part) is not list:
            raise InvalidRequest(f"{name} must be a list, not {_kind(part)}")
        if len(part) > limits.TRANSACTION_OPERATIONS:
            raise InvalidRequest(
                f"{name} has {len(part)} members, the limit is {limits.TRANSACTION_OPERATIONS}"
            )
        for place, member in enumerate(part):
            try:
                check(member)
            except InvalidRequest as error:
                raise InvalidRequest(f"{name}[{place}]: {error}") from None
            size += sum(map(_argument_size, member))
    if size > limits.TRANSACTION_BYTES:
        raise InvalidRequest(
            f"its keys and values take {size} bytes, the limit is {limits.TRANSACTION_BYTES}"
        )


def _argument_size(argument: Any) -> int:
    if type(argument) is str:
        return text_size(argument)
    return wire_size(argument) if type(argument) is dict else 17


def _compare(compare: Any) -> None:
    if type(compare) is not list or len(compare) != 4:
        raise InvalidRequest("a compare is a list: [key, field, operator, operand]")
    key, field, operator, operand = compare
    _key(key)
    # A list is not hashable, so that the words are looked for in tuples, by equality.
    if field not in ("value", "revision"):
        raise InvalidRequest(f"the field must be value or revision, not {_shown(field)}")
    if operator not in ("=", "!=", "<", ">"):
        raise InvalidRequest(f"the operator must be =, !=, < or >, not {_shown(operator)}")
    if field == "revision":
        _revision(operand)
    elif operator in ("<", ">"):
        raise InvalidRequest(f"a value is compared by = or !=, not {operator}")
    elif operand is not None:
        _value(operand, "operand")


def _branch_operation(operation: Any) -> None:
    if type(operation) is not list or not operation:
        raise InvalidRequest("an operation in a branch is a list: [name, arguments…]")
    name = operation[0]
    form = BRANCH_FORMS.get(name) if type(name) is str else None
    if form is None:
        raise _unknown("operation in a branch", name, BRANCH_FORMS)
    arguments, check = form
    if len(operation) != len(arguments) + 1:
        raise _wrong_count(name, arguments, len(operation) - 1)
    try:
        check(*operation[1:])
    except InvalidRequest as error:
        raise InvalidRequest(f"{name}: {error}") from None


def _unknown(kind: str, name: Any, forms: dict[str, Form]) -> InvalidRequest:
    return InvalidRequest(f"unknown {kind} {_shown(name)}; there are {', '.join(forms)}")


def _wrong_count(name: str, arguments: tuple[str, ...], count: int) -> InvalidRequest:
    wanted = ", ".join(arguments) if arguments else "no arguments"
    return InvalidRequest(f"{name} takes {wanted}; {count} given")


def _kind(value: Any) -> str:
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


def _shown(word: Any) -> str:
    """Return a word that was not understood, short and on one line."""
    return f"{word[:40]!r}" if type(word) is str else _kind(word)


READ_FORMS: Final[dict[str, Form]] = {
    "get": Form(("key",), _key),
    "range": Form(("start", "end", "limit"), _read_range),
    "prefix": Form(("prefix", "limit"), _read_prefix),
}

WRITE_FORMS: Final[dict[str, Form]] = {
    "open": Form((), _nothing),
    "close": Form((), _nothing),
    "put": Form(("key", "value"), _put),
    "cas": Form(("key", "value", "revision"), _cas),
    "delete": Form(("key",), _key),
    "delete_prefix": Form(("prefix",), _prefix),
    "txn": Form(("compares", "then", "else"), _txn),
}

BRANCH_FORMS: Final[dict[str, Form]] = {
    **{name: WRITE_FORMS[name] for name in ("put", "delete", "delete_prefix")},
    **READ_FORMS,
}

WRITES: Final = frozenset(WRITE_FORMS)
"""The names of the writes that clients may send."""

READS: Final = frozenset(READ_FORMS)
"""The names of the reads."""
