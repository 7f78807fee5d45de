"""Checks of client operations before they reach the log.

What passes here can be applied by every node, whatever the state; so nothing that an operation
may be refused for by its form or size is left to `Machine.apply`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from raftzmq import limits
from raftzmq.errors import InvalidRequest
from raftzmq.machine.coordination_forms import COORDINATION_READS, COORDINATION_WRITES, check_fences
from raftzmq.machine.forms import (
    INTEGER,
    Form,
    check_bound,
    check_key,
    check_limit,
    check_revision,
    check_value,
    kind_of,
    shown,
    unknown,
    wrong_count,
)
from raftzmq.machine.values import text_size, wire_size


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
        raise InvalidRequest(f"an operation's id must be {INTEGER}, not {kind_of(serial)}")
    form = forms.get(name) if type(name) is str else None
    if form is None:
        if type(name) is str and name in others:
            raise InvalidRequest(f"{name} is a {other_kind}, not a {kind}")
        raise unknown(kind, name, forms)
    arguments, check = form
    if len(op) != len(arguments) + 2:
        raise wrong_count(name, arguments, len(op) - 2)
    try:
        check(*op[2:])
    except InvalidRequest as error:
        raise InvalidRequest(f"{name}: {error}") from None


def _nothing() -> None:
    pass


def _put(key: Any, value: Any) -> None:
    check_key(key)
    check_value(value)


def _cas(key: Any, value: Any, revision: Any) -> None:
    check_key(key)
    check_value(value)
    check_revision(revision)


def _prefix(prefix: Any) -> None:
    check_bound(prefix, "prefix")


def _read_range(start: Any, end: Any, limit: Any) -> None:
    check_bound(start, "start")
    check_bound(end, "end")
    check_limit(limit)


def _read_prefix(prefix: Any, limit: Any) -> None:
    check_bound(prefix, "prefix")
    check_limit(limit)


def _txn(compares: Any, then: Any, otherwise: Any) -> None:
    size = 0
    for part, name, check in (
        (compares, "compares", _compare),
        (then, "then", _branch_operation),
        (otherwise, "else", _branch_operation),
    ):
        if type(part) is not list:
            raise InvalidRequest(f"{name} must be a list, not {kind_of(part)}")
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
    check_key(key)
    # A list is not hashable, so that the words are looked for in tuples, by equality.
    if field not in ("value", "revision"):
        raise InvalidRequest(f"the field must be value or revision, not {shown(field)}")
    if operator not in ("=", "!=", "<", ">"):
        raise InvalidRequest(f"the operator must be =, !=, < or >, not {shown(operator)}")
    if field == "revision":
        check_revision(operand)
    elif operator in ("<", ">"):
        raise InvalidRequest(f"a value is compared by = or !=, not {operator}")
    elif operand is not None:
        check_value(operand, "operand")


def _branch_operation(operation: Any) -> None:
    _nested(operation, BRANCH_FORMS, "in a branch")


def _fenced(fences: Any, operation: Any) -> None:
    check_fences(fences)
    _nested(operation, FENCED_FORMS, "behind a fence")


def _nested(operation: Any, forms: dict[str, Form], where: str) -> None:
    """Check an operation that stands inside another: `[name, …arguments]`."""
    if type(operation) is not list or not operation:
        raise InvalidRequest(f"an operation {where} is a list: [name, arguments…]")
    name = operation[0]
    form = forms.get(name) if type(name) is str else None
    if form is None:
        raise unknown(f"operation {where}", name, forms)
    arguments, check = form
    if len(operation) != len(arguments) + 1:
        raise wrong_count(name, arguments, len(operation) - 1)
    try:
        check(*operation[1:])
    except InvalidRequest as error:
        raise InvalidRequest(f"{name}: {error}") from None


KEY_READ_FORMS: Final[dict[str, Form]] = {
    "get": Form(("key",), check_key),
    "range": Form(("start", "end", "limit"), _read_range),
    "prefix": Form(("prefix", "limit"), _read_prefix),
}

READ_FORMS: Final[dict[str, Form]] = {**KEY_READ_FORMS, **COORDINATION_READS}

WRITE_FORMS: Final[dict[str, Form]] = {
    "open": Form((), _nothing),
    "close": Form((), _nothing),
    "put": Form(("key", "value"), _put),
    "cas": Form(("key", "value", "revision"), _cas),
    "delete": Form(("key",), check_key),
    "delete_prefix": Form(("prefix",), _prefix),
    "txn": Form(("compares", "then", "else"), _txn),
    **COORDINATION_WRITES,
    "fenced": Form(("fences", "operation"), _fenced),
}

BRANCH_FORMS: Final[dict[str, Form]] = {
    **{name: WRITE_FORMS[name] for name in ("put", "delete", "delete_prefix")},
    **KEY_READ_FORMS,
}

FENCED_FORMS: Final[dict[str, Form]] = {
    name: WRITE_FORMS[name]
    for name in ("put", "put_leased", "put_ttl", "cas", "delete", "delete_prefix", "txn")
}

WRITES: Final = frozenset(WRITE_FORMS)
"""The names of the writes that clients may send."""

READS: Final = frozenset(READ_FORMS)
"""The names of the reads."""
