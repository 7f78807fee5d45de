"""The recovery drill: in the middle of a world's faults most of its disks are destroyed at once.

The newest of what is left becomes a cluster of its own, though the machine may stop in the middle
of that. Nothing that its node had applied may be missing. Then nodes with empty directories join
it, and nodes of the old cluster come back, too few to elect: the two never hear one another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Final

from raftzmq import limits
from raftzmq.core.entry import COMMAND, COMMANDS, Entry
from raftzmq.errors import DataError, DiskFull
from raftzmq.lines import with_body
from raftzmq.machine import Machine, Program
from raftzmq.node import Node
from raftzmq.offline.founding import NewCluster
from raftzmq.offline.recovery import confirmation, recover
from raftzmq.offline.survivors import Survivor, newest, read_remains, survey
from raftzmq.storage import MemoryFiles
from raftzmq.transport.operator_wire import MemberRequest
from raftzmq.transport.peer_wire import Envelope
from tests.node import world as nodes
from tests.sim.banking import program_of
from tests.sim.disks import DATA, PowerCut, SimFiles
from tests.sim.process import SimProcess
from tests.sim.story import Violation
from tests.sim.world import World

SETTLED_S: Final = 30.0


class Drill(World):
    """A world whose second phase is the recovery."""

    _aftermath: _Aftermath | None = None

    def run(self) -> Drill:
        """Play the seed. Raises SimFailure."""
        super().run()
        if self._aftermath is not None:
            try:
                self._aftermath.play()  # with the usual limits
            except Exception as error:
                raise self._failure(error) from error
        return self

    def _play(self) -> None:
        self.drill = Random(f"drill {self.seed}")
        self.begin()
        self.run_until(self.drill.randrange(1500, int(self.seconds * 1000)))
        applied = {
            name: process.node.machine.applied_index
            for name, process in self.processes.items()
            if process.node is not None
        }
        for process in self.processes.values():
            if process.up:
                process.crash("goes down with all others", kill=self.drill.random() < 0.3)
            process.stay_down()
        survivor = self._destroy()
        if survivor is None:
            self.counts["nothing to recover"] += 1
            return
        cluster = self._recovered(survivor, applied.get(survivor.name, 0))
        self._aftermath = _Aftermath(self, survivor, cluster)

    def _destroy(self) -> SimProcess | None:
        """Take the disks of a majority of the voters away, all but copies that may turn up. Return
        the machine whose disk is the newest of those that are left."""
        own = program_of(self)
        found = {name: survey(p.files, DATA, own) for name, p in self.processes.items()}
        for name, one in found.items():
            process = self.processes[name]
            if one.damage and one.cluster and not (process.damaged or process.stale):
                raise Violation(f"{name} cannot be read, and nothing has harmed it: {one.damage}")
        whole = [n for n, one in found.items() if one.last_index and not one.damage]
        if not whole:
            return None
        kept = self.drill.sample(whole, self.drill.randint(1, max(1, (len(whole) - 1) // 2)))
        best = newest(found[name] for name in kept)
        self.old = {n: self.processes[n].files for n in whole if found[n] is not best}
        self.found = found
        self.counts["survivors"] += len(kept)
        return next(self.processes[name] for name in kept if found[name] is best)

    def _recovered(self, survivor: SimProcess, applied: int) -> NewCluster:
        """Recover, and look whether all is there that the survivor had applied."""
        files, old = survivor.files, self.found[survivor.name]
        remains = read_remains(files, DATA, program_of(self))
        if remains.last_index < applied:
            raise Violation(f"{survivor.name} had applied {applied}, of {remains.last_index} now")
        base = max(applied, old.snapshot_index)
        committed = self.rules.entries[:base]
        after = [entry for entry in remains.found.entries if entry.index > base]
        of_its_log = replayed([*committed, *after], program_of(self))
        if of_its_log.state_hash() != remains.machine.state_hash():
            raise Violation(f"the state of {survivor.name} is not that of its log")
        cluster = self._in_spite_of_crashes(survivor, old)
        if len(cluster.machine) != old.keys or cluster.id == old.cluster:
            raise Violation(f"{cluster} is not what was left: {old}")
        self.counts["recovered"] += 1
        self.counts["with a bank"] += bool(remains.machine.state.program.name)
        self.counts["entries kept"] += remains.last_index
        return cluster

    def _in_spite_of_crashes(self, survivor: SimProcess, old: Survivor) -> NewCluster:
        while True:
            survivor.cut_in = self.drill.choice([None, self.drill.randrange(60)])
            try:
                return recover(
                    survivor.files,
                    DATA,
                    confirm=confirmation(old.revision),
                    address=survivor.address,
                    program=program_of(self),
                    draw=lambda: f"{self.drill.getrandbits(64):016x}",
                )
            except (PowerCut, DataError, DiskFull) as stop:
                if not isinstance(stop, PowerCut):
                    if "no space" not in str(stop):
                        raise
                    survivor.files.capacity = None  # somebody makes room
                survivor.files.lose_power(self.drill)
                self.counts["interrupted"] += 1
                again = survey(survivor.files, DATA, program_of(self))
                if again.cluster == old.cluster and again.place == old.place and not again.damage:
                    continue
                if again.revision == old.revision + limits.REVISION_GAP:  # it was finished
                    remains = read_remains(survivor.files, DATA, program_of(self))
                    identity = remains.identity.cluster
                    return NewCluster(identity, remains.membership, again.term, remains.machine)
                raise Violation(f"an interruption has left {again} of {old}") from None


def replayed(entries: Sequence[Entry], program: Program | None) -> Machine:
    machine = Machine(program=program)
    for entry in entries:
        if entry.kind in (COMMAND, COMMANDS):
            machine.apply_all([with_body(entry)])
        else:
            machine.advance(entry.index, entry.time_ms)
    return machine


class _Aftermath(nodes.World):
    """The new cluster, whose other nodes begin with nothing, and nodes of the old one."""

    def __init__(self, drill: Drill, survivor: SimProcess, cluster: NewCluster) -> None:
        super().__init__(0, drill.seed)
        self._drill = drill
        self._cluster = cluster
        self._survivor = survivor.name
        self.initial = {**drill.initial, survivor.name: survivor.address}
        self.programs = dict.fromkeys({*self.initial, *drill.old}, program_of(drill))
        self._returned = {name: drill.old[name] for name in _too_few(drill)}
        self.disks |= {survivor.name: survivor.files, **self._returned}
        for files in self.disks.values():
            assert isinstance(files, SimFiles)
            files.before, files.capacity = (lambda operation, path: None), None
            files.lose_power(drill.drill)

    def play(self) -> None:
        for name in sorted({*self.initial, *self.disks}):
            try:
                self.start(name)
            except DataError:  # an old directory that was damaged: it is no danger either
                self.disks[name] = MemoryFiles()
                self._returned.pop(name, None)
                self.start(name)
        self.until(self._leads, SETTLED_S)
        for name in sorted(self.initial.keys() - self._returned.keys() - {self._survivor}):
            self.until(lambda name=name: self._admitted(name), SETTLED_S)  # type: ignore[misc]
        self.run(1.0)  # until the operator has the last answer
        leader = self._leader()
        session = self.session(leader.name)
        code, revision = self.operate(leader.name, "put", "after", "recovery", session=session)[1:3]
        if code != "ok" or revision <= self._cluster.machine.revision:
            raise Violation(f"the new cluster answers a write with {code} at {revision}")
        self.run(3.0)
        for name, node in self.nodes.items():
            strange = (name in self._returned) == (node.cluster == self._cluster.id)
            if strange or (name in self._returned and node.machine.revision >= revision):
                raise Violation(f"{name} of cluster {node.cluster} hears {self._cluster.id}")
        self._drill.counts["came back"] += len(self._returned)
        self._drill.counts["joined"] += len(self.nodes) - len(self._returned) - 1

    def step(self) -> None:
        """A step, in which no message of one cluster does anything to a node of another."""
        for node in self.nodes.values():
            node.receive = _guarded(node)  # type: ignore[method-assign, assignment]
        super().step()

    def _leader(self) -> Node:
        return next(
            node
            for node in self.nodes.values()
            if node.cluster == self._cluster.id and node.role == "leader"
        )

    def _leads(self) -> bool:
        return self.nodes[self._survivor].role == "leader"

    def _admitted(self, name: str) -> bool:
        leader = self._leader()
        member = leader.raft.membership.named(name)
        if member is None and leader.membership_settled and leader.admission.is_asking(name):
            self.replies[leader.name].clear()
            self.ask(leader.name, MemberRequest(id=1, action="add", name=name))
        return member is not None and member.voter


def _too_few(drill: Drill) -> list[str]:
    """Nodes of the old cluster that come back, and are no majority of it, whatever they know."""
    names = [name for name in drill.old if drill.drill.random() < 0.6]
    while any(2 * len(names) > len(voters) for n in names if (voters := drill.found[n].voters)):
        names.pop()
    return names


def _guarded(node: Node) -> Callable[[Envelope], None]:
    """The node's `receive`, that must not act on what another cluster sends."""
    take = type(node).receive.__get__(node)

    def receive(envelope: Envelope) -> None:
        before = _of(node)
        take(envelope)
        if envelope.cluster != node.cluster and _of(node) != before:
            raise Violation(f"{node.name} has heard {envelope.cluster}: {envelope.message}")

    return receive


def _of(node: Node) -> tuple[object, ...]:
    raft = node.raft
    return raft.term, raft.vote, raft.leader, raft.commit_index, raft.log.last_index, raft.role
