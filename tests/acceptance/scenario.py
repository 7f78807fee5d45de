"""The acceptance run's one scenario: eight steps, and a writer under all of them.

Each step does to the cluster what happens to clusters, looks at what comes of it, and returns what
it saw in a few words. What is not as it has to be raises Unmet, and ends the run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from tests.acceptance.expectation import PATIENCE_S, Unmet, until
from tests.acceptance.platforms import Platform, replica_names
from tests.acceptance.playing import Playing, Step
from tests.acceptance.report import Narrator
from tests.acceptance.view import Leader, leader_among, summary, unsettled

THREE: Final = replica_names(3)
FIVE: Final = replica_names(5)


class Scenario(Playing):
    """One run on one platform."""

    def __init__(self, platform: Platform, narrator: Narrator, evidence: Path) -> None:
        super().__init__(platform, narrator, evidence)
        self._platform = platform
        self._stopped = ""  # the replica whose worker was stopped

    @property
    def steps(self) -> Sequence[Step]:
        return [(name, sentence, partial(play, self)) for name, sentence, play in STEPS]

    # -- the eight steps ------------------------------------------------------------------------

    def deploy(self) -> str:
        self._platform.deploy()
        self._begin_writing()
        leader = self._settle(THREE)
        self._write_in("deploy")
        return f"three voters, leader {leader.name}, term {leader.term}"

    def check(self) -> str:
        return self._platform.check()

    def kill_the_leader(self) -> str:
        old = self._leader()
        change = self._kill(old, THREE)
        self._settle(THREE)
        return f"{change}, and {old.name} is back and has caught up"

    def stop_the_worker(self) -> str:
        old = self._leader()
        rest = [name for name in THREE if name != old.name]
        worker = self._platform.stop_worker(old.name)
        self._stopped = old.name
        self._say(f"{worker} is stopped, and {old.name} with it")
        new = self._next_leader(old, THREE, rest)
        self._check()
        until(
            f"{old.name} stuck on {worker}, not replaced",
            lambda: self._platform.stuck(old.name),
            2 * PATIENCE_S,
        )
        return f"{change_of(old, new)}; {old.name} is stuck on {worker} and was not replaced"

    def start_the_worker(self) -> str:
        self._platform.start_worker(self._stopped)
        leader = self._settle(THREE)
        keys, index = self._agree(THREE)
        return f"leader {leader.name}; all three hold the same {keys:,} keys at index {index:,}"

    def scale(self) -> str:
        self._platform.scale(5)
        self._settle(FIVE)
        self._say("five voters")
        change = self._kill(self._leader(), FIVE)
        self._settle(FIVE)
        self._platform.scale(3)
        leader = self._settle(THREE)
        until("no replica beyond three", lambda: self._platform.surplus(3))
        self._check()
        return f"five voters; {change}; three voters again, leader {leader.name}"

    def kill_all(self) -> str:
        old = self._leader()
        addresses = {name: self._platform.address(name) for name in THREE}
        instances = {name: self._platform.instance(name) for name in THREE}
        self._platform.kill_all()
        self._await_others(instances)
        new = self._settle(THREE)
        self._check()
        told = change_of(old, new)
        if any(addresses.values()):
            moved = sum(addresses[name] != self._platform.address(name) for name in THREE)
            told += f"; {moved} of 3 have other addresses"
        return told

    def roll(self) -> str:
        old = self._leader()
        instances = {name: self._platform.instance(name) for name in THREE}
        self._platform.roll()
        self._await_others(instances)
        new = self._settle(THREE)
        self._check()
        keys, index = self._agree(THREE)
        return (
            f"{change_of(old, new)}; all three are replaced, "
            f"and hold the same {keys:,} keys at index {index:,}"
        )

    # -- what the steps are made of -------------------------------------------------------------

    def _kill(self, old: Leader, members: Sequence[str]) -> str:
        """Kill the leader; the others elect another, work, and get a replacement of it."""
        instance = self._platform.instance(old.name)
        self._platform.kill(old.name)
        self._say(f"{old.name}, which led, is killed")
        new = self._next_leader(old, members, [name for name in members if name != old.name])
        self._check()
        self._platform.replace(old.name)
        self._await_another(old.name, instance)
        return change_of(old, new)

    def _next_leader(self, old: Leader, members: Sequence[str], rest: Sequence[str]) -> Leader:
        """Wait until the rest follows a leader of a later term."""
        found: list[Leader] = []

        def look() -> str | None:
            statuses = self._platform.statuses()
            leader = leader_among(statuses)
            if leader is None or leader.term <= old.term:
                return f"none yet: {summary(statuses)}"
            found.append(leader)
            return unsettled(statuses, members, rest)

        until(f"that {', '.join(rest)} follow a leader of a term after {old.term}", look)
        self._say(f"{found[-1].name} leads in term {found[-1].term}")
        return found[-1]

    def _settle(self, members: Sequence[str]) -> Leader:
        """Wait until these are the members, each of them ready, and with all that was committed
        when the waiting began."""
        committed: list[int] = []

        def look() -> str | None:
            statuses = self._platform.statuses()
            committed.append(max((s["commit_index"] or 0 for s in statuses), default=0))
            amiss = unsettled(statuses, members, members, committed[0])
            return amiss or next(
                (f"{name}: {why}" for name in members if (why := self._platform.unready(name))),
                None,
            )

        until(f"{len(members)} voters, ready and caught up", look, 2 * PATIENCE_S)
        return self._leader()

    def _leader(self) -> Leader:
        found: list[Leader] = []

        def look() -> str | None:
            statuses = self._platform.statuses()
            found.extend(filter(None, [leader_among(statuses)]))
            return None if found else summary(statuses)

        until("a leader that a majority follows", look)
        return found[0]

    def _check(self) -> None:
        self._say(f"client check: {self._platform.check()}")

    def _await_another(self, name: str, instance: str) -> None:
        """Wait until there is a replica of that name that is not this instance."""

        def look() -> str | None:
            now = self._platform.instance(name)
            if now == instance:
                return f"{name} is still {instance}"
            return None if now else f"there is no {name}"

        until(f"another {name}", look)

    def _await_others(self, instances: dict[str, str]) -> None:
        for name, instance in instances.items():
            self._await_another(name, instance)

    def _agree(self, members: Sequence[str]) -> tuple[int, int]:
        """With the writer held, the members come to the same index, and hold the same there."""
        assert self._writing
        self._writing.hold()
        indices: list[int] = []

        def look() -> str | None:
            statuses = self._platform.statuses()
            indices[:] = {s["applied_index"] for s in statuses if s["node"] in members}
            return None if len(indices) == 1 and indices[0] else summary(statuses)

        until("the same applied index everywhere", look)
        first, *others = ((name, self._platform.contents(name)) for name in members)
        for name, contents in others:
            if contents != first[1]:
                difference = first_difference(first[1], contents)
                raise Unmet(f"{name} and {first[0]} with the same contents", difference)
        self._writing.resume()
        return len(first[1]), indices[0]


STEPS: Final[Sequence[tuple[str, str, Callable[[Scenario], str]]]] = (
    (
        "deploy",
        "three replicas start; they have to form a cluster and be ready.",
        Scenario.deploy,
    ),
    (
        "check",
        "a client writes, overwrites and reads back, and has to read what it wrote.",
        Scenario.check,
    ),
    (
        "kill leader",
        "the leader is deleted by force; the others have to go on, its replacement to catch up.",
        Scenario.kill_the_leader,
    ),
    (
        "stop worker",
        "the machine that carries the new leader stops; the two that are left have to go on.",
        Scenario.stop_the_worker,
    ),
    (
        "start worker",
        "the machine comes back; all three have to come to the same index and contents.",
        Scenario.start_the_worker,
    ),
    (
        "scale",
        "to five, the leader is killed, and to three again; the members have to follow.",
        Scenario.scale,
    ),
    (
        "kill all",
        "all are deleted at once; they have to find one another again, and elect.",
        Scenario.kill_all,
    ),
    (
        "roll",
        "the next version replaces one after the other; clients may hardly notice.",
        Scenario.roll,
    ),
)


def change_of(old: Leader, new: Leader) -> str:
    return f"leader {old.name} -> {new.name}, term {old.term} -> {new.term}"


def first_difference(one: Sequence[Any], other: Sequence[Any]) -> str:
    """Where two lists of items begin to differ."""
    for mine, theirs in zip(one, other, strict=False):
        if mine != theirs:
            return f"{mine!r:.200} and {theirs!r:.200}"
    return f"{len(one):,} and {len(other):,} keys"
