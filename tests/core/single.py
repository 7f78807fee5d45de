"""A single node, told what it hears and asked what it says."""

from __future__ import annotations

from typing import Any

from raftzmq.core.config import Config
from raftzmq.core.entry import COMMAND, Entry
from raftzmq.core.messages import AppendAccepted, Message, PreVoteReply, VoteReply
from raftzmq.core.raft import Raft
from raftzmq.core.ready import HardState, Ready, SnapshotMeta
from raftzmq.core.role import Role
from raftzmq.lines import encode_entries, encode_entry
from tests.core.cluster import NONCE, Middle, log_of, membership, node_id

A, B, C, D, X = (node_id(name) for name in "abcdx")
THREE = membership("abc")
T = 300
"""The shortest election timeout, in milliseconds."""


def command(index: int, term: int, body: Any = "x") -> Entry:
    return encode_entry(index, term, 0, COMMAND, body)


def node(
    terms: list[int] | None = None,
    *,
    term: int = 1,
    members: Any = THREE,
    config: Config | None = None,
    snapshot: SnapshotMeta | None = None,
) -> Raft:
    """Node a, whose log has the membership and then entries of `terms`."""
    return Raft(
        A,
        config or Config(keep_entries=0),
        random=Middle(),
        encode=encode_entries,
        now_ms=1000,
        hard_state=HardState(term),
        snapshot=snapshot,
        entries=[] if snapshot else log_of(members, terms or []),
        nonce=NONCE,
    )


def role(raft: Raft) -> Role:
    """Its role now, whatever a type checker concludes from an earlier look."""
    return raft.role


def drain(raft: Raft) -> list[Ready]:
    """Work off everything; the disk is perfect."""
    done = []
    while raft.has_ready:
        ready = raft.ready()
        done.append(ready)
        raft.saved()
        if ready.committed:
            raft.applied(ready.committed[-1].index)
    return done


def said(raft: Raft) -> list[Message]:
    """Everything it sends while it works off what is ready."""
    return [m for ready in drain(raft) for m in (*ready.messages, *ready.messages_after_save)]


def told(raft: Raft, message: Message) -> list[Message]:
    raft.step(message)
    return said(raft)


def leader(terms: list[int] | None = None, **options: Any) -> Raft:
    """Node a as a leader that has sent its no-op and heard nothing yet."""
    raft = node(terms, **options)
    raft.tick(raft.next_deadline_ms)
    drain(raft)
    for voter in (B, C):
        if raft.role is Role.PRE_CANDIDATE:
            raft.step(PreVoteReply(voter, A, raft.term, raft.term + 1, True))
    drain(raft)
    for voter in (B, C):
        if raft.role is Role.CANDIDATE:
            raft.step(VoteReply(voter, A, raft.term, True))
    assert raft.role is Role.LEADER
    drain(raft)
    return raft


def settled_leader(**options: Any) -> Raft:
    """A leader whose no-op is committed and known to b."""
    raft = leader(**options)
    raft.step(AppendAccepted(B, A, raft.term, raft.log.last_index, 0))
    drain(raft)
    assert raft.term_committed
    return raft
