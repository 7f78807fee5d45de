"""What must never be seen, looked for at every step (see DESIGN.md for the list).

The rules know every entry that was ever written, every vote and every commit, and compare; and
for each promise that leaves a node they look at what its disk would hold after a crash.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from raftzmq import limits
from raftzmq.client.session.packer import READ_IDS
from raftzmq.client.session.verdicts import DONE, REFUSALS
from raftzmq.core.entry import COMMAND, COMMANDS, CONFIG, Entry
from raftzmq.core.identity import NodeId
from raftzmq.core.membership import Membership
from raftzmq.core.messages import AppendAccepted, Message, VoteReply, VoteRequest
from raftzmq.core.quorum import majority, reached_by_majority
from raftzmq.core.ready import HardState, SnapshotMeta
from raftzmq.core.role import Role
from raftzmq.lines import decode_entry
from raftzmq.machine import Machine
from raftzmq.storage import Restored
from raftzmq.transport.client_wire import Reply, Results
from tests.machine.entries import commands_of
from tests.sim.disks import Durable
from tests.sim.ledger import Ledger
from tests.sim.process import SimProcess
from tests.sim.story import Violation

if TYPE_CHECKING:
    from raftzmq.core.raft import Raft


class _Mark:
    """A running node as it was last seen: what may only grow."""

    __slots__ = ("applied", "base", "commit", "last", "led", "members", "term")

    def __init__(self, raft: Raft) -> None:
        self.term, self.commit, self.applied = raft.term, raft.commit_index, raft.applied_index
        self.led = 0  # the term it was seen to lead
        self.last = 0  # the end of its log, while it leads
        self.members = raft.membership_index
        self.base = raft.log.base_index


class Rules:
    """Everything that was seen, and the rules that it is held to. Raises Violation."""

    def __init__(self, processes: dict[str, SimProcess], ledger: Ledger | None) -> None:
        self._processes = processes
        self._ledger = ledger
        self._leaders: dict[int, NodeId] = {}
        self._votes: dict[tuple[NodeId, int], NodeId] = {}
        self._promised: dict[NodeId, HardState] = {}
        self._log: dict[tuple[int, int], tuple[int | None, bytes]] = {}
        self._marks: dict[str, _Mark] = {}
        self._lost: dict[NodeId, list[Durable]] = {}
        self._answers: dict[tuple[str, int], tuple[Any, ...]] = {}
        self._metas: dict[int, SnapshotMeta] = {}
        self.committed: dict[int, int] = {}
        """index -> term of the entry, as far as a leader has committed."""
        self.commit_index = 0
        self._committed_in: dict[int, int] = {}  # leader's term -> how far it committed
        self.voters: frozenset[NodeId] = frozenset()
        """The voters with whom the newest commit was counted."""
        self.entries: list[Entry] = []
        """Every applied entry, from index 1."""
        self.results: dict[int, Any] = {}
        self._revisions: list[int] = []  # that each of the entries reaches
        self.hashes: dict[int, tuple[str, str]] = {}
        self.checks = 0

    # -- disks and processes --------------------------------------------------------------------

    def opened(self, process: SimProcess, restored: Restored) -> None:
        """What a node finds at its start is what it left there."""
        node = NodeId(process.name, restored.incarnation)
        process.identity = node
        promised = self._promised.get(node)
        if promised is not None and not process.stale:
            found = restored.hard_state
            if found.term < promised.term or (
                found.term == promised.term and promised.vote not in (None, found.vote)
            ):
                raise Violation(f"{node} promised {promised} and came back with {found}")
        before = restored.entries[0].index - 1 if restored.entries else 0
        term: int | None = None
        for entry in restored.entries:
            if entry.index != before + 1:
                raise Violation(f"{node} restored entry {entry.index} after {before}")
            known = self._log.get((entry.index, entry.term))
            if known is None or known[1] != entry.line or term not in (None, known[0]):
                raise Violation(f"{node} restored an entry that nobody wrote: {entry}")
            before, term = entry.index, entry.term
        if process.damaged:
            last = max(before, restored.snapshot.index if restored.snapshot else 0)
            had = max((disk.last_index for disk in self._lost.get(node, ())), default=0)
            if last < had:
                raise Violation(f"{node} found damage, and came back to {last} of {had} entries")
        process.damaged = False
        self._check_kept()

    def started(self, process: SimProcess) -> None:
        assert process.node is not None
        self._marks[process.name] = _Mark(process.node.raft)

    def ended(self, process: SimProcess) -> None:
        self._marks.pop(process.name, None)

    def refused(self, process: SimProcess, words: str) -> None:
        if not (process.damaged or process.stale):
            raise Violation(f"{process.name} refuses a directory that nothing has harmed: {words}")

    def forget_disk(self, process: SimProcess, *, keep: bool = False) -> None:
        """The process is about to lose its disk, or (`keep`) to find it other than it was. What
        was promised on the strength of the disk that was counts as kept: the cluster must live
        with the loss as with a node that never returns."""
        process.durable.refresh().frozen = True
        if process.identity is not None:
            self._lost.setdefault(process.identity, []).append(process.durable)
        process.durable = Durable(process.files)
        if not keep:
            process.identity = None

    def forget_promises(self, node: NodeId) -> None:
        """The node's memory is an older one now; whether that is safe, the fault has looked."""
        self._promised.pop(node, None)
        for vote in [vote for vote in self._votes if vote[0] == node]:
            del self._votes[vote]

    def memberships(self) -> list[Membership]:
        """Those that may be in force: the newest committed one, and whatever was written since."""
        committed, found = 0, []
        for (index, _), (_, line) in self._log.items():
            entry = decode_entry(line) if b',"config",' in line else None
            if entry is not None and entry.kind == CONFIG:
                found.append((entry.index, entry.term, Membership.from_body(entry.body)))
                if self.committed.get(index) == entry.term:
                    committed = max(committed, index)
        return [
            m for i, t, m in found if i > committed or (i == committed and self.committed[i] == t)
        ]

    def holds(self, node: NodeId, index: int, term: int) -> bool:
        """Whether the entry is, or was until a loss, durable with the node."""
        process = self._processes.get(node.name)
        if process is not None and process.identity == node and process.durable.holds(index, term):
            return True
        return any(disk.holds(index, term) for disk in self._lost.get(node, ()))

    def _check_kept(self) -> None:
        index = self.commit_index
        if index and self.voters:
            self._check_quorum(index, self.committed[index], self.voters)

    def _is_held(self, index: int, term: int, voters: frozenset[NodeId]) -> bool:
        return sum(self.holds(voter, index, term) for voter in voters) >= majority(len(voters))

    def _check_quorum(self, index: int, term: int, voters: frozenset[NodeId]) -> None:
        if self._is_held(index, term, voters):
            return
        holding = sorted(str(voter) for voter in voters if self.holds(voter, index, term))
        raise Violation(
            f"entry {index} of term {term} is committed, but durable only with "
            f"{', '.join(holding) or 'nobody'} of {', '.join(sorted(map(str, voters)))}"
        )

    def saving(self, process: SimProcess, entries: Sequence[Entry]) -> None:
        """Log Matching: the same index and term mean the same entry, and the same before it."""
        if not entries:
            return
        node = process.node
        before = node.raft.log.term_at(entries[0].index - 1) if node else None
        for entry in entries:
            known = self._log.setdefault((entry.index, entry.term), (before, entry.line))
            if known[1] != entry.line or (
                before is not None and known[0] is not None and known[0] != before
            ):
                raise Violation(
                    f"logs differ at index {entry.index}, term {entry.term}: {process.name} has "
                    f"{entry.line!r} after term {before}, another {known[1]!r} after {known[0]}"
                )
            before = entry.term

    # -- what leaves a node ---------------------------------------------------------------------

    def sending(self, process: SimProcess, message: Message) -> None:
        """Nothing leaves before what it says is durable."""
        durable = process.durable.refresh()
        state = durable.hard_state
        self.checks += 1
        assert process.node is not None
        if process.node.raft.commit_index != self._marks[process.name].commit:
            self._committing(process)  # now, for it may be told of before its turn has ended
        if message.term > state.term:
            raise Violation(f"{process.name} tells of term {message.term}, durable is {state.term}")
        if isinstance(message, VoteRequest):
            self._vote(message.sender, message.term, message.sender, state)
        elif isinstance(message, VoteReply) and message.granted:
            self._vote(message.sender, message.term, message.to, state)
        elif isinstance(message, AppendAccepted):
            index = message.match_index
            term = process.node.raft.log.term_at(index)
            if index > durable.last_index or (
                term is not None and index and not durable.holds(index, term)
            ):
                raise Violation(
                    f"{process.name} acknowledges entry {index} of term {term}; its disk would "
                    f"hold the log to {durable.last_index}, and there term "
                    f"{durable.term_at(index)}"
                )

    def _vote(self, voter: NodeId, term: int, candidate: NodeId, state: HardState) -> None:
        if state.term == term and state.vote != candidate:
            raise Violation(f"{voter} votes for {candidate} in term {term}, durable is {state}")
        known = self._votes.setdefault((voter, term), candidate)
        if known != candidate:
            raise Violation(f"{voter} voted for both {known} and {candidate} in term {term}")
        promised = self._promised.get(voter)
        if promised is None or promised.term <= term:
            self._promised[voter] = HardState(term, candidate)

    def answering(self, process: SimProcess, client: str, reply: Reply) -> None:
        """A result that a client gets is committed, durable here too, and never another."""
        if not isinstance(reply, Results):
            return
        assert process.node is not None
        self._committing(process)
        for number, code, revision, body in reply.results:
            if code not in DONE and code not in REFUSALS:
                continue
            self.checks += 1
            # That of the entry which reached it.
            index = bisect_left(self._revisions, revision) + 1 if revision else 0
            if index > min(process.node.raft.applied_index, self.commit_index):
                raise Violation(f"{process.name} answers {client} with uncommitted entry {index}")
            if number >= READ_IDS:
                continue
            if index > process.durable.refresh().last_index:
                raise Violation(f"{process.name} answers {client} before entry {index} is durable")
            answer = (code, revision, body)
            if self._answers.setdefault((client, number), answer) != answer:
                raise Violation(
                    f"{client} was told {self._answers[client, number]} for serial {number}, "
                    f"and now {answer}"
                )

    # -- what a node applies --------------------------------------------------------------------

    def applied(
        self, process: SimProcess, entries: Sequence[Entry], results: Sequence[Any]
    ) -> None:
        """State Machine Safety: everyone applies the same entry at an index, with one result."""
        node = process.node
        assert node is not None
        if entries[-1].index > process.durable.refresh().last_index:
            raise Violation(
                f"{process.name} applied entry {entries[-1].index} before it is durable"
            )
        before = len(self.entries)
        outcomes = iter(results)
        for entry in entries:
            place = entry.index - 1
            if place == len(self.entries):
                self.entries.append(entry)
                self._revisions.append(self._revision_after(entry))
            elif place > len(self.entries):
                raise Violation(f"{process.name} applied entry {entry.index} before others")
            elif self.entries[place].line != entry.line:
                raise Violation(
                    f"{process.name} applied {entry}, where {self.entries[place]} was applied"
                )
            commands = entry.kind in (COMMAND, COMMANDS)
            result = next(outcomes) if commands else []
            if place >= before:
                self._check_version(process, entry)
            if self._ledger is not None and place >= before:
                self._ledger.follow(entry, result)
            if commands and self.results.setdefault(entry.index, result) != result:
                raise Violation(
                    f"{process.name} got {result} from entry {entry.index}, others got "
                    f"{self.results[entry.index]}"
                )
        if node.machine.applied_index != entries[-1].index:
            raise Violation(
                f"{process.name}'s machine stands at {node.machine.applied_index} after entry "
                f"{entries[-1].index}"
            )
        if self._ledger is not None and self._ledger.index == entries[-1].index > before:
            self._ledger.look(process, node.machine)
        if entries[-1].index % 16 == 0:
            self.compare_state(process.name, node.machine)

    def _check_version(self, process: SimProcess, entry: Entry) -> None:
        """The cluster version is never above what the build of a member speaks."""
        assert process.node is not None
        for _, _, (_, name, *arguments) in commands_of(entry):
            if name == "cluster_version":
                process.world.builds.raised(arguments[0], process.node.raft.membership)

    def _revision_after(self, entry: Entry) -> int:
        """The revision that the newest entry reaches."""
        before = self._revisions[-1] if self._revisions else 0
        commands = len(commands_of(entry))
        return max(before, entry.index - 1) + commands if commands else before

    def compare_state(self, who: str, machine: Machine) -> None:
        """The same index means the same state, everywhere and for ever."""
        index, found = machine.applied_index, machine.state_hash()
        known, other = self.hashes.setdefault(index, (found, who))
        if known != found:
            raise Violation(f"{who} and {other} have different states at index {index}")

    def snapshot_begun(self, process: SimProcess, meta: SnapshotMeta) -> None:
        node = process.node
        assert node is not None
        if node.machine.applied_index != meta.index:
            raise Violation(
                f"{process.name} takes a snapshot for {meta.index} of the state at "
                f"{node.machine.applied_index}"
            )
        self._same_meta(process, meta)
        self.compare_state(process.name, node.machine)
        process.tell(f"takes a snapshot at {meta.index}")

    def restored(self, process: SimProcess, meta: SnapshotMeta, machine: Machine) -> None:
        self._same_meta(process, meta)
        self.compare_state(process.name, machine)

    def _same_meta(self, process: SimProcess, meta: SnapshotMeta) -> None:
        known = self._metas.setdefault(meta.index, meta)
        if known != meta:
            raise Violation(f"{process.name} has a snapshot {meta}, another has {known}")

    def compacting(self, process: SimProcess, index: int) -> None:
        if process.durable.refresh().snapshot[0] < index:
            raise Violation(
                f"{process.name} deletes its log to {index}, the durable snapshot is at "
                f"{process.durable.snapshot[0]}"
            )

    # -- after every turn -----------------------------------------------------------------------

    def check(self, process: SimProcess) -> None:
        """A node has taken its turn."""
        node = process.node
        assert node is not None
        raft, mark = node.raft, self._marks[process.name]
        self.checks += 1
        if not (raft.term >= mark.term and raft.applied_index >= mark.applied):
            raise Violation(f"{process.name}'s term or applied index went backwards")
        if not raft.applied_index <= raft.commit_index <= raft.log.last_index:
            raise Violation(
                f"{process.name} applied to {raft.applied_index}, committed to "
                f"{raft.commit_index}, log to {raft.log.last_index}"
            )
        if raft.membership_index > raft.log.last_index:
            raise Violation(
                f"{process.name} goes by the membership of entry {raft.membership_index}, and its "
                f"log ends at {raft.log.last_index}"
            )
        if raft.log.base_index != mark.base:
            mark.base = raft.log.base_index
            self._check_base(process)
        if raft.role is Role.LEADER:
            self._check_leader(process, mark)
        self._committing(process)
        mark.term, mark.applied = raft.term, raft.applied_index
        durable = process.durable.refresh()
        if durable.first_index > durable.snapshot[0] + 1:
            raise Violation(
                f"{process.name}'s log begins at {durable.first_index}, its durable snapshot "
                f"ends at {durable.snapshot[0]}"
            )
        pending = node.proposals.pending
        if pending > limits.PROPOSALS_IN_FLIGHT + limits.OPERATIONS_PER_MESSAGE:
            raise Violation(f"{process.name} holds {pending} proposals")

    def _check_base(self, process: SimProcess) -> None:
        """Log Matching also where a snapshot has taken the place of entries: what follows it is
        what followed its last entry when it was written."""
        assert process.node is not None
        log = process.node.raft.log
        if log.entries:
            entry = log.entries[0]
            before = self._log[entry.index, entry.term][0]
            if before not in (None, log.base_term):
                raise Violation(
                    f"{process.name} has entry {entry.index} of term {entry.term} after one of "
                    f"term {log.base_term}; it was written after one of term {before}"
                )

    def _committing(self, process: SimProcess) -> None:
        """The commit index of a node may have moved."""
        node = process.node
        assert node is not None
        raft, mark = node.raft, self._marks[process.name]
        old, new = mark.commit, raft.commit_index
        if new == old:
            return
        if new < old:
            raise Violation(f"{process.name}'s commit index went from {old} to {new}")
        log = raft.log
        if new > self.commit_index:
            led = raft.term if raft.role is Role.LEADER else mark.led  # it may have stepped down
            if not led:
                raise Violation(f"{process.name} commits {new}, which no leader has committed")
            term = log.term_at(new)
            assert term is not None
            if term != led:
                raise Violation(f"{process.name} commits entry {new} of term {term} by counting")
            # It was counted with the membership of that moment, and changed since, perhaps.
            steps = [(new, raft.memberships.at(new))]
            steps += [step for step in raft.memberships.steps if step[0] > new]
            held = [m.voters for _, m in steps if self._is_held(new, term, m.voters)]
            self.voters = held[0] if held else steps[-1][1].voters
            self._check_quorum(new, term, self.voters)
        for index in range(max(old, log.base_index) + 1, new + 1):
            term = log.entry(index).term
            if self.committed.setdefault(index, term) != term:
                raise Violation(
                    f"{process.name} commits term {term} at {index}, where term "
                    f"{self.committed[index]} was committed"
                )
        self.commit_index = max(self.commit_index, new)
        if raft.role is Role.LEADER:
            self._committed_in[raft.term] = new
        mark.commit = new

    def _check_leader(self, process: SimProcess, mark: _Mark) -> None:
        assert process.node is not None
        raft = process.node.raft
        if mark.led != raft.term:
            mark.led, mark.last, mark.members = raft.term, 0, raft.membership_index
            other = self._leaders.setdefault(raft.term, raft.id)
            if other != raft.id:
                raise Violation(f"{raft.id} and {other} both lead term {raft.term}")
            self._check_complete(process)
        if raft.log.last_index < mark.last:
            raise Violation(f"{process.name} leads, and removed entries from its log")
        mark.last = raft.log.last_index
        if raft.membership_index != mark.members:
            mark.members = raft.membership_index
            self._check_membership(process)
        self._check_counted(process)
        for follower, progress in raft.progress.items():
            if len(progress.inflight) > raft.config.max_inflight:
                raise Violation(f"{process.name} has too much in flight to {follower}")

    def _check_counted(self, process: SimProcess) -> None:
        """What a majority has reached counts, also of a membership that has just changed."""
        assert process.node is not None
        raft = process.node.raft
        others = [raft.progress[voter] for voter in raft.memberships.voters - {raft.id}]
        own = raft.is_voter
        index = reached_by_majority([raft.stable_index] * own + [p.match_index for p in others])
        if index > raft.commit_index and raft.log.term_at(index) == raft.term:
            raise Violation(f"{process.name} does not commit {index}, which a majority has stored")
        oldest = raft.reads.unconfirmed
        if oldest is None:
            return
        number = reached_by_majority([raft.reads.round] * own + [p.round for p in others])
        if number >= oldest:
            raise Violation(f"{process.name} lets a read wait that a majority has confirmed")

    def _check_complete(self, process: SimProcess) -> None:
        """Leader Completeness: a new leader has all that leaders of earlier terms committed."""
        assert process.node is not None
        raft = process.node.raft
        earlier = [index for term, index in self._committed_in.items() if term < raft.term]
        index = max(earlier, default=0)
        if index > raft.log.base_index and raft.log.term_at(index) != self.committed[index]:
            raise Violation(
                f"{process.name} leads term {raft.term} without the committed entry {index} of "
                f"term {self.committed[index]}"
            )

    def _check_membership(self, process: SimProcess) -> None:
        """One change of one voter at a time, and none before the term's first commit."""
        assert process.node is not None
        raft = process.node.raft
        steps = raft.memberships
        if raft.membership_index <= self.commit_index:
            return
        older = steps.at(raft.membership_index - 1)
        if len(older.voters ^ raft.membership.voters) > 1:
            raise Violation(f"{process.name} changes more than one voter at once")
        before = max((i for i, _ in steps.steps if i < raft.membership_index), default=0)
        if before > raft.commit_index or not raft.term_committed:
            raise Violation(f"{process.name} changes the membership before it may")
