"""Leader transfer (thesis 3.10): catch the target up, then have it stand for election at once."""

from __future__ import annotations

from typing import Final

from raftzmq.core import election
from raftzmq.core.identity import NodeId
from raftzmq.core.messages import TimeoutNow
from raftzmq.core.state import Handlers, Handover, RaftState
from raftzmq.errors import Refused


def start(raft: RaftState, name: str | None) -> None:
    """Begin to hand leadership to the voter `name`; None: to the most caught-up one."""
    raft.require_leader()
    target = best_successor(raft) if name is None else _voter_named(raft, name)
    if target is None:
        raise Refused("no other voter can be reached")
    if raft.handover is not None:
        if raft.handover.target == target:
            return
        raise Refused(f"leadership is already being handed to {raft.handover.target.name}")
    begin(raft, target)


def begin(raft: RaftState, target: NodeId) -> None:
    """LEADER, handing over to nobody yet: hand over to this voter."""
    raft.handover = Handover(target, raft.now_ms + raft.config.election_timeout_ms)
    raft.must_replicate = True
    caught_up(raft, target)


def _voter_named(raft: RaftState, name: str) -> NodeId:
    member = raft.membership.named(name)
    if member is None:
        raise Refused(f"{name} is not a member")
    if member.id == raft.id:
        raise Refused(f"{name} leads already")
    if not member.voter:
        raise Refused(f"{name} is a learner")
    return member.id


def successors(raft: RaftState) -> list[NodeId]:
    """The other voters that answer, the most caught-up first."""
    voters = raft.memberships.voters
    able = [node for node in raft.progress if node in voters and raft.hears(node)]
    return sorted(able, key=lambda node: raft.progress[node].match_index, reverse=True)


def best_successor(raft: RaftState) -> NodeId | None:
    """The most caught-up other voter among those that answer, if any."""
    return next(iter(successors(raft)), None)


def caught_up(raft: RaftState, node: NodeId) -> None:
    """`node` has acknowledged more: if it is the target and has everything, it is its turn.

    Nothing is proposed during a transfer, so everything stays everything.
    """
    if raft.handover is None or raft.handover.target != node:
        return
    if raft.progress[node].match_index == raft.log.last_index:
        raft.send(TimeoutNow(raft.id, node, raft.term))


def tick(raft: RaftState) -> None:
    """Give up a transfer that has taken an election timeout."""
    if raft.handover is not None and raft.now_ms >= raft.handover.deadline_ms:
        raft.handover = None


def _handle_timeout_now(raft: RaftState, _message: TimeoutNow) -> None:
    """Stand at once, without pre-vote: the leader itself asks for it."""
    if election.may_campaign(raft):
        election.stand(raft, transfer=True)


HANDLERS: Final[Handlers] = {
    TimeoutNow: _handle_timeout_now,
}
