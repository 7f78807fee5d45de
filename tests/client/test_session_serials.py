"""The session's serials: once each, acknowledged when settled, never reused in another session."""

from __future__ import annotations

import pytest

from raftzmq import limits
from raftzmq.client.session.calls import Call
from raftzmq.client.session.serials import WINDOW, Serials
from raftzmq.errors import DiskFull, OutcomeUnknown, Unavailable
from tests.client.conversation import CLUSTER, A, B, Conversation, Sent


def expire(talk: Conversation, sent: Sent) -> None:
    talk.results(A, *[[i, "session_expired", 0, {"message": "unknown"}] for i in sent.ids])


def test_ack_is_the_lowest_serial_that_is_still_unanswered() -> None:
    talk = Conversation()
    talk.open_session()
    for key in "abc":
        talk.put(key)
    sent = talk.one()
    one, two, three = sent.ids
    assert sent.operations.ack == one
    talk.results(A, [two, "ok", 1, None])
    talk.put("d")
    assert talk.one().operations.ack == one
    talk.results(A, [one, "ok", 1, None])
    talk.put("e")
    assert talk.one().operations.ack == three


def test_ack_passes_a_write_that_nobody_waits_for_any_more() -> None:
    talk = Conversation()
    talk.open_session()
    given_up = talk.put("a", timeout=0.1)
    first = talk.one()
    talk.later(150)
    assert given_up.done
    cancelled = talk.put("b")
    talk.turn()
    talk.session.cancel(cancelled, talk.now_ms)
    talk.put("c")
    assert talk.one().operations.ack == first.ids[0] + 2


def test_reads_leave_no_gaps_in_the_serials() -> None:
    talk = Conversation()
    talk.open_session()
    talk.put("a")
    for _ in range(50):
        talk.get("k")
    talk.put("b")
    sent = talk.one()
    writes = [op[0] for op in sent.ops if op[1] == "put"]
    assert writes[1] == writes[0] + 1
    assert len(set(sent.ids)) == 52


def test_serials_stay_within_what_a_session_may_have_outstanding() -> None:
    assert WINDOW < limits.SESSION_OUTSTANDING
    talk = Conversation()
    talk.open_session()
    calls = [talk.put(f"k{i}") for i in range(WINDOW + 100)]
    sent = talk.turn()
    first = sent[0]
    ids = [i for message in sent for i in message.ids]
    assert len(ids) == WINDOW
    assert ids[-1] - first.operations.ack < limits.SESSION_OUTSTANDING
    talk.done(first)
    rest = talk.one()
    assert len(rest.ids) == 100
    assert rest.operations.ack == first.ids[-1] + 1
    assert sum(call.done for call in calls) == len(first.ids)


def test_a_serial_is_unanswered_until_it_is_settled() -> None:
    serials = Serials()
    serials.opened(5, CLUSTER)
    taken = [serials.take() for _ in range(4)]
    assert taken == [1, 2, 3, 4]
    serials.settled(3)
    assert serials.ack == 1
    serials.settled(1)
    assert serials.ack == 2
    serials.settled(2)
    assert serials.ack == 4


def test_a_write_sent_once_to_an_expired_session_is_sent_again_in_a_new_one() -> None:
    talk = Conversation()
    talk.open_session(12)
    call = talk.put("k")
    old = talk.one()
    expire(talk, old)
    (opening,) = talk.later(50)
    assert (opening.names, opening.operations.session) == (["open"], 0)
    talk.done(opening, 40, 40)
    again = talk.one()
    assert again.operations.session == 40
    assert again.ids[0] > old.ids[0]
    assert again.operations.ack == again.ids[0]
    talk.done(again, 41)
    assert call.result().index == 41


def test_an_expired_session_said_by_an_error_means_the_same() -> None:
    talk = Conversation()
    talk.open_session(12)
    talk.put("k")
    talk.refuse(talk.one(), "session_expired")
    (opening,) = talk.later(50)
    assert opening.names == ["open"]


def test_a_write_sent_twice_to_an_expired_session_is_of_unknown_outcome() -> None:
    talk = Conversation([A])
    talk.open_session(12)
    call = talk.put("k")
    talk.one()
    (again,) = talk.later(800)
    expire(talk, again)
    with pytest.raises(OutcomeUnknown, match="session had expired"):
        call.result()


