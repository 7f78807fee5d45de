"""A small cluster that has lived through a little of everything, what was said in it, and rules.

The messages recorded here are valid, in the right cluster and addressed to nodes that are there:
the corpus for what a node does with a mangled one.
"""

from __future__ import annotations

from collections import defaultdict
from copy import deepcopy
from pathlib import Path
from typing import Any, Final

import orjson

from raftzmq.core.entry import Entry
from raftzmq.lines import decode_entry
from raftzmq.node import Node
from raftzmq.storage import MemoryFiles, MemoryStorage, StorageConfig
from raftzmq.transport.client_wire import OperationsRequest
from raftzmq.transport.operator_wire import TransferRequest
from tests.fuzz.decoders import hold
from tests.fuzz.mangler import Parts
from tests.machine.entries import follow
from tests.machine.model import Model
from tests.node.world import World

SMALL: Final = StorageConfig(
    segment_entries=8, snapshot_bytes=2_000, snapshot_entries=20, keep_entries=2
)
KEPT: Final = 6
"""Most messages of one type, to one node, that are kept for the corpus."""


class Recorded(World):
    """A world that remembers what was sent, and who was like what at which moment."""

    def __init__(self) -> None:
        self.said: defaultdict[tuple[str, str], list[Parts]] = defaultdict(list)
        self.moments: dict[str, Node] = {}
        super().__init__(3, 1, SMALL)

    def step(self) -> None:
        for to, frames in self.network:
            some = self.said[to, orjson.loads(frames[0])["type"]]
            some.append(tuple(frames))
            if len(some) > KEPT:
                some.pop(0 if len(some) % 2 else 1)
        super().step()

    def corpus(self, name: str) -> list[Parts]:
        """What was sent to the node of that name."""
        return [parts for (to, _), some in self.said.items() if to == name for parts in some]

    def remember(self, moment: str, name: str) -> None:
        self.moments[moment] = deepcopy(self.nodes[name])

    def write(self, count: int, session: int) -> None:
        for number in range(count):
            leader = self.leader()
            assert leader is not None
            code = self.operate(
                leader.name, "put", f"k{number % 9}", "v" * number, session=session
            )[1]
            assert code == "ok"


def lived() -> Recorded:
    """Elections, a transfer, a snapshot that is sent, a crash, and a leader at the end."""
    world = Recorded()
    world.remember("joining", "raft-2")
    leader = world.formed().name
    session = world.session(leader)
    world.write(5, session)
    follower = next(name for name in world.nodes if name != leader)
    world.remember("young", follower)
    world.cut.add(follower)
    world.write(60, session)
    world.remember("lagging", follower)
    world.cut.clear()
    lagging = world.nodes[follower]
    world.until(lambda: lagging.raft.snapshot_meta and _level(world))
    world.ask(leader, TransferRequest(1, follower))
    world.until(lambda: world.nodes[follower].role == "leader")
    world.write(3, session)
    world.kill(follower)
    world.until(lambda: world.leader() is not None)
    world.write(3, session)
    world.start(follower)
    world.until(lambda: _level(world))
    final = world.leader()
    assert final is not None
    world.remember("leader", final.name)
    for name in world.nodes:
        if name != final.name:
            world.remember("follower", name)
    return world


def _level(world: World) -> bool:
    """Whether everybody has applied everything and writes no snapshot, and somebody leads."""
    last = {node.raft.log.last_index for node in world.nodes.values()}
    applied = {node.raft.applied_index for node in world.nodes.values()}
    at_rest = not any(node.snapshots.is_busy for node in world.nodes.values())
    return last == applied and len(last) == 1 and at_rest and world.leader() is not None


def contents(files: MemoryFiles, path: Path = Path("/data")) -> dict[Path, bytes]:
    """Every file below a directory of a disk in memory."""
    found: dict[Path, bytes] = {}
    for name in files.names(path):
        try:
            found[path / name] = files.read(path / name)
        except IsADirectoryError:
            found |= contents(files, path / name)
    return found


def disk_of(node: Node) -> dict[Path, bytes]:
    assert isinstance(node.storage, MemoryStorage)
    return contents(node.storage.files)


def essence(node: Node) -> tuple[Any, ...]:
    """Everything about a node that matters to anybody else."""
    raft = node.raft
    return (
        *(raft.term, raft.vote, raft.role, raft.leader, dict(raft.votes), raft.regressed),
        *(raft.log.last_index, raft.log.last_term, raft.commit_index, raft.applied_index),
        *(raft.stable_index, raft.membership, raft.snapshot_meta, raft.incoming, raft.has_ready),
        *(node.cluster, node.machine.applied_index, node.stopping, node.stop_requested),
    )


