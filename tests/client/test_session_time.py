"""The session when nothing comes: silence, lost links, deadlines."""

from __future__ import annotations

from itertools import pairwise

import pytest

from raftzmq.client.operations import cluster
from raftzmq.errors import OutcomeUnknown, Unavailable
from tests.client.conversation import A, B, C, Conversation


def test_an_unanswered_message_is_sent_elsewhere_within_a_second() -> None:
    talk = Conversation()
    talk.open_session()
    call = talk.put("k")
    first = talk.one()
    assert talk.later(480) == []
    (second,) = talk.later(300)
    assert (second.endpoint, second.ops) == (B, first.ops)
    talk.done(second)
    assert call.result()


def test_each_further_silence_is_borne_longer() -> None:
    talk = Conversation([A])
    talk.open_session()
    talk.put("k", timeout=60)
    times = []
    for _ in range(600):
        times += [talk.now_ms] * len(talk.later(20))
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert 480 <= gaps[0] <= 780
    assert 980 <= gaps[1] <= 1540
    assert 3980 <= gaps[-1] <= 6040


def test_a_lost_message_to_a_node_that_answers_others_is_sent_there_again() -> None:
    talk = Conversation()
    talk.open_session()
    lost = talk.put("lost")
    first = talk.one()
    talk.later(300)
    talk.get("k")
    other = talk.one()
    talk.later(20)
    talk.done(other, 5)
    (again,) = talk.later(500)
    assert (again.endpoint, again.ops) == (A, first.ops)
    talk.done(again)
    assert lost.result()


def test_a_silent_leader_is_not_gone_back_to_just_because_others_name_it() -> None:
    talk = Conversation()
    talk.get("k", timeout=30)
    talk.one()
    asked = []
    for _ in range(45):
        for sent in talk.later(20):
            asked.append(sent.endpoint)
            talk.refuse(sent, "not_leader", A)
    assert asked
    assert set(asked) == {B, C}


def test_a_silent_leader_is_gone_back_to_when_it_answers_again() -> None:
    talk = Conversation()
    call = talk.get("k", timeout=30)
    talk.one()
    for _ in range(150):
        for sent in talk.later(20):
            if sent.endpoint == A:
                talk.done(sent, 9)
            else:
                talk.refuse(sent, "not_leader", A)
    assert call.done


def test_a_lost_link_is_noticed_without_waiting_for_silence() -> None:
    talk = Conversation()
    talk.open_session()
    call = talk.put("k")
    first = talk.one()
    talk.down.add(A)
    (second,) = talk.later(120)
    assert (second.endpoint, second.ops) == (B, first.ops)
    talk.done(second)
    assert call.result()


def test_a_node_that_is_down_from_the_start_costs_little_time() -> None:
    talk = Conversation()
    talk.down.update({A, B})
    call = talk.get("k")
    (sent,) = talk.later(250)
    assert sent.endpoint == C
    talk.done(sent, 5)
    assert call.done


def test_with_all_nodes_down_nothing_is_sent_and_nothing_can_have_been_done() -> None:
    talk = Conversation()
    talk.down.update({A, B, C})
    call = talk.put("k", timeout=3)
    assert talk.later(3100) == []
    with pytest.raises(
        Unavailable,
        match=r"no leader answered within 3 s \(a:6001: no connection; b:6001: no connection; c",
    ):
        call.result()


def test_a_node_that_comes_up_is_used() -> None:
    talk = Conversation()
    talk.down.update({A, B, C})
    call = talk.get("k")
    talk.later(2000)
    talk.down.remove(B)
    (sent,) = talk.later(200)
    assert sent.endpoint == B
    talk.done(sent, 5)
    assert call.done


def test_a_node_that_was_down_once_is_tried_again() -> None:
    talk = Conversation()
    talk.down.update({A, C})
    call = talk.get("k", timeout=20)
    talk.refuse(talk.later(250)[0], "not_leader")
    talk.down.clear()
    asked = set()
    for _ in range(100):
        for sent in talk.later(20):
            asked.add(sent.endpoint)
            talk.refuse(sent, "not_leader")
    assert not call.done
    assert asked == {A, B, C}


def test_a_write_that_was_sent_and_never_answered_is_of_unknown_outcome() -> None:
    talk = Conversation([A])
    talk.open_session()
    call = talk.put("k", timeout=2)
    assert talk.later(2100)
    with pytest.raises(
        OutcomeUnknown, match=r"within 2 s: .*may have been done.*a:6001: no answer"
    ):
        call.result()


def test_a_write_whose_session_never_opened_was_not_done() -> None:
    talk = Conversation([A])
    call = talk.put("k", timeout=2)
    sent = talk.later(2100)
    assert {name for message in sent for name in message.names} == {"open"}
    with pytest.raises(Unavailable, match="a:6001: no answer"):
        call.result()


def test_a_write_that_waits_in_the_queue_was_not_done() -> None:
    talk = Conversation([A])
    talk.open_session()
    talk.down.add(A)
    call = talk.put("k", timeout=1)
    talk.later(1100)
    with pytest.raises(Unavailable, match="a:6001: "):
        call.result()


def test_a_write_lost_with_its_link_is_of_unknown_outcome() -> None:
    talk = Conversation([A])
    talk.open_session()
    call = talk.put("k", timeout=1)
    talk.one()
    talk.down.add(A)
    talk.later(1100)
    with pytest.raises(OutcomeUnknown, match=r"a:6001: (connection lost|no connection)"):
        call.result()


