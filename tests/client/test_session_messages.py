"""What travels together: limits of messages, pipelines, and requests that are no operations."""

from __future__ import annotations

import pytest

from raftzmq import limits
from raftzmq.client.operations import cluster, transactions
from raftzmq.client.session.calls import PROMPT_MS, WINDOW_BYTES_FIRST, WINDOW_BYTES_MOST
from raftzmq.client.session.flight import MESSAGES_IN_FLIGHT, SILENCE_MS
from raftzmq.client.session.packer import MESSAGE_BYTES
from raftzmq.client.transactions import Put
from raftzmq.errors import InvalidRequest, OutcomeUnknown, Refused, Unavailable
from raftzmq.transport.operator_wire import MemberRequest, StatusRequest, TransferRequest
from tests.client.conversation import A, B, C, Conversation, Sent


def test_a_message_has_no_more_operations_than_allowed() -> None:
    talk = Conversation()
    for _ in range(limits.OPERATIONS_PER_MESSAGE + 10):
        talk.get("k")
    sent = talk.turn()
    assert [len(message.ops) for message in sent] == [limits.OPERATIONS_PER_MESSAGE, 10]


def test_messages_stay_small_and_a_large_value_travels_alone() -> None:
    talk = Conversation()
    talk.open_session()
    for _ in range(20):
        talk.put("k", "v" * 100_000)
    talk.put("large", "v" * limits.VALUE_BYTES)
    talk.put("small")
    sent = talk.turn()
    assert all(len(m.frame) <= MESSAGE_BYTES + 200 for m in sent if len(m.ops) > 1)
    assert [len(m.ops) for m in sent] == [10, 10, 1, 1]


def test_the_longest_value_fits_into_a_frame_however_it_is_escaped() -> None:
    talk = Conversation()
    talk.open_session()
    talk.put("\x01" * limits.KEY_BYTES, "\x01" * limits.VALUE_BYTES)
    assert len(talk.one().frame) <= limits.FRAME_BYTES


def test_an_operation_larger_than_a_frame_is_refused_before_it_is_sent() -> None:
    puts = [Put(f"k{i}", "v" * limits.VALUE_BYTES) for i in range(9)]
    with pytest.raises(InvalidRequest, match="bytes as JSON"):
        transactions.txn((), puts, ())


def test_with_many_messages_in_flight_calls_gather_for_the_next() -> None:
    talk = Conversation()
    sent: list[Sent] = []
    for _ in range(MESSAGES_IN_FLIGHT + 50):
        talk.get("k")
        sent += talk.turn()
    assert len(sent) == MESSAGES_IN_FLIGHT
    talk.done(sent[0], 5)
    assert len(talk.one().ops) == 50


def test_only_so_many_bytes_are_in_flight() -> None:
    talk = Conversation()
    talk.open_session()
    for _ in range(40):
        talk.put("k", "\x01" * limits.VALUE_BYTES)
    sent = talk.turn()
    size = len(sent[0].frame)
    assert len(sent) == WINDOW_BYTES_FIRST // size + 1
    for _ in range(5):
        talk.done(sent.pop(0))
        sent += talk.turn()
    assert len(sent) == WINDOW_BYTES_MOST // size + 1
    assert talk.turn() == []
    talk.done(sent[0])
    assert len(talk.turn()) == 1


def test_fewer_bytes_are_in_flight_while_answers_come_late() -> None:
    talk = Conversation()
    talk.open_session()
    for _ in range(200):
        talk.put("k", "v" * (256 * 1024))
    sent = talk.turn()
    while len(sent) < 8:
        talk.done(sent.pop(0))
        sent += talk.turn()
    talk.now_ms += 2 * PROMPT_MS + 1
    for message in sent:
        talk.done(message)
    sent = talk.turn()
    assert len(sent) == 1
    for _ in range(16):
        talk.now_ms += 10
        talk.done(sent.pop(0))
        sent += talk.turn()
    assert sum(len(message.frame) for message in sent) >= WINDOW_BYTES_FIRST


def test_many_bytes_in_flight_are_waited_for_longer() -> None:
    talk = Conversation()
    talk.open_session()
    talk.put("k", "v" * limits.VALUE_BYTES)
    talk.one()
    assert talk.later(SILENCE_MS + 250) == []
    (again,) = talk.later(800)
    assert again.names == ["put"]


def test_calls_given_up_make_room_for_others() -> None:
    talk = Conversation([A])
    for _ in range(MESSAGES_IN_FLIGHT):
        talk.get("k", timeout=0.3)
        talk.turn()
    assert talk.turn() == []
    talk.later(350)
    talk.get("k")
    assert talk.one().names == ["get"]


def test_messages_that_are_sent_again_keep_the_order_of_their_calls() -> None:
    talk = Conversation()
    talk.open_session()
    keys = [f"k{i}" for i in range(9)]
    for key in keys:
        talk.put(key)
        if key in {"k2", "k5", "k8"}:
            assert len(talk.one().ops) == 3
    talk.down.add(A)
    again = talk.later(120)
    assert [op[2] for message in again for op in message.ops] == keys


def test_stale_and_linearizable_reads_travel_apart() -> None:
    talk = Conversation()
    talk.open_session()
    talk.get("a")
    talk.stale_get("b")
    talk.stale_get("c", endpoint=C)
    sent = talk.turn()
    assert [(m.endpoint, m.operations.stale, m.ops[0][2]) for m in sent] == [
        (A, False, "a"),
        (A, True, "b"),
        (C, True, "c"),
    ]
    assert [m.operations.session for m in sent] == [12, 0, 0]


