"""A life of a data directory, step by step, with every state that a crash in a step may leave."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

from raftzmq.core.entry import Entry
from raftzmq.core.ready import HardState
from raftzmq.storage import Restored, Storage

from .helpers import THEM, US, chunks, entries, meta, records, snapshot_bytes


class Seen(NamedTuple):
    """What a node would find: `log` are the entries after the snapshot."""

    cluster: str = ""
    hard_state: HardState = HardState()
    snapshot: tuple[int, int] = (0, 0)
    log: tuple[Entry, ...] = ()

    @property
    def last_index(self) -> int:
        return self.snapshot[0] + len(self.log)


def seen(restored: Restored) -> Seen:
    at = restored.snapshot
    index = at.index if at else 0
    return Seen(
        restored.cluster,
        restored.hard_state,
        (index, at.term if at else 0),
        tuple(e for e in restored.entries if e.index > index),
    )


class Step(Protocol):
    def do(self, storage: Storage) -> None: ...

    def outcomes(self, before: Seen) -> list[Seen]:
        """Every state that may be found when it was interrupted; the last is that of success."""


@dataclass(frozen=True)
class Adopt:
    cluster: str

    def do(self, storage: Storage) -> None:
        storage.adopt(self.cluster)

    def outcomes(self, before: Seen) -> list[Seen]:
        return [before, before._replace(cluster=self.cluster)]


@dataclass(frozen=True)
class Save:
    hard_state: HardState | None
    entries: Sequence[Entry] = ()

    def do(self, storage: Storage) -> None:
        storage.save(self.hard_state, self.entries)

    def outcomes(self, before: Seen) -> list[Seen]:
        """Old or new term; with the new one a log that is old, or old and cut within what is
        replaced, or new up to some entry. Never an entry whose term could be forgotten."""
        after = before._replace(hard_state=self.hard_state or before.hard_state)
        if not self.entries:
            return [before, after]
        kept = self.entries[0].index - before.snapshot[0] - 1
        shorter = [before.log[:n] for n in range(kept, len(before.log) + 1)]
        longer = [before.log[:kept] + tuple(self.entries[:n]) for n in range(len(self.entries) + 1)]
        return [before] + [after._replace(log=log) for log in shorter + longer]


@dataclass(frozen=True)
class TakeSnapshot:
    index: int
    term: int

    def do(self, storage: Storage) -> None:
        writer = storage.begin_snapshot(meta(self.index, self.term), iter(records(self.index)))
        while not writer.step(150):
            pass

    def outcomes(self, before: Seen) -> list[Seen]:
        log = before.log[self.index - before.snapshot[0] :]
        return [before, before._replace(snapshot=(self.index, self.term), log=log)]


@dataclass(frozen=True)
class Compact:
    index: int

    def do(self, storage: Storage) -> None:
        while storage.compact(self.index):
            pass

    def outcomes(self, before: Seen) -> list[Seen]:
        return [before]


@dataclass(frozen=True)
class Receive:
    index: int
    term: int

    def do(self, storage: Storage) -> None:
        of = meta(self.index, self.term)
        results = [storage.receive(chunk) for chunk in chunks(of, self._data())]
        assert results[-1] == of

    def _data(self) -> bytes:
        if self not in _FILES:
            _FILES[self] = snapshot_bytes(meta(self.index, self.term), self.index)
        return _FILES[self]

    def outcomes(self, before: Seen) -> list[Seen]:
        position = self.index - before.snapshot[0] - 1
        agrees = position < len(before.log) and before.log[position].term == self.term
        log = before.log[position + 1 :] if agrees else ()
        return [before, before._replace(snapshot=(self.index, self.term), log=log)]


_FILES: dict[Receive, bytes] = {}

SCRIPT: tuple[Step, ...] = (
    Adopt("c1"),
    Save(HardState(1, US), entries(1, 3)),
    Save(None, entries(4, 6)),
    Save(None, entries(7, 8)),  # the second segment
    Save(None, entries(9, 11)),
    Save(None, entries(12, 12)),  # the third
    Save(HardState(2), entries(6, 7, 2)),  # replaces the end of the first, and the others
    Save(HardState(3, THEM)),
    Save(HardState(4), entries(6, 8, 4)),  # replaces a whole segment
    TakeSnapshot(7, 4),
    Save(None, entries(9, 12, 4)),
    Save(None, entries(13, 16, 4)),
    TakeSnapshot(14, 4),
    Compact(14),
    Save(None, entries(17, 17, 4)),
    Receive(15, 4),  # the log agrees, and keeps 16 and 17
    Save(HardState(5), entries(17, 20, 5)),
    Receive(18, 6),  # the log does not agree
    Save(HardState(6), entries(19, 20, 6)),
    Receive(40, 7),  # far ahead of the log
    Save(HardState(7), entries(41, 42, 7)),
)


def stages(script: Sequence[Step] = SCRIPT) -> Iterator[tuple[Step, Seen]]:
    """Each step with the state before it."""
    state = Seen()
    for step in script:
        yield step, state
        state = step.outcomes(state)[-1]


def next_save(state: Seen) -> tuple[Save, Seen]:
    """A step that may follow any state, and the state after it."""
    term = max(state.hard_state.term, 1)
    hard_state = replace(state.hard_state, term=term)
    step = Save(hard_state, entries(state.last_index + 1, state.last_index + 2, term))
    return step, step.outcomes(state)[-1]
