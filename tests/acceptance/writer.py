"""The writer that works while everything happens to the cluster, and keeps the accounts.

    python writer.py --orders FILE --report FILE --prefix PREFIX
                     [--endpoints HOST:PORT,... | --view-server HOST:PORT]

A program of its own: it uses the public client and nothing else of this repository, so that it can
be put into any container that has raftzmq. It puts keys that nobody else writes, one after another.
Whoever runs it writes the orders, one JSON object: the `step` that the accounts are for, and what
to `do`: write, hold (write nothing for now), or verify (read everything back, then do nothing).
The report is one JSON object too. Its `turn` grows as long as the writer works.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from raftzmq import Client
from raftzmq.client.results import Item
from raftzmq.errors import InvalidRequest, OutcomeUnknown, RaftzmqError
from raftzmq.views.client import ViewsClient

WRITES_PER_S: Final = 100
WRITE_TIMEOUT_S: Final = 2.0
READ_TIMEOUT_S: Final = 10.0
READ_PATIENCE_S: Final = 60.0
"""Reading back is tried again for so long."""

PAGE_KEYS: Final = 1000
REPORT_EVERY_S: Final = 0.2
IDLE_S: Final = 0.05

ACKNOWLEDGED: Final = 1
UNKNOWN: Final = 2
REFUSED: Final = 3


class Database(Protocol):
    """What the writer needs of a client."""

    def put(self, key: str, value: str, *, timeout: float) -> object: ...
    def range(self, start: str, end: str, limit: int, *, timeout: float) -> Any: ...


class PlainDatabase(Protocol):
    """What it needs of a client that has no ranges."""

    def put(self, key: str, value: str, *, timeout: float) -> object: ...
    def get(self, key: str, *, timeout: float) -> Item | None: ...


@dataclass(slots=True)
class Tally:
    """What happened in one step."""

    acknowledged: int = 0
    unknown: int = 0
    refused: int = 0
    longest_pause_ms: float = 0.0
    """Between two successive acknowledgements, or since the last one."""


@dataclass(slots=True)
class Accounts:
    """What became of every write, and how long the cluster took none. Times in seconds."""

    outcomes: bytearray = field(default_factory=bytearray)
    """By the number of the write; every number has a key of its own."""
    tallies: dict[str, Tally] = field(default_factory=dict)
    step: str = ""
    _acknowledged_s: float | None = None

    def begin(self, step: str) -> None:
        """What follows belongs to this step."""
        self.step = step
        self.tallies.setdefault(step, Tally())

    def hold(self) -> None:
        """The time until the next acknowledgement is no pause: nothing is written on purpose."""
        self._acknowledged_s = None

    def record(self, outcome: int, now_s: float) -> None:
        """The next write ended so."""
        self.outcomes.append(outcome)
        tally = self.tallies[self.step]
        if outcome == UNKNOWN:
            tally.unknown += 1
        elif outcome == REFUSED:
            tally.refused += 1
        else:
            self.look(now_s)
            tally.acknowledged += 1
            self._acknowledged_s = now_s

    def look(self, now_s: float) -> None:
        """Count a pause that lasts yet."""
        if self._acknowledged_s is not None:
            tally = self.tallies[self.step]
            pause_ms = (now_s - self._acknowledged_s) * 1000
            tally.longest_pause_ms = max(tally.longest_pause_ms, pause_ms)


@dataclass(slots=True)
class Findings:
    """What was found when everything was read back."""

    found: int = 0
    lost: int = 0
    """Acknowledged, and not there."""
    wrong: int = 0
    """There with another value, though refused, or without ever having been asked for."""
    examples: list[str] = field(default_factory=list)

    def tell(self, what: str) -> None:
        if len(self.examples) < 10:
            self.examples.append(what)


def key_of(prefix: str, number: int) -> str:
    return f"{prefix}{number:09d}"


def value_of(number: int) -> str:
    return f"value {number}"


def compare(prefix: str, outcomes: bytearray, held: Iterator[tuple[str, Any]]) -> Findings:
    """Compare what the cluster holds below the prefix with what became of the writes."""
    findings = Findings()
    missing = {number for number, outcome in enumerate(outcomes) if outcome == ACKNOWLEDGED}
    numbers = {key_of(prefix, number): number for number in range(len(outcomes))}
    for key, value in held:
        findings.found += 1
        number = numbers.get(key)
        if number is None or outcomes[number] == REFUSED or value != value_of(number):
            findings.wrong += 1
            findings.tell(f"{key} holds {value!r:.60}")
        if number is not None:
            missing.discard(number)
    findings.lost = len(missing)
    for number in sorted(missing):
        findings.tell(f"{key_of(prefix, number)} was acknowledged and is not there")
    return findings


@dataclass(frozen=True, slots=True)
class Everything:
    """What a range of the older design's client is: all keys at once."""

    items: list[Item]
    more: bool = False


