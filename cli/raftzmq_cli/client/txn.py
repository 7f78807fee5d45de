"""`raftzmq client txn`: a transaction from a JSON document or from options."""

from __future__ import annotations

import re
import shlex
from base64 import b64decode
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import orjson
import typer

from raftzmq import (
    Compare,
    Delete,
    DeletePrefix,
    Get,
    GetPrefix,
    GetRange,
    Item,
    Put,
    Range,
    TxnResult,
    Written,
    limits,
)
from raftzmq.errors import InvalidRequest
from raftzmq_cli.client.invocation import SHARED, ClientInvocation
from raftzmq_cli.client.options import All, Fence, fences, refuse_empty_prefix
from raftzmq_cli.common import exits, standard_input
from raftzmq_cli.common.commands import Commands
from raftzmq_cli.common.escaping import quoted
from raftzmq_cli.common.values import (
    item_document,
    text,
    unreadable,
    written_document,
    written_line,
)

Operation = Put | Delete | DeletePrefix | Get | GetRange | GetPrefix
Transaction = tuple[list[Compare], list[Operation], list[Operation]]

# name: how many arguments, and what they make
_OPERATIONS: Final[dict[str, tuple[int, Callable[..., Operation]]]] = {
    "put": (2, Put),
    "delete": (1, Delete),
    "delete_prefix": (1, DeletePrefix),
    "get": (1, Get),
    "range": (3, GetRange),
    "prefix": (2, GetPrefix),
}
_ENDS: Final = frozenset({"ttl", "lease", "keep_end"})
"""When the key of a put ends: what may stand behind its value."""

_NUMBER: Final = re.compile(r"[0-9]+(\.[0-9]+)?", re.ASCII)

_SECTIONS: Final = {"if": 0, "compares": 0, "then": 1, "else": 2, "otherwise": 2}


commands = Commands(shared=SHARED)


@commands.command(
    "txn",
    """
    raftzmq client txn --if 'lock revision = 0' --then 'put lock me' --else 'get lock'
    raftzmq client txn --if 'a value = "x y"' --then 'put a z' --then 'delete b'
    raftzmq client txn --if 'job revision = 0' --then 'put job me ttl=60' --then 'put n 1 keep_end'
    raftzmq client txn txn.json
    echo '{"if": [["a","value","=","1"]], "then": [["put","a","2"]], "else": []}' |
        raftzmq client txn -
    """,
    writes=True,
)
def txn(
    run: ClientInvocation,
    file: Annotated[
        str | None,
        typer.Argument(
            metavar="FILE",
            help='JSON {"if": [...], "then": [...], "else": [...]} as in PROTOCOL.md; -: stdin. '
            'A put may have {"ttl": 60} behind its value, {"lease": 173} or {"keep_end": true}.',
        ),
    ] = None,
    compares: Annotated[
        list[str] | None,
        typer.Option(
            "--if",
            metavar="COMPARE",
            help="'KEY value|revision =|!=|<|> OPERAND'; all must hold. Repeatable.",
        ),
    ] = None,
    then: Annotated[
        list[str] | None,
        typer.Option(
            "--then",
            metavar="OPERATION",
            help="'put KEY VALUE [ttl=SECONDS | lease=LEASE | keep_end]', 'get KEY', "
            "'delete KEY', 'delete_prefix PREFIX', 'range START END LIMIT' or "
            "'prefix PREFIX LIMIT'. Repeatable.",
        ),
    ] = None,
    otherwise: Annotated[
        list[str] | None,
        typer.Option(
            "--else",
            metavar="OPERATION",
            help="The same, for when a compare does not hold. Repeatable.",
        ),
    ] = None,
    every: All = False,
    fence: Fence = None,
) -> int:
    """Compare keys, then run one of two lists of operations, atomically.

    Exit code 0 if all compares held, 1 if not. The result is printed either way.
    A delete_prefix of the empty prefix is refused without --all. One of more than 2,048 keys is
    refused: 'client delete --prefix' deletes those, in steps.
    """
    given = bool(compares or then or otherwise)
    if (not file) is not given:
        raise InvalidRequest("give a transaction either as FILE (-: standard input) or as options")
    transaction = (
        from_json(_read(file)) if file else from_words(compares or (), then or (), otherwise or ())
    )
    if not every:
        for operation in transaction[1] + transaction[2]:
            if isinstance(operation, DeletePrefix):
                refuse_empty_prefix(operation.prefix)
    result = run.client.txn(*transaction, fence=fences(fence), timeout=run.timeout_s)
    branch = transaction[1] if result.succeeded else transaction[2]
    show_result(run, result, branch)
    return exits.DONE if result.succeeded else exits.NO


def from_words(
    compares: Sequence[str], then: Sequence[str], otherwise: Sequence[str]
) -> Transaction:
    """Return the transaction that the options spell. Raises InvalidRequest."""
    return (
        [_compare_of_words(part) for part in compares],
        [_operation_of_words(part) for part in then],
        [_operation_of_words(part) for part in otherwise],
    )