def test_a_write_that_the_link_did_not_take_was_not_done() -> None:
    talk = Conversation([A])
    talk.open_session()
    call = talk.put("k", timeout=1)
    for _ in range(100):
        talk.session.tick(talk.now_ms)
        talk.session.link_state(A, True, talk.now_ms)
        for batch in talk.session.outgoing(talk.now_ms):
            talk.session.unsent(batch, talk.now_ms)
        talk.now_ms += 20
    with pytest.raises(Unavailable):
        call.result()


def test_a_read_is_never_of_unknown_outcome() -> None:
    talk = Conversation([A])
    call = talk.get("k", timeout=1)
    talk.later(1100)
    with pytest.raises(Unavailable):
        call.result()


def test_each_call_has_its_own_deadline() -> None:
    talk = Conversation([A])
    short, long = talk.get("k", timeout=0.1), talk.get("k", timeout=2)
    talk.later(150)
    assert (short.done, long.done) == (True, False)
    shorter = talk.get("k", timeout=0.05)
    talk.later(60)
    assert (shorter.done, long.done) == (True, False)
    talk.later(2000)
    assert long.done


def test_the_error_says_what_each_endpoint_answered_since_the_call_was_made() -> None:
    talk = Conversation()
    talk.down.add(C)
    first = talk.put("k", timeout=3)
    while not first.done:
        for sent in talk.later(20):
            if sent.endpoint == A:
                talk.refuse(sent, "forming")
    with pytest.raises(Unavailable, match=r"\(a:6001: forming; b:6001: no answer; c:6001: no conn"):
        first.result()
    second = talk.get("k", timeout=0.01)
    talk.later(50)
    with pytest.raises(Unavailable) as caught:
        second.result()
    assert "forming" not in str(caught.value)


def test_an_idle_session_wants_no_turn() -> None:
    talk = Conversation()
    assert talk.session.next_deadline_ms() is None
    talk.open_session()
    assert talk.session.next_deadline_ms() is None
    assert talk.session.interests() == set()


def test_a_session_that_waits_is_woken_a_few_times_a_second_only() -> None:
    talk = Conversation()
    talk.get("k", timeout=30)
    talk.one()
    turns = 0
    end_ms = talk.now_ms + 450
    while talk.now_ms < end_ms:
        due_ms = talk.session.next_deadline_ms()
        assert due_ms is not None
        assert due_ms > talk.now_ms
        talk.now_ms = due_ms
        talk.turn()
        turns += 1
    assert turns <= 6


def test_a_link_that_stays_silent_is_made_anew() -> None:
    talk = Conversation([A])
    talk.get("k", timeout=30)
    resets: list[str] = []
    for _ in range(400):
        talk.session.tick(talk.now_ms)
        for endpoint in talk.session.interests():
            talk.session.link_state(endpoint, True, talk.now_ms)
        list(talk.session.outgoing(talk.now_ms))
        resets += talk.session.resets()
        talk.now_ms += 20
    assert 1 <= len(resets) <= 4


def test_a_cancelled_call_is_forgotten_and_its_answer_ignored() -> None:
    talk = Conversation()
    talk.open_session()
    cancelled, kept = talk.put("a"), talk.put("b")
    sent = talk.one()
    talk.session.cancel(cancelled, talk.now_ms)
    talk.done(sent)
    assert talk.session.take_finished() == [kept]
    never_sent = talk.put("c")
    talk.session.cancel(never_sent, talk.now_ms)
    assert talk.turn() == []
    assert talk.session.next_deadline_ms() is None


def test_links_to_nodes_that_were_only_named_are_few() -> None:
    talk = Conversation()
    for i in range(30):
        talk.stale_get("k", endpoint=f"named-{i}:6001")
        talk.done(talk.one(), 5)
        talk.now_ms += 10
    talk.get("k")
    talk.session.tick(talk.now_ms)
    assert len(talk.closed) >= 18
    assert len(talk.session.interests()) <= 12


def test_a_stale_read_goes_to_the_named_endpoint_and_waits_for_it_alone() -> None:
    talk = Conversation()
    call = talk.stale_get("k", endpoint=C, timeout=2)
    sent = talk.later(1900)
    assert {message.endpoint for message in sent} == {C}
    assert all(message.operations.stale for message in sent)
    talk.later(200)
    with pytest.raises(Unavailable, match=r"no node answered within 2 s \(c:6001: no answer\)"):
        call.result()


def test_a_stale_read_of_any_node_goes_on_to_the_next_after_silence() -> None:
    talk = Conversation()
    call = talk.stale_get("k")
    assert talk.one().endpoint == A
    (again,) = talk.later(800)
    assert again.endpoint == B
    talk.done(again, 5)
    assert call.done


def test_stale_reads_do_not_wait_while_the_cluster_has_no_leader() -> None:
    talk = Conversation()
    for _ in range(5):
        talk.get("k", timeout=60)
        for sent in talk.later(100):
            talk.refuse(sent, "not_leader")
    talk.stale_get("k")
    (sent,) = [message for message in talk.turn() if message.operations.stale]
    assert sent.endpoint == A


def test_a_status_is_asked_again_after_silence() -> None:
    talk = Conversation()
    call = talk.call(cluster.status(B))
    talk.one()
    (again,) = talk.later(800)
    assert again.endpoint == B
    talk.status(again, "follower")
    assert call.result() == {"role": "follower"}
