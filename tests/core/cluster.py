"""Several Rafts, their disks, a network that can be told what to lose, and virtual time."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import Any

from raftzmq.core.config import Config
from raftzmq.core.entry import COMMAND, CONFIG, Entry
from raftzmq.core.identity import NodeId
from raftzmq.core.membership import Member, Membership
from raftzmq.core.messages import Message, SnapshotChunk
from raftzmq.core.raft import Raft
from raftzmq.core.ready import HardState, ReadReleased, Ready, SnapshotMeta
from raftzmq.core.role import Role
from raftzmq.lines import encode_entries, encode_entry
from tests.core.disk import Disk, State
from tests.core.transcript import describe, is_idle, situation

NONCE = 7
"""What every node asks with."""


class Middle(Random):
    """Draws the middle of every range: elections happen when the scenario says so."""

    def randrange(self, start: int, stop: int | None = None, step: int = 1) -> int:
        return start // 2 if stop is None else (start + stop) // 2


def node_id(name: str, incarnation: int = 1) -> NodeId:
    return NodeId(name, str(incarnation))


def membership(voters: str, learners: str = "") -> Membership:
    """Of single-letter names, in their first incarnation."""
    members = [Member(node_id(name), f"{name}:6000", name in voters) for name in voters + learners]
    return Membership(tuple(sorted(members, key=lambda member: member.id)))


def config_entry(members: Membership, index: int = 1, term: int = 1) -> Entry:
    return encode_entry(index, term, 0, CONFIG, members.to_body())


def log_of(members: Membership, terms: Sequence[int]) -> list[Entry]:
    """A log: the membership, then an entry of each of `terms`. Bodies tell the term."""
    entries = [config_entry(members)]
    for index, term in enumerate(terms, 2):
        entries.append(encode_entry(index, term, 0, COMMAND, f"{index} of term {term}"))
    return entries


class Node:
    """One process: a Raft, its disk, its state machine, and what it answered."""

    def __init__(self, cluster: Cluster, disk: Disk) -> None:
        self.cluster = cluster
        self.disk = disk
        self.up = False
        self.reads: list[ReadReleased] = []
        self.failed_reads: list[object] = []
        self.start()

    @property
    def name(self) -> str:
        return self.disk.node.name

    def start(self) -> None:
        """Restore from the disk; nothing else is left."""
        self.up = True
        self.state: State = self.disk.state
        self.applied: list[Entry] = []
        """Every entry handed out to apply since the start."""
        self.raft = Raft(
            self.disk.node,
            self.cluster.config,
            random=self.cluster.random_of(self.disk.node),
            encode=encode_entries,
            now_ms=self.cluster.now_ms,
            hard_state=self.disk.hard_state,
            snapshot=self.disk.snapshot,
            entries=self.disk.entries,
            nonce=NONCE,
        )

    def crash(self) -> None:
        """kill -9: what was not saved is gone."""
        self.up = False
        self.disk.incoming.clear()

    def work(self) -> None:
        """Work off everything that is ready, in the order that core/ready.py demands."""
        while self.up and self.raft.has_ready and self.execute(self.raft.ready()):
            pass

    def execute(self, ready: Ready) -> bool:
        """Returns whether it could all be done."""
        for message in ready.messages:
            self.cluster.send(message)
        saved = self.save(ready)
        if not self.up:
            return False
        if not saved:
            self.raft.save_failed()
        for message in ready.messages_after_save if saved else ():
            self.cluster.send(message)
        self.apply(ready)
        self.send_chunks(ready)
        return saved

    def send_chunks(self, ready: Ready) -> None:
        for send in ready.snapshot_sends:
            size = self.cluster.chunk_bytes
            data, done = self.disk.read_chunk(send.snapshot_index, send.offset, size)
            self.cluster.send(
                SnapshotChunk(
                    self.raft.id,
                    send.to,
                    self.raft.term,
                    send.snapshot_index,
                    send.snapshot_term,
                    send.offset,
                    data,
                    done,
                )
            )

    def save(self, ready: Ready) -> bool:
        """Returns whether it was done: a test may crash the node, or fill its disk, here."""
        if not self.cluster.may_save(self, ready):
            return False
        self.disk.save(ready.hard_state, ready.entries)
        metas = [self._receive(chunk) for chunk in ready.chunks]
        self.raft.saved()
        for chunk, meta in zip(ready.chunks, metas, strict=True):
            if chunk.done and self.raft.snapshot_received(meta):
                self.state = self.disk.state
        self.cluster.saved(self, ready)
        return True

    def apply(self, ready: Ready) -> None:
        for entry in ready.committed:
            self.applied.append(entry)
            if entry.kind == COMMAND:
                self.state.append([entry.index, entry.body])
            self.cluster.applied(self, entry)
        if ready.committed:
            self.raft.applied(ready.committed[-1].index)
        for released in ready.reads:
            assert released.index <= self.raft.applied_index, "a read ahead of the state"
        self.reads += ready.reads
        self.failed_reads += ready.failed_reads

    def snapshot(self, *, keep_entries: int = 0) -> SnapshotMeta:
        """Take a snapshot of what is applied, and compact."""
        meta = self.raft.snapshot_meta_at(self.raft.applied_index)
        self.disk.write_snapshot(meta, self.state, keep_entries=keep_entries)
        self.raft.compact(meta)
        return meta

    def commands(self) -> list[Any]:
        """The bodies of the commands applied, those inside a snapshot too."""
        return [body for _, body in self.state]

    def _receive(self, chunk: SnapshotChunk) -> SnapshotMeta | None:
        meta = self.cluster.metas[chunk.snapshot_index, chunk.snapshot_term]
        return self.disk.receive(chunk, meta)


class Cluster:
    """The nodes and what lies between them. Messages arrive in order unless told otherwise."""

    def __init__(
        self,
        voters: str = "abc",
        *,
        config: Config | None = None,
        random: Random | None = None,
        disks: Iterable[Disk] | None = None,
    ) -> None:
        """Nodes named by the letters of `voters`, in one membership, or on the given disks."""
        self.config = config or Config(keep_entries=0)
        self.random = random
        self.now_ms = 1000
        self.chunk_bytes = 64
        self.metas: dict[tuple[int, int], SnapshotMeta] = {}
        self.lines: list[str] = []
        self.recording = True
        self.held: list[Message] = []
        self.hold: Callable[[Message], bool] = lambda message: False
        self.cuts: set[tuple[str, str]] = set()
        self.loss = self.duplication = 0.0
        self.max_delay_ms = 0
        self._flight: list[tuple[int, int, Message]] = []
        self._sequence = 0
        self.nodes: dict[str, Node] = {}
        if disks is None:
            first = [config_entry(membership(voters))]
            disks = [Disk(node_id(name), HardState(1), list(first)) for name in voters]
        for disk in disks:
            self.nodes[disk.node.name] = Node(self, disk)

    def __getitem__(self, name: str) -> Raft:
        return self.nodes[name].raft

    def random_of(self, node: NodeId) -> Random:
        return Middle() if self.random is None else Random(self.random.random())

    # Nodes.

    def add(self, name: str, incarnation: int = 1) -> Node:
        """Start a node on an empty disk; it knows nobody."""
        self.nodes[name] = Node(self, Disk(node_id(name, incarnation)))
        return self.nodes[name]

    def crash(self, name: str) -> None:
        self.note(f"{name} crashes")
        self.nodes[name].crash()

    def restart(self, name: str) -> None:
        self.note(f"{name} restarts")
        self.nodes[name].start()

    @property
    def up(self) -> list[Node]:
        return [node for node in self.nodes.values() if node.up]

    def leaders(self) -> list[Raft]:
        return [node.raft for node in self.up if node.raft.role is Role.LEADER]

    @property
    def leader(self) -> Raft:
        """The leader of the latest term."""
        return max(self.leaders(), key=lambda raft: raft.term)

    # The network.

    def send(self, message: Message) -> None:
        name = message.sender.name, message.to.name
        if name in self.cuts:
            if not is_idle(message):
                self.note(message, "  (lost)")
            return
        if self.hold(message):
            self.note(message, "  (held)")
            self.held.append(message)
            return
        self._put(message)
        if self.duplication and self._draw() < self.duplication:
            self._put(message)

    def _put(self, message: Message) -> None:
        if self.loss and self._draw() < self.loss:
            return
        delay = int(self._draw() * self.max_delay_ms) if self.max_delay_ms else 0
        self._sequence += 1
        heapq.heappush(self._flight, (self.now_ms + delay, self._sequence, message))

    def _draw(self) -> float:
        assert self.random is not None, "chance needs a seed"
        return self.random.random()

    def release(self) -> None:
        """Let through what was held."""
        held, self.held = self.held, []
        self.hold = lambda message: False
        for message in held:
            self._put(message)

    def cut(self, one: str, other: str) -> None:
        """Cut the link between every node of `one` and every node of `other`."""
        for a in one:
            for b in other:
                self.cuts |= {(a, b), (b, a)}

    def isolate(self, names: str) -> None:
        """Cut `names` off from all the others."""
        self.note(f"{names} is cut off")
        self.cut(names, "".join(sorted(set(self.nodes) - set(names))))

    def heal(self) -> None:
        self.note("the network is whole")
        self.cuts.clear()

    def deliver(self, message: Message) -> None:
        """Hand over one message now."""
        node = self.nodes.get(message.to.name)
        if node is None or not node.up:
            return
        before = self._situation(node)
        noted = len(self.lines)
        if message.sender not in node.raft.memberships.ids:
            self.vouch(node.raft)
        node.raft.step(message)
        node.work()
        after = self._situation(node)
        if self.recording and not (is_idle(message) and after == before):
            self.lines.insert(noted, describe(message))
            if after != before:
                self.lines.insert(noted + 1, f"    {node.name}: {after}")

    def vouch(self, raft: Raft) -> None:
        """Have it asked the others who belongs to the cluster, as the node does."""
        for other in self.up:
            raft.vouch(other.raft.memberships.ids, other.raft.term)

    def settle(self) -> None:
        """Deliver everything that is due, and whatever it leads to. No time passes."""
        for node in self.up:
            self._work(node)
        while self._flight and self._flight[0][0] <= self.now_ms:
            self.deliver(heapq.heappop(self._flight)[2])

    # Time.

    def pass_ms(self, milliseconds: int, step_ms: int = 10) -> None:
        """Let time pass for all."""
        self.note(f"{milliseconds} ms pass")
        until_ms = self.now_ms + milliseconds
        while self.now_ms < until_ms:
            self.now_ms += step_ms
            self.settle()
            for node in self.up:
                self.tick(node.name, self.now_ms)
        self.settle()

    def tick(self, name: str, now_ms: int) -> None:
        node = self.nodes[name]
        before = self._situation(node)
        node.raft.tick(now_ms)
        self._note_change(node, before)
        self._work(node)

    def time_out(self, name: str) -> None:
        """The election timeout of `name` passes, and of nobody else; then all settles."""
        self._almost()  # whoever was heard was heard by now
        self.note(f"{name} times out")
        self.now_ms = max(self.now_ms, self[name].next_deadline_ms)
        self._almost(but=name)
        self.tick(name, self.now_ms)
        self.settle()

    def _almost(self, but: str = "") -> None:
        """Let time pass for each node, but not so much that anything happens."""
        for node in self.up:
            if node.name != but:
                self.tick(node.name, min(self.now_ms, node.raft.next_deadline_ms - 1))

    def elect(self, name: str) -> Raft:
        """Have `name` time out and win."""
        self.time_out(name)
        assert self[name].role is Role.LEADER, f"{name} did not win"
        return self[name]

    # Clients.

    def propose(self, name: str, *bodies: Any) -> int:
        self.note(f"{name} is given {', '.join(map(str, bodies))}")
        index = self[name].propose(bodies)
        self._work(self.nodes[name])
        return index

    def change(self, name: str, new: Membership) -> int:
        self.note(f"{name} is given the membership {_short(new)}")
        index = self[name].propose_membership(new)
        self._work(self.nodes[name])
        return index

    def read(self, name: str, context: object) -> None:
        self.note(f"{name} is asked to read, as {context}")
        self[name].read_index(context)
        self._work(self.nodes[name])

    def snapshot(self, name: str, *, keep_entries: int = 0) -> SnapshotMeta:
        meta = self.nodes[name].snapshot(keep_entries=keep_entries)
        self.metas[meta.index, meta.term] = meta
        self.note(f"{name} takes a snapshot at {meta.index}")
        return meta

    # What a checker, or a fault, hooks into.

    def may_save(self, node: Node, ready: Ready) -> bool:
        return True

    def saved(self, node: Node, ready: Ready) -> None:
        pass

    def applied(self, node: Node, entry: Entry) -> None:
        pass

    def _work(self, node: Node) -> None:
        before = self._situation(node)
        node.work()
        self._note_change(node, before)

    # The transcript.

    def note(self, what: str | Message, remark: str = "") -> None:
        if self.recording:
            self.lines.append((what if isinstance(what, str) else describe(what)) + remark)

    def _situation(self, node: Node) -> str:
        return situation(node.raft) if self.recording else ""

    def _note_change(self, node: Node, before: str) -> None:
        after = self._situation(node)
        if after != before:
            self.note(f"    {node.name}: {after}")


def _short(members: Membership) -> str:
    return " ".join(f"{m.id.name}" + ("" if m.voter else " (learner)") for m in members)