def from_json(data: bytes) -> Transaction:
    """Return the transaction of a JSON document. Raises InvalidRequest."""
    try:
        document = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"the transaction is not JSON: {error}") from None
    if not isinstance(document, dict) or not document.keys() <= _SECTIONS.keys():
        raise InvalidRequest('a transaction is {"if": [...], "then": [...], "else": [...]}')
    sections: list[list[Any]] = [[], [], []]
    for name, section in document.items():
        if not isinstance(section, list):
            raise InvalidRequest(f"{name!r} of a transaction must be a list")
        sections[_SECTIONS[name]] += section
    return (
        [_compare(part) for part in sections[0]],
        [_operation(part) for part in sections[1]],
        [_operation(part) for part in sections[2]],
    )


def show_result(run: ClientInvocation, result: TxnResult, branch: Sequence[Operation]) -> None:
    documents = [
        {"op": _name_of(operation), **_body(body)}
        for operation, body in zip(branch, result.results, strict=True)
    ]
    document = {
        "succeeded": result.succeeded,
        **written_document(result),
        "results": documents,
    }
    words = "all compares held" if result.succeeded else "a compare did not hold"
    lines = [f"{words}; {written_line(result)}"]
    for each in documents:
        fields = ", ".join(f"{k} {_shown(v)}" for k, v in each.items() if k != "op")
        lines.append(f"{each['op']}: {fields or 'no such key'}")
    run.show(document, lines)


def _read(file: str) -> bytes:
    if file == "-":
        return standard_input.read_bytes(limits.FRAME_BYTES + 1)
    try:
        return Path(file).read_bytes()
    except (OSError, ValueError) as error:
        raise InvalidRequest(unreadable(file, error)) from None


def _words(part: str) -> list[str]:
    text(part, "transaction")
    try:
        return shlex.split(part)
    except ValueError as error:
        raise InvalidRequest(f"{quoted(part)}: {error}") from None


def _compare_of_words(part: str) -> Compare:
    words: list[Any] = _words(part)
    if len(words) == 4 and words[1] == "revision":
        if not (words[3].isascii() and words[3].isdigit()):
            raise InvalidRequest(f"{quoted(part)}: a revision is a whole number, 0 or above")
        words[3] = int(words[3])
    return _compare(words)


def _operation_of_words(part: str) -> Operation:
    words: list[Any] = _words(part)
    if len(words) > 3 and words[0] == "put":
        return _operation([*words[:3], _end_of_words(part, words[3:])])
    if len(words) > 1 and words[0] in ("range", "prefix") and words[-1].isdecimal():
        words[-1] = int(words[-1])
    return _operation(words)


def _end_of_words(part: str, words: Sequence[str]) -> dict[str, Any]:
    """When the key of a put ends: `ttl=60`, `lease=173` or `keep_end`."""
    end: dict[str, Any] = {}
    for word in words:
        name, _, number = word.partition("=")
        if word == "keep_end":
            end[name] = True
        elif name == "lease" and number.isascii() and number.isdigit():
            end[name] = int(number)
        elif name == "ttl" and _NUMBER.fullmatch(number):
            end[name] = float(number)
        else:
            hint = " (if a key is missing: --if 'KEY revision = 0')" if name == "if_absent" else ""
            raise InvalidRequest(
                f"{quoted(part)}: {quoted(word)} is not ttl=SECONDS, lease=LEASE or keep_end{hint}"
            )
    return end


def _compare(part: Any) -> Compare:
    if not isinstance(part, list) or len(part) != 4:
        raise InvalidRequest(f"{_quoted(part)} is not a compare: KEY value|revision = OPERAND")
    key, field, operator, operand = part
    return Compare(key, field, operator, _value(operand))


def _operation(part: Any) -> Operation:
    name = part[0] if isinstance(part, list) and part else None
    if not isinstance(name, str) or name not in _OPERATIONS:
        raise InvalidRequest(f"{_quoted(part)} is not an operation: {', '.join(_OPERATIONS)}")
    count, make = _OPERATIONS[name]
    if name == "put" and len(part) == count + 2:
        return _ending_put(part)
    if len(part) != count + 1:
        raise InvalidRequest(f"{_quoted(part)}: {name} takes {count} argument(s)")
    return make(*(_value(argument) for argument in part[1:]))


def _ending_put(part: list[Any]) -> Put:
    _, key, value, end = part
    if not isinstance(end, dict) or not end.keys() <= _ENDS:
        raise InvalidRequest(
            f'{_quoted(part)}: behind the value stands {{"ttl": SECONDS}}, {{"lease": LEASE}} or '
            '{"keep_end": true}'
        )
    return Put(key, _value(value), **end)


def _value(part: Any) -> Any:
    """Text and numbers as they are; {"b64": ...} as bytes."""
    if not isinstance(part, dict):
        return part
    try:
        (encoded,) = part.values()
        return b64decode(part["b64"] if encoded else "", validate=True)
    except (ValueError, KeyError, TypeError):
        raise InvalidRequest(f'{_quoted(part)} is not a value: text or {{"b64": ...}}') from None


def _quoted(part: Any) -> str:
    shown = orjson.dumps(part).decode()
    return shown if len(shown) <= 80 else shown[:77] + "..."


def _name_of(operation: Operation) -> str:
    return next(name for name, (_, make) in _OPERATIONS.items() if make is type(operation))


def _body(body: Any) -> dict[str, Any]:
    match body:
        case None:
            return {}
        case Written():
            return {"revision": body.revision}
        case Item():
            return item_document(body)
        case Range():
            return {"items": [item_document(item) for item in body], "more": body.more}
    return {"deleted": body.count}


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()