class KeyByKey:
    """A client of the older design, which has no ranges: what was put is read one by one."""

    def __init__(self, client: PlainDatabase) -> None:
        self._client = client
        self._keys: list[str] = []

    def put(self, key: str, value: str, *, timeout: float) -> object:
        self._keys.append(key)
        return self._client.put(key, value, timeout=timeout)

    def range(self, start: str, end: str, limit: int, *, timeout: float) -> Everything:
        wanted = [key for key in self._keys if start <= key < end]
        found = (self._client.get(key, timeout=timeout) for key in wanted)
        return Everything([item for item in found if item is not None])


class Writer:
    """Follows the orders, one turn after another."""

    def __init__(
        self,
        database: Database,
        prefix: str,
        orders: Path,
        report: Path,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.accounts = Accounts()
        self.findings: Findings | None = None
        self._database = database
        self._prefix = prefix
        self._orders = orders
        self._report = report
        self._clock = clock
        self._sleep = sleep
        self._turns = 0
        self._doing = "start"
        self._obeyed = ""
        self._due_s = clock()
        self._reported_s = clock() - REPORT_EVERY_S

    def turn(self) -> None:
        """Look at the orders, do one thing, and report when it is time."""
        self._turns += 1
        if self._obey():
            self._report_now()
        if self._doing == "write":
            self._write()
        elif self._doing == "verify" and self.findings is None:
            held = pages(self._database, self._prefix, self._clock, self._sleep)
            self.findings = compare(self._prefix, self.accounts.outcomes, held)
            self._report_now()
        else:
            self._sleep(IDLE_S)
        if self._clock() - self._reported_s >= REPORT_EVERY_S:
            self._report_now()

    def _obey(self) -> bool:
        """Look whether the orders have changed, and take them over; there may be none yet."""
        try:
            text = self._orders.read_text()
        except FileNotFoundError:
            return False
        if text == self._obeyed:
            return False
        self._obeyed = text
        order = json.loads(text)
        if self._doing == "write":
            self.accounts.look(self._clock())
        self.accounts.begin(order["step"])
        self._doing = order["do"]
        if self._doing != "write":
            self.accounts.hold()
        return True

    def _write(self) -> None:
        number = len(self.accounts.outcomes)
        key, value = key_of(self._prefix, number), value_of(number)
        try:
            self._database.put(key, value, timeout=WRITE_TIMEOUT_S)
            outcome = ACKNOWLEDGED
        except OutcomeUnknown:
            outcome = UNKNOWN
        except InvalidRequest:
            raise
        except RaftzmqError:  # refused or unavailable: nothing was done
            outcome = REFUSED
        now_s = self._clock()
        self.accounts.record(outcome, now_s)
        # After a pause it goes on at the usual rate: what was missed is not made up for.
        self._due_s = max(self._due_s + 1 / WRITES_PER_S, now_s)
        self._sleep(self._due_s - now_s)

    def _report_now(self) -> None:
        self._reported_s = self._clock()
        if self._doing == "write":
            self.accounts.look(self._reported_s)
        self.report()

    def report(self, error: str | None = None) -> None:
        """Write the report, in one piece or not at all."""
        document = {
            "turn": self._turns,
            "step": self.accounts.step,
            "doing": self._doing,
            "steps": {step: asdict(tally) for step, tally in self.accounts.tallies.items()},
            "findings": asdict(self.findings) if self.findings else None,
            "error": error,
        }
        new = self._report.with_suffix(".new")
        new.write_text(json.dumps(document))
        new.replace(self._report)


def pages(
    database: Database,
    prefix: str,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[tuple[str, Any]]:
    """Every key and value below the prefix, read linearizably, a page at a time. A read that fails
    is tried again; after READ_PATIENCE_S in which none succeeded, its error is raised."""
    start, end = prefix, prefix[:-1] + chr(ord(prefix[-1]) + 1)
    deadline_s = clock() + READ_PATIENCE_S
    while True:
        try:
            page = database.range(start, end, PAGE_KEYS, timeout=READ_TIMEOUT_S)
        except RaftzmqError:
            if clock() > deadline_s:
                raise
            sleep(IDLE_S)
            continue
        deadline_s = clock() + READ_PATIENCE_S
        for item in page.items:
            yield item.key, item.value
        if not page.more:
            return
        start = page.items[-1].key + "\0"


def main() -> None:
    parser = argparse.ArgumentParser(description="Write, and keep the accounts.")
    parser.add_argument("--orders", type=Path, required=True)
    parser.add_argument("--report", type=Path, required=True)
    parser.add_argument("--prefix", required=True)
    parser.add_argument("--endpoints", default=os.environ.get("RAFTZMQ_ENDPOINTS"))
    parser.add_argument("--view-server", default=os.environ.get("RAFTZMQ_VIEW_SERVER"))
    given = parser.parse_args()
    # The first process of a container gets no signal that it has no handler for.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    views = given.view_server is not None
    key = os.environ.get("RAFTZMQ_KEY")
    with ViewsClient(given.view_server) if views else Client(given.endpoints, key=key) as client:
        database = KeyByKey(client) if isinstance(client, ViewsClient) else client
        writer = Writer(database, given.prefix, given.orders, given.report)
        try:
            while True:
                writer.turn()
        except Exception as error:
            writer.report(f"{type(error).__name__}: {error}")
            raise


if __name__ == "__main__":
    main()
