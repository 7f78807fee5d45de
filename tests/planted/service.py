"""Bugs of disks, of the state machine and of the client, which worlds of the simulator catch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pytest

from raftzmq import limits
from raftzmq.client.session import verdicts
from raftzmq.core.entry import Entry
from raftzmq.errors import CorruptFile
from raftzmq.machine import Result, machine, snapshots
from raftzmq.machine.commands.outcomes import Outcome
from raftzmq.machine.commands.table import COMMANDS
from raftzmq.machine.state import State
from raftzmq.machine.tables.keys import KeyTable
from raftzmq.machine.tables.sessions import Session, Sessions
from raftzmq.machine.values import item_body
from raftzmq.node import Node, clients
from raftzmq.storage import directory
from raftzmq.storage.files import Files
from raftzmq.storage.segments import LoadedLog, load_segments, segment_first
from tests.planted.defect import Defect
from tests.sim.disks import _SimHandle

PUT: Final = COMMANDS["put"]
CAS: Final = COMMANDS["cas"]


def cut_at_the_first_damage(patch: pytest.MonkeyPatch) -> None:
    """Whatever follows a line with a wrong checksum goes, as if the write had been cut short."""

    def load(files: Files, path: Path) -> LoadedLog:
        while True:
            try:
                return load_segments(files, path)
            except CorruptFile as error:
                for name in files.names(path):
                    if segment_first(name) is not None and name > error.path.name:
                        files.unlink(path / name)
                with closing(files.append(error.path)) as file:
                    file.truncate(error.byte)

    patch.setattr(directory, "load_segments", load)


def sync_again_after_an_error(patch: pytest.MonkeyPatch) -> None:
    sync = _SimHandle.sync

    def insist(handle: _SimHandle) -> None:
        try:
            sync(handle)
        except OSError:
            sync(handle)

    patch.setattr(_SimHandle, "sync", insist)


def stamp_with_the_own_clock(patch: pytest.MonkeyPatch) -> None:
    """Replicated time is the node's own, not what the leader wrote into the entry."""
    apply = Node._apply

    def at_once(node: Node, committed: Sequence[Entry]) -> None:
        apply(node, [entry._replace(time_ms=node.now_ms) for entry in committed])

    patch.setattr(Node, "_apply", at_once)


def make_an_id_while_applying(patch: pytest.MonkeyPatch) -> None:
    """Every write is given an id of its own, on each node."""

    def put(state: State, key: str, value: Any) -> Outcome:
        PUT.run(state, key, value)
        return "ok", str(uuid4())

    patch.setitem(COMMANDS, "put", replace(PUT, run=put))


def evict_in_the_order_of_a_set(patch: pytest.MonkeyPatch) -> None:
    """A full table gives up whichever idle session a set has first: objects in a set lie by
    their addresses, which are others on every node (as strings do by the seed of their hash)."""

    def idle_for(sessions: Sessions, idle_ms: int, time_ms: int) -> Session | None:
        found = {s for s in sessions.table.values() if time_ms - s.used_ms >= idle_ms}
        return next(iter(found), None)

    patch.setattr(Sessions, "_idle_for", idle_for)


class _Forgetful(dict[int, Result]):
    def get(self, serial: int, default: Any = None) -> Any:
        return default


def execute_retries(patch: pytest.MonkeyPatch) -> None:
    """The results of a session are kept, and nobody looks there before executing."""
    begin = Session.__init__

    def forgetful(session: Session, number: int, used_ms: int, ack: int = 0) -> None:
        begin(session, number, used_ms, ack)
        session.results = _Forgetful()

    patch.setattr(Session, "__init__", forgetful)


def add_again_when_sent_again(patch: pytest.MonkeyPatch) -> None:
    """The result of an `incr` is kept under its serial, and is not looked for there."""
    execute = machine._execute

    def forgetful(state: State, number: int, ack: int, op: Any) -> Result:
        session = state.sessions.table.get(number)
        if session is not None and op[1] == "incr":
            session.results.pop(op[0], None)
        return execute(state, number, ack, op)

    patch.setattr(machine, "_execute", forgetful)


def leave_sessions_out_of_snapshots(patch: pytest.MonkeyPatch) -> None:
    """And out of the state's hash, which is made of the same records: so it does not tell."""
    records = snapshots.records

    def without(state: State) -> Iterator[list[Any]]:
        return (r for r in records(state) if r[0] not in ("session", "result"))

    patch.setattr(snapshots, "records", without)


