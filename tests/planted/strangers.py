"""Bugs that make a node believe whoever speaks: each shows in worlds that have a stranger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from raftzmq import limits
from raftzmq.core import raft as raft_module
from raftzmq.core import replication, terms
from raftzmq.core.messages import REPLIES, LogRegressed
from raftzmq.machine.commands import sessions
from raftzmq.node.joining import Joining
from tests.machine import model
from tests.planted.defect import Defect

if TYPE_CHECKING:
    import pytest

    from raftzmq.core.identity import NodeId
    from raftzmq.core.messages import Message
    from raftzmq.core.raft import Raft
    from raftzmq.transport.peer_wire import Welcome


def sender_is_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    def may_speak(_raft: Raft, message: Message) -> bool:
        return type(message) not in REPLIES

    monkeypatch.setattr(terms, "_may_speak", may_speak)


def terms_are_unbounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "TERM_JUMP", limits.TERM_MAX)


def loss_of_the_log_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    def handle(raft: Raft, message: LogRegressed) -> None:
        if message.acknowledged_index > raft.log.last_index:
            raft.regressed = message.acknowledged_index

    monkeypatch.setitem(raft_module.HANDLERS, LogRegressed, handle)


def heartbeat_beyond_the_log_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    def believe(raft: Raft, _leader: NodeId) -> None:
        raft.regressed = raft.log.last_index + 1

    monkeypatch.setattr(replication, "_ask_about_loss", believe)


def welcome_is_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    welcomed = Joining.welcomed

    def take(joining: Joining, welcome: Welcome, now_ms: int) -> None:
        joining._nonces.append(welcome.nonce)
        welcomed(joining, welcome, now_ms)

    monkeypatch.setattr(Joining, "welcomed", take)


def sessions_are_numbered_by_revision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "_number_of", lambda _secret, revision: revision)
    monkeypatch.setattr(model, "session_number", lambda index, _secret="": index)


DEFECTS: Final = (
    Defect(
        30,
        "a Raft message of somebody who is no member is heard",
        sender_is_not_checked,
        "a stranger|which no leader has committed",
        15,
        half="a",
    ),
    Defect(
        30,
        "a message takes the term as far as it likes",
        terms_are_unbounded,
        "which no elections reach",
        80,
        half="b",
    ),
    Defect(
        30,
        "one word makes a node believe that it has lost its log",
        loss_of_the_log_is_believed,
        "refuses a directory that nothing has harmed",
        15,
        half="c",
    ),
    Defect(
        30,
        "a heartbeat beyond the log does the same",
        heartbeat_beyond_the_log_is_believed,
        "refuses a directory that nothing has harmed",
        15,
        half="d",
    ),
    Defect(
        30,
        "a welcome that nobody asked for is believed",
        welcome_is_not_asked_for,
        "the cluster of a stranger|what a stranger said",
        15,
        half="e",
    ),
    Defect(
        30,
        "a session has a number that can be guessed",
        sessions_are_numbered_by_revision,
        "a stranger's write",
        15,
        half="f",
    ),
)
