"""The writer's accounts: what it counts, how it measures a pause, and what it finds in the end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from raftzmq.client.results import Item, Range
from raftzmq.errors import InvalidRequest, OutcomeUnknown, Refused, Unavailable
from tests.acceptance.writer import (
    ACKNOWLEDGED,
    PAGE_KEYS,
    READ_PATIENCE_S,
    REFUSED,
    UNKNOWN,
    WRITES_PER_S,
    Accounts,
    KeyByKey,
    Tally,
    Writer,
    compare,
    key_of,
    pages,
    value_of,
)

PREFIX = "acceptance/x/"


@dataclass(slots=True)
class Clock:
    """Time that passes when somebody sleeps, or a write takes some."""

    now_s: float = 100.0

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += max(0.0, seconds)


@dataclass(slots=True)
class Database:
    """A client that answers as it is told: `ends` has (seconds, error or None) for each put."""

    clock: Clock
    ends: list[tuple[float, Exception | None]] = field(default_factory=list)
    held: dict[str, str] = field(default_factory=dict)
    failing_reads: int = 0

    def put(self, key: str, value: str, *, timeout: float) -> object:
        seconds, error = self.ends.pop(0) if self.ends else (0.001, None)
        self.clock.now_s += seconds
        if error is not None:
            raise error
        self.held[key] = value
        return object()

    def range(self, start: str, end: str, limit: int, *, timeout: float) -> Any:
        self.clock.now_s += 0.001
        if self.failing_reads:
            self.failing_reads -= 1
            raise Unavailable("no leader")
        keys = sorted(key for key in self.held if start <= key < end)
        items = tuple(Item(key, self.held[key], 1) for key in keys[:limit])
        return Range(items, len(keys) > limit, 1, 1)


class Desk:
    """A writer with its files, a fake client and a fake clock."""

    def __init__(self, directory: Path) -> None:
        self.clock = Clock()
        self.database = Database(self.clock)
        self.orders = directory / "orders.json"
        self._report = directory / "report.json"
        self.writer = Writer(
            self.database, PREFIX, self.orders, self._report, self.clock, self.clock.sleep
        )

    def order(self, step: str, do: str) -> None:
        self.orders.write_text(json.dumps({"step": step, "do": do}))

    def turns(self, count: int) -> None:
        for _ in range(count):
            self.writer.turn()

    def tally(self, step: str) -> Tally:
        return self.writer.accounts.tallies[step]

    @property
    def report(self) -> dict[str, Any]:
        report: dict[str, Any] = json.loads(self._report.read_text())
        return report


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_it_writes_nothing_before_it_has_orders(desk: Desk) -> None:
    desk.turns(5)
    assert desk.database.held == {}
    assert desk.report["turn"] > 0


def test_every_write_has_a_key_of_its_own(desk: Desk) -> None:
    desk.order("one", "write")
    desk.turns(3)
    assert desk.database.held == {key_of(PREFIX, n): value_of(n) for n in range(3)}
    assert desk.tally("one").acknowledged == 3


def test_it_keeps_to_its_rate_and_does_not_make_up_for_a_pause(desk: Desk) -> None:
    desk.order("one", "write")
    began_s = desk.clock.now_s
    desk.turns(50)
    assert desk.clock.now_s - began_s == pytest.approx(50 / WRITES_PER_S)
    desk.database.ends = [(5.0, None)]
    desk.turns(1)
    began_s = desk.clock.now_s
    desk.turns(50)
    assert desk.clock.now_s - began_s == pytest.approx(50 / WRITES_PER_S)


@pytest.mark.parametrize(
    ("error", "counted"),
    [
        (OutcomeUnknown("the deadline passed"), Tally(unknown=1)),
        (Refused("forming"), Tally(refused=1)),
        (Unavailable("no leader"), Tally(refused=1)),
    ],
)
def test_what_is_not_acknowledged_is_counted_by_what_it_means(
    desk: Desk, error: Exception, counted: Tally
) -> None:
    desk.order("one", "write")
    desk.database.ends = [(0.5, error)]
    desk.turns(1)
    assert desk.tally("one") == counted


def test_a_write_that_is_wrong_in_itself_ends_the_writer(desk: Desk) -> None:
    desk.order("one", "write")
    desk.database.ends = [(0.0, InvalidRequest("no key"))]
    with pytest.raises(InvalidRequest):
        desk.turns(1)


def test_a_pause_is_the_time_between_two_acknowledgements_whatever_fails_between() -> None:
    accounts = Accounts()
    accounts.begin("one")
    accounts.record(ACKNOWLEDGED, 10.0)
    accounts.record(UNKNOWN, 12.0)
    accounts.record(REFUSED, 12.5)
    accounts.record(ACKNOWLEDGED, 13.0)
    accounts.record(ACKNOWLEDGED, 13.1)
    assert accounts.tallies["one"].longest_pause_ms == pytest.approx(3000)


def test_each_step_has_its_own_pause(desk: Desk) -> None:
    desk.order("one", "write")
    desk.turns(2)
    desk.order("two", "write")
    desk.turns(2)
    desk.database.ends = [(0.7, None)]
    desk.turns(1)
    assert desk.tally("one").longest_pause_ms < 20
    assert 700 <= desk.tally("two").longest_pause_ms < 720


def test_a_pause_that_lasts_is_told_before_it_ends(desk: Desk) -> None:
    desk.order("one", "write")
    desk.turns(1)
    desk.database.ends = [(2.0, OutcomeUnknown("the deadline passed"))]
    desk.turns(1)
    assert desk.report["steps"]["one"]["longest_pause_ms"] >= 2000


def test_the_time_that_it_is_held_is_no_pause(desk: Desk) -> None:
    desk.order("one", "write")
    desk.turns(2)
    desk.order("one", "hold")
    desk.turns(1000)
    held = dict(desk.database.held)
    desk.order("one", "write")
    desk.turns(2)
    assert len(desk.database.held) == len(held) + 2
    assert desk.tally("one").longest_pause_ms < 20


def test_orders_are_confirmed_at_once(desk: Desk) -> None:
    desk.order("one", "write")
    desk.turns(1)
    for step, do in [("two", "write"), ("two", "hold")]:
        desk.order(step, do)
        desk.turns(1)
        assert (desk.report["step"], desk.report["doing"]) == (step, do)


def test_a_report_comes_several_times_a_second(desk: Desk) -> None:
    desk.order("one", "write")
    seen = set()
    for _ in range(WRITES_PER_S):
        desk.turns(1)
        seen.add(desk.report["turn"])
    assert 4 <= len(seen) <= 10


def test_in_the_end_everything_is_found(desk: Desk) -> None:
    desk.order("one", "write")
    desk.database.ends = [(0.001, None), (0.5, Refused("no leader")), (0.001, None)]
    desk.turns(PAGE_KEYS * 2 + 10)
    desk.order("one", "verify")
    desk.turns(1)
    found = desk.report["findings"]
    assert found == {"found": PAGE_KEYS * 2 + 9, "lost": 0, "wrong": 0, "examples": []}


def test_an_acknowledged_write_that_is_not_there_is_lost(desk: Desk) -> None:
    desk.order("one", "write")
    desk.turns(20)
    del desk.database.held[key_of(PREFIX, 7)]
    desk.order("one", "verify")
    desk.turns(1)
    found = desk.report["findings"]
    assert (found["found"], found["lost"], found["wrong"]) == (19, 1, 0)
    assert key_of(PREFIX, 7) in found["examples"][0]


def held(*numbers: int, value: str | None = None) -> Iterator[tuple[str, str]]:
    return iter([(key_of(PREFIX, n), value or value_of(n)) for n in numbers])


def test_a_write_of_unknown_outcome_may_be_there_or_not() -> None:
    for there in (held(0, 1), held(0)):
        findings = compare(PREFIX, bytearray([ACKNOWLEDGED, UNKNOWN]), there)
        assert (findings.lost, findings.wrong) == (0, 0)


@pytest.mark.parametrize(
    ("outcomes", "there"),
    [
        ([ACKNOWLEDGED], held(0, value="another")),
        ([UNKNOWN], held(0, value="another")),
        ([ACKNOWLEDGED, REFUSED], held(0, 1)),
        ([ACKNOWLEDGED], held(0, 1)),
    ],
    ids=["another value", "another value of an unknown", "a refused write", "a write of nobody"],
)
def test_what_must_not_be_there_is_wrong(
    outcomes: list[int], there: Iterator[tuple[str, str]]
) -> None:
    findings = compare(PREFIX, bytearray(outcomes), there)
    assert (findings.lost, findings.wrong) == (0, 1)
    assert findings.examples


def test_reading_back_goes_on_when_reads_fail_for_a_while() -> None:
    clock = Clock()
    database = Database(clock, held={key_of(PREFIX, 0): "value 0"}, failing_reads=50)
    assert list(pages(database, PREFIX, clock, clock.sleep)) == [(key_of(PREFIX, 0), "value 0")]


def test_reading_back_fails_when_no_read_succeeds() -> None:
    clock = Clock()
    database = Database(clock, failing_reads=1_000_000)
    began_s = clock.now_s
    with pytest.raises(Unavailable):
        list(pages(database, PREFIX, clock, clock.sleep))
    assert clock.now_s - began_s >= READ_PATIENCE_S


def test_nothing_of_others_is_read() -> None:
    clock = Clock()
    others = {"acceptance/w/1": "a", "acceptance/x": "b", "acceptance/x0": "c", "acceptance/y/": ""}
    assert list(pages(Database(clock, held=others), PREFIX, clock, clock.sleep)) == []


class Plain:
    """A client without ranges."""

    def __init__(self) -> None:
        self.held: dict[str, str] = {}
        self.reads: list[str] = []

    def put(self, key: str, value: str, *, timeout: float) -> None:
        self.held[key] = value

    def get(self, key: str, *, timeout: float) -> Item | None:
        self.reads.append(key)
        return Item(key, self.held[key], 1) if key in self.held else None


def test_where_there_are_no_ranges_every_key_that_was_put_is_read_by_itself() -> None:
    client = Plain()
    database = KeyByKey(client)
    keys = [key_of(PREFIX, number) for number in range(3)]
    for key in keys:
        database.put(key, "value", timeout=1.0)
    del client.held[keys[1]]
    held = list(pages(database, PREFIX))
    assert held == [(keys[0], "value"), (keys[2], "value")]
    assert client.reads == keys
