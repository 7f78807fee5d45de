"""Which peers owe an answer."""

from __future__ import annotations

import pytest

from raftzmq.core.identity import NodeId
from raftzmq.core.messages import Heartbeat, HeartbeatReply
from raftzmq.server.silence import SILENCE_MS, Silence

ME, PEER = NodeId("raft-0", "0" * 16), NodeId("raft-1", "1" * 16)
ASKS = Heartbeat(ME, PEER, term=1, commit_index=0, round=1)
ANSWERS = HeartbeatReply(ME, PEER, term=1, round=1)


@pytest.fixture
def silence() -> Silence:
    silence = Silence()
    silence.sent("raft-1", ASKS, 0)
    return silence


def test_a_peer_that_does_not_answer_is_silent_once(silence: Silence) -> None:
    assert silence.overdue(SILENCE_MS) == []
    assert silence.overdue(SILENCE_MS + 1) == ["raft-1"]
    assert silence.names == {"raft-1"}
    assert silence.overdue(9 * SILENCE_MS) == []


def test_it_is_silent_again_when_the_next_question_is_not_answered_either(
    silence: Silence,
) -> None:
    silence.overdue(SILENCE_MS + 1)
    silence.sent("raft-1", ASKS, 10_000)
    assert silence.overdue(10_000 + SILENCE_MS) == []
    assert silence.overdue(10_001 + SILENCE_MS) == ["raft-1"]


def test_the_wait_counts_from_the_first_question(silence: Silence) -> None:
    silence.sent("raft-1", ASKS, SILENCE_MS)
    assert silence.overdue(SILENCE_MS + 1) == ["raft-1"]


def test_an_answer_ends_the_silence(silence: Silence) -> None:
    silence.overdue(SILENCE_MS + 1)
    silence.answered("raft-1")
    assert not silence.names


def test_what_asks_nothing_is_owed_nothing() -> None:
    silence = Silence()
    silence.sent("raft-1", ANSWERS, 0)
    assert silence.overdue(9 * SILENCE_MS) == []


def test_a_peer_that_was_removed_is_missed_no_longer(silence: Silence) -> None:
    silence.sent("raft-2", ASKS, 0)
    silence.overdue(SILENCE_MS + 1)
    silence.forget_all_but({"raft-1"})
    assert silence.names == {"raft-1"}
