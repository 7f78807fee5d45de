"""Worlds of two builds: some machines run one that speaks cluster version 1 alone, and an operator
rolls them forth, back and forth again, as docs/upgrading.md says, while everything else happens.

An old build here is this one, told to speak less. That it knows no later form is played: it stops
at what the table of versions says is later.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from random import Random
from typing import TYPE_CHECKING, Any, Final

from raftzmq.client.operations import cluster
from raftzmq.core.entry import Entry
from raftzmq.core.membership import Membership
from raftzmq.errors import DataError, UnknownEntry
from raftzmq.lines import with_body
from raftzmq.versions import SINCE, SPOKEN, Spoken, later_than
from tests.machine.entries import commands_of
from tests.sim.story import Violation

if TYPE_CHECKING:
    from tests.sim.process import SimProcess
    from tests.sim.world import World

MIXED: Final = 0.35
"""Share of the worlds in which there are two builds."""

OLD: Final = Spoken(1, 1)
STEP_MS: Final = 700
"""The operator looks what to do next this often, or twice."""


class Builds:
    """What each machine runs. `mixed`: whether there are two builds in this world."""

    def __init__(self, world: World, random: Random) -> None:
        self._world = world
        self._random = random
        self.mixed = self.began_mixed = random.random() < MIXED and not world.options.alone
        self._old: set[str] = set()
        self._phase = self._forth
        self._asked = False

    def begin(self) -> None:
        """Choose who begins with which build, before any has started; have the operator begin."""
        if self.mixed:
            names = sorted(self._world.initial)
            self._old = {name for name in names if self._random.random() < 0.6} or {names[0]}
            self._world.at(self._pause(), self._next)

    def of(self, process: SimProcess) -> Spoken:
        """What the build speaks that a machine is started with."""
        return OLD if process.name in self._old else SPOKEN

    def end(self) -> None:
        """The world becomes calm: every machine gets the new build."""
        self.mixed = False
        for name in sorted(self._old):
            self._replace(self._world.processes[name], old=False)

    def lost(self, process: SimProcess) -> None:
        """A machine has lost its disk: an operator puts the new build there, for it will be sent
        the log from its beginning."""
        self._old.discard(process.name)

    def raised(self, version: int, membership: Membership) -> None:
        """The cluster version is raised: every member must speak it."""
        for member in membership:
            if member.id.name in self._old and version not in OLD:
                raise Violation(
                    f"cluster version {version} is in force, and the build of {member.id} "
                    f"speaks {OLD}"
                )

    # -- the operator ---------------------------------------------------------------------------

    def _pause(self) -> int:
        return self._random.choice([STEP_MS, 2 * STEP_MS])

    def _next(self) -> None:
        if self.mixed:
            self._phase()
            self._world.at(self._pause(), self._next)

    def _forth(self) -> None:
        if self._old:
            name = self._random.choice(sorted(self._old))
            self._replace(self._world.processes[name], old=False)
        elif self._asked:
            self._world.faults.ask("finish the upgrade", cluster.upgrade_finish())
            self._phase = self._rest
        else:
            self._phase = self._lower

    def _lower(self) -> None:
        leader = self._world.faults.leader()
        if leader is not None and leader.machine.version == SPOKEN.highest:
            self._world.faults.ask("downgrade", cluster.upgrade_downgrade())
            self._asked = True
        elif self._asked and self._may_go_back():
            self._phase = self._back

    def _may_go_back(self) -> bool:
        """Whether every machine runs, at the lower version, and nothing from before is needed."""
        nodes = [process.node for process in self._world.processes.values()]
        return all(
            node is not None
            and node.machine.version == OLD.highest
            and node.machine.state.pinned
            and node.version_settled
            for node in nodes
        )

    def _back(self) -> None:
        ready = [p for p in self._world.processes.values() if p.name not in self._old and p.up]
        ready = [p for p in ready if p.node is not None and p.node.machine.state.pinned]
        ready = [p for p in ready if p.node is not None and p.node.version_settled]
        if ready and self._random.random() < 0.8:
            self._replace(self._random.choice(ready), old=True)
            self._world.counts["build rolled back"] += 1
        else:
            self._phase = self._forth

    def _rest(self) -> None:
        """There is nothing left to try."""

    def _replace(self, process: SimProcess, *, old: bool) -> None:
        (self._old.add if old else self._old.discard)(process.name)
        self._world.counts["build replaced"] += 1
        if process.up:
            how = "old" if old else "new"
            process.crash(f"is stopped, to be started with the {how} build", kill=True)


# -- what an old build does not know ------------------------------------------------------------


def check_entries(entries: Sequence[Entry], spoken: Spoken) -> None:
    """Raises UnknownEntry if a build that speaks those versions cannot know one of the entries."""
    for entry in entries:
        for _, _, (_, name, *arguments) in commands_of(with_body(entry)):
            for form in _forms_of(name, arguments):
                if SINCE[form] > spoken.highest:
                    raise UnknownEntry(f"log entry {entry.index}: {form}")


def _forms_of(name: str, arguments: Sequence[Any]) -> Iterator[str]:
    """The forms of an operation, and of those within it."""
    yield f"operation {name}/{len(arguments)}"
    if name == "fenced":
        inner, *rest = arguments[1]
        yield f"fenced {inner}"
        yield from _forms_of(inner, rest)
    elif name == "txn":
        yield from (f"branch {operation[0]}" for branch in arguments[1:3] for operation in branch)


def check_records(records: Iterable[Any], spoken: Spoken) -> None:
    """Raises DataError if a build that speaks those versions cannot know one of the records."""
    later = later_than(spoken.highest, "record")
    for record in records:
        form = f"{record[0]}/{len(record)}"
        if form in later:
            raise DataError(f"the snapshot has a record of a kind unknown here: {form}")
