"""Long runs of random commands about leases and queues: the machine agrees with the plain model and
with a machine that was restored on the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raftzmq import limits
from raftzmq.core.entry import COMMAND
from raftzmq.lines import encode_entry
from raftzmq.machine import Machine, validate_read
from raftzmq.machine.tables.places import KINDS, SIZED
from tests.machine.audit import audit
from tests.machine.driver import restored
from tests.machine.model import Model
from tests.machine.test_replay import ALPHABET, VALUES, expire, logged, operation, plain

Command = tuple[int, int, list[Any]]
"""Index, time and body of an entry."""

NAMES = ["a", "b"]


@contextmanager
def small_limits() -> Iterator[None]:
    """Make the bounds small enough to be met now and then."""
    with pytest.MonkeyPatch.context() as patch:
        for name, limit in (
            ("LEASES", 5),
            ("QUEUES", 7),
            ("PLACES", 10),
            ("PERMITS", 7),
            ("EXPIRE_AT_ONCE", 5),
            ("REMOVALS_PER_ENTRY", 3),
            ("SWEPT_PER_REMOVAL", 2),
            ("TRANSACTION_BYTES", 500),
        ):
            patch.setattr(limits, name, limit)
        yield


class Caller:
    """Makes commands that mostly mean what is there: it looks at the model before each."""

    def __init__(self, random: Random, model: Model) -> None:
        self.random = random
        self.model = model

    def lease(self) -> int:
        """Return a lease: one that is there, most of the time."""
        there = list(self.model.leases)
        return self.random.choice(there) if there and self.random.random() < 0.93 else 3

    def place(self) -> tuple[str, str, int]:
        """Return kind, name and token of a place: one that is there, most of the time."""
        random, there = self.random, list(self.model.places.items())
        if not there or random.random() < 0.07:
            return random.choice(KINDS), random.choice(NAMES), random.randint(1, 99)
        token, ((kind, name), *_) = random.choice(there)
        return kind, name, token

    def value(self) -> Any:
        return self.random.choice(VALUES)

    def write(self) -> list[Any]:
        """Return a write, without its serial."""
        random = self.random
        weights = {
            self.acquire: 30,
            self.release: 16,
            self.sizes: 8,
            self.proclaim: 6,
            self.leases: 18,
            self.keys: 14,
            self.fenced: 6,
        }
        (make,) = random.choices(list(weights), list(weights.values()))
        return make()

    def acquire(self) -> list[Any]:
        random = self.random
        kind, name = random.choice(KINDS), random.choice(NAMES)
        sized = [1, 0]
        if kind in SIZED:
            sized = [random.choice([1, 1, 2, 3]), random.choice([0, 3, 3, 3, 4])]
            if (kind, name) in self.model.queues and random.random() < 0.8:
                sized[1] = 0
        wait, value = random.random() < 0.8, random.choice([None, "address"])
        return ["acquire", kind, name, self.lease(), *sized, wait, value]

    def release(self) -> list[Any]:
        return [self.random.choice(["release", "cancel"]), *self.place()]

    def proclaim(self) -> list[Any]:
        _, name, token = self.place()
        return ["proclaim", name, token, self.random.choice([None, "moved", "address"])]

    def sizes(self) -> list[Any]:
        random = self.random
        name = random.choice(NAMES)
        return random.choice(
            [
                ["resize", name, random.randint(1, 4)],
                ["signal", name, random.randint(1, 5)],
                ["forget", random.choice(SIZED), name],
            ]
        )

    def leases(self) -> list[Any]:
        random = self.random
        choice = random.random()
        if choice < 0.5:
            return ["lease_grant", random.choice([500, 1500, 3000])]
        return ["lease_keep" if choice < 0.85 else "lease_revoke", self.lease()]

    def keys(self) -> list[Any]:
        random = self.random
        key = random.choice(ALPHABET)
        choice = random.random()
        if choice < 0.35:
            return ["put_leased", key, self.value(), self.lease()]
        if choice < 0.5:
            return ["put_ttl", key, self.value(), random.choice([500, 900, 2000])]
        if choice < 0.7:
            revision = random.choice([None, 0, self.model.revision(key), self.model.revision(key)])
            return ["put_if", key, self.value(), revision, self.end()]
        if choice < 0.78:
            return ["incr", key, random.choice([1, -4, limits.NUMBER_MAX]), self.new_end()]
        if choice < 0.85:  # it is rolled back if more is left than may be read
            ending = ["put_if", key, "v", None, self.end()]
            number = ["incr", key, 1, self.new_end()]
            changes = [["put", key, "v"], ["delete", key], ["delete_prefix", "a"], ending, ending]
            change = random.choice([*changes, number])
            return ["txn", [], [["put", "b", "v"], change, ["range", "", "", 9]], []]
        return operation(random)

    def end(self) -> Any:
        """When a key ends, as `put_if` says it."""
        random = self.random
        lease = random.choice([self.lease(), 1])  # 1 is none
        return random.choice(
            [None, "keep", "keep", ["lease", lease], ["lease", lease], ["ttl", 700]]
        )

    def new_end(self) -> Any:
        """When a new key ends, as `incr` says it."""
        end = self.end()
        return None if end == "keep" else end

    def fenced(self) -> list[Any]:
        fences = [list(self.place()[1:]) for _ in range(self.random.choice([1, 1, 2]))]
        return ["fenced", fences, self.keys()]

    def reads(self) -> list[list[Any]]:
        """Return reads of everything that there is, and of some of what there may be."""
        random = self.random
        kind, name = random.choice(KINDS), random.choice(NAMES)
        limit, known = random.randint(1, 5), random.choice([0, self.place()[2]])
        return [
            ["range", "", "", 10],
            ["item", random.choice(ALPHABET)],
            ["count", random.choice(["", "a", "b", "\ue000"])],
            ["keys", random.choice(["", "a", "b"]), random.choice(["", *ALPHABET]), limit],
            ["lease", self.lease()],
            ["leases", random.choice([0, self.lease()]), limit],
            ["queues", kind, random.choice(["", "b"]), limit],
            ["describe", kind, name],
            ["await", *self.place(), 0],
            ["observe", name, known, 0],
            ["proclaimed", name, known, random.choice([None, "moved", "address"]), 0],
        ]


def steps(random: Random, length: int) -> Iterator[tuple[Command, tuple[Any, ...], Caller]]:
    """Yield random entries, what the model says to each, and who looks at the model after it."""
    model = Model()
    caller = Caller(random, model)
    time_ms = 0
    for index in range(1, length + 1):
        time_ms += random.choice([0, 0, 0, 0, 0, 100, 100, 300])
        if index == 1:
            body: list[Any] = [0, 0, [0, "open"]]
        elif random.random() < 0.1:
            body = expire(random)
        else:
            body = [1, index, logged(random, [index, *caller.write()])]
        command = index, time_ms, body
        yield command, model.apply(*command), caller


def found(machine: Machine, read: list[Any], index: int) -> Any:
    """Return the body of a read; None where it is a refusal."""
    validate_read([1, *read])
    code, _, body = machine.read([1, *read])
    return body if code == "ok" else None


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_the_machine_agrees_with_the_model_and_with_its_own_snapshots(seed: int) -> None:
    random = Random(seed)
    with small_limits():
        machine, copied = Machine(), Machine()
        for command, expected, caller in steps(random, 150):
            assert plain(machine.apply(*command)) == expected
            assert plain(copied.apply(*command)) == expected
            for read in caller.reads():
                assert found(machine, read, command[0]) == caller.model.read(*read), read
            audit(machine)
            if random.random() < 0.05:
                assert restored(copied).state_hash() == copied.state_hash()
                copied = restored(copied)
                audit(copied)
        model = caller.model
        owners = {lease: model.owners[lease] for lease in model.leases}
        assert {lease: machine.owner_of(lease) for lease in model.leases} == owners
        assert machine.lease_count == len(model.leases)
        assert (machine.queue_count, machine.place_count) == (len(model.queues), len(model.places))
        assert machine.state_hash() == copied.state_hash()


def test_the_random_commands_come_to_everything_that_they_may_come_to() -> None:
    said: Counter[tuple[str, str]] = Counter()
    with small_limits():
        for seed in range(20):
            for (_, _, body), (code, *_), caller in steps(Random(seed), 150):
                said[body[2][1], code] += 1
                for lease in caller.model.ending:
                    said["ended, keys left", "ok"] += caller.model.keys_of(lease) > 0
                    said["ended, places left", "ok"] += caller.model.places_of(lease) > 0
    for name, codes in {
        "lease_grant": "ok overloaded",
        "lease_keep": "ok lease_expired",
        "lease_revoke": "ok lease_expired",
        "put_leased": "ok lease_expired",
        "put_ttl": "ok",
        "put_if": "ok compare_failed lease_expired",
        "incr": "ok invalid lease_expired",
        "acquire": "ok lease_expired not_found invalid busy overloaded",
        "release": "ok not_held",
        "cancel": "ok not_held",
        "signal": "ok invalid",
        "resize": "ok",
        "proclaim": "ok fenced",
        "forget": "ok not_found busy",
        "fenced": "ok fenced",
        "txn": "ok invalid lease_expired",
        "expire": "ok",
        "ended, keys left": "ok",
        "ended, places left": "ok",
    }.items():
        for code in codes.split():
            assert said[name, code] > 1, (name, code, said)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_what_is_observed_is_all_that_changes(seed: int) -> None:
    """Whoever follows the changes of keys has the keys, and whoever awaits a place need not ask
    again before its token is named."""
    random = Random(seed)
    machine = Machine()
    machine.observe_changes(True)
    machine.observe_decisions(True)
    followed: dict[str, Any] = {}
    standing: dict[int, Any] = {}
    for command, _, _ in steps(random, 120):
        machine.apply(*command)
        for key, value, revision, before in machine.take_changes():
            assert revision == command[0]
            assert followed.get(key) == before
            followed[key] = value
        state = machine.state
        there = {key: value for key, value in followed.items() if value is not None}
        assert there == {key: value for key, (value, _, _) in state.keys.items.items()}
        decided = {token for _, _, token in machine.take_decisions()}
        places = state.queues.places
        now = {token: (place.held, place.value) for token, place in places.items()}
        changed = {t for t in standing.keys() | now.keys() if standing.get(t) != now.get(t)}
        assert {t for t in changed if t not in now or places[t].held} == decided
        standing = now


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_expiry_is_due_exactly_when_an_expire_would_end_something(seed: int) -> None:
    random = Random(seed)
    machine = Machine()
    for (index, time_ms, body), _, _ in steps(random, 80):
        machine.apply(index, time_ms, body)
        at_ms = time_ms + random.choice([0, 300, 800])
        twin = restored(machine)
        ending = bool(machine.state.leases.ending)
        _, _, ended = twin.apply(index + 1, at_ms, expire(random))
        assert machine.expiry_due(at_ms) is (ending or ended > 0)
        following_ms = machine.next_expiry_ms
        assert following_ms is not None, "there is a session"
        if ending or ended:
            assert following_ms <= at_ms
        else:
            assert following_ms > at_ms


def history(seed: int, length: int) -> list[Command]:
    """Return a random log."""
    return [command for command, _, _ in steps(Random(seed), length)]


def test_applying_a_run_of_entries_is_applying_each_of_them() -> None:
    log = history(7, 300)
    one_by_one, at_once = Machine(), Machine()
    entries = [encode_entry(index, 1, time_ms, COMMAND, body) for index, time_ms, body in log]
    expected = [[one_by_one.apply(*entry)] for entry in log]
    assert at_once.apply_all(entries[:150]) + at_once.apply_all(entries[150:]) == expected
    assert at_once.state_hash() == one_by_one.state_hash()
