"""The state machine: committed commands in, results out (thesis 6.3).

`Machine.apply` depends on the entry and on the state before it, and on nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from raftzmq import limits
from raftzmq.core.entry import COMMAND, Entry
from raftzmq.errors import InvalidRequest, MissingProgram, UnknownEntry
from raftzmq.machine import snapshots, work
from raftzmq.machine.commands import expiry, programs, upgrades
from raftzmq.machine.commands.queues import find_place
from raftzmq.machine.commands.reads import UNDECIDED
from raftzmq.machine.commands.sessions import session_expired
from raftzmq.machine.commands.table import COMMANDS, READS, SESSIONLESS
from raftzmq.machine.put_runs import execute_puts
from raftzmq.machine.state import State
from raftzmq.machine.tables.frozen_span import FrozenSpan
from raftzmq.machine.tables.keys import Change
from raftzmq.machine.tables.program import Program
from raftzmq.machine.tables.queues import Decision
from raftzmq.machine.tables.sessions import Result
from raftzmq.prefixes import prefix_end
from raftzmq.versions import SPOKEN, Spoken


class Machine:
    """The replicated keys, sessions, leases and queues, and the one way to change them."""

    __slots__ = ("state",)

    def __init__(
        self,
        state: State | None = None,
        spoken: Spoken = SPOKEN,
        program: Program | None = None,
    ) -> None:
        """`spoken` are the cluster versions that this build speaks, and `program` runs the state
        machine of the users' own, if this process has one."""
        self.state = State() if state is None else state
        """What is replicated: for others to look at, and to change by `apply` alone."""
        self.state.spoken = spoken
        self.state.runner = program

    @property
    def applied_index(self) -> int:
        """The index of the newest entry that is applied; 0 before the first."""
        return self.state.applied_index

    @property
    def revision(self) -> int:
        """The number of the newest command that is executed; 0 before the first."""
        return self.state.revision

    @property
    def version(self) -> int:
        """The cluster version: upgrades.py in commands/ has more."""
        return self.state.version

    def holdings_above(self, version: int) -> list[str]:
        """What the state has that a cluster of that version cannot have, in words."""
        return upgrades.holdings_above(self.state, version)

    def check_program(self) -> None:
        """Raises MissingProgram if the state needs a state machine that this process lacks."""
        programs.check_program(self.state)

    def check_callable(self, op: Any) -> None:
        """Check a validated `call`, `[serial, "call", name, method, arguments]`, by the program
        that is in force. Raises InvalidRequest, Unsupported."""
        programs.check_callable(self.state, *op[2:], writes=True)

    @property
    def work(self) -> int:
        """How much it has done since it was made, in the units of work.py."""
        return self.state.work

    @property
    def memory(self) -> int:
        """About how many bytes the state takes, as memory.py counts: the same on every node."""
        return self.state.memory

    @property
    def time_ms(self) -> int:
        """Replicated time: the newest stamp among the applied entries."""
        return self.state.time_ms

    def has_result(self, session: int, serial: int) -> bool:
        """Whether a session keeps the result of a serial: to send it again would do nothing."""
        found = self.state.sessions.table.get(session)
        return found is not None and serial in found.results

    def __len__(self) -> int:
        """Return how many keys there are."""
        return len(self.state.keys)

    @property
    def session_count(self) -> int:
        """How many sessions there are."""
        return len(self.state.sessions.table)

    def advance(self, index: int, time_ms: int) -> None:
        """Pass over an entry that is no command. Raises ValueError if it was applied already."""
        state = self.state
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

    def apply_all(
        self, entries: Iterable[Entry], most_work: float = float("inf")
    ) -> list[list[Result]]:
        """Execute entries of commands in order; return for each the results of its commands.
        Stops after the entry with which `most_work` is done, in the units of work.py. Raises as
        `apply`."""
        state = self.state
        results: list[list[Result]] = []
        before = state.applied_index
        most_work += state.work
        try:
            for index, _, time_ms, kind, body, line in entries:
                noted = work.noted(state)
                before = state.applied_index
                if index <= before:
                    raise _applied_already(index, before)
                state.applied_index = index
                state.time_ms = max(state.time_ms, time_ms)
                state.revision = max(state.revision, index - 1)
                state.removals = 0
                if kind == COMMAND:
                    results.append([_execute(state, *_command_of(body))])
                else:
                    results.append(_execute_groups(state, body))
                state.work += work.ENTRY + len(results[-1]) + len(line) // work.ENTRY_BYTES
                state.work += work.noted(state) - noted
                if state.work >= most_work:
                    break
        except MissingProgram:
            state.applied_index = before
            raise
        except UnknownEntry as error:
            index = state.applied_index
            state.applied_index = before
            raise UnknownEntry(
                f"log entry {index}: {error}; a newer version wrote it: run that version here"
            ) from None
        return results

    def read(self, op: Any) -> Result:
        """Return the result of a validated read `[id, name, …arguments]`, at applied state.

        Of a read that waits, and that there is nothing to say about yet, the body is UNDECIDED.
        Raises InvalidRequest for an unknown read.
        """
        read = READS.get(op[1])
        if read is None or len(op) != read.length:
            raise InvalidRequest(f"unknown read {op[1]!r:.40}")
        if read.waits or read.refuses:
            return self.decide(op) or ("ok", self.revision, UNDECIDED)
        return ("ok", self.revision, read.run(self.state, *op[2:]))

    def decide(self, op: Any) -> Result | None:
        """Return the result of a validated read that waits as soon as the applied state decides it;
        None as long as it does not, whatever its `hold_ms`: time is the caller's."""
        outcome = READS[op[1]].run(self.state, *op[2:])
        return None if outcome is None else (outcome[0], self.revision, outcome[1])

    def expiry_due(self, time_ms: int) -> bool:
        """Tell whether the internal command `expire`, stamped `time_ms`, would do anything."""
        return expiry.expiry_due(self.state, time_ms)

    @property
    def next_expiry_ms(self) -> int | None:
        """A replicated time before which `expiry_due` is false; None as long as nothing is there
        that could end. It costs nothing to ask. After `expiry_due` was asked about that time and
        said no, it is a later one."""
        return expiry.next_expiry_ms(self.state)

    def observe_changes(self, wanted: bool) -> None:
        """Begin to note changes of keys, from the next entry on; or no longer."""
        self.state.keys.changes = [] if wanted else None

    def take_changes(self) -> list[Change]:
        """Return the changes of keys that were noted, in order, and forget them. Those of one
        entry have its revision in common; a transaction may change a key more than once."""
        changes = self.state.keys.changes
        if not changes:
            return []
        self.state.keys.changes = []
        return changes

    def observe_decisions(self, wanted: bool) -> None:
        """Begin to note what becomes of places in queues, or no longer."""
        self.state.queues.decisions = [] if wanted else None

    def take_decisions(self) -> list[Decision]:
        """Return kind, name and token of each place that was granted, given up or given another
        value, in order, and forget them. No other `await` is decided than of these tokens, and no
        other `observe` or `proclaimed` than of these elections."""
        decisions = self.state.queues.decisions
        if not decisions:
            return []
        self.state.queues.decisions = []
        return decisions

    @property
    def lease_count(self) -> int:
        """How many leases there are."""
        return len(self.state.leases.table)

    def owner_of(self, lease: int) -> str | None:
        """Return the name of the user whose lease it is, "" for anybody's; None if it has ended or
        never was. Of a number above `revision` that may change: it is yet to be granted."""
        found = self.state.leases.table.get(lease)
        return None if found is None else found.owner

    def owner_of_place(self, kind: str, name: str, token: int) -> str | None:
        """Return the name of the user whose lease a place in a queue is under, "" for anybody's;
        None if there is no such place."""
        place = find_place(self.state.queues, token)
        if place is None or (place.queue.kind, place.queue.name) != (kind, name):
            return None
        return place.lease.owner

    @property
    def queue_count(self) -> int:
        """How many locks, semaphores, counters and elections there are."""
        return self.state.queues.count

    @property
    def place_count(self) -> int:
        """How many places there are in all queues, held or waiting."""
        return len(self.state.queues.places)

    def scan(self, prefix: str) -> FrozenSpan:
        """Return the keys that begin with `prefix` as they are now, to be read page by page."""
        return self.state.keys.freeze_span(prefix, prefix_end(prefix), self.revision)

    def snapshot(self) -> Iterator[list[Any]]:
        """Return the state as JSON-able records, in an order that is the same on every node.

        The tables are copied at the call; the records are made as they are asked for.
        """
        return snapshots.records(self.state)

    @classmethod
    def restore(
        cls,
        records: Iterable[list[Any]],
        spoken: Spoken = SPOKEN,
        program: Program | None = None,
    ) -> Machine:
        """Return a machine in the state of a snapshot's records. Raises DataError, also for a
        cluster version that is not among those `spoken`. To look at the state, and to keep it,
        takes no program: whoever goes on from it asks `check_program`."""
        return cls(snapshots.restore(records, spoken), spoken, program)

    def state_hash(self) -> str:
        """Return a hash of everything replicated: equal exactly where the states are equal."""
        return snapshots.state_hash(self.state)


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
        if len(ops) == 1:  # as with many clients that each wait for their answer
            results.append(_execute(state, number, ack, ops[0]))
            continue
        together = execute_puts(state, number, ack, ops)
        results += together or [_execute(state, number, ack, op) for op in ops]
    return results


