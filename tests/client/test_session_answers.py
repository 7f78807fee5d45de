"""The session when answers come: results, and every kind of "no"."""

from __future__ import annotations

from itertools import pairwise

import pytest

from raftzmq.client.operations import keys
from raftzmq.client.results import Item, Written
from raftzmq.client.session.calls import BACKOFF_MOST_MS, Call
from raftzmq.errors import (
    Denied,
    DiskFull,
    InvalidRequest,
    OutcomeUnknown,
    Overloaded,
    Refused,
    StoreFull,
    Unavailable,
    Unsupported,
    WireError,
)
from raftzmq.transport.client_wire import Results
from tests.client.conversation import CLUSTER, A, B, C, Conversation


def test_a_read_needs_no_session() -> None:
    talk = Conversation()
    call = talk.get("k")
    sent = talk.one()
    assert (sent.endpoint, sent.operations.session, sent.names) == (A, 0, ["get"])
    talk.results(A, [sent.ids[0], "ok", 9, ["v", 7]])
    assert call.result() == Item("k", "v", 7)
    assert talk.session.take_finished() == [call]


def test_the_first_write_opens_a_session_and_then_travels_in_it() -> None:
    talk = Conversation()
    call = talk.put("k")
    opening = talk.one()
    assert (opening.operations.session, opening.names) == (0, ["open"])
    assert talk.turn() == []
    talk.done(opening, 12, 12)
    sent = talk.one()
    assert sent.operations.session == 12
    assert sent.ops == [[1, "put", "k", "v"]]
    talk.done(sent, 13)
    assert call.result() == Written(13, 3, "raft-0", 13)


def test_a_write_has_the_index_of_its_entry_and_a_revision_of_its_own() -> None:
    talk = Conversation()
    talk.open_session()
    calls = [talk.put("k"), talk.put("k"), talk.put("k")]
    sent = talk.one()
    results = [[ident, "ok", 70 + n, None] for n, ident in enumerate(sent.ids)]
    entries = [[41, 1], [43, 2]]
    talk.answer(sent.endpoint, Results("raft-0", 3, "raft-0", results, CLUSTER, entries))
    assert [call.result().index for call in calls] == [41, 43, 43]
    assert [call.result().revision for call in calls] == [70, 71, 72]


def test_a_node_that_does_not_say_entries_is_understood() -> None:
    talk = Conversation()
    call = talk.get("k")
    sent = talk.one()
    results = [[sent.ids[0], "ok", 70, ["v", 70]]]
    talk.answer(sent.endpoint, Results("raft-0", 3, "raft-0", results, CLUSTER))
    assert call.result().revision == 70


def test_a_read_does_not_wait_for_the_session() -> None:
    talk = Conversation()
    talk.put("k")
    talk.get("k")
    assert talk.one().names == ["open", "get"]


def test_calls_of_one_turn_travel_in_one_message() -> None:
    talk = Conversation()
    talk.open_session()
    calls = [talk.put(f"k{i}") for i in range(300)]
    sent = talk.one()
    assert len(sent.ops) == 300
    talk.done(sent)
    assert talk.session.take_finished() == calls


def test_a_leader_hint_is_followed_at_once_with_the_same_serial() -> None:
    talk = Conversation()
    talk.open_session()
    call = talk.put("k")
    first = talk.one()
    talk.refuse(first, "not_leader", B)
    second = talk.one()
    assert second.endpoint == B
    assert second.ops == first.ops
    talk.done(second)
    assert call.result().leader == "raft-1"
    talk.get("k")
    assert talk.one().endpoint == B


def test_a_node_that_is_not_configured_can_be_hinted_at() -> None:
    talk = Conversation()
    talk.get("k")
    talk.refuse(talk.one(), "not_leader", "elsewhere:6001")
    assert talk.one().endpoint == "elsewhere:6001"


def test_hints_in_a_circle_are_followed_only_so_far_between_pauses() -> None:
    talk = Conversation()
    talk.get("k", timeout=60)
    rounds = []
    for _ in range(3):
        asked = 0
        while sent := talk.turn():
            asked += 1
            talk.refuse(sent[0], "not_leader", B if sent[0].endpoint == A else A)
        rounds.append(asked)
        while talk.session.next_deadline_ms() != talk.now_ms:
            talk.now_ms += 1
    assert rounds == [4, 4, 4]


