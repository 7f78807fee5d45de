"""A cluster to which everything happens at random, and the rules it is held to at every step.

One seed is one run: a phase of faults in which safety is checked, then a phase without them in
which the cluster must elect, answer and converge.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Any

from raftzmq.core.config import Config
from raftzmq.core.entry import Entry
from raftzmq.core.identity import NodeId
from raftzmq.core.membership import Membership
from raftzmq.core.messages import AppendAccepted, Message, VoteReply, VoteRequest
from raftzmq.core.quorum import majority, reached_by_majority
from raftzmq.core.ready import HardState, Ready
from raftzmq.core.role import Role
from raftzmq.errors import Refused
from tests.core.cluster import Cluster, Node
from tests.core.disk import Disk


class Rules:
    """What must never be seen, whatever happens (thesis figure 3.2, and the order of a Ready)."""

    def __init__(self, cluster: ChaosCluster) -> None:
        self.cluster = cluster
        self.leaders: dict[int, NodeId] = {}
        self.votes: dict[tuple[NodeId, int], NodeId] = {}
        self.entries: dict[tuple[int, int], tuple[int, Any]] = {}
        self.committed: dict[int, tuple[int, int]] = {}
        """index -> (term of the entry, term of the leader that committed it)."""
        self.applied: dict[int, tuple[int, Any]] = {}
        self.marks: dict[NodeId, tuple[int, int, int]] = {}
        """node -> (term, commit index, last index if it led that term), as last seen."""

    @property
    def newest_applied(self) -> int:
        return max(self.applied, default=0)

    def on_send(self, message: Message) -> None:
        """Nothing leaves before what it says is durable."""
        disk = self.cluster.nodes[message.sender.name].disk
        assert message.term <= disk.hard_state.term, "a term was heard of before it was durable"
        if isinstance(message, VoteRequest):
            self._vote(message.sender, message.term, message.sender, disk)
        if isinstance(message, VoteReply) and message.granted:
            self._vote(message.sender, message.term, message.to, disk)
        if isinstance(message, AppendAccepted):
            assert message.match_index <= disk.last_index, "acknowledged before it was durable"

    def _vote(self, voter: NodeId, term: int, candidate: NodeId, disk: Disk) -> None:
        durable = disk.hard_state
        assert durable.term > term or durable == HardState(term, candidate), "a vote in the air"
        assert self.votes.setdefault((voter, term), candidate) == candidate, "two votes in a term"

    def on_save(self, disk: Disk, entries: list[Entry]) -> None:
        """Log Matching: the same index and term mean the same entry after the same entries."""
        for entry in entries:
            before = self._term_on(disk, entry.index - 1)
            same = self.entries.setdefault((entry.index, entry.term), (before, entry.body))
            assert same == (before, entry.body), "logs do not match"

    def _term_on(self, disk: Disk, index: int) -> int:
        position = index - disk.entries[0].index if disk.entries else -1
        if position >= 0:
            return disk.entries[position].term
        return disk.snapshot.term if disk.snapshot else 0

    def on_apply(self, entry: Entry) -> None:
        """State Machine Safety: everyone applies the same entry at an index."""
        same = self.applied.setdefault(entry.index, (entry.term, entry.body))
        assert same == (entry.term, entry.body), "two entries were applied at one index"

    def on_work(self, node: Node) -> None:
        """After each turn of a node."""
        raft = node.raft
        term, commit_index, led_to = self.marks.get(raft.id, (0, 0, 0))
        assert raft.term >= term, "a term went backwards"
        assert raft.commit_index >= commit_index, "a commit index went backwards"
        assert raft.applied_index <= raft.commit_index <= raft.log.last_index
        assert raft.applied_index <= node.disk.last_index, "applied before it was durable"
        leads = raft.role is Role.LEADER
        if leads:
            self._check_leader(node)
            self._check_counted(node)
            if raft.term == term:
                assert raft.log.last_index >= led_to, "a leader removed an entry"
        last_index = raft.log.last_index if leads else 0
        self.marks[raft.id] = (raft.term, raft.commit_index, last_index)

    def forget_commit(self, node: Node) -> None:
        """A restart may lower what a node knows to be committed, but never its durable term."""
        self.marks[node.raft.id] = (node.disk.hard_state.term, 0, 0)

    def _check_leader(self, node: Node) -> None:
        raft = node.raft
        assert self.leaders.setdefault(raft.term, raft.id) == raft.id, "two leaders in a term"
        _, known, led_to = self.marks.get(raft.id, (0, 0, 0))
        if led_to == 0:
            self._check_complete(node)
        if raft.commit_index > known:
            self._check_quorum(node)
            for index in range(max(known, raft.log.base_index) + 1, raft.commit_index + 1):
                self.committed.setdefault(index, (raft.log.entry(index).term, raft.term))
        if raft.membership_index > max(raft.term_start_index, raft.commit_index):
            older = raft.memberships.at(raft.membership_index - 1).voters
            assert len(older ^ raft.memberships.voters) <= 1, "majorities may not intersect"
            assert raft.term_committed, "a membership change before the term's first commit"

    def _check_counted(self, node: Node) -> None:
        """What a majority has reached counts, also of a membership that has just changed."""
        raft = node.raft
        others = [raft.progress[voter] for voter in raft.memberships.voters - {raft.id}]
        own = raft.is_voter
        index = reached_by_majority([raft.stable_index] * own + [p.match_index for p in others])
        assert index <= raft.commit_index or raft.log.term_at(index) != raft.term, "not committed"
        number = reached_by_majority([raft.reads.round] * own + [p.round for p in others])
        oldest = raft.reads.unconfirmed
        assert oldest is None or oldest > number, "a read waits that a majority has confirmed"

    def _check_complete(self, node: Node) -> None:
        """Leader Completeness: a new leader has what leaders of earlier terms committed."""
        log = node.raft.log
        for index, (term, committed_in) in self.committed.items():
            if committed_in < node.raft.term and index > log.base_index:
                assert log.term_at(index) == term, "a leader lacks a committed entry"

    def _check_quorum(self, node: Node) -> None:
        raft = node.raft
        index, voters = raft.commit_index, raft.memberships.voters
        term = raft.log.term_at(index)
        assert term is not None
        holding = {disk.node for disk in self.cluster.disks if disk.holds(index, term)} & voters
        assert len(holding) >= majority(len(voters)), "committed, but not durable on a majority"


class ChaosCluster(Cluster):
    """A cluster under faults. `turn()` lets one happen, perhaps, and time pass."""

    def __init__(self, seed: int) -> None:
        chance = Random(seed)
        names = "abcde"[: chance.choice([1, 2, 3, 3, 3, 4, 5, 5])]
        self.rules = Rules(self)
        self.events: Counter[str] = Counter()
        """What happened, to show that something did."""
        self.lost_disks: list[Disk] = []
        self.full: set[str] = set()
        config = Config(
            max_append_entries=chance.choice([1, 3, 100]),
            max_inflight=chance.choice([1, 3, 10]),
            max_committed_entries=chance.choice([1, 5, 100]),
            keep_entries=chance.choice([0, 3, 100]),
        )
        super().__init__(names, config=config, random=chance)
        self.chance = chance
        self.recording = False
        self.loss = chance.choice([0, 0, 0.05, 0.2])
        self.duplication = chance.choice([0, 0.1])
        self.max_delay_ms = chance.choice([0, 10, 30, 100])
        self.crash_at_save = chance.choice([0, 0.002, 0.02])
        self.spares = "defgh"[: chance.choice([0, 2, 4])]
        self.faults = chance.choice([0.1, 0.3, 0.6])
        self.actions: dict[Callable[[], None], int] = {
            self._crash: 2,
            self._restart: 4,
            self._cut: 3,
            self._heal: 3,
            self._compact: 4,
            self._transfer: 1,
            self._change: 4,
            self._wipe: 2,
            self._fill_or_empty: 1,
            self._pause: 1,
            self._lose_link: 1,
        }
        self.proposed = 0
        self.asked: dict[int, int] = {}
        """read -> the newest index that anybody had applied when it was asked."""

    @property
    def disks(self) -> list[Disk]:
        return [node.disk for node in self.nodes.values()] + self.lost_disks

    # Hooks.

    def send(self, message: Message) -> None:
        self.rules.on_send(message)
        super().send(message)

    def may_save(self, node: Node, ready: Ready) -> bool:
        if ready.must_save and node.name in self.full:
            return False
        if ready.must_save and self.chance.random() < self.crash_at_save:
            self._crash_while_saving(node, ready)
            return False
        return True

    def _crash_while_saving(self, node: Node, ready: Ready) -> None:
        """Any prefix of what was to be saved is on disk."""
        if self.chance.random() < 0.7:
            count = self.chance.randint(0, len(ready.entries))
            node.disk.save(ready.hard_state, ready.entries[:count])
            self.rules.on_save(node.disk, ready.entries[:count])
        self.events["crashed while saving"] += 1
        node.crash()

    def saved(self, node: Node, ready: Ready) -> None:
        self.rules.on_save(node.disk, ready.entries)
        self.events["snapshot installed"] += sum(chunk.done for chunk in ready.chunks)

    def applied(self, node: Node, entry: Entry) -> None:
        self.rules.on_apply(entry)

    def deliver(self, message: Message) -> None:
        super().deliver(message)
        node = self.nodes.get(message.to.name)
        if node is not None and node.up:
            self.rules.on_work(node)

    def tick(self, name: str, now_ms: int) -> None:
        super().tick(name, now_ms)
        if self.nodes[name].up:
            self.rules.on_work(self.nodes[name])

    # Chance.

    def turn(self) -> None:
        self._use()
        if self.chance.random() < self.faults:
            self.chance.choices(list(self.actions), list(self.actions.values()))[0]()
        self.pass_ms(self.chance.choice([20, 60, 200]), step_ms=20)

    def _use(self) -> None:
        """Clients write, and read, wherever they believe the leader to be."""
        for raft in self.leaders():
            if self.chance.random() < 0.7:
                bodies = [self.proposed + k for k in range(self.chance.randint(1, 4))]
                self.proposed += len(bodies)
                self._try(lambda raft=raft, bodies=bodies: raft.propose(bodies))
            if self.chance.random() < 0.5:
                number = len(self.asked)
                self.asked[number] = self.rules.newest_applied
                raft.read_index(number)

    def check_reads(self) -> None:
        """A read sees whatever anybody had applied before it was asked for (thesis 6.4)."""
        for node in self.nodes.values():
            for released in node.reads:
                assert isinstance(released.context, int)
                assert released.index >= self.asked[released.context], "a stale read"

    def _try(self, action: Any) -> None:
        with suppress(Refused):
            action()

    def _some(self) -> Node:
        return self.chance.choice(list(self.nodes.values()))

    def _crash(self) -> None:
        self._some().crash()

    def _restart(self) -> None:
        down = [node for node in self.nodes.values() if not node.up]
        if down:
            self._start(self.chance.choice(down))

    def _start(self, node: Node) -> None:
        self.rules.forget_commit(node)
        node.start()

    def _cut(self) -> None:
        """One link one way, or the cluster in two."""
        side = {name for name in self.nodes if self.chance.random() < 0.5}
        if self.chance.random() < 0.5:
            self.cuts.add((self._some().name, self._some().name))
        else:
            self.cut("".join(sorted(side)), "".join(sorted(set(self.nodes) - side)))

    def _heal(self) -> None:
        self.cuts.clear()

    def _lose_link(self) -> None:
        node, other = self._some(), self._some()
        node.raft.unreachable(other.raft.id)

    def _compact(self) -> None:
        for node in self.up:
            above = node.raft.snapshot_meta.index if node.raft.snapshot_meta else 0
            if node.raft.applied_index > above and self.chance.random() < 0.5:
                self.snapshot(node.name, keep_entries=self.chance.choice([0, 2, 50]))

    def _transfer(self) -> None:
        for raft in self.leaders():
            self._try(lambda raft=raft: raft.transfer(None))

    def _fill_or_empty(self) -> None:
        self.full ^= {self._some().name}

    def _pause(self) -> None:
        """Nobody gets to run for a while."""
        self.now_ms += self.chance.choice([200, 1000, 5000])

    def _wipe(self) -> None:
        """A node loses its disk, if the others are a majority of a settled membership."""
        if not self.leaders():
            return
        leader = self.leader
        node = self._some()
        alive = {n.raft.id for n in self.nodes.values()}
        settled = leader.term_committed and leader.membership_index <= leader.commit_index
        if not settled or not leader.membership.ids <= alive or node.raft.id == leader.id:
            return
        if node.raft.id in leader.memberships.voters and len(leader.memberships.voters) < 3:
            return
        node.crash()
        self.events["disk lost"] += 1
        self.lost_disks.append(node.disk)
        self.add(node.name, int(node.raft.id.incarnation) + 1)

    def _change(self) -> None:
        for raft in self.leaders():
            new = self._next_membership(raft.membership)
            if new is not None:
                self._try(lambda raft=raft, new=new: raft.propose_membership(new))
                self.rules.on_work(self.nodes[raft.id.name])

    def _next_membership(self, old: Membership) -> Membership | None:
        lost = [m for m in old if m.id != self.nodes[m.id.name].raft.id]
        if lost:  # a removal beside a lost voter could leave no majority
            node = self.nodes[lost[0].id.name].raft.id
            return old.with_learner(node, f"{node.name}:6000")
        outside = [n.raft.id for n in self.nodes.values() if n.raft.id not in old.ids]
        spares = [name for name in self.spares if name not in self.nodes]
        if spares and self.chance.random() < 0.3:
            outside.append(self.add(spares[0]).raft.id)
        learners = [m.id.name for m in old if not m.voter]
        choice = self.chance.random()
        if learners and choice < 0.5:
            return old.promoted(self.chance.choice(learners))
        if outside and choice < 0.8:
            node = self.chance.choice(outside)
            return old.with_learner(node, f"{node.name}:6000")
        if len(old.voters) > 2:
            return old.without(self.chance.choice(old.members).id.name)
        return None

    def count(self) -> None:
        """Complete `events`."""
        nodes = list(self.nodes.values())
        applied = self.rules.applied
        self.events["elected"] = len(self.rules.leaders)
        self.events["applied"] = len(applied)
        self.events["read"] = sum(len(node.reads) for node in nodes)
        self.events["read failed"] = sum(len(node.failed_reads) for node in nodes)
        self.events["truncated"] = sum(
            index in applied and applied[index][0] != term for index, term in self.rules.entries
        )
        self.events["membership changed"] = sum(isinstance(b, dict) for _, b in applied.values())

    # The good end.

    def calm(self) -> None:
        """Faults stop. The cluster elects, takes a write, and everyone has the same state."""
        self.cuts.clear()
        self.full.clear()
        self.loss = self.duplication = self.crash_at_save = 0.0
        self.max_delay_ms = 0
        for node in self.nodes.values():
            if not node.up:
                self._start(node)
        for _ in range(30):
            self.pass_ms(200, step_ms=20)
            if self.leaders() and self.leader.term_committed:
                break
        else:
            raise AssertionError("nobody was elected")
        for _ in range(30):
            if self.leaders():
                self._try(lambda: self.leader.propose(["the end"]))
            self.pass_ms(200, step_ms=20)
            if self._converged():
                return
        raise AssertionError("the members did not converge")

    def _converged(self) -> bool:
        if not self.leaders():
            return False
        leader = self.leader
        members = [n for n in self.nodes.values() if n.raft.id in leader.membership.ids]
        state = self.nodes[leader.id.name].state
        return (
            bool(state)
            and state[-1][1] == "the end"
            and all(node.state == state for node in members)
        )


def run(seed: int, turns: int = 60) -> ChaosCluster:
    """Run one seed. Raises AssertionError when a rule is broken."""
    cluster = ChaosCluster(seed)
    for _ in range(turns):
        cluster.turn()
    cluster.check_reads()
    cluster.calm()
    cluster.check_reads()
    cluster.count()
    return cluster
