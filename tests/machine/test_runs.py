"""Puts that are executed together give what executing each of them gives."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from raftzmq.core.entry import COMMAND, Entry
from raftzmq.lines import encode_entries, encode_entry
from raftzmq.machine import Machine
from raftzmq.machine.runs import execute_puts

ODD: list[Any] = [
    [1, 3, [3, "put", "k", {"b64": "aGk="}]],
    [1, 3, [3, "get", "k", "v"]],
    [1, 3, [3, "delete", "k"]],
    [1, 3, [3, "cas", "k", "v", 0]],
    [1, 3, [3, "put", 7, "v"]],
    [1, 3, [True, "put", "k", "v"]],
    [1, 3, [2, "put", "k", "below the ack"]],
    [1, 3, [3 + 16_385, "put", "k", "too far above it"]],
    [1, 3, "put!"],
    [9, 3, [3, "put", "k", "no such session"]],
    [1, 3],
    {"a": 1},
    "abc",
    None,
]


def puts(first: int, count: int, serial: int = 3) -> list[Entry]:
    bodies = [[1, 3, [serial + n, "put", f"k{n}", f"v{n}"]] for n in range(count)]
    return encode_entries(first, 1, 1000, COMMAND, bodies)


def opened() -> Machine:
    machine = Machine()
    machine.apply(1, 500, [0, 0, [0, "open"]])
    return machine


def test_plain_puts_are_executed_together() -> None:
    machine = opened()
    results = execute_puts(machine._state, puts(2, 50))
    assert results == [("ok", index, None) for index in range(2, 52)]
    assert (machine.applied_index, machine.time_ms, len(machine)) == (51, 1000, 50)


@pytest.mark.parametrize("body", ODD)
@pytest.mark.parametrize("place", [0, 1, 4])
def test_anything_else_among_them_is_left_to_be_executed_alone(body: Any, place: int) -> None:
    machine = opened()
    before = machine.state_hash()
    entries = puts(2, 5, serial=4)
    entries[place] = encode_entry(2 + place, 1, 1000, COMMAND, body)
    assert execute_puts(machine._state, entries) is None
    assert machine.state_hash() == before


def test_a_retry_is_left_to_be_executed_alone() -> None:
    machine = opened()
    machine.apply_all(puts(2, 5))
    assert execute_puts(machine._state, puts(7, 1, serial=7)) is None
    twice = [*puts(7, 1, serial=20), *puts(8, 1, serial=20)]
    assert execute_puts(machine._state, twice) is None


def test_entries_out_of_order_are_refused_as_ever() -> None:
    machine = opened()
    machine.apply_all(puts(2, 5))
    with pytest.raises(ValueError, match="applied already"):
        machine.apply_all(puts(4, 5, serial=50))


@pytest.mark.parametrize("seed", range(20))
def test_however_a_log_is_cut_its_effect_is_the_same(seed: int) -> None:
    random = Random(seed)
    log = [encode_entry(n, 1, n, COMMAND, [0, 0, [0, "open"]]) for n in (1, 2)]
    serials = {1: 0, 2: 0}
    while len(log) < 400:
        session = random.choice([1, 2])
        ack = max(0, serials[session] - random.randrange(30))
        bodies: list[Any] = []
        for _ in range(random.randrange(1, 20)):
            retry = random.random() < 0.05
            serial = serials[session] = serials[session] + (0 if retry else 1)
            key = f"k{random.randrange(60)}"
            other = random.random() < 0.03
            op = [serial, "delete", key] if other else [serial, "put", key, str(serial)]
            bodies.append([session, ack, op])
        log += encode_entries(len(log) + 1, 1, len(log), COMMAND, bodies)
    alone, together = Machine(), Machine()
    expected = [alone.apply(entry.index, entry.time_ms, entry.body) for entry in log]
    results = []
    start = 0
    while start < len(log):
        end = start + random.randrange(1, 40)
        results += together.apply_all(log[start:end])
        start = end
    assert results == expected
    assert together.state_hash() == alone.state_hash()
    assert together._state.keys.ordered() == alone._state.keys.ordered()