def test_a_write_in_doubt_is_never_sent_in_another_session() -> None:
    talk = Conversation([A])
    talk.open_session(12)
    doubtful = talk.put("doubtful")
    talk.one()
    talk.later(300)
    other = talk.put("other")
    expire(talk, talk.one())
    sent: list[Sent] = []
    for _ in range(100):
        for message in talk.later(20):
            sent.append(message)
            if message.names == ["open"]:
                talk.done(message, 40, 40)
            elif message.ops[0][2] == "other":
                talk.done(message, 41)
    assert other.result().index == 41
    assert not any(op[2:3] == ["doubtful"] for message in sent for op in message.ops)
    with pytest.raises(OutcomeUnknown, match="session expired"):
        doubtful.result()


def test_all_writes_of_an_expired_session_move_to_one_new_session() -> None:
    talk = Conversation()
    talk.open_session(12)
    calls = [talk.put(f"k{i}") for i in range(5)]
    expire(talk, talk.one())
    (opening,) = talk.later(50)
    assert opening.names == ["open"]
    talk.done(opening, 40, 40)
    again = talk.one()
    assert [op[2] for op in again.ops] == ["k0", "k1", "k2", "k3", "k4"]
    talk.done(again)
    assert all(call.result() for call in calls)


def test_a_lost_open_is_sent_again_and_the_first_answer_counts() -> None:
    talk = Conversation()
    call = talk.put("k")
    first = talk.one()
    (second,) = talk.later(800)
    assert (second.endpoint, second.names) == (B, ["open"])
    talk.done(second, 20, 20)
    talk.done(first, 19, 19)
    sent = talk.one()
    assert sent.operations.session == 20
    talk.done(sent)
    assert call.result()


def test_an_open_is_not_repeated_when_nobody_waits_for_it() -> None:
    talk = Conversation()
    talk.put("k", timeout=0.3)
    talk.one()
    assert talk.later(5000) == []
    assert talk.session.next_deadline_ms() is None


def test_a_later_write_keeps_the_opening_alive_past_the_first_ones_deadline() -> None:
    talk = Conversation([A])
    short = talk.put("a", timeout=0.3)
    first = talk.one()
    long = talk.put("b", timeout=5)
    sent = [first, *talk.later(1000)]
    assert isinstance(short.error, Unavailable)
    assert len({message.ids[0] for message in sent}) == 1
    talk.done(sent[-1], 20, 20)
    message = talk.one()
    assert [op[2] for op in message.ops] == ["b"]
    talk.done(message)
    assert long.result()


def test_writes_fail_as_the_opening_of_their_session_does() -> None:
    talk = Conversation()
    calls = [talk.put("a"), talk.put("b")]
    talk.refuse(talk.one(), "disk_full", message="full")
    assert [type(call.error) for call in calls] == [DiskFull, DiskFull]
    assert talk.later(100) == []


def test_an_open_answered_with_no_number_fails_the_writes_that_wait() -> None:
    talk = Conversation()
    call = talk.put("k")
    talk.done(talk.one(), 5, None)
    assert call.done
    assert call.error is not None


def test_a_serial_is_sent_unchanged_through_any_mixture_of_faults() -> None:
    talk = Conversation()
    talk.open_session()
    call = talk.put("k", timeout=60)
    seen: list[Sent] = []
    codes = ["not_leader", "overloaded", "outcome_unknown", "forming", "disk_full", None] * 5
    while codes:
        for sent in talk.later(20):
            seen.append(sent)
            code = codes.pop() if codes else "overloaded"
            if code is not None:
                talk.refuse(sent, code)
    assert len({(sent.ids[0], sent.operations.session) for sent in seen}) == 1
    final = talk.later(8000)[-1]
    talk.done(final, 99)
    assert call.result().index == 99


def test_whether_a_session_is_worth_closing_depends_on_a_leader_to_hear_it() -> None:
    talk = Conversation()
    assert not talk.session.can_close_session
    talk.open_session()
    assert talk.session.can_close_session
    talk.down.add(A)
    waiting: Call = talk.get("k")
    talk.turn()
    assert not waiting.done
    assert not talk.session.can_close_session
