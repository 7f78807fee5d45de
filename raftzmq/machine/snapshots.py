"""The state as records, back from records, and its hash.

    ["machine", 2, applied_index, time_ms, revision]   the first record; 2 is the format
    ["session", number, ack, used_ms]
    ["result", number, serial, code, revision, body]   after its session
    ["key", key, value, revision]

Records come in order of session numbers, serials and keys: equal states give equal records.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import sha256
from json import JSONEncoder
from typing import Any

from raftzmq.errors import DataError, UnknownEntry
from raftzmq.machine.keys import Item, KeyTable
from raftzmq.machine.sessions import Result, Session, Sessions
from raftzmq.machine.state import State
from raftzmq.machine.values import from_wire, to_wire

FORMAT = 2

_SessionCopy = tuple[int, int, int, dict[int, Result]]


def records(state: State) -> Iterator[list[Any]]:
    """Return the records of the state as it is now; later changes do not show in them."""
    table = state.sessions.table
    sessions = [
        (number, session.ack, session.used_ms, session.results.copy())
        for number, session in sorted(table.items())
    ]
    header = ["machine", FORMAT, state.applied_index, state.time_ms, state.revision]
    return _generate(header, sessions, state.keys.ordered(), state.keys.items.copy())


def _generate(
    header: list[Any], sessions: list[_SessionCopy], names: list[str], items: dict[str, Item]
) -> Iterator[list[Any]]:
    yield header
    for number, ack, used_ms, results in sessions:
        yield ["session", number, ack, used_ms]
        for serial in sorted(results):
            yield ["result", number, serial, *results[serial]]
    for name in names:
        value, revision = items[name]
        yield ["key", name, to_wire(value), revision]


def restore(source: Iterable[list[Any]]) -> State:
    """Return the state that the records describe.

    Raises DataError if they are not those of a snapshot, or hold what this version does not know.
    """
    stream = iter(source)
    header = next(stream, None)
    match header:
        case ["machine", 2, int(applied_index), int(time_ms), int(revision)]:
            pass
        case ["machine", int(found), *_] if found != FORMAT:
            raise DataError(f"the snapshot has format {found}; this version reads {FORMAT}")
        case _:
            raise DataError("the snapshot does not begin with the state machine's record")
    items: dict[str, Item] = {}
    table: dict[int, Session] = {}
    for record in stream:
        try:
            _take(record, items, table)
        except UnknownEntry as error:
            raise DataError(f"the snapshot: {error}") from None
        except (LookupError, TypeError, ValueError, RecursionError):
            raise DataError(f"the snapshot has a record that is none: {_kind(record)}") from None
    return State(applied_index, time_ms, revision, KeyTable(items), Sessions(table))


def _take(record: Any, items: dict[str, Item], table: dict[int, Session]) -> None:
    """Add what a record says. Raises UnknownEntry, or whatever its nonsense leads to."""
    match record:
        case ["key", str(key), value, int(revision)]:
            items[key] = (from_wire(value), revision)
        case ["session", int(number), int(ack), int(used_ms)]:
            table[number] = Session(number, used_ms, ack)
        case ["result", int(number), int(serial), str(code), int(at), body] if number in table:
            table[number].results[serial] = (code, at, body)
            if type(body) is list:
                table[number].count(body)
        case _:
            raise UnknownEntry(
                f"it has a record of a kind that this version does not know: {_kind(record)}"
            )


def _kind(record: Any) -> str:
    """What kind of record it says it is, for a person."""
    kind = record[0] if type(record) is list and record else None
    return f"{kind[:40]!r}" if type(kind) is str else "it has no name"


def state_hash(state: State) -> str:
    """Return the SHA-256 of the state's records, in hexadecimal."""
    encode = JSONEncoder(sort_keys=True, separators=(",", ":")).encode
    digest = sha256()
    for record in records(state):
        digest.update(encode(record).encode())
        digest.update(b"\n")
    return digest.hexdigest()
