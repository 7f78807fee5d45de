"""Mirrors of simulated clients, each held to the log: at its revision it holds what there was."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any, Final

from raftzmq.client.session.mirrors import Mirrored
from raftzmq.errors import RaftzmqError
from tests.sim.clients import unwired
from tests.sim.story import Violation

if TYPE_CHECKING:
    from tests.sim.coordinators import Coordinator

SHARE: Final = 0.5
"""Of coordinators that keep a mirror."""
LIFE_MS: Final = 8000


class Mirroring:
    """One mirror after another. It has no part in the draws of its client: a world with it is
    otherwise that of its seed."""

    def __init__(self, client: Coordinator) -> None:
        self._client = client
        self._random = Random(f"mirror of {client.name} in {client.world.seed}")
        self.mirror: Mirrored | None = None
        if self._random.random() < SHARE:
            self._begin()

    def _begin(self) -> None:
        self.mirror = Mirrored(self._random.choice(["", "k", "t"]))
        self._expected: dict[str, Any] = {}
        self._position = 0
        self._client.keep(self.mirror)
        delay_ms = int(self._random.expovariate(1 / LIFE_MS)) + 1
        self._client.world.at(delay_ms, self._client.awake(self._change))

    def _change(self) -> None:
        if self.mirror is not None and not (self._client.idle or self._client.dead):
            self._client.keep_no_more(self.mirror)
            self._begin()

    def has(self, revision: int) -> bool:
        """Whether it has come to a revision, or there is none."""
        return self.mirror is None or (self.mirror.whole and self.mirror.revision >= revision)

    def look(self) -> None:
        """Compare it with the log."""
        mirror = self.mirror
        if mirror is None:
            return
        try:
            mirror.check()
        except RaftzmqError as error:
            raise Violation(f"{self}: ended with {type(error).__name__}: {error}") from error
        if not mirror.whole:
            return
        if mirror.revision < self._position:
            raise Violation(f"{self}: went back from {self._position}")
        self._advance(mirror.revision)
        found = {key: item.value for key, item in mirror.items.items() if item is not None}
        expected = {k: unwired(v) for k, v in self._expected.items() if k.startswith(mirror.key)}
        if found != expected:
            raise Violation(f"{self}: holds {found}, and there was {expected}")
        self._client.world.counts["mirrors compared"] += 1

    def _advance(self, revision: int) -> None:
        ledger = self._client.world.ledger
        assert ledger is not None
        for one in ledger.between(self._position, revision):
            for key, value, _ in ledger.by_revision[one]:
                if value is None:
                    self._expected.pop(key, None)
                else:
                    self._expected[key] = value
        self._position = revision

    def __str__(self) -> str:
        at = self.mirror.revision if self.mirror is not None else 0
        what = f"{self.mirror.key}…" if self.mirror is not None else "nothing"
        return f"the mirror of {what} of {self._client.name} at {at}"
