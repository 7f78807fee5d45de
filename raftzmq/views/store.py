"""What a primary and its backup hold: keys, and the client sessions that make retries harmless.

The pieces are those of the state machine that Raft replicates (raftzmq/machine): tables, sessions
and snapshots. The operations are fewer, and `append` is one that Raft's machine does not have.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from raftzmq import limits
from raftzmq.errors import DataError, InvalidRequest, UnknownEntry
from raftzmq.machine import validate_read, validate_write
from raftzmq.machine.keys import KeyTable
from raftzmq.machine.operations import Command, delete, put
from raftzmq.machine.outcomes import DONE, Outcome
from raftzmq.machine.reads import get
from raftzmq.machine.sessions import Result, Session, Sessions, refusal
from raftzmq.machine.snapshots import records
from raftzmq.machine.state import State
from raftzmq.machine.values import from_wire
from raftzmq.views.messages import Entry

READ: Final = "get"

_SESSION_WRITES: Final = ("open", "close")


def append(state: State, key: str, value: Any) -> Outcome:
    """`append key value`: put what the key holds followed by the value. Text and text gives
    text; if either is bytes, the result is bytes. For an absent key this is a put. If the result
    would exceed the limit of values, the key keeps its value; the code is `too_long`, and the body
    the length that the result would have had."""
    added = from_wire(value)
    item = state.keys.items.get(key)
    if item is not None:
        held = item[0]
        if isinstance(held, str) and isinstance(added, str):
            added = held + added
        else:
            added = _as_bytes(held) + _as_bytes(added)
    size = len(_as_bytes(added))
    if size > limits.VALUE_BYTES:
        return "too_long", size
    state.keys.put(key, added, state.revision)
    return DONE


COMMANDS: Final = {
    "put": Command(4, put),
    "append": Command(4, append),
    "delete": Command(3, delete),
}


def validate(op: Any, session: int) -> None:
    """Check an operation, `[serial, name, ...arguments]`. Raises InvalidRequest."""
    name = op[1] if type(op) is list and len(op) > 1 else None
    if name == READ:
        validate_read(op)
    elif name == "append":
        try:
            validate_write([op[0], "put", *op[2:]])
        except InvalidRequest as error:
            raise InvalidRequest(str(error).replace("put", "append", 1)) from None
    elif name in _SESSION_WRITES or (type(name) is str and name in COMMANDS):
        validate_write(op)
    else:
        known = ", ".join((READ, *COMMANDS, *_SESSION_WRITES))
        raise InvalidRequest(f"an operation is [serial, name, arguments...]; there are {known}")
    if session == 0 and name not in (READ, "open"):
        raise InvalidRequest(f"{name} needs a session: open one")


class Store:
    """The state after the operation at `index`. Operations have consecutive indices. What
    an operation does depends only on the state and on itself. So a backup that executes the same
    operations has the same state."""

    def __init__(self, state: State | None = None) -> None:
        self._state = State() if state is None else state

    @property
    def index(self) -> int:
        return self._state.applied_index

    @property
    def time_ms(self) -> int:
        """The newest of the primary's times among the operations; it never decreases."""
        return self._state.time_ms

    def __len__(self) -> int:
        """The number of keys."""
        return len(self._state.keys)

    def read(self, key: str) -> Any:
        """`[value, revision]` of a key, or None."""
        return get(self._state, key)

    def apply(self, entry: Entry) -> Result:
        """Execute the next operation, a write that `validate` has passed: once for its session and
        serial. Returns (code, index it was executed at, body)."""
        state = self._state
        state.applied_index += 1
        state.revision = state.applied_index
        state.time_ms = max(state.time_ms, entry.time_ms)
        index = state.applied_index
        number = entry.session
        serial, name, *arguments = entry.op
        if name == "open":
            if state.sessions.open(index, state.time_ms):
                return "ok", index, index
            return refusal("overloaded", index, "the table of client sessions is full; retry later")
        session = state.sessions.table.get(number)
        if session is None:
            return refusal("session_expired", index, f"session {number} is unknown")
        if name == "close":
            state.sessions.close(number)
            return "ok", index, None
        session.used_ms = state.time_ms
        kept = session.results.get(serial)
        if kept is not None:
            return kept
        if serial < session.ack:
            return session.refusal(serial, index)
        # A client does one operation after the other, so it has the answers of all earlier ones.
        session.acknowledge(serial)
        code, body = COMMANDS[name].run(state, *arguments)
        done = (code, index, body)
        session.results[serial] = done
        return done

    def records(self) -> Iterator[list[Any]]:
        """The current state, as records; later changes do not show in them."""
        return records(self._state)


class Loading:
    """A store made from the records of another one, a piece at a time. All at once would take
    seconds for a million keys, and a server that does not ping for a second is dead."""

    def __init__(self) -> None:
        self._header: tuple[int, int, int] | None = None
        self._sessions: dict[int, Session] = {}
        self._keys = KeyTable()

    def take(self, record: Any) -> None:
        """Take the next record. Raises DataError for a malformed or misplaced one."""
        match record:
            case ["machine", 2, int(index), int(time_ms), int(revision)] if self._header is None:
                self._header = index, time_ms, revision
            case ["session", int(number), int(ack), int(used_ms)]:
                self._sessions[number] = Session(number, used_ms, ack)
            case ["result", int(number), int(serial), str(code), int(at), body] if (
                number in self._sessions
            ):
                self._sessions[number].results[serial] = (code, at, body)
            case ["key", str(key), value, int(revision)]:
                try:
                    self._keys.put(key, from_wire(value), revision)
                except (UnknownEntry, ValueError) as error:
                    raise DataError(f"a value of the primary's state: {error}") from None
            case _:
                raise DataError("a record of the primary's state is none that is known here")

    def finish(self) -> Store:
        """Return the store; nothing more can be taken. Raises DataError if the first record is
        missing."""
        if self._header is None:
            raise DataError("the primary's state does not begin with its index")
        return Store(State(*self._header, self._keys, Sessions(self._sessions)))


def _as_bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value