def _execute(state: State, number: Any, ack: Any, op: Any) -> Result:
    try:
        serial = op[0]
        name = op[1]
        command = COMMANDS.get(name)
    except (TypeError, LookupError):
        raise _unknown_form() from None
    if not (type(number) is type(ack) is type(serial) is int):
        raise _unknown_form()
    revision = state.revision + 1
    state.revision = revision
    if command is None:
        return _execute_sessionless(state, number, op)
    length = command.length
    if len(op) != length and not command.takes(len(op) - 2):
        raise UnknownEntry(f"{name} with {len(op) - 2} arguments")
    session = state.sessions.table.get(number)
    if session is None:
        code, refusal = session_expired(number)
        return (code, revision, refusal)
    session.used_ms = state.time_ms
    if ack > session.ack:
        session.acknowledge(ack)
    results = session.results
    kept = results.get(serial)
    outstanding = 0 <= serial - session.ack <= limits.SESSION_OUTSTANDING
    if kept is not None or session.full or not outstanding:
        state.sessions.weigh(session)  # the ack may have freed some
        return kept or session.refusal(serial, revision)
    if length == 4:  # most are puts, and a call with a list of arguments takes twice as long
        code, result = command.run(state, op[2], op[3])
    else:
        code, result = command.run(state, *op[2:])
    done = (code, revision, result)
    if code != "overloaded":  # else it was not executed, and may be sent again
        results[serial] = done
        if result is not None:
            session.count(result)
    state.sessions.weigh(session)
    return done


def _unknown_form() -> UnknownEntry:
    return UnknownEntry("a command in an unknown form")


def _execute_sessionless(state: State, number: int, op: list[Any]) -> Result:
    """Execute a command that needs no session; its result is not kept under a serial."""
    command = SESSIONLESS.get(op[1])
    if command is None or (command.internal and number != 0) or not command.takes(len(op) - 2):
        raise UnknownEntry(f"unknown command {op[1]!r:.40}")
    code, result = command.run(state, number, *op[2:])
    return (code, state.revision, result)
