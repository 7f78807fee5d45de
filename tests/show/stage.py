"""The cluster of tests/core with a recorder: what a story plays on."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any

from raftzmq.core.config import Config
from raftzmq.core.entry import Entry
from raftzmq.core.membership import Membership
from raftzmq.core.messages import Message
from raftzmq.core.raft import Raft
from raftzmq.core.ready import Ready, SnapshotMeta
from raftzmq.core.role import Role
from raftzmq.page.recording import Recorder
from tests.core.cluster import Cluster, Node
from tests.core.disk import Disk

NEAR_MS = 20
FURTHER_MS = 5
"""How long a message takes to a neighbour on the ring, and how much longer for each one beyond."""


class Stage(Cluster):
    """Messages take time here, and everything is recorded."""

    def __init__(
        self,
        recorder: Recorder,
        voters: str = "abc",
        *,
        config: Config | None = None,
        disks: list[Disk] | None = None,
    ) -> None:
        self.recorder = recorder
        self._begin_ms: int | None = None
        self._numbers: dict[int, int] = {}
        self._waiting: dict[tuple[int, int], list[tuple[int, str]]] = {}
        super().__init__(voters, config=config, disks=disks)
        self.recording = False  # as lines
        self._begin_ms = self.now_ms
        for name in self.nodes:
            self._look(name)

    @property
    def at_ms(self) -> int:
        """The time on the recording."""
        return self.now_ms - (self._begin_ms or 0)

    def say(self, text: str, rule: str | None = None) -> None:
        """A sentence of the one who tells the story."""
        self.recorder.add(self.at_ms, "note", text, rule=rule)

    def _look(self, name: str) -> None:
        node = self.nodes.get(name)
        if self._begin_ms is not None and node is not None and node.up:
            self.recorder.look(self.at_ms, name, node.raft)

    # -- nodes ----------------------------------------------------------------------------------

    def crash(self, name: str) -> None:
        super().crash(name)
        self.recorder.down(self.at_ms, name, "is killed")

    def restart(self, name: str) -> None:
        super().restart(name)
        self._look(name)

    def add(self, name: str, incarnation: int = 1) -> Node:
        node = super().add(name, incarnation)
        self._look(name)
        return node

    def snapshot(self, name: str, *, keep_entries: int = 0) -> SnapshotMeta:
        meta = super().snapshot(name, keep_entries=keep_entries)
        self._look(name)
        return meta

    def saved(self, node: Node, ready: Ready) -> None:
        self._look(node.name)

    def applied(self, node: Node, entry: Entry) -> None:
        for number, client in self._waiting.pop((entry.index, entry.term), []):
            self._look(node.name)
            self.recorder.answered(self.at_ms, number, client, f"done, at {entry.index}")

    def tick(self, name: str, now_ms: int) -> None:
        self.nodes[name].raft.tick(now_ms)
        self._work(self.nodes[name])

    def _work(self, node: Node) -> None:
        self._look(node.name)
        failed = len(node.failed_reads)
        reads = len(node.reads)
        node.work()
        self._look(node.name)
        for read in node.reads[reads:]:
            self._read_ended(read.context, f"what {node.name} has, applied to {read.index}")
        for context in node.failed_reads[failed:]:
            self._read_ended(context, f"{node.name} does not lead; ask another")

    def _read_ended(self, context: object, text: str) -> None:
        assert isinstance(context, tuple)
        number, client = context
        self.recorder.answered(self.at_ms, number, client, text, rule="read")

    # -- the network ----------------------------------------------------------------------------

    def send(self, message: Message) -> None:
        sender, to = message.sender.name, message.to.name
        self._look(sender)
        number = self.recorder.sent(self.at_ms, sender, to, message)
        if (sender, to) in self.cuts:
            self.recorder.lost(self.at_ms, number, "the link is cut")
            return
        self._numbers[id(message)] = number
        if self.hold(message):
            self.held.append(message)
        else:
            self._put(message)

    def _put(self, message: Message) -> None:
        names = sorted(self.nodes)
        sender, to = names.index(message.sender.name), names.index(message.to.name)
        apart = min((sender - to) % len(names), (to - sender) % len(names))
        delay_ms = NEAR_MS + FURTHER_MS * (apart - 1) + (sender > to)
        self._sequence += 1
        heapq.heappush(self._flight, (self.now_ms + delay_ms, self._sequence, message))

    def lose_held(self) -> None:
        """What was held up is lost; nothing is held any more."""
        held, self.held = self.held, []
        self.hold = lambda message: False
        for message in held:
            self.recorder.lost(
                self.at_ms, self._numbers.pop(id(message)), "it was held up too long"
            )

    def deliver(self, message: Message) -> None:
        node = self.nodes[message.to.name]
        number = self._numbers.pop(id(message))
        if not node.up:
            self.recorder.lost(self.at_ms, number, f"{node.name} is down")
            return
        self.recorder.arrived(self.at_ms, number)
        if message.sender not in node.raft.memberships.ids:
            self.vouch(node.raft)
        node.raft.step(message)
        self._work(node)

    def settle(self) -> None:
        """Deliver everything, and whatever it leads to; messages take their time."""
        for node in self.up:
            self._work(node)
        while self._flight:
            when_ms, _, message = heapq.heappop(self._flight)
            self.now_ms = max(self.now_ms, when_ms)
            self.deliver(message)

    def isolate(self, names: str) -> None:
        super().isolate(names)
        self.recorder.links(self.at_ms, self.cuts, f"{' and '.join(names)} can reach nobody")

    def part(self, one: str, other: str) -> None:
        """Cut the links between two groups."""
        self.cut(one, other)
        self.recorder.links(
            self.at_ms, self.cuts, f"{' '.join(one)} and {' '.join(other)} are parted"
        )

    def heal(self) -> None:
        super().heal()
        self.recorder.links(self.at_ms, self.cuts, "the network is whole")

    def elect_slowly(self, name: str) -> None:
        """Have a node time out and win, and stop there: what it sends then is on its way."""
        self._almost()
        self.now_ms = max(self.now_ms, self[name].next_deadline_ms)
        self._almost(but=name)
        self.tick(name, self.now_ms)
        self.when(lambda raft: raft.role is Role.LEADER, name)

    # -- clients --------------------------------------------------------------------------------

    def ask(self, name: str, *bodies: Any, client: str = "client") -> None:
        """A client asks a node to write. It is told when that node applies it."""
        number = self.recorder.asked(
            self.at_ms, client, f"{name} to write {', '.join(map(str, bodies))}"
        )
        index = self[name].propose(bodies) + len(bodies) - 1
        self._waiting.setdefault((index, self[name].term), []).append((number, client))
        self._work(self.nodes[name])

    def ask_read(self, name: str, client: str = "client") -> None:
        """A client asks a node to read."""
        number = self.recorder.asked(self.at_ms, client, f"{name} to read")
        self[name].read_index((number, client))
        self._work(self.nodes[name])

    def change(self, name: str, new: Membership) -> int:
        index = self[name].propose_membership(new)
        self._work(self.nodes[name])
        return index

    def when(self, condition: Callable[[Raft], bool], name: str) -> None:
        """Deliver messages one by one until something holds of a node."""
        while not condition(self[name]):
            when_ms, _, message = heapq.heappop(self._flight)
            self.now_ms = max(self.now_ms, when_ms)
            self.deliver(message)
