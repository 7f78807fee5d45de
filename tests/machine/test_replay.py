"""Long runs of random commands: the machine agrees with the plain model, with a machine that was
restored from a snapshot half-way, and with itself in another process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raftzmq import limits
from raftzmq.core.entry import COMMAND
from raftzmq.lines import encode_entry
from raftzmq.machine import Machine, bounded, owned, validate_write
from raftzmq.machine.tables import keys
from tests.machine.driver import restored
from tests.machine.key_changes import change
from tests.machine.model import Model, session_number

ALPHABET = ["a", "b", "aa", "ab", "a/", "\ud7ff", "\ue000", "\U0010ffff", "a\U0010ffff", "\x00"]
STARTS = ["", *ALPHABET, "c"]
VALUES = ["", "v", "ü", {"b64": ""}, {"b64": "dg=="}]


@contextmanager
def small_limits() -> Iterator[None]:
    """Make the bounds small enough to be met all the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "SESSIONS", 3)
        patch.setattr(limits, "SESSION_EVICTABLE_MS", 5)
        patch.setattr(limits, "SESSION_TTL_MS", 12)
        patch.setattr(limits, "SESSION_OUTSTANDING", 6)
        patch.setattr(limits, "REMOVALS_PER_ENTRY", 3)
        patch.setattr(keys, "BUCKET_KEYS", 2)
        yield


def operation(random: Random, depth: int = 0) -> list[Any]:
    """Return a random write, without its serial."""
    key, start = random.choice(ALPHABET), random.choice(STARTS)
    choice = random.randrange(12 if depth == 0 else 8)
    if choice < 3:
        return ["put", key, random.choice(VALUES)]
    if choice == 3:
        return ["delete", key]
    if choice == 4:
        deletes = [["delete_prefix", start]] if depth else [["delete_prefix", start], first(random)]
        return random.choice([*deletes, ["put", key, "v"]])
    if choice < 8 and depth:
        reads: list[list[Any]] = [
            ["get", key],
            ["range", start, random.choice(STARTS), random.randint(1, 4)],
            ["prefix", start, random.randint(1, 4)],
        ]
        return random.choice(reads)
    if choice < 8:
        return ["cas", key, random.choice(VALUES), random.choice([0, random.randint(0, 40)])]
    branches = [[operation(random, 1) for _ in range(random.randrange(4))] for _ in range(2)]
    return ["txn", [compare(random) for _ in range(random.randrange(3))], *branches]


def first(random: Random) -> list[Any]:
    return ["delete_first", random.choice(STARTS), random.randint(1, limits.REMOVALS_PER_ENTRY)]


def logged(random: Random, op: list[Any]) -> list[Any]:
    """Return a write as it is in the log: with a bound and an owner, or as older versions wrote
    it."""
    validate_write(op)
    return owned(bounded(op), "billing") if random.random() < 0.7 else op


def expire(random: Random) -> list[Any]:
    """Return the body of an `expire`, with a bound or as older versions wrote it."""
    bounds = [limits.REMOVALS_PER_ENTRY] if random.random() < 0.7 else []
    return [0, 0, [0, "expire", *bounds]]


def compare(random: Random) -> list[Any]:
    key = random.choice(ALPHABET)
    if random.random() < 0.5:
        return [key, "value", random.choice(["=", "!="]), random.choice([None, *VALUES])]
    return [key, "revision", random.choice(["=", "!=", "<", ">"]), random.randint(0, 40)]


