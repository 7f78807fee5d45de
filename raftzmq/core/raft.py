"""One node's Raft: its state, what goes in, and the Ready that comes out.

The rules live beside this file, one subject each: election, replication, snapshots, changes (of
membership), transfer, reads. state.py has what they share, this file the order of things.

The driver calls step() for each message, tick() after the messages that had arrived, propose()
and its like, and then works off ready() until has_ready is false (core/ready.py has the order).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from raftzmq.core import changes, clock, election, relief, replication, snapshots, terms, transfer
from raftzmq.core.entry import COMMAND
from raftzmq.core.membership import Membership
from raftzmq.core.messages import Message
from raftzmq.core.ready import HardState, Ready
from raftzmq.core.role import Role
from raftzmq.core.state import RaftState
from raftzmq.errors import Refused


class Raft(RaftState):
    """A node: its state, what goes in and what comes out. Not safe to use from two threads."""

    # What goes in.

    def step(self, message: Message) -> None:
        """Act on a message. Whatever it says or how often it comes, nothing is raised for it
        unless another node broke Raft's own promises (AssertionError)."""
        if message.to != self.id or message.sender == self.id:
            self.dropped["not for this node"] += 1
        elif terms.admit(self, message):
            HANDLERS[type(message)](self, message)

    def wake(self, now_ms: int) -> None:
        """Say what time it is before messages are stepped, so that a request for a vote is judged
        by the leader's silence until now, and not until whenever this node had its last turn."""
        clock.read(self, now_ms)

    def tick(self, now_ms: int) -> None:
        """Let time pass, at any rate. Step the messages that have arrived first: they count as
        heard at `now_ms`, so that a node which was paused does not suspect the others of it."""
        clock.read(self, now_ms)
        clock.tick(self)
        if self.role is Role.LEADER:
            replication.tick(self)
            if self.role is Role.LEADER:
                relief.tick(self)
        else:
            election.tick(self)

    def propose(self, bodies: Sequence[Any], kind: str = COMMAND) -> int:
        """Append an entry of commands for each body; return the index of the first.

        Raises NotLeader, and Refused during a leader transfer.
        """
        self.require_leader()
        if self.handover is not None:
            raise Refused(f"leadership is being handed to {self.handover.target.name}; try again")
        return self.append_new(kind, bodies)

    def propose_membership(self, new: Membership) -> int:
        """Append a CONFIG entry; return its index. It is in force at once, and is taken back if
        the entry is truncated. Raises NotLeader, and Refused with the reason."""
        index = changes.propose(self, new)
        replication.count_anew(self)
        return index

    def read_index(self, context: object) -> None:
        """Ask for a linearizable read: the context comes back in Ready.reads once a majority has
        confirmed this leader after this call, or in Ready.failed_reads. Raises NotLeader."""
        self.require_leader()
        self.reads.add(context)

    def transfer(self, name: str | None) -> None:
        """Hand leadership to the voter `name`, or to the most caught-up one. Given up after an
        election timeout. Raises NotLeader, and Refused with the reason."""
        transfer.start(self, name)

    @property
    def clock_stands(self) -> bool:
        """Whether the times that are handed in stand still: this node does not lead."""
        return clock.stands_still(self)

    vouch = terms.vouch
    unreachable = replication.unreachable
    compact = snapshots.compact
    snapshot_received = snapshots.received

    # What comes out.

    @property
    def has_ready(self) -> bool:
        """Whether ready() would hold anything. Cheap."""
        pending = self.pending
        return bool(
            pending.messages
            or pending.messages_after_save
            or self.must_replicate
            or self.handed_index < self.log.last_index
            or self.applied_index < min(self.commit_index, self.stable_index)
            or self.term != self.saved_state.term
            or self.vote != self.saved_state.vote
            or (self.reads.waiting and self.term_committed)
            or self.reads.releasable(self.applied_index)
            or pending.chunks
            or pending.snapshot_sends
            or pending.failed_reads
        )

    def ready(self) -> Ready:
        """Take what is to be done. If it must_save, saved() or save_failed() comes before the
        next ready()."""
        assert not self.awaits_save, "saved() is due"
        if self.role is Role.LEADER:
            replication.send(self)
        result, self.pending = self.pending, Ready()
        if self.term != self.saved_state.term or self.vote != self.saved_state.vote:
            result.hard_state = self.handed_state = HardState(self.term, self.vote)
            # A term must be durable before anyone hears of it.
            result.messages_after_save[:0] = result.messages
            result.messages = []
        last = self.log.last_index
        if self.handed_index < last:
            result.entries = self.log.between(self.handed_index + 1, last)
            self.handed_index = last
        limit = min(self.commit_index, self.stable_index)
        if self.applied_index < limit:
            end = min(limit, self.applied_index + self.config.max_committed_entries)
            result.committed = self.log.between(self.applied_index + 1, end)
        result.reads = self.reads.release(self.applied_index)
        self.awaits_save = result.must_save
        return result

    def saved(self, took_ms: int = 0) -> None:
        """What the newest Ready asked to save is durable, and took so long. Harmless if it asked
        for nothing."""
        asked, self.awaits_save = self.awaits_save, False
        self.saved_state = self.handed_state
        if self.stable_index != self.handed_index:
            self.stable_index = self.handed_index
            if self.role is Role.LEADER:
                replication.advance_commit(self)
        if asked:
            relief.saved(self, took_ms)
        if self.role is Role.CANDIDATE and self.saved_state.term == self.term:
            election.count_own_vote(self)

    def save_failed(self) -> None:
        """Nothing of what the newest Ready asked to save was saved (the disk is full). It comes
        again in the next one; its messages_after_save must not be sent and count as lost."""
        self.awaits_save = False
        self.handed_state = self.saved_state
        self.handed_index = self.stable_index
        self.incoming = None
        relief.refused(self)

    def applied(self, index: int) -> None:
        """The state machine has applied everything up to `index`. What was handed out beyond it
        comes again in the next Ready."""
        limit = min(self.commit_index, self.stable_index)
        assert self.applied_index <= index <= limit, "applied what was not committed"
        self.applied_index = index


HANDLERS = {
    **election.HANDLERS,
    **replication.HANDLERS,
    **snapshots.HANDLERS,
    **transfer.HANDLERS,
}
"""What each message does, once terms.admit has let it in. Total over the message classes."""
