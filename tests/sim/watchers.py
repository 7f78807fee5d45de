"""Watches of simulated clients, each held to the log: no gap, no duplicate, all in order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from raftzmq.client.results import Event
from raftzmq.client.session.subscriptions import Subscription
from raftzmq.errors import RaftzmqError, WatchLost
from tests.sim.clients import unwired
from tests.sim.story import Violation

if TYPE_CHECKING:
    from tests.sim.coordinators import Coordinator

LIFE_MS: Final = 6000


class Watcher:
    """One watcher. It watches something for a while, and then something else."""

    def __init__(self, client: Coordinator) -> None:
        self._client = client
        self._random = client.random
        self._pending: list[Event] = []  # of a revision that may not have come whole
        self._begin()

    @property
    def done_to(self) -> int:
        """The revision up to which it has everything."""
        return self._position

    def _begin(self) -> None:
        random, history = self._random, self._client.world.history
        start: int | None = None
        if random.random() < 0.5:
            start = random.randint(1, max(1, self._client.newest))
        prefix = random.choice(["", "k", "t", None])
        key = random.choice([*history.keys, "t0", "register"]) if prefix is None else None
        self._watch(key, prefix, start, random.random() < 0.5)
        self._client.world.at(
            int(random.expovariate(1 / LIFE_MS)) + 1, self._client.awake(self._change)
        )

    def _watch(
        self, key: str | None, prefix: str | None, start: int | None, previous: bool
    ) -> None:
        self.subscription = Subscription(key, prefix, start, previous)
        self._position = self.subscription.after
        self._pending.clear()
        self._client.subscribe(self)

    def _change(self) -> None:
        if not (self._client.idle or self._client.dead):
            self._client.unsubscribe(self)
            self._begin()

    # -- what comes -----------------------------------------------------------------------------

    def news(self) -> None:
        """Take what has come, and compare."""
        one = self.subscription
        if one.opened and one.start is None and not self._position:
            self._position = one.after
        try:
            while events := one.take():
                self._take(events)
        except WatchLost as lost:
            self._begin_again(lost)
            return
        except RaftzmqError as error:
            raise Violation(f"{self}: ended with {type(error).__name__}: {error}") from error
        if self._pending and self._pending[0].revision <= one.through:
            self._whole()
        if not self._pending and one.through > self._position:
            self._nothing_until(one.through)
            self._position = one.through

    def _take(self, events: Sequence[Event]) -> None:
        for event in events:
            if self._pending and event.revision != self._pending[0].revision:
                self._whole()
            if event.revision <= self._position:
                raise Violation(f"{self}: got {event} again, or late")
            self._pending.append(event)

    def _whole(self) -> None:
        """All events of a revision have come."""
        events, self._pending = self._pending, []
        revision = events[0].revision
        self._nothing_until(revision - 1)
        self._position = revision
        expected = self._expected(revision)
        found = [(event.key, event.value, event.previous) for event in events]
        if sorted(found, key=lambda event: event[0]) != expected:
            raise Violation(f"{self}: at revision {revision} got {found}, and it was {expected}")
        self._client.world.counts["events watched"] += len(events)

    def _nothing_until(self, revision: int) -> None:
        ledger = self._client.world.ledger
        assert ledger is not None
        for missed in ledger.between(self._position, revision):
            if expected := self._expected(missed):
                raise Violation(f"{self}: nothing came of revision {missed}: {expected}")

    def _expected(self, revision: int) -> list[tuple[str, Any, Any]]:
        ledger = self._client.world.ledger
        assert ledger is not None
        one = self.subscription
        return [
            (key, unwired(value), unwired(before) if one.previous else None)
            for key, value, before in ledger.by_revision.get(revision, ())
            if (key.startswith(one.key) if one.prefix else key == one.key)
        ]

    def _begin_again(self, lost: WatchLost) -> None:
        """It was told that it has lost something, and from where to go on."""
        one, ledger = self.subscription, self._client.world.ledger
        assert ledger is not None
        newest = ledger.model.index
        if lost.reason not in ("compacted", "slow") or not (
            self._position + 1 < lost.start <= newest + 1
        ):
            raise Violation(f"{self}: lost ({lost.reason}), to go on from {lost.start}: {lost}")
        self._client.world.counts[f"watches {lost.reason}"] += 1
        key, prefix = (None, one.key) if one.prefix else (one.key, None)
        self._watch(key, prefix, lost.start, one.previous)

    def __str__(self) -> str:
        one = self.subscription
        what = f"{one.key}{'…' if one.prefix else ''}"
        return f"{self._client.name} watches {what!r} from {one.start}, has to {self._position}"