# -- requests that are messages of their own ----------------------------------------------------


def find_leader(talk: Conversation, leader: str) -> None:
    for sent in talk.turn():
        assert isinstance(sent.request, StatusRequest)
        talk.status(sent, "leader" if sent.endpoint == leader else "follower")


def test_a_change_of_membership_is_sent_only_to_a_node_that_says_it_leads() -> None:
    talk = Conversation()
    call = talk.call(cluster.member_add("raft-3"))
    find_leader(talk, C)
    sent = talk.one()
    assert sent.endpoint == C
    assert isinstance(sent.request, MemberRequest)
    assert (sent.request.action, sent.request.name) == ("add", "raft-3")
    talk.complete(sent)
    assert call.result() == "complete"


def test_a_leader_that_has_just_answered_is_not_searched_for() -> None:
    talk = Conversation()
    talk.open_session()
    talk.call(cluster.transfer("raft-2"))
    sent = talk.one()
    assert sent.endpoint == A
    assert isinstance(sent.request, TransferRequest)


def test_a_leader_that_has_not_answered_for_long_is_searched_for_again() -> None:
    talk = Conversation()
    talk.open_session()
    talk.now_ms += 5000
    talk.call(cluster.transfer(None))
    assert {type(sent.request) for sent in talk.turn()} == {StatusRequest}


def test_a_transfer_is_never_sent_a_second_time_after_silence() -> None:
    talk = Conversation()
    talk.open_session()
    call = talk.call(cluster.transfer(None), timeout=5)
    talk.one()
    assert talk.later(5100) == []
    with pytest.raises(OutcomeUnknown):
        call.result()


def test_a_transfer_whose_link_is_lost_is_of_unknown_outcome_at_once() -> None:
    talk = Conversation()
    talk.open_session()
    call = talk.call(cluster.transfer(None), timeout=60)
    talk.one()
    talk.down.add(A)
    talk.later(150)
    with pytest.raises(OutcomeUnknown, match="sent to a:6001, then connection lost"):
        call.result()


def test_a_transfer_answered_with_not_leader_goes_to_the_leader() -> None:
    talk = Conversation()
    talk.open_session()
    call = talk.call(cluster.transfer("raft-2"))
    talk.refuse(talk.one(), "not_leader", B)
    find_leader(talk, B)
    sent = talk.one()
    assert sent.endpoint == B
    talk.complete(sent)
    assert call.result() == "complete"


def test_a_refused_change_is_refused_at_once() -> None:
    talk = Conversation()
    talk.open_session()
    call = talk.call(cluster.member_remove("raft-9"))
    talk.refuse(talk.one(), "refused", message="raft-9 is not a member")
    with pytest.raises(Refused, match="raft-9 is not a member"):
        call.result()


def test_a_change_with_an_unknown_outcome_is_not_tried_again() -> None:
    talk = Conversation()
    talk.open_session()
    call = talk.call(cluster.member_remove("raft-2"))
    talk.refuse(talk.one(), "outcome_unknown", message="this node stops")
    with pytest.raises(OutcomeUnknown, match="this node stops"):
        call.result()
    assert talk.turn() == []


def test_without_a_leader_a_change_is_asked_for_at_a_moderate_pace_until_the_deadline() -> None:
    talk = Conversation()
    call = talk.call(cluster.member_add("raft-3"), timeout=3)
    asked = 0
    while not call.done:
        for sent in talk.later(20):
            if isinstance(sent.request, StatusRequest):
                talk.status(sent, "follower")
            else:
                asked += 1
                talk.refuse(sent, "not_leader")
    assert 5 < asked < 50
    with pytest.raises(Unavailable, match="no leader answered within 3 s"):
        call.result()


def test_a_change_finds_a_leader_that_only_another_node_knows() -> None:
    talk = Conversation([A])
    call = talk.call(cluster.member_add("raft-3"))
    for _ in range(10):
        for sent in talk.later(20):
            if isinstance(sent.request, StatusRequest):
                talk.status(sent, "leader" if sent.endpoint == "far:6001" else "follower")
            elif sent.endpoint == A:
                talk.refuse(sent, "not_leader", "far:6001")
            else:
                talk.complete(sent)
    assert call.result() == "complete"


def test_a_change_is_not_sent_while_no_node_answers() -> None:
    talk = Conversation()
    call = talk.call(cluster.transfer(None), timeout=3)
    sent = talk.later(3100)
    assert {type(message.request) for message in sent} == {StatusRequest}
    with pytest.raises(Unavailable, match="no answer"):
        call.result()


def test_the_leader_is_found_although_other_nodes_are_silent() -> None:
    talk = Conversation()
    talk.down.add(A)
    call = talk.call(cluster.transfer(None))
    for _ in range(100):
        for sent in talk.later(10):
            if sent.endpoint == C:
                if isinstance(sent.request, StatusRequest):
                    talk.status(sent, "leader")
                else:
                    talk.complete(sent)
    assert call.result() == "complete"


def test_operations_go_on_while_a_change_waits_for_the_leader() -> None:
    talk = Conversation()
    talk.call(cluster.member_add("raft-3"))
    read = talk.get("k")
    sent = talk.turn()
    (message,) = [m for m in sent if not isinstance(m.request, StatusRequest)]
    talk.done(message, 5)
    assert read.done


def test_stopping_a_node_asks_that_node_once() -> None:
    talk = Conversation()
    call = talk.call(cluster.stop(B), timeout=2)
    assert talk.one().endpoint == B
    assert talk.later(2100) == []
    with pytest.raises(OutcomeUnknown):
        call.result()
