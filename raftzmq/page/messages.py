"""A message between nodes, as the page shows it: a shape, a label, and what it says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from raftzmq.core import messages as m


class Look(NamedTuple):
    """`shape` is one of SHAPES, `label` a word or two beside it, `says` a sentence; `rule` is why
    an answer is no."""

    shape: str
    label: str
    says: str
    rule: str | None = None


SHAPES: Final = frozenset({"ask", "yes", "no", "append", "beat", "answer", "snapshot", "order"})
"""Requests for votes; answers that agree and that do not; entries; heartbeats and their answers;
parts of a snapshot; orders of the leader. The page draws no others."""


def look_of(message: m.Message) -> Look:
    """How a message looks."""
    return LOOKS[type(message)](message)


def _pre_vote_request(message: m.PreVoteRequest) -> Look:
    text = f"would you vote for me in term {message.next_term}? {_log(message)}"
    return Look("ask", "pre-vote?", text)


def _pre_vote_reply(message: m.PreVoteReply) -> Look:
    return _answer(message.granted, "pre-vote", message.term)


def _vote_request(message: m.VoteRequest) -> Look:
    return Look("ask", "vote?", f"vote for me in term {message.term}. {_log(message)}")


def _vote_reply(message: m.VoteReply) -> Look:
    return _answer(message.granted, "vote", message.term)


def _append(message: m.AppendEntries) -> Look:
    after = f"after {message.prev_index} of term {message.prev_term}"
    if not message.entries:
        return Look("append", f"probe {message.prev_index}", f"is your log equal to mine {after}?")
    first, last = message.entries[0].index, message.entries[-1].index
    span = f"{first}" if first == last else f"{first} to {last}"
    return Look("append", f"append {span}", f"append {span} {after}")


def _accepted(message: m.AppendAccepted) -> Look:
    text = f"my log equals yours up to {message.match_index}"
    return Look("yes", f"ok {message.match_index}", text)


def _rejected(message: m.AppendRejected) -> Look:
    hint = f"we could agree at {message.hint_index} of term {message.hint_term}"
    text = f"I have no such entry {message.prev_index}; {hint}"
    return Look("no", f"no {message.prev_index}", text, "reject")


def _heartbeat(message: m.Heartbeat) -> Look:
    return Look("beat", "beat", f"I lead; committed up to {message.commit_index}")


def _heartbeat_reply(message: m.HeartbeatReply) -> Look:
    return Look("answer", "heard", f"heard, in term {message.term}")


def _chunk(message: m.SnapshotChunk) -> Look:
    text = f"part of the snapshot at {message.snapshot_index}, from byte {message.offset}"
    return Look("snapshot", f"snapshot {message.snapshot_index}", text, "install")


def _snapshot_reply(message: m.SnapshotReply) -> Look:
    return Look("answer", "next part", f"go on from byte {message.next_offset}")


def _timeout_now(_: m.TimeoutNow) -> Look:
    return Look("order", "take over", "stand for election at once", "transfer")


def _log_regressed(message: m.LogRegressed) -> Look:
    text = f"you have lost entries that you acknowledged, up to {message.acknowledged_index}"
    return Look("order", "log lost", text)


def _log(message: m.PreVoteRequest | m.VoteRequest) -> str:
    return f"My log ends with {message.last_index} of term {message.last_term}"


def _answer(granted: bool, what: str, term: int) -> Look:
    if granted:
        return Look("yes", what, f"yes, you have my {what}")
    return Look("no", f"no {what}", f"no; I am in term {term}", "vote")


LOOKS: Final[dict[type[m.Message], Callable[[Any], Look]]] = {
    m.PreVoteRequest: _pre_vote_request,
    m.PreVoteReply: _pre_vote_reply,
    m.VoteRequest: _vote_request,
    m.VoteReply: _vote_reply,
    m.AppendEntries: _append,
    m.AppendAccepted: _accepted,
    m.AppendRejected: _rejected,
    m.Heartbeat: _heartbeat,
    m.HeartbeatReply: _heartbeat_reply,
    m.SnapshotChunk: _chunk,
    m.SnapshotReply: _snapshot_reply,
    m.TimeoutNow: _timeout_now,
    m.LogRegressed: _log_regressed,
}
"""Total over the messages: a test says so."""
