"""One writer and one reader at work while a design fails, and what they found in the end.

The writer puts keys that nobody else writes, one after another, and keeps the accounts. The reader
asks again and again for the key that was acknowledged last before it asked, and so sees whether a
server answers that has missed something.
"""

from __future__ import annotations

import itertools
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from raftzmq.errors import OutcomeUnknown, RaftzmqError

WRITES_PER_S: Final = 100
OPERATION_S: Final = 1.0
"""How long one operation of the load is tried."""

READ_BACK_S: Final = 5.0
"""How long each key is asked for in the end; one that does not come counts as out of reach."""

SHORT_PAUSE_MS: Final = 100.0
"""Pauses up to this are no standstill: so long a write may wait for the processor."""

_JOIN_S: Final = 30.0


class Database(Protocol):
    """What the load needs of a client, of either design."""

    def put(self, key: str, value: str, *, timeout: float) -> object: ...
    def get(self, key: str, *, timeout: float) -> Any: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the load. Times in milliseconds."""

    acknowledged: int
    unknown: int
    refused: int
    lost: int | None
    """Acknowledged, and not there; None: nobody answers who could say."""
    wrong: int
    """Read another value than was written, or missed one that is there after all."""
    longest_pause_ms: float
    standstill_ms: float
    """All pauses together."""
    resumed: bool
    """Whether writes were acknowledged again in the end."""


@dataclass(slots=True)
class Accounts:
    """What the writer and the reader have met. Times in seconds, of a monotonic clock."""

    acknowledged: dict[int, float] = field(default_factory=dict)
    """When each write was acknowledged, by its number; in their order."""
    unknown: int = 0
    refused: int = 0
    missed: set[int] = field(default_factory=set)
    """Keys that a read did not find."""
    wrong: int = 0

    def pauses_ms(self, since_s: float, until_s: float) -> list[float]:
        """The times between acknowledgements that ended after `since_s`, the last one yet lasting
        at `until_s`."""
        times = [*self.acknowledged.values(), until_s]
        return [
            (later - earlier) * 1000
            for earlier, later in itertools.pairwise(times)
            if later >= since_s
        ]


class Load:
    """A writer and a reader of keys that begin with `prefix`, each with a client and a thread of
    its own. `close` ends them."""

    def __init__(self, prefix: str, writing: Database, reading: Database) -> None:
        self._prefix = prefix
        self.accounts = Accounts()
        self._writing = writing
        self._reading = reading
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._last = -1
        self._threads = [
            threading.Thread(target=work, daemon=True) for work in (self._write, self._read)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def written(self) -> int:
        """How many writes were acknowledged until now."""
        with self._lock:
            return len(self.accounts.acknowledged)

    def end(self, failed_s: float, resumed: bool = True) -> Outcome:
        """Stop, read everything back, and tell what has become of it. The failure was at
        `failed_s`, and whoever has watched says whether it was `resumed`."""
        ended_s = time.monotonic()
        self._stop.set()
        for thread in self._threads:
            thread.join(_JOIN_S)
        pauses_ms = self.accounts.pauses_ms(failed_s, ended_s)
        lost, wrong = self._read_back()
        return Outcome(
            acknowledged=len(self.accounts.acknowledged),
            unknown=self.accounts.unknown,
            refused=self.accounts.refused,
            lost=lost,
            wrong=wrong,
            longest_pause_ms=round(max(pauses_ms)),
            standstill_ms=round(sum(pause for pause in pauses_ms if pause > SHORT_PAUSE_MS)),
            resumed=resumed,
        )

    def close(self) -> None:
        """End the threads and the clients. May be repeated."""
        self._stop.set()
        for thread in self._threads:
            thread.join(_JOIN_S)
        for client in (self._writing, self._reading):
            with suppress(RaftzmqError):
                client.close()

    def _write(self) -> None:
        number = 0
        while not self._stop.is_set():
            outcome = self._put(number)
            now_s = time.monotonic()
            with self._lock:
                if outcome is None:
                    self.accounts.acknowledged[number] = now_s
                    self._last = number
                elif isinstance(outcome, OutcomeUnknown):
                    self.accounts.unknown += 1
                else:
                    self.accounts.refused += 1
            number += 1
            self._stop.wait(1 / WRITES_PER_S)

    def _put(self, number: int) -> RaftzmqError | None:
        try:
            self._writing.put(self._key(number), value_of(number), timeout=OPERATION_S)
        except RaftzmqError as error:
            return error
        return None

    def _read(self) -> None:
        while not self._stop.wait(1 / WRITES_PER_S):
            with self._lock:
                number = self._last
            if number < 0:
                continue
            with suppress(RaftzmqError):
                found = self._reading.get(self._key(number), timeout=OPERATION_S)
                if found is None:
                    self.accounts.missed.add(number)
                elif found.value != value_of(number):
                    self.accounts.wrong += 1

    def _key(self, number: int) -> str:
        return f"{self._prefix}/{number:06d}"

    def _read_back(self) -> tuple[int | None, int]:
        """How many acknowledged writes are lost, and how many reads were wrong."""
        lost: set[int] = set()
        wrong = self.accounts.wrong
        for number in self.accounts.acknowledged:
            try:
                found = self._reading.get(self._key(number), timeout=READ_BACK_S)
            except RaftzmqError:
                return None, wrong
            if found is None:
                lost.add(number)
            elif found.value != value_of(number):
                wrong += 1
        return len(lost), wrong + len(self.accounts.missed - lost)


def value_of(number: int) -> str:
    return f"value {number}"
