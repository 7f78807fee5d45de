"""The state machine: committed commands in, results out (thesis 6.3).

`Machine.apply` depends on the entry and on the state before it, and on nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from raftzmq import limits
from raftzmq.core.entry import COMMAND, Entry
from raftzmq.errors import InvalidRequest, UnknownEntry
from raftzmq.machine import snapshots
from raftzmq.machine.keys import KeyTable
from raftzmq.machine.operations import COMMANDS
from raftzmq.machine.reads import READS
from raftzmq.machine.runs import execute_puts
from raftzmq.machine.sessions import Result, Sessions, refusal
from raftzmq.machine.state import State


class Machine:
    """The replicated keys and sessions, and the one way to change them."""

    __slots__ = ("_state",)

    def __init__(self, state: State | None = None) -> None:
        self._state = State(0, 0, 0, KeyTable(), Sessions()) if state is None else state

    @property
    def applied_index(self) -> int:
        """The index of the newest entry that is applied; 0 before the first."""
        return self._state.applied_index

    @property
    def revision(self) -> int:
        """The number of the newest command that is executed; 0 before the first."""
        return self._state.revision

    @property
    def time_ms(self) -> int:
        """Replicated time: the newest stamp among the applied entries."""
        return self._state.time_ms

    def __len__(self) -> int:
        """Return how many keys there are."""
        return len(self._state.keys)

    @property
    def session_count(self) -> int:
        """How many sessions there are."""
        return len(self._state.sessions.table)

    def advance(self, index: int, time_ms: int) -> None:
        """Pass over an entry that is no command. Raises ValueError if it was applied already."""
        state = self._state
        if index <= state.applied_index:
            raise _applied_already(index, state.applied_index)
        state.applied_index = index
        state.time_ms = max(time_ms, state.time_ms)

    def apply(self, index: int, time_ms: int, body: Any) -> Result:
        """Execute the command of one entry, once for its session and serial.

        `body` is `[session, ack, [serial, name, …arguments]]`. Of validated operations none
        raises. Raises UnknownEntry for a command that this version does not know; the machine is
        then not to be used further. Raises ValueError for an entry that was applied already.
        """
        return self.apply_all([Entry(index, 0, time_ms, COMMAND, body, b"")])[0][0]

    def apply_all(self, entries: Sequence[Entry]) -> list[list[Result]]:
        """Execute entries of commands in order; return for each the results of its commands.
        Raises as `apply`."""
        state = self._state
        results: list[list[Result]] = []
        before = state.applied_index
        try:
            for index, _, time_ms, kind, body, _ in entries:
                before = state.applied_index
                if index <= before:
                    raise _applied_already(index, before)
                state.applied_index = index
                if time_ms > state.time_ms:
                    state.time_ms = time_ms
                if state.revision < index - 1:
                    state.revision = index - 1
                if kind == COMMAND:
                    results.append([_execute(state, *_command_of(body))])
                else:
                    results.append(_execute_groups(state, body))
        except UnknownEntry as error:
            index, state.applied_index = state.applied_index, before
            raise UnknownEntry(
                f"log entry {index}: {error}; a newer version wrote it: run that version here"
            ) from None
        return results

    def read(self, op: Any) -> Result:
        """Return the result of a validated read `[id, name, …arguments]`, at applied state.

        Raises InvalidRequest for an unknown read.
        """
        read = READS.get(op[1])
        if read is None or len(op) != read.arguments + 2:
            raise InvalidRequest(f"unknown read {op[1]!r:.40}")
        return ("ok", self._state.revision, read.run(self._state.keys, *op[2:]))

    def expiry_due(self, time_ms: int) -> bool:
        """Tell whether the internal command `expire`, stamped `time_ms`, would do anything."""
        return self._state.sessions.expiry_due(time_ms)

    def snapshot(self) -> Iterator[list[Any]]:
        """Return the state as JSON-able records, in an order that is the same on every node.

        The tables are copied at the call; the records are made as they are asked for.
        """
        return snapshots.records(self._state)

    @classmethod
    def restore(cls, records: Iterable[list[Any]]) -> Machine:
        """Return a machine in the state of a snapshot's records. Raises DataError."""
        return cls(snapshots.restore(records))

    def state_hash(self) -> str:
        """Return a hash of everything replicated: equal exactly where the states are equal."""
        return snapshots.state_hash(self._state)


def _applied_already(index: int, applied_index: int) -> ValueError:
    return ValueError(f"entry {index} is applied already: all up to {applied_index} are")


def _command_of(body: Any) -> tuple[Any, Any, Any]:
    try:
        number, ack, op = body
    except (TypeError, ValueError):
        raise _unknown_form() from None
    return number, ack, op


def _execute_groups(state: State, groups: Any) -> list[Result]:
    """Execute groups `[session, ack, [operation…]]`, one operation after the other."""
    if type(groups) is not list:
        raise _unknown_form()
    results: list[Result] = []
    for group in groups:
        number, ack, ops = _command_of(group)
        if type(ops) is not list:
            raise _unknown_form()
        together = execute_puts(state, number, ack, ops) if len(ops) > 1 else None
        results += together or [_execute(state, number, ack, op) for op in ops]
    return results


def _execute(state: State, number: Any, ack: Any, op: Any) -> Result:
    try:
        serial, name = op[0], op[1]
        command = COMMANDS.get(name)
    except (TypeError, LookupError):
        raise _unknown_form() from None
    if not (type(number) is type(ack) is type(serial) is int):
        raise _unknown_form()
    state.revision = revision = state.revision + 1
    if command is None:
        return _administer(state, number, op)
    length, run = command
    if len(op) != length:
        raise UnknownEntry(f"{name} with {len(op) - 2} arguments")
    session = state.sessions.table.get(number)
    if session is None:
        return _session_expired(number, revision)
    session.used_ms = state.time_ms
    if ack > session.ack:
        session.acknowledge(ack)
    results = session.results
    kept = results.get(serial)
    if kept is not None:
        return kept
    if session.full or not 0 <= serial - session.ack <= limits.SESSION_OUTSTANDING:
        return session.refusal(serial, revision)
    if length == 4:  # most are puts, and a call with a list of arguments takes twice as long
        code, result = run(state, op[2], op[3])
    else:
        code, result = run(state, *op[2:])
    results[serial] = done = (code, revision, result)
    if type(result) is list:
        session.count(result)
    return done


def _unknown_form() -> UnknownEntry:
    return UnknownEntry("a command in an unknown form")


def _administer(state: State, number: int, op: list[Any]) -> Result:
    """Execute a command about sessions themselves; these are not kept under a serial."""
    revision = state.revision
    match op[1:]:
        case ["open"]:
            if state.sessions.open(revision, state.time_ms):
                return ("ok", revision, revision)
            return refusal("overloaded", revision, "the table of client sessions is full; retry later")
        case ["close"]:
            if number not in state.sessions.table:
                return _session_expired(number, revision)
            state.sessions.close(number)
            return ("ok", revision, None)
        case ["expire"] if number == 0:
            return ("ok", revision, state.sessions.expire(state.time_ms))
    raise UnknownEntry(f"unknown command {op[1]!r:.40}")


def _session_expired(number: int, revision: int) -> Result:
    message = "a write needs a session: open one" if number == 0 else f"session {number} is unknown"
    return refusal("session_expired", revision, message)