def test_a_hint_that_cannot_be_connected_is_left_and_not_followed_again_soon() -> None:
    talk = Conversation()
    talk.down.add("nowhere:6001")
    call = talk.get("k")
    talk.refuse(talk.one(), "not_leader", "nowhere:6001")
    assert talk.turn() == []
    for _ in range(20):
        for sent in talk.later(60):
            if sent.endpoint == B:
                talk.results(B, [sent.ids[0], "ok", 9, None])
            else:
                talk.refuse(sent, "not_leader", "nowhere:6001")
    assert call.done
    assert call.result() is None


def test_without_a_leader_the_endpoints_are_asked_in_turn_with_growing_pauses() -> None:
    talk = Conversation()
    talk.get("k", timeout=60)
    times, asked = [], []
    for _ in range(400):
        for sent in talk.later(5):
            times.append(talk.now_ms)
            asked.append(sent.endpoint)
            talk.refuse(sent, "not_leader")
    assert asked[:7] == [A, B, C, A, B, C, A]
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert pauses[0] < 30
    assert all(BACKOFF_MOST_MS // 2 <= pause <= BACKOFF_MOST_MS + 10 for pause in pauses[6:])


def test_a_forming_cluster_is_asked_again_until_the_deadline() -> None:
    talk = Conversation()
    call = talk.put("k", timeout=2)
    asked = 0
    while not call.done:
        for sent in talk.later(10):
            asked += 1
            talk.refuse(sent, "forming")
    assert 10 < asked < 60
    with pytest.raises(Unavailable, match=r"within 2 s \(a:6001: forming; b:6001: forming"):
        call.result()


def test_an_overloaded_leader_is_asked_again_after_a_pause_and_stays_the_target() -> None:
    talk = Conversation()
    talk.open_session()
    call = talk.put("k")
    sent = talk.one()
    talk.refuse(sent, "overloaded")
    assert talk.turn() == []
    again = talk.later(100)
    assert [(s.endpoint, s.ops) for s in again] == [(A, sent.ops)]
    talk.done(again[0])
    assert call.result().index == 100


def test_a_leader_overloaded_until_the_deadline_is_said_to_have_refused() -> None:
    talk = Conversation()
    talk.open_session()
    call = talk.put("k", timeout=2)
    while not call.done:
        for sent in talk.later(10):
            talk.refuse(sent, "overloaded", message="too many writes in flight")
    with pytest.raises(Overloaded, match="too many writes in flight"):
        call.result()


def test_a_full_disk_is_said_at_once() -> None:
    talk = Conversation()
    call = talk.put("k")
    talk.refuse(talk.one(), "disk_full", message="free some space")
    with pytest.raises(DiskFull, match="free some space"):
        call.result()


def test_a_full_store_is_said_at_once_and_is_a_kind_of_full_disk() -> None:
    talk = Conversation()
    call = talk.put("k")
    talk.refuse(talk.one(), "store_full", message="delete something")
    with pytest.raises(StoreFull, match="delete something"):
        call.result()
    assert isinstance(call.error, DiskFull)


def refused_after_a_lost_answer(code: str, message: str = "no") -> Call:
    """A put that was sent, and not answered; then each try is refused until its deadline."""
    talk = Conversation()
    talk.open_session()
    call = talk.put("k", timeout=3)
    talk.one()
    while not call.done:
        for sent in talk.later(20):
            talk.refuse(sent, code, message=message)
    return call


@pytest.mark.parametrize("code", ["disk_full", "store_full"])
def test_what_is_full_after_a_lost_answer_leaves_the_outcome_unknown(code: str) -> None:
    with pytest.raises(OutcomeUnknown):
        refused_after_a_lost_answer(code).result()


def test_one_invalid_operation_does_not_fail_its_neighbours() -> None:
    talk = Conversation()
    talk.open_session()
    good, bad, fine = talk.put("good"), talk.put("bad"), talk.put("fine")
    sent = talk.one()
    ids = sent.ids
    talk.results(
        A,
        [ids[0], "ok", 50, None],
        [ids[1], "invalid", 0, {"message": "what a key"}],
        [ids[2], "ok", 51, None],
    )
    assert (good.result().index, fine.result().index) == (50, 51)
    with pytest.raises(InvalidRequest, match="what a key"):
        bad.result()


def test_a_message_refused_as_a_whole_is_sent_again_one_by_one() -> None:
    talk = Conversation()
    talk.open_session()
    calls = [talk.put("good"), talk.put("bad"), talk.put("fine")]
    talk.refuse(talk.one(), "malformed")
    for sent in talk.turn():
        assert len(sent.ops) == 1
        if sent.ops[0][2] == "bad":
            talk.refuse(sent, "malformed", message="this one")
        else:
            talk.done(sent)
    assert [call.error is None for call in calls] == [True, False, True]
    with pytest.raises(InvalidRequest, match="this one"):
        calls[1].result()


def test_an_answer_about_an_unreadable_message_fails_nobody() -> None:
    talk = Conversation()
    talk.open_session()
    calls = [talk.put("one"), talk.put("two")]
    talk.refuse(talk.one(), "malformed", ids=None)
    for sent in talk.later(300):
        talk.done(sent)
    assert all(call.result() for call in calls)


def test_a_write_that_may_have_been_the_unreadable_one_stays_in_doubt() -> None:
    talk = Conversation()
    talk.open_session()
    call = talk.put("k", timeout=1)
    talk.refuse(talk.one(), "malformed", ids=None)
    while not call.done:
        for sent in talk.later(20):
            talk.refuse(sent, "not_leader")
    with pytest.raises(OutcomeUnknown):
        call.result()


def test_a_node_of_another_version_is_left_and_named() -> None:
    talk = Conversation([A])
    call = talk.put("k", timeout=1)
    while not call.done:
        for sent in talk.later(50):
            talk.refuse(sent, "unsupported_version", message="spoken: 2", ids=None)
    with pytest.raises(Unavailable, match=r"unsupported version \(spoken: 2\)"):
        call.result()


def test_an_unknown_outcome_is_settled_by_a_retry_with_the_same_serial() -> None:
    talk = Conversation()
    talk.open_session()
    call = talk.put("k")
    first = talk.one()
    talk.refuse(first, "outcome_unknown", B)
    second = talk.one()
    assert (second.endpoint, second.ops, second.operations.session) == (B, first.ops, 12)
    talk.done(second, 77)
    assert call.result().index == 77


def test_an_unknown_outcome_stays_unknown_even_if_every_later_answer_is_no() -> None:
    talk = Conversation()
    talk.open_session()
    call = talk.put("k", timeout=2)
    talk.refuse(talk.one(), "outcome_unknown")
    while not call.done:
        for sent in talk.later(20):
            talk.refuse(sent, "not_leader")
    with pytest.raises(OutcomeUnknown, match="may have been done"):
        call.result()


def test_a_code_of_a_later_release_leaves_the_outcome_open() -> None:
    talk = Conversation()
    talk.open_session()
    call = talk.put("k", timeout=1)
    while not call.done:
        for sent in talk.later(20):
            talk.refuse(sent, "on_holiday")
    with pytest.raises(OutcomeUnknown, match="on holiday"):
        call.result()


def test_duplicates_and_late_answers_are_ignored() -> None:
    talk = Conversation()
    talk.open_session()
    call = talk.put("k")
    sent = talk.one()
    talk.done(sent, 100)
    talk.done(sent, 200)
    talk.refuse(sent, "not_leader", B)
    talk.results(B, [999_999, "ok", 1, None])
    assert call.result().index == 100
    assert talk.session.take_finished() == [call]
    talk.get("k")
    assert talk.one().endpoint == A


def test_a_late_result_counts_even_while_the_call_waits_to_be_sent_again() -> None:
    talk = Conversation()
    talk.open_session()
    call = talk.put("k")
    sent = talk.one()
    talk.refuse(sent, "overloaded")
    talk.results(A, [sent.ids[0], "ok", 100, None])
    assert call.result().index == 100
    assert talk.later(3000) == []


def test_a_late_no_from_a_node_that_was_left_changes_nothing() -> None:
    talk = Conversation()
    talk.open_session()
    call = talk.put("k")
    first = talk.one()
    (second,) = talk.later(800)
    assert second.endpoint == B
    talk.refuse(first, "not_leader", C)
    assert talk.turn() == []
    talk.done(second, 100)
    assert call.result().index == 100


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"\xff\x00",
        b"[]",
        b'{"v":1}',
        b'{"v":2,"type":"results"}',
        b'{"v":1,"type":"results","node":"raft-0","term":1,"leader":null,"results":[[1,"ok"]]}',
        b"[" * 5000,
    ],
)
def test_garbage_is_no_answer_and_is_named_at_the_deadline(garbage: bytes) -> None:
    talk = Conversation([A])
    call = talk.get("k", timeout=0.4)
    talk.one()
    talk.session.received(A, garbage, talk.now_ms)
    assert not call.done
    talk.later(500)
    with pytest.raises(Unavailable, match="a:6001: "):
        call.result()


