"""What a primary and its backup hold: keys, and the client sessions that make retries harmless.

The pieces are those of the state machine that Raft replicates (raftzmq/machine): tables, sessions
and snapshots. The operations are fewer, and `append` is one that Raft's machine does not have.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from raftzmq import limits
from raftzmq.errors import DataError, InvalidRequest, UnknownEntry
from raftzmq.machine.commands import table
from raftzmq.machine.commands.checks import check_key, check_value
from raftzmq.machine.commands.operation import Command, Operation
from raftzmq.machine.commands.outcomes import DONE, Outcome
from raftzmq.machine.commands.sessions import session_expired
from raftzmq.machine.snapshots import records
from raftzmq.machine.state import State
from raftzmq.machine.tables.keys import KeyTable
from raftzmq.machine.tables.sessions import Result, Session, Sessions
from raftzmq.machine.validation import check_id
from raftzmq.machine.values import from_wire
from raftzmq.views.messages import Entry

READ: Final = "get"


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


APPEND: Final = Command(
    name="append", arguments={"key": check_key, "value": check_value}, run=append
)

COMMANDS: Final = {
    row.name: row for row in (table.COMMANDS["put"], APPEND, table.COMMANDS["delete"])
}
"""The commands that a session sends: rows as in Raft's machine, with one of their own."""

SESSIONLESS: Final = {name: table.SESSIONLESS[name] for name in ("open", "close")}

_GET: Final = table.READS[READ]

_OPERATIONS: Final[dict[str, Operation]] = {READ: _GET, **COMMANDS, **SESSIONLESS}


def validate(op: Any, session: int) -> None:
    """Check an operation, `[serial, name, ...arguments]`. Raises InvalidRequest."""
    name = op[1] if type(op) is list and len(op) > 1 else None
    row = _OPERATIONS.get(name) if type(name) is str else None
    if row is None:
        known = ", ".join(_OPERATIONS)
        raise InvalidRequest(f"an operation is [serial, name, arguments...]; there are {known}")
    check_id(op)
    row.check(op[2:])
    if session == 0 and name not in (READ, "open"):
        raise InvalidRequest(f"{name} needs a session: open one")


class Store:
    """The state after the operation at `index`. Operations have consecutive indices. What
    an operation does depends only on the state and on itself. So a backup that executes the same
    operations has the same state."""

    def __init__(self, state: State | None = None) -> None:
        self.state = State() if state is None else state
        """What primary and backup hold: for others to look at, and to change by `apply` alone."""

    @property
    def index(self) -> int:
        return self.state.applied_index

    @property
    def time_ms(self) -> int:
        """The newest of the primary's times among the operations; it never decreases."""
        return self.state.time_ms

    def __len__(self) -> int:
        """The number of keys."""
        return len(self.state.keys)

    def read(self, key: str) -> Any:
        """`[value, revision]` of a key, or None."""
        return _GET.run(self.state, key)

    def apply(self, entry: Entry) -> Result:
        """Execute the next operation, a write that `validate` has passed: once for its session and
        serial. Returns (code, index it was executed at, body)."""
        state = self.state
        index = state.applied_index + 1
        state.applied_index = index
        state.revision = index
        state.time_ms = max(state.time_ms, entry.time_ms)
        number = entry.session
        serial, name, *arguments = entry.op
        if name in SESSIONLESS:
            code, body = SESSIONLESS[name].run(state, number, *arguments)
            return code, index, body
        session = state.sessions.table.get(number)
        if session is None:
            code, body = session_expired(number)
            return code, index, body
        session.used_ms = state.time_ms
        kept = session.results.get(serial)
        if kept is not None:
            return kept
        if serial < session.ack:
            return session.refusal(serial, index)
        # A client does one operation after the other, so it has the answers of all earlier ones.
        session.acknowledge(serial)
        code, body = COMMANDS[name].run(state, *arguments)
        result = (code, index, body)
        session.results[serial] = result
        return result

    def records(self) -> Iterator[list[Any]]:
        """The current state, as records; later changes do not show in them."""
        return records(self.state)


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