class Watched:
    """A node, and the rules that hold whatever it is told.

    A second state machine, the plain one of the tests, is fed what the node says it has applied.
    """

    def __init__(self, node: Node) -> None:
        self.node = node
        self.model = Model()
        self._adopt_state()
        self.term, self.vote = node.raft.term, node.raft.vote
        self.commit_index = node.raft.commit_index
        self.committed = self._entries()

    def _entries(self) -> dict[int, Entry]:
        log = self.node.raft.log
        first = log.first_index
        return {i: log.entry(i) for i in range(first, self.node.raft.commit_index + 1)}

    def _adopt_state(self) -> None:
        """Begin from the state that the node has: after a start, or a snapshot."""
        self.model = model_of(self.node)
        self.applied_index = self.node.raft.applied_index

    def check(self) -> None:
        """Every rule, after a turn."""
        node, raft = self.node, self.node.raft
        hold(self.term <= raft.term <= 2**53, "the term fell or left its bounds")
        if raft.term == self.term and self.vote is not None:
            hold(raft.vote == self.vote, "voted twice in a term")
        hold(raft.commit_index >= self.commit_index, "the commit index fell")
        hold(
            raft.applied_index <= raft.commit_index <= raft.log.last_index,
            "applied, commit and last index are out of order",
        )
        hold(raft.applied_index <= raft.stable_index, "applied what is not durable")
        hold(node.machine.applied_index in (0, raft.applied_index), "the machine is elsewhere")
        entries = self._entries()
        for index in entries.keys() & self.committed.keys():
            same = entries[index].line == self.committed[index].line
            hold(same, "a committed entry changed")
        self.committed = entries
        if raft.applied_index > self.applied_index:
            self._follow()
        self.term, self.vote, self.commit_index = raft.term, raft.vote, raft.commit_index

    def _follow(self) -> None:
        """Apply to the model what the node has applied, and compare."""
        raft = self.node.raft
        first = self.applied_index + 1
        if first < raft.log.first_index:  # a snapshot came
            self._adopt_state()
            return
        for index in range(first, raft.applied_index + 1):
            follow(self.model, decode_entry(raft.log.entry(index).line))
        self.applied_index = raft.applied_index
        agree(self.node, self.model)


def model_of(node: Node) -> Model:
    """A plain state machine in the state of the node's."""
    model = Model()
    for record in node.machine.snapshot():
        match record:
            case ["key", key, value, revision, *version]:
                model.keys[key] = (value, revision, version[0] if version else 0)
            case ["session", number, ack, used_ms]:
                model.sessions[number] = {"ack": ack, "used_ms": used_ms, "results": {}}
            case ["result", number, serial, code, index, body]:
                model.sessions[number]["results"][serial] = (code, index, body)
            case ["lease", number, ttl_ms, end_ms]:
                model.leases[number] = (ttl_ms, end_ms)
            case ["bond", key, lease, end_ms]:
                model.bonds[key] = (lease, end_ms)
            case ["queue", kind, name, permits]:
                model.queues[kind, name] = permits
            case ["place", kind, name, token, *place]:
                model.places[token] = [(kind, name), *place]
    model.places = dict(sorted(model.places.items()))
    model.time_ms = node.machine.time_ms
    model.index = node.machine.revision
    model.counting = int(node.machine.version >= 2)
    return model


def agree(node: Node, model: Model) -> None:
    """Fail unless the node's state is the model's."""
    other = model_of(node)
    hold(other.keys == model.keys, "the keys differ from the model's")
    for table in ("leases", "bonds", "queues", "places"):
        same = getattr(other, table) == getattr(model, table)
        hold(same, f"the {table} differ from the model's")
    hold(other.sessions.keys() == model.sessions.keys(), "the sessions differ from the model's")
    for number, session in model.sessions.items():
        hold(other.sessions[number]["ack"] == session["ack"], "an ack differs from the model's")


def operations_of(world: Recorded, requests: list[OperationsRequest]) -> list[OperationsRequest]:
    """The requests, as a client of this world would send them."""
    leader = world.leader()
    assert leader is not None
    session = min(number for number in model_of(leader).sessions)
    return [
        OperationsRequest(session, request.ack, request.stale, request.ops, leader.cluster)
        for request in requests
    ]