@pytest.mark.parametrize("body", [None, 5, "x", [], {}, [[1]], [True, 5], [1, [2]]])
def test_a_body_of_a_wrong_shape_is_an_error_of_its_own_kind(body: object) -> None:
    talk = Conversation()
    call = talk.call(keys.prefix("", 10))
    talk.done(talk.one(), 5, body)
    with pytest.raises(WireError, match="not of the protocol"):
        call.result()


def test_a_status_in_answer_to_an_operation_is_ignored() -> None:
    talk = Conversation()
    call = talk.get("k")
    sent = talk.one()
    talk.status(sent, "leader")
    assert not call.done
    talk.results(A, [sent.ids[0], "ok", 9, None])
    assert call.result() is None


def test_a_refused_write_is_tried_again_and_refused_at_the_deadline() -> None:
    talk = Conversation()
    talk.open_session()
    call = talk.put("k", timeout=1)
    while not call.done:
        for sent in talk.later(20):
            talk.refuse(sent, "refused", message="a transfer is under way")
    with pytest.raises(Refused, match="a transfer is under way"):
        call.result()


def test_more_calls_than_the_bound_are_refused_without_being_sent() -> None:
    talk = Conversation(calls_most=3)
    calls = [talk.get("k") for _ in range(4)]
    assert [call.done for call in calls] == [False, False, False, True]
    with pytest.raises(Overloaded):
        calls[3].result()
    talk.done(talk.one())
    assert not talk.get("k").done