def revive_ended_sessions(patch: pytest.MonkeyPatch) -> None:
    """A command makes its session anew if there is none."""
    execute = machine._execute

    def revived(state: State, number: int, ack: int, op: Any) -> Result:
        if number and number not in state.sessions.table:
            state.sessions.open(number, state.time_ms)
        return execute(state, number, ack, op)

    patch.setattr(machine, "_execute", revived)


def call_a_timeout_a_failure(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(verdicts, "_may_act", lambda call: False)


def take_keys_to_be_there(patch: pytest.MonkeyPatch) -> None:
    """A comparison asks for the revision of a key that may be absent."""

    def cas(state: State, key: str, value: Any, revision: int) -> Outcome:
        _, current, _ = state.keys.items[key]
        if current != revision:
            return "compare_failed", item_body(state.keys.items[key])
        return CAS.run(state, key, value, revision)

    patch.setitem(COMMANDS, "cas", replace(CAS, run=cas))


def check_nothing_before_the_log(patch: pytest.MonkeyPatch) -> None:
    """An operation is looked at for the first time when it is applied, and that is too late."""
    patch.setattr(clients, "validate_write", lambda op: None)


def refuse_when_applied(patch: pytest.MonkeyPatch) -> None:
    """The table of keys has the limit of values too, and is off by one."""
    put = KeyTable.put

    def bounded(keys: KeyTable, key: str, value: Any, *rest: Any) -> None:
        if len(value) >= limits.VALUE_BYTES:
            raise ValueError("the value is too large")
        put(keys, key, value, *rest)

    patch.setattr(KeyTable, "put", bounded)


DEFECTS: Final = (
    Defect(
        3,
        "every checksum error is treated as a torn tail",
        cut_at_the_first_damage,
        told="found damage, and came back to|lacks entries that its node has acknowledged",
        seeds=120,
        start=5053,
    ),
    Defect(
        4,
        "fsync is tried again after EIO",
        sync_again_after_an_error,
        told="durable|its disk would hold|the checksum does not match",
        seeds=60,
    ),
    Defect(
        12,
        "applying an entry reads the node's own clock",
        stamp_with_the_own_clock,
        told="have different states at index|, others got",
        seeds=10,
    ),
    Defect(
        13,
        "applying an entry makes a random id",
        make_an_id_while_applying,
        told="got .*-.*, others got",
        seeds=10,
        half="a",
    ),
    Defect(
        13,
        "applying an entry follows the order of a set",
        evict_in_the_order_of_a_set,
        told="have different states at index|, others got",
        seeds=100,
        half="b",
    ),
    Defect(
        14,
        "a retry is applied twice",
        execute_retries,
        told=r"for serial \d+, and now|should have given|the log gives|is not linearizable",
        seeds=30,
        half="a",
    ),
    Defect(
        14,
        "sessions are missing from the snapshot",
        leave_sessions_out_of_snapshots,
        told="got .*'session_expired'",
        seeds=30,
        half="b",
    ),
    Defect(
        15,
        "a command is executed on a session that has ended",
        revive_ended_sessions,
        told=r"should have given \('session_expired'|for serial \d+, and now",
        seeds=30,
        half="a",
    ),
    Defect(
        16,
        "a timeout is reported as a failure",
        call_a_timeout_a_failure,
        told="was called failed, and was done",
        seeds=20,
    ),
    Defect(
        20,
        "an odd but well-formed command raises where it is applied",
        take_keys_to_be_there,
        told="KeyError: 'k",
        seeds=10,
        half="a",
    ),
    Defect(
        20,
        "what is ill-formed is found out when it is applied, and not before",
        check_nothing_before_the_log,
        told="harmed: log entry .* run that version|is ill-formed, and was accepted|Invalid base64"
        "|TypeError: 'NoneType' object is not iterable",
        seeds=20,
        half="b",
    ),
    Defect(
        20,
        "a limit that is checked twice is not the same where it is applied",
        refuse_when_applied,
        told="ValueError: the value is too large",
        seeds=20,
        half="c",
    ),
    Defect(
        36,
        "an incr that is sent again adds again",
        add_again_when_sent_again,
        told=r"for serial \d+, and now|should have given \('ok'|is not linearizable",
        seeds=60,
        start=5032,
    ),
)
