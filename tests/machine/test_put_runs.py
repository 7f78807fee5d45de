"""Puts that are executed together give what executing each of them gives."""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from random import Random
from typing import Any

import pytest

from raftzmq.core.entry import COMMANDS, Entry
from raftzmq.errors import UnknownEntry
from raftzmq.lines import encode_entry
from raftzmq.machine import Machine
from raftzmq.machine.put_runs import execute_puts

ODD: list[Any] = [
    [3, "put", "k", {"b64": "aGk="}],
    [3, "get", "k", "v"],
    [3, "delete", "k"],
    [3, "cas", "k", "v", 0],
    [3, "put", 7, "v"],
    [True, "put", "k", "v"],
    [2, "put", "k", "below the ack"],
    [3 + 16_385, "put", "k", "too far above it"],
    "put!",
    [3, "put"],
    {"a": 1},
    None,
]


def puts(count: int, serial: int = 3) -> list[Any]:
    return [[serial + n, "put", f"k{n}", f"v{n}"] for n in range(count)]


def entry(index: int, *groups: Any) -> Entry:
    return encode_entry(index, 1, 1000, COMMANDS, list(groups))


def opened() -> Machine:
    machine = Machine()
    machine.apply(1, 500, [0, 0, [0, "open"]])
    return machine


def test_plain_puts_are_executed_together() -> None:
    machine = opened()
    results = execute_puts(machine.state, 1, 3, puts(50))
    assert results == [("ok", revision, None) for revision in range(2, 52)]
    assert (machine.applied_index, machine.revision, len(machine)) == (1, 51, 50)


@pytest.mark.parametrize("op", ODD)
@pytest.mark.parametrize("place", [0, 1, 4])
def test_anything_else_among_them_is_left_to_be_executed_alone(op: Any, place: int) -> None:
    machine = opened()
    before = machine.state_hash()
    ops = puts(5, serial=4)
    ops[place] = op
    assert execute_puts(machine.state, 1, 3, ops) is None
    assert machine.state_hash() == before


@pytest.mark.parametrize(("number", "ack"), [(9, 3), (True, 3), ("1", 3), (1, None), (None, 3)])
def test_a_session_that_is_none_has_nothing_executed(number: Any, ack: Any) -> None:
    machine = opened()
    assert execute_puts(machine.state, number, ack, puts(5)) is None


def test_a_retry_is_left_to_be_executed_alone() -> None:
    machine = opened()
    machine.apply_all([entry(2, [1, 3, puts(5)])])
    assert execute_puts(machine.state, 1, 3, puts(1, serial=7)) is None
    assert execute_puts(machine.state, 1, 3, [*puts(1, serial=20), *puts(1, serial=20)]) is None


def test_entries_out_of_order_are_refused_as_ever() -> None:
    machine = opened()
    machine.apply_all([entry(2, [1, 3, puts(5)])])
    with pytest.raises(ValueError, match="applied already"):
        machine.apply_all([entry(2, [1, 3, puts(5, serial=50)])])


@pytest.mark.parametrize(
    "body", [None, "abc", {"a": 1}, [None], [[1, 3]], [[1, 3, "ab"]], [[1, 3, [None, "put"]]]]
)
def test_what_is_no_list_of_groups_is_unknown(body: Any) -> None:
    with pytest.raises(UnknownEntry, match="log entry 2"):
        opened().apply_all([encode_entry(2, 1, 1000, COMMANDS, body)])


def test_every_command_of_an_entry_has_a_revision_of_its_own() -> None:
    machine = opened()
    machine.advance(2, 1000)
    [results] = machine.apply_all([entry(3, [1, 0, puts(3)], [1, 0, [[9, "delete", "k1"]]])])
    assert [revision for _, revision, _ in results] == [3, 4, 5, 6]
    [[later]] = machine.apply_all([entry(4, [1, 0, [[10, "put", "k", "v"]]])])
    assert later == ("ok", 7, None)
    assert machine.read([1, "get", "k2"])[2] == ["v2", 5]


@pytest.mark.parametrize("seed", range(20))
def test_however_commands_share_entries_their_effect_is_the_same(seed: int) -> None:
    random = Random(seed)
    commands: list[Any] = [[0, 0, [0, "open"]], [0, 0, [0, "open"]]]
    serials = {1: 0, 2: 0}
    while len(commands) < 400:
        session = random.choice([1, 2])
        ack = max(0, serials[session] - random.randrange(30))
        for _ in range(random.randrange(1, 20)):
            retry = random.random() < 0.05
            serial = serials[session] = serials[session] + (0 if retry else 1)
            key = f"k{random.randrange(60)}"
            other = random.random() < 0.03
            op = [serial, "delete", key] if other else [serial, "put", key, str(serial)]
            commands.append([session, ack, op])
    alone, together = Machine(), Machine()
    observed = random.random() < 0.7
    for machine in (alone, together):
        machine.observe_changes(observed)
    expected = [alone.apply(n, 1000, command) for n, command in enumerate(commands, 1)]
    results = []
    start, index = 0, 1
    while start < len(commands):
        end = start + random.randrange(1, 40)
        groups = [
            [session, ack, [op for _, _, op in run]]
            for (session, ack), run in groupby(commands[start:end], key=itemgetter(0, 1))
        ]
        [found] = together.apply_all([entry(index, *groups)])
        results += found
        start, index = end, index + 1
    assert results == expected
    assert together.take_changes() == alone.take_changes()
    assert list(together.snapshot())[1:] == list(alone.snapshot())[1:]


def test_the_changes_of_a_run_are_those_of_its_puts_one_by_one() -> None:
    random = Random(5)
    alone, together = opened(), opened()
    for machine in (alone, together):
        machine.observe_changes(True)
    index, serial = 1, 0
    for _ in range(50):
        ops = [[serial + n, "put", f"k{random.randrange(9)}", f"v{serial + n}"] for n in range(6)]
        together.apply_all([entry(index := index + 1, [1, 0, ops])])
        alone.apply_all([entry(index, *[[1, 0, [op]] for op in ops])])
        serial += 6
    changes = together.take_changes()
    assert changes == alone.take_changes()
    assert len(changes) == 300
