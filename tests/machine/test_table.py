"""The table of operations is total: each row says everything, and says it once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from inspect import Parameter, signature
from typing import Any

import pytest

from raftzmq.errors import InvalidRequest
from raftzmq.machine import READS, WRITES, Machine
from raftzmq.machine.commands import fences, table, transactions
from raftzmq.machine.commands.operation import Command, Operation
from raftzmq.machine.commands.outcomes import refused
from tests.machine.driver import Driver

ALL: list[Operation] = [
    *table.COMMANDS.values(),
    *table.SESSIONLESS.values(),
    *table.READS.values(),
]
IN_SESSIONS: list[Operation] = [*table.COMMANDS.values(), *table.READS.values()]


def named(row: Operation) -> str:
    return row.name


def parameters(function: Callable[..., Any]) -> tuple[int, bool]:
    """How many arguments a function takes, and whether it takes more of them."""
    kinds = [parameter.kind for parameter in signature(function).parameters.values()]
    return kinds.count(Parameter.POSITIONAL_OR_KEYWORD), Parameter.VAR_POSITIONAL in kinds


def takes(function: Callable[..., Any], count: int) -> bool:
    fixed, more = parameters(function)
    return fixed <= count if more else fixed == count


def test_every_operation_has_one_row() -> None:
    names = Counter(row.name for row in ALL)
    assert set(names.values()) == {1}
    for rows in (table.COMMANDS, table.SESSIONLESS, table.READS):
        assert all(row.name == name for name, row in rows.items())


def test_clients_may_send_every_row_but_those_of_leaders() -> None:
    internal = {name for name, row in table.SESSIONLESS.items() if row.internal}
    assert internal == {"expire", "cluster_version", "program"}
    assert not any(row.internal for row in table.COMMANDS.values())
    assert {*table.COMMANDS, *table.SESSIONLESS} - internal == WRITES
    assert set(table.READS) == READS


@pytest.mark.parametrize("row", IN_SESSIONS, ids=named)
def test_what_runs_takes_the_state_and_every_argument(row: Operation) -> None:
    more = getattr(row, "bounded", False) or getattr(row, "owned", False)
    assert takes(row.run, len(row.arguments) + 1 + more)
    assert row.length == len(row.arguments) + 2


@pytest.mark.parametrize("row", table.SESSIONLESS.values(), ids=named)
def test_what_needs_no_session_takes_the_state_and_its_number(row: Command) -> None:
    assert takes(row.run, 2 + len(row.arguments) + row.bounded)
    always = row.name in ("cluster_version", "program")  # the others once had no arguments
    older = 2 if always else 0
    assert len(row.arguments) == row.newer + older


@pytest.mark.parametrize("row", ALL, ids=named)
def test_every_argument_has_a_check_that_refuses_what_is_nothing(row: Operation) -> None:
    for name, check in row.arguments.items():
        with pytest.raises(InvalidRequest):
            check(object(), name)
    if row.check_together is not None:
        assert takes(row.check_together, len(row.arguments))


def test_what_may_stand_behind_a_fence() -> None:
    deletes = {"delete", "delete_prefix", "delete_first"}
    allowed = {"put", "put_leased", "put_ttl", "put_if", "incr", "cas", "txn"} | deletes
    assert set(fences.FENCED) == allowed
    assert {name for name, row in table.COMMANDS.items() if row.fenced} == allowed


def test_what_gets_a_bound_from_the_leader() -> None:
    rows = {**table.COMMANDS, **table.SESSIONLESS}
    bounded = {name for name, row in rows.items() if row.bounded}
    assert bounded == {"delete_prefix", "txn", "lease_revoke", "expire"}
    for name in bounded:
        count = len(rows[name].arguments)
        assert [rows[name].takes(count + more) for more in (0, 1, 2)] == [True, True, False]


def test_what_belongs_to_the_user_whose_name_the_leader_adds() -> None:
    rows = {**table.COMMANDS, **table.SESSIONLESS}
    assert {name for name, row in rows.items() if row.owned} == {"lease_grant"}
    assert not any(row.owned and row.bounded for row in rows.values()), "one of them would be lost"
    count = len(rows["lease_grant"].arguments)
    assert [rows["lease_grant"].takes(count + more) for more in (0, 1, 2)] == [True, True, False]


def test_what_may_stand_within_a_transaction() -> None:
    commands = {name for name, row in table.COMMANDS.items() if row.touches is not None}
    reads = {name for name, row in table.READS.items() if row.in_transaction}
    assert commands == {"put", "put_if", "incr", "delete", "delete_prefix"}
    assert reads == {"get", "range", "prefix"}
    assert set(transactions.BRANCH) == commands | reads


@pytest.mark.parametrize("row", table.COMMANDS.values(), ids=named)
def test_what_a_transaction_takes_back_is_told_from_the_arguments(row: Command) -> None:
    if row.touches is not None:
        assert takes(row.touches, len(row.arguments) + 1)


@pytest.mark.parametrize("name", [*table.COMMANDS, *table.SESSIONLESS])
def test_every_command_runs_by_its_row(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = table.COMMANDS if name in table.COMMANDS else table.SESSIONLESS
    row = replace(rows[name], run=lambda *_: refused("busy", "it ran"))
    monkeypatch.setitem(rows, name, row)
    machine = Machine()
    if name in table.COMMANDS:
        machine.state.sessions.open(1, 0)
    number = int(name in table.COMMANDS)
    op = [0, name, *[None] * len(row.arguments)]
    assert machine.apply(1, 0, [number, 0, op]) == ("busy", 1, {"message": "it ran"})


def test_a_command_that_is_refused_takes_back_the_whole_transaction(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    db = Driver()
    db.write("put", "a", "before")
    delete = table.COMMANDS["delete"]
    refusing = replace(delete, run=lambda *_: refused("busy", "not now"))
    monkeypatch.setitem(transactions.BRANCH, "delete", refusing)
    changes = [["put", "a", "after"], ["put", "b", "new"], ["delete", "a"]]
    assert db.write("txn", [], changes, []) == ("busy", 3, {"message": "not now"})
    assert db.keys() == ["a"]
    assert db.read("get", "a") == ["before", 2]
