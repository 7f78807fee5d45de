"""What the state takes is counted as it changes: the same on every node, and near the truth."""

from __future__ import annotations

import subprocess
import sys
from random import Random
from typing import Any

import pytest

from raftzmq.core.entry import COMMANDS, Entry
from raftzmq.machine import WRITES, Machine, adds, memory
from raftzmq.machine.commands import table
from tests.amounts import sample
from tests.machine.audit import audit, memory_of_state
from tests.machine.driver import Driver

KEYS = [f"k{number}" for number in range(12)]
TEXTS: list[Any] = ["", "v", "x" * 1000, "ü", "日本語" * 50, "🙂"]
VALUES: list[Any] = [*TEXTS, {"b64": "AAECAw=="}, {"b64": ""}]


@pytest.fixture
def db() -> Driver:
    driver = Driver()
    driver.time_ms = 1_000_000
    return driver


def operation(random: Random, db: Driver) -> list[Any]:
    """Some write, of whose leases and tokens a good part exist."""
    key, value = random.choice(KEYS), random.choice(VALUES)
    lease = random.choice([*db.machine.state.leases.table, 999_999])
    places = [*db.machine.state.queues.places.values()]
    kind, name, token = "lock", key, 999_999
    if places:
        place = random.choice(places)
        kind, name, token = place.queue.kind, place.queue.name, place.token
    text = value if type(value) is str and len(value) < 200 else None
    return random.choice(
        [
            ["put", key, value],
            ["cas", key, value, 0],
            ["delete", key],
            ["delete_prefix", random.choice(["", "k1", "no"])],
            ["delete_first", "k", 2],
            ["put_ttl", key, value, 1000],
            ["put_leased", key, value, lease],
            ["txn", [[key, "revision", "=", 0]], [["put", key, value]], [["delete", key]]],
            ["txn", [], [["put", key, value], ["get", key], ["delete_prefix", "k"]], []],
            ["lease_grant", 1000],
            ["lease_keep", lease],
            ["lease_revoke", lease],
            ["acquire", random.choice(["lock", "election"]), key, lease, 1, 0, True, text],
            ["acquire", "semaphore", key, lease, 1, 2, True, text],
            ["acquire", "counter", key, lease, 1, 0, True, text],
            ["release", kind, name, token],
            ["cancel", kind, name, token],
            ["signal", key, 1],
            ["resize", key, 3],
            ["forget", "semaphore", key],
            ["fenced", [[name, token]], ["put", key, value]],
        ]
    )


@pytest.mark.parametrize("seed", range(6))
def test_what_is_counted_is_what_is_there_after_any_command(db: Driver, seed: int) -> None:
    random = Random(seed)
    for _ in range(600):
        if random.random() < 0.05:
            db.time_ms += random.randrange(3000)
            db.expire()
        else:
            db.serial += random.randrange(2)  # half are sent again, and some results are kept
            ack = db.serial if random.random() < 0.3 else 0
            db.send(db.serial, *operation(random, db), ack=max(ack, db.serial - 40))
        assert db.machine.memory == memory_of_state(db.machine.state)
    audit(db.machine)


@pytest.mark.parametrize("seed", range(3))
def test_a_machine_from_a_snapshot_counts_the_same(db: Driver, seed: int) -> None:
    random = Random(seed)
    for _ in range(300):
        db.serial += 1
        db.send(db.serial, *operation(random, db), ack=max(0, db.serial - 40))
    copy = db.reborn()
    assert copy.memory == db.machine.memory
    audit(copy)


def test_puts_that_are_executed_together_count_the_same(db: Driver) -> None:
    random = Random(7)
    observed, plain = Machine(), Machine()
    observed.observe_changes(True)
    for index in range(1, 40):
        puts: list[Any] = [
            [100 * index + n, "put", random.choice(KEYS), random.choice(TEXTS)] for n in range(20)
        ]
        groups = [[0, 0, [[0, "open"]]]] if index == 1 else [[1, 100 * index - 50, puts]]
        for machine in (observed, plain):
            machine.apply_all([Entry(index, 1, index, COMMANDS, groups, b"")])
            assert machine.memory == memory_of_state(machine.state)
    assert observed.memory == plain.memory


def test_neither_snapshot_nor_hash_has_it(db: Driver) -> None:
    before = db.machine.state_hash()
    db.machine.state.sessions.memory += 1
    assert db.machine.state_hash() == before


def test_only_ascii_text_takes_a_byte_for_a_character() -> None:
    assert memory.memory_of("abc") == 3
    assert memory.memory_of(b"abc\xff") == 4
    assert memory.memory_of("abü") == 12
    assert memory.memory_of_all(["abc", "abü"]) == 15
    assert memory.memory_of_all(["abc", b"abc\xff"]) == 7


def test_everything_that_writes_says_whether_it_adds() -> None:
    adding = {name for name in WRITES if table.COMMANDS.get(name) and table.COMMANDS[name].adds}
    assert adding == {
        *("put", "cas", "put_leased", "put_ttl", "put_if", "incr"),
        *("lease_grant", "acquire", "signal", "resize", "proclaim", "call"),
    }


@pytest.mark.parametrize(
    ("op", "wanted"),
    [
        (["put", "k", "v"], True),
        (["put_if", "k", "v", None, ["ttl", 500]], True),
        (["incr", "k", 1, None], True),
        (["txn", [], [], [["incr", "k", 1, None]]], True),
        (["delete", "k"], False),
        (["open"], False),
        (["close"], False),
        (["lease_keep", 1], False),
        (["txn", [], [["delete", "k"]], [["get", "k"]]], False),
        (["txn", [], [["delete", "k"]], [["put", "k", "v"]], 2048], True),
        (["fenced", [["lock", 1]], ["delete", "k"]], False),
        (["fenced", [["lock", 1]], ["put", "k", "v"]], True),
        (["fenced", [["lock", 1]], ["txn", [], [["put", "k", "v"]], []]], True),
    ],
)
def test_a_transaction_adds_if_a_branch_may_and_a_fenced_write_if_it_does(
    op: list[Any], wanted: bool
) -> None:
    assert adds([7, *op]) is wanted


MEASURED = [
    ("small", 100_000, 0.8, 1.3),
    ("texts", 40_000, 0.8, 1.3),
    ("large", 60, 0.8, 1.3),
    ("umlauts", 40_000, 0.5, 4),
    ("bytes", 100_000, 0.8, 1.3),
    ("ends", 60_000, 0.8, 1.3),
    ("leased", 60_000, 0.8, 1.3),
    ("leases", 90_000, 0.8, 1.4),
    ("places", 90_000, 0.75, 1.3),
    ("queues", 50_000, 0.8, 1.3),
    ("semaphores", 90_000, 0.8, 1.4),
    ("results", 100_000, 0.8, 1.3),
    ("refusals", 60_000, 0.8, 1.3),
    ("lists", 60_000, 0.8, 1.3),
]


@pytest.mark.skipif(sys.platform != "linux", reason="it reads the process's resident memory")
@pytest.mark.parametrize(
    ("kind", "count", "least", "most"),
    sample(MEASURED, 4),
)
def test_what_is_counted_is_near_what_a_process_takes(
    kind: str, count: int, least: float, most: float
) -> None:
    """Text in other scripts is counted at the most that Python takes for a character."""
    command = [sys.executable, "-m", "tests.machine.memory_program", kind, str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    counted, taken = map(int, done.stdout.split())
    print(f"{kind}: {counted / taken:.2f} of {taken / count:.0f} bytes each")
    assert least <= counted / taken <= most