def test_more_bytes_than_the_bound_are_refused_without_being_sent() -> None:
    talk = Conversation(call_bytes_most=1000)
    assert not talk.put("k", "v" * 900).done
    assert isinstance(talk.put("k", "v" * 900).error, Overloaded)


def test_closing_says_what_may_have_been_done() -> None:
    talk = Conversation()
    talk.open_session()
    sent = talk.put("sent")
    talk.turn()
    waiting, read = talk.put("waiting"), talk.get("k")
    talk.session.close("the client was closed")

    def kind(call: Call) -> type:
        return type(call.error)

    assert [kind(c) for c in (sent, waiting, read)] == [OutcomeUnknown, Unavailable, Unavailable]
    assert len(talk.session.take_finished()) == 3
    assert talk.session.next_deadline_ms() is None


@pytest.mark.parametrize("as_error", [False, True])
@pytest.mark.parametrize("stale", [False, True])
def test_what_a_user_may_not_do_is_said_at_once_and_not_tried_again(
    stale: bool, as_error: bool
) -> None:
    talk = Conversation()
    talk.open_session()
    call = talk.stale_get("k") if stale else talk.put("k")
    sent = talk.one()
    if as_error:
        talk.refuse(sent, "denied", message="user 'billing' may not")
    else:
        body = {"message": "user 'billing' may not"}
        talk.results(sent.endpoint, [sent.ids[0], "denied", 0, body])
    with pytest.raises(Denied, match="user 'billing' may not"):
        call.result()
    assert talk.later(5000) == []


def test_one_denied_operation_does_not_fail_its_neighbours() -> None:
    talk = Conversation()
    talk.open_session()
    good, bad = talk.put("good"), talk.put("bad")
    ids = talk.one().ids
    talk.results(A, [ids[0], "ok", 50, None], [ids[1], "denied", 0, {"message": "no"}])
    assert good.result().index == 50
    with pytest.raises(Denied, match="no"):
        bad.result()


@pytest.mark.parametrize(
    ("code", "message", "said"),
    [
        ("unsupported", "put_if needs cluster version 2", "^put_if needs cluster version 2$"),
        ("invalid", "unknown operation 'put_if'", "unknown operation 'put_if'.*upgrade finish"),
    ],
)
def test_what_the_cluster_is_too_old_for_is_said_at_once(
    code: str, message: str, said: str
) -> None:
    talk = Conversation()
    talk.open_session()
    call = talk.put("k")
    talk.results(A, [talk.one().ids[0], code, 0, {"message": message}])
    with pytest.raises(Unsupported, match=said):
        call.result()


def test_unsupported_after_a_lost_answer_leaves_the_outcome_unknown() -> None:
    with pytest.raises(OutcomeUnknown, match="it may have been done"):
        refused_after_a_lost_answer("unsupported").result()


def test_denied_after_a_lost_answer_leaves_the_outcome_unknown() -> None:
    """The first try may have been done, while the user still had the right."""
    call = refused_after_a_lost_answer("denied", "user 'billing' may not")
    with pytest.raises(OutcomeUnknown, match=r"it may have been done before .*may not"):
        call.result()


def test_who_may_write_nothing_learns_it_when_the_session_is_opened() -> None:
    talk = Conversation()
    calls = [talk.put("k"), talk.put("l")]
    opening = talk.one()
    talk.results(opening.endpoint, [opening.ids[0], "denied", 0, {"message": "no"}])
    for call in calls:
        with pytest.raises(Denied, match="no"):
            call.result()
    assert talk.later(5000) == []
