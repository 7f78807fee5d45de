"""The failures of `raftzmq views compare`, and how they are played on either design."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Self, TypeVar

from raftzmq.errors import Unavailable
from raftzmq_cli.compare.load import Load, Outcome
from raftzmq_cli.compare.systems import System

START_S: Final = 60.0
"""Until a cluster that was just started must serve."""

RESUME_S: Final = 60.0
"""So long after the last thing that was done writes may be resumed, and a cluster be whole."""

STUCK_S: Final = 8.0
"""What a cluster has said for so long that it waits for, it will wait for without end."""

CALM_S: Final = 0.5
"""How long the load is watched when nothing happens."""

AWAY_S: Final = 2.0
"""How long what was killed or stopped stays away, where the failure is that it is away. Longer than
either design takes to notice."""

_POLL_S: Final = 0.05

T = TypeVar("T")


@dataclass(slots=True)
class Stage:
    """A cluster under load, and what can be done to it. `say` tells a person."""

    system: System
    load: Load
    say: Callable[[str], None]
    failed_s: float | None = None
    """When the first thing was done to it."""
    has_resumed: bool = False
    """Whether writes were acknowledged in the end."""

    def servers(self) -> tuple[str, str]:
        """The leader and a follower, or the primary and its backup. Raises Unavailable."""
        return _awaited("somebody who serves", self.system.servers, START_S)

    def signal(self, number: signal.Signals, *names: str) -> None:
        """Send a signal to processes, as nearly at the same time as can be."""
        self.say(f"{_VERBS[number]} {', '.join(names)}")
        if self.failed_s is None:
            self.failed_s = time.monotonic()
        for name in names:
            self.system.processes[name].signal(number)
        if number == signal.SIGKILL:
            for name in names:
                self.system.processes[name].kill()  # waits for its end

    def kill(self, *names: str) -> None:
        self.signal(signal.SIGKILL, *names)

    def start(self, *names: str) -> None:
        self.say(f"starts {', '.join(names)} again")
        for name in names:
            self.system.processes[name].start()

    def resume(self) -> bool:
        """Wait until writes are acknowledged again; whether that came about."""
        # One may have been acknowledged before the failure, and be counted only now.
        wanted = self.load.written + 2
        said: str | None = None
        since_s = time.monotonic()

        def has_come_or_never_will() -> bool:
            nonlocal said, since_s
            says = self.system.waits()
            if says is None or says != said:
                said = says
                since_s = time.monotonic()
            return self.load.written >= wanted or time.monotonic() - since_s > STUCK_S

        _waited(has_come_or_never_will, RESUME_S)
        return self.load.written >= wanted

    def end(self) -> None:
        """Wait until writes are acknowledged and all servers are back in their places, or too long;
        then a little more."""
        self.has_resumed = self.resume()
        if self.has_resumed:
            _waited(lambda: self.system.lacks() is None, RESUME_S)
            time.sleep(CALM_S)


@dataclass(frozen=True, slots=True)
class Failure:
    """Something that goes wrong: a word for it, what it is, and how it is played."""

    name: str
    text: str
    play: Callable[[Stage], None]


def leader(stage: Stage) -> None:
    first, _ = stage.servers()
    stage.kill(first)
    stage.resume()
    stage.start(first)
    stage.end()


def follower(stage: Stage) -> None:
    _, second = stage.servers()
    stage.kill(second)
    stage.resume()
    stage.start(second)
    stage.end()


def in_turn(stage: Stage) -> None:
    first, second = stage.servers()
    stage.kill(first)
    # Not before the next one has a copy: another third one, where there is one.
    _waited(lambda: (stage.system.servers() or (first,))[0] != first, RESUME_S)
    next_first = (stage.system.servers() or (second,))[0]
    stage.resume()
    stage.kill(next_first)
    time.sleep(AWAY_S)
    stage.start(first, next_first)
    stage.end()


def all_at_once(stage: Stage) -> None:
    names = list(stage.system.processes)
    stage.kill(*names)
    stage.start(*names)
    stage.end()


def decider(stage: Stage) -> None:
    stage.servers()
    name = stage.system.decider
    stage.kill(name)
    time.sleep(AWAY_S)
    stage.start(name)
    stage.end()


def decider_and_leader(stage: Stage) -> None:
    first, _ = stage.servers()
    name = stage.system.decider
    stage.kill(name)
    stage.kill(first)
    time.sleep(AWAY_S)
    stage.start(name, first)
    stage.end()


def pause(stage: Stage) -> None:
    first, _ = stage.servers()
    stage.signal(signal.SIGSTOP, first)
    time.sleep(AWAY_S)
    stage.signal(signal.SIGCONT, first)
    stage.end()


FAILURES: Final[Sequence[Failure]] = (
    Failure("leader", "the leader, or the primary, is killed", leader),
    Failure("follower", "a follower, or the backup, is killed", follower),
    Failure("in-turn", "the leader is killed, and then the next one, once it has a copy", in_turn),
    Failure("all", "all are killed at once and started again", all_at_once),
    Failure("decider", "the view server is killed, or a follower", decider),
    Failure("decider-leader", "the same, and at once the leader as well", decider_and_leader),
    Failure("pause", "the leader stands still for a while, and comes back", pause),
)

_VERBS: Final = {
    signal.SIGKILL: "kills",
    signal.SIGSTOP: "stops",
    signal.SIGCONT: "lets go on",
}


@dataclass(frozen=True, slots=True)
class Played:
    """A failure that was played on a design."""

    failure: Failure
    design: str
    outcome: Outcome
    lacks: str | None
    """What the cluster still lacked in the end; None: nothing."""


class Theatre:
    """Plays failures on one design, on one cluster after the other: one that is whole again is used
    for the next failure too. As a context it leaves nothing running."""

    def __init__(self, make: Callable[[Path], System], directory: Path) -> None:
        """`make` gives a cluster, not started, for a directory that is there; those are made in
        `directory`."""
        self._make = make
        self._directory = directory
        self._made = 0
        self._system: System | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def play(self, failure: Failure, say: Callable[[str], None]) -> Played:
        """Play a failure; `say` tells a person what is done. Raises Unavailable if the cluster does
        not start."""
        system = self._whole()
        load = Load(f"compare/{failure.name}", system.client(), system.client())
        try:
            _awaited("a first write", lambda: load.written or None, START_S)
            time.sleep(CALM_S)
            stage = Stage(system, load, say)
            failure.play(stage)
            assert stage.failed_s is not None
            outcome = load.end(stage.failed_s, stage.has_resumed)
        finally:
            load.close()
        return Played(failure, system.design, outcome, system.lacks())

    def _whole(self) -> System:
        """The cluster of before, if nothing is amiss with it, or a new one."""
        if self._system is not None and self._system.lacks() is None:
            return self._system
        self._close()
        self._made += 1
        directory = self._directory / str(self._made)
        directory.mkdir(parents=True)
        self._system = self._make(directory)
        self._system.start()
        what = f"a whole cluster of {self._system.design}"
        _awaited(what, partial(_is_whole, self._system), START_S)
        return self._system

    def _close(self) -> None:
        if self._system is not None:
            self._system.close()
            self._system = None


def _is_whole(system: System) -> bool | None:
    """True or None. Raises Unavailable if one of its processes has ended."""
    for process in system.processes.values():
        if not process.is_running:
            raise Unavailable(f"{process.name} has ended: {process.last_words()}")
    return True if system.lacks() is None else None


def _awaited(what: str, look: Callable[[], T | None], limit_s: float) -> T:
    """What `look` gives as soon as it is not None. Raises Unavailable."""
    found: list[T] = []

    def has_come() -> bool:
        seen = look()
        found.extend([] if seen is None else [seen])
        return seen is not None

    if not _waited(has_come, limit_s):
        raise Unavailable(f"not within {limit_s:g} s: {what}")
    return found[0]


def _waited(look: Callable[[], bool], limit_s: float) -> bool:
    """Wait until it is so, or too long; whether it came to be so."""
    deadline_s = time.monotonic() + limit_s
    while not look():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(_POLL_S)
    return True