def command(random: Random, index: int, sessions: list[int]) -> list[Any]:
    """Return the body of a random entry; `sessions` are the numbers that were ever given."""
    if random.random() < 0.05:
        return [0, 0, [0, "cluster_version", random.choice([1, 2, 2]), False]]
    choice = random.randrange(20)
    if choice == 0 or not sessions:
        return [0, 0, [0, "open", *random.choice([[], [f"{random.getrandbits(64):016x}"]])]]
    if choice == 1:
        return expire(random)
    session = random.choice([*sessions[-2:] * 3, *sessions[-6:], 99_999])
    if choice == 2:
        return [session, 0, [index, "close"]]
    serial = max(0, index // 2 + random.randint(-4, 8))
    op = logged(random, [serial, *operation(random)])
    return [session, max(0, index // 2 - random.randint(0, 6)), op]


def history(seed: int, length: int) -> list[tuple[int, int, list[Any]]]:
    """Return a random log: index, time and body of each entry. Some indices are left out."""
    random = Random(seed)
    entries: list[tuple[int, int, list[Any]]] = []
    sessions: list[int] = []
    index = time_ms = 0
    for _ in range(length):
        index += random.choice([1, 1, 1, 2])
        time_ms += random.choice([0, 0, 1, 3])
        body = command(random, index, sessions)
        if body[2][1] == "open":
            sessions.append(session_number(index, *body[2][2:]))
        entries.append((index, time_ms, body))
    return entries


def plain(result: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return a result without the wording of its message."""
    code, index, body = result
    return (code, index) if isinstance(body, dict) and "message" in body else result


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_the_machine_agrees_with_the_model_and_with_its_own_snapshots(seed: int) -> None:
    random = Random(seed)
    with small_limits():
        machine, model, copied = Machine(), Model(), Machine()
        for index, time_ms, body in history(seed, 120):
            expected = model.apply(index, time_ms, body)
            assert plain(machine.apply(index, time_ms, body)) == expected
            assert plain(copied.apply(index, time_ms, body)) == expected
            start, end = random.choice(STARTS), random.choice(STARTS)
            limit = random.randint(1, 12)
            for read in (["range", start, end, limit], ["prefix", start, limit], ["get", "a"]):
                assert machine.read([1, *read])[2] == model.read(*read)
            for key in ALPHABET:
                read = ["item", key]
                assert copied.read([1, *read])[2] == model.read(*read)
            if random.random() < 0.05:
                copied = restored(copied)
        assert len(machine) == len(model.keys)
        assert machine.session_count == len(model.sessions)
        assert machine.state_hash() == copied.state_hash() == restored(machine).state_hash()


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), bucket=st.integers(1, 20))
def test_the_table_of_keys_is_a_sorted_dictionary(seed: int, bucket: int) -> None:
    random = Random(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keys, "BUCKET_KEYS", bucket)
        names = [f"{random.randrange(100):02}{tail}" for tail in ("", "x") for _ in range(60)]
        table = keys.KeyTable()
        plain_table: dict[str, Any] = {}
        table.count_versions(True)
        for revision in range(400):
            name = random.choice(names)
            if random.random() < random.choice([0.3, 0.8]):
                table.put(name, "v", revision)
                _, _, written = plain_table.get(name, ("", 0, 0))
                plain_table[name] = ("v", revision, written + 1)
            elif random.random() < 0.95:
                assert table.remove(name, revision) == (plain_table.pop(name, None) is not None)
            else:
                end = random.choice([*names, ""])
                gone = [
                    key for key in sorted(plain_table) if name <= key and (key < end or not end)
                ]
                assert table.remove_span(name, end, revision) == [
                    (key, plain_table.pop(key)) for key in gone
                ]
            assert [key for key, _ in table.freeze()] == sorted(plain_table)
            assert table.items == plain_table


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), bucket=st.integers(1, 20))
def test_frozen_keys_are_those_of_their_moment_however_late_they_are_read(
    seed: int, bucket: int
) -> None:
    random = Random(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keys, "BUCKET_KEYS", bucket)
        names = [f"{number:03}" for number in range(120)]
        table = keys.KeyTable(dict.fromkeys(random.sample(names, 60), ("v", 0, 0)))
        readers: list[tuple[Iterator[Any], list[Any], list[Any]]] = []
        for revision in range(1, 300):
            change(table, names, revision, random)
            if random.random() < 0.05:
                expected = sorted(table.items.items())
                readers.append((iter(table.freeze()), expected, []))
            for reader, _, read in readers:
                read.extend(islice(reader, random.randint(0, 3)))
        for reader, expected, read in readers:
            assert [*read, *reader] == expected
        readers.clear()
        del reader, read, expected
        assert table.frozen_count == 0, "nobody reads any more, and it still costs"


def test_applying_a_run_of_entries_is_applying_each_of_them() -> None:
    log = history(7, 400)
    one_by_one, at_once = Machine(), Machine()
    entries = [encode_entry(index, 1, time_ms, COMMAND, body) for index, time_ms, body in log]
    expected = [[one_by_one.apply(*entry)] for entry in log]
    assert at_once.apply_all(entries[:150]) + at_once.apply_all(entries[150:]) == expected
    assert at_once.apply_all([]) == []
    assert at_once.state_hash() == one_by_one.state_hash()
    assert at_once.applied_index == log[-1][0]


REPLAY = """
from tests.machine import test_coordination_replay, test_replay
from raftzmq.machine import Machine
for module in (test_replay, test_coordination_replay):
    machine = Machine()
    machine.observe_changes(True)
    results = [machine.apply(*entry) for entry in module.history(11, 600)]
    print(machine.state_hash(), results, machine.take_changes())
"""


@pytest.mark.proof
def test_every_process_gets_the_same_results_changes_and_hash() -> None:
    def replay(seed: str) -> str:
        environment = {
            **os.environ,
            "PYTHONHASHSEED": seed,
            "PYTHONPATH": os.pathsep.join(sys.path),
        }
        return subprocess.run(
            [sys.executable, "-c", REPLAY], env=environment, text=True, stdout=-1, check=True
        ).stdout

    first = replay("0")
    assert len(first) > 1000
    assert replay("1") == first
    assert replay("4242") == first
