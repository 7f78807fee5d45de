"""A place in a line: held, or nothing of it stays behind, whatever is lost on the way."""

from __future__ import annotations

from typing import Any

import pytest

from raftzmq.client.session.acquisition import Acquisition
from raftzmq.errors import (
    Denied,
    InvalidRequest,
    LeaseExpired,
    NotAcquired,
    NotFound,
    OutcomeUnknown,
    RaftzmqError,
    Unavailable,
)
from tests.client.conversation import A, B, Sent
from tests.client.coordinating import TTL_MS, Coordinating

RELEASE = ["release", "lock", "l", 77]


@pytest.fixture
def c() -> Coordinating:
    return Coordinating()


def test_a_free_lock_takes_one_round_trip_once_there_is_a_lease(c: Coordinating) -> None:
    lease = c.granted()
    place = c.place(lease)
    sent = c.one()
    assert [op[1:] for op in sent.ops] == [["acquire", "lock", "l", 55, 1, 0, True, None]]
    c.ok(sent, [77, True])
    assert c.session.take_tasks() == [place]
    assert (place.result().token, place.lost) == (77, False)
    place.check(c.now_ms)


def in_line(c: Coordinating, timeout_ms: int | None = None) -> tuple[Any, Sent]:
    """A place that waits, and the message by which it does."""
    place = c.place(c.granted(), timeout_ms)
    c.ok(c.one(), [77, False])
    sent = c.one()
    assert [op[1:] for op in sent.ops] == [["await", "lock", "l", 77, 2000]]
    return place, sent


def test_in_the_line_it_asks_until_it_holds(c: Coordinating) -> None:
    place, sent = in_line(c)
    for _ in range(3):
        assert c.kept_for(2000) == [], "the node may keep the answer back so long"
        c.ok(sent, False)
        sent = c.one()
        assert (sent.names, place.done) == (["await"], False)
    c.ok(sent, True)
    assert c.session.take_tasks() == [place]
    assert place.result() is place


def test_others_do_not_wait_for_awaits_and_these_travel_by_themselves(c: Coordinating) -> None:
    lease = c.granted()
    for token in range(100, 140):
        place = c.place(lease)
        c.ok(c.one(), [token, False])
        sent = c.one()
        assert (sent.names, place.done) == (["await"], False)
    put = c.put("k")
    c.done(c.one())
    assert put.done


def test_an_await_goes_where_the_leader_is_known_to_be(c: Coordinating) -> None:
    lease = c.granted()
    place = c.place(lease)
    c.refuse(c.one(), "not_leader", B)
    c.ok(c.one(), [77, False])
    sent = c.one()
    assert (sent.endpoint, sent.names, place.done) == (B, ["await"], False)


def test_an_await_is_asked_again_elsewhere_when_its_node_is_silent(c: Coordinating) -> None:
    place, sent = in_line(c)
    again = c.kept_for(4000)
    assert (again[0].names, again[0].ids) == (["await"], sent.ids)
    c.ok(again[0], True)
    assert place.result().token == 77


def test_an_await_leaves_a_silent_node_as_soon_as_any_call_notices(c: Coordinating) -> None:
    _, sent = in_line(c)
    assert sent.endpoint == A
    c.put("k")
    again = [s.endpoint for s in c.sends_in(800) if s.names == ["await"]]
    assert again == [B]


def test_an_await_is_asked_again_elsewhere_at_once_when_the_link_is_lost(c: Coordinating) -> None:
    place, _ = in_line(c)
    c.down.add(A)
    [again] = c.later(150)
    assert (again.endpoint, again.names) == (B, ["await"])
    c.ok(again, True)
    assert place.done


def test_when_time_is_up_it_leaves_the_line_and_says_that_it_is_not_held(c: Coordinating) -> None:
    place, _ = in_line(c, timeout_ms=700)
    assert c.later(699) == []
    assert not place.done
    sent = c.later(1)
    assert [op[1:] for s in sent for op in s.ops] == [RELEASE]
    with pytest.raises(NotAcquired, match=r"could not acquire lock 'l' within 0\.7 s"):
        place.result()


@pytest.mark.parametrize("sooner", [True, False])
def test_a_grant_that_crosses_the_leaving_is_given_back(c: Coordinating, sooner: bool) -> None:
    place, sent = in_line(c, timeout_ms=700)
    if sooner:
        c.ok(sent, True)
        c.give_up(place)  # it was interrupted before it took notice
        assert c.sends() == [RELEASE]
    else:
        [release] = c.later(700)
        c.ok(sent, True)
        assert isinstance(place.error, NotAcquired)
        c.ok(release)
        assert c.later(2000) == []


def test_what_was_never_sent_is_taken_back(c: Coordinating) -> None:
    lease = c.granted()
    c.down |= {"a:6001", "b:6001", "c:6001"}
    place = c.place(lease, timeout_ms=300)
    c.later(300)
    with pytest.raises(NotAcquired):
        place.result()
    c.down.clear()
    assert c.later(1000) == []


def test_an_acquire_without_an_answer_is_repeated_under_its_serial_and_then_given_back(
    c: Coordinating,
) -> None:
    place = c.place(c.granted(), timeout_ms=300)
    first = c.one()
    c.later(300)
    assert isinstance(place.error, NotAcquired)
    again = c.sends_in(1500)
    assert {tuple(s.ids) for s in again} == {tuple(first.ids)}
    c.ok(again[-1], [77, False])
    assert c.sends() == [RELEASE]


def test_if_no_answer_ever_comes_the_lease_ends_and_nothing_is_asked_any_more(
    c: Coordinating,
) -> None:
    lease = c.granted()
    place = c.place(lease, timeout_ms=300)
    c.later(300)
    assert isinstance(place.error, NotAcquired)
    c.later(TTL_MS)
    assert not lease.alive(c.now_ms)
    assert c.later(TTL_MS) == []


def test_a_release_is_repeated_until_it_is_done_or_the_lease_has_ended(c: Coordinating) -> None:
    place, _ = in_line(c)
    c.give_up(place)
    [release] = c.turn()
    again = c.sends_in(1000)
    assert again[0].ids == release.ids
    assert place.phase == "leaving"
    c.says(again[0], "not_held")
    assert place.phase == "over"
    assert "release" not in [name for s in c.later(2000) for name in s.names]


def test_a_lock_is_lost_with_its_lease_and_its_holder_is_told_once(c: Coordinating) -> None:
    lease = c.granted()
    place = c.place(lease)
    told: list[bool] = []
    place.on_lost = lambda: told.append(place.lost)
    c.ok(c.one(), [77, True])
    c.later(TTL_MS)
    assert told == [True]
    with pytest.raises(LeaseExpired):
        place.check(c.now_ms)


def test_a_lock_is_known_to_be_lost_at_the_deadline_even_if_no_turn_was_made(
    c: Coordinating,
) -> None:
    lease = c.granted()
    place = c.place(lease)
    c.ok(c.one(), [77, True])
    place.check(lease.deadline_ms - 1)
    with pytest.raises(LeaseExpired):
        place.check(lease.deadline_ms)


def test_a_wait_under_a_lease_of_ones_own_ends_with_it(c: Coordinating) -> None:
    place, _ = in_line(c)
    c.later(TTL_MS)
    with pytest.raises(LeaseExpired):
        place.result()


def test_a_wait_under_the_clients_lease_goes_on_under_another(c: Coordinating) -> None:
    place = c.place()
    c.ok(c.one(), 55)
    c.ok(c.one(), [77, False])
    c.turn()
    [sent] = [s for s in c.sends_in(TTL_MS // 3) if s.names == ["lease_keep"]]
    c.says(sent, "lease_expired")
    grant = c.one()
    assert grant.names == ["lease_grant"]
    c.ok(grant, 66)
    sent = c.one()
    assert sent.ops[0][1:5] == ["acquire", "lock", "l", 66]
    c.ok(sent, [88, True])
    assert place.result().token == 88


@pytest.mark.parametrize(
    ("code", "error"),
    [("not_found", NotFound), ("invalid", InvalidRequest), ("lease_expired", LeaseExpired)],
)
def test_refusals_end_it(c: Coordinating, code: str, error: type[RaftzmqError]) -> None:
    place = c.place(c.granted())
    c.says(c.one(), code)
    with pytest.raises(error):
        place.result()
    assert place.phase == "over"


def test_at_once_or_not_at_all(c: Coordinating) -> None:
    place = c.place(c.granted(), timeout_ms=0)
    sent = c.one()
    assert sent.ops[0][-2] is False, "it does not wait"
    c.says(sent, "busy")
    with pytest.raises(NotAcquired, match="could not acquire lock 'l' at once"):
        place.result()
    assert c.sends() == []


def test_the_clients_lease_that_was_gone_already_is_replaced_without_a_word(
    c: Coordinating,
) -> None:
    place = c.place()
    c.ok(c.one(), 55)
    c.says(c.one(), "lease_expired")
    c.ok(c.one(), 66)
    c.ok(c.one(), [77, True])
    assert place.result().token == 77


def test_an_outcome_that_stays_unknown_ends_the_lease_that_may_have_the_place(
    c: Coordinating,
) -> None:
    place = c.place()
    c.ok(c.one(), 55)
    sent = c.one()
    c.refuse(sent, "outcome_unknown")
    [sent] = c.later(300)
    c.refuse(sent, "session_expired")
    assert not place.done, "it goes on under another lease"
    names = []
    for _ in range(6):
        for sent in c.sends_in(100):
            names += [op[1:3] for op in sent.ops]
            for ident, name, *_ in sent.ops:
                body = {"open": 13, "lease_grant": 66, "acquire": [88, True]}.get(name)
                c.results(sent.endpoint, [ident, "ok", 200, body])
    assert ["lease_revoke", 55] in names
    assert place.result().token == 88


def test_closing_the_session_fails_whoever_waits(c: Coordinating) -> None:
    place, _ = in_line(c)
    c.session.close("the client was closed")
    with pytest.raises(Unavailable, match="closed before lock 'l' was acquired"):
        place.result()


# -- a pause while waiting ----------------------------------------------------------------------


def in_line_under_the_clients_lease(c: Coordinating) -> tuple[Any, Sent]:
    place = c.place()
    c.ok(c.one(), 55)
    c.ok(c.one(), [77, False])
    return place, c.one()


def goes_on_anew(c: Coordinating, place: Any) -> None:
    """The place is asked for under a new lease, and is not done before it holds."""
    assert c.session.take_tasks() == []
    again: list[list[Any]] = []
    while not again:
        for sent in c.turn() or c.later(50):
            for ident, name, *args in sent.ops:
                if name == "lease_grant":
                    c.results(sent.endpoint, [ident, "ok", 300, 66])
                elif name == "acquire":
                    again.append(args)
                    c.results(sent.endpoint, [ident, "ok", 301, [88, True]])
                elif name == "lease_keep":
                    c.results(sent.endpoint, [ident, "lease_expired", 302, {"message": "so"}])
    assert [args[2] for args in again] == [66]
    assert place.result().token == 88
    place.check(c.now_ms)


@pytest.mark.parametrize("found", ["granted", "gone", "nothing"])
@pytest.mark.parametrize("first", ["answer", "tick"])
def test_a_wait_without_a_lease_survives_any_pause(c: Coordinating, found: str, first: str) -> None:
    """What a process finds when it wakes: an answer from before the pause, or from within it."""
    place, sent = in_line_under_the_clients_lease(c)
    c.now_ms += 2 * TTL_MS
    if first == "tick":
        c.session.tick(c.now_ms)
    if found == "granted":
        c.ok(sent, True)
    elif found == "gone":
        c.says(sent, "not_held")
    goes_on_anew(c, place)


@pytest.mark.parametrize("held", [True, False])
def test_a_place_that_is_answered_after_a_pause_is_not_relied_on(
    c: Coordinating, held: bool
) -> None:
    place = c.place()
    c.ok(c.one(), 55)
    sent = c.one()
    c.now_ms += 2 * TTL_MS
    c.ok(sent, [77, held])
    goes_on_anew(c, place)


@pytest.mark.parametrize("found", ["granted", "gone"])
def test_a_wait_under_a_lease_of_ones_own_says_after_a_pause_that_it_ended(
    c: Coordinating, found: str
) -> None:
    place, sent = in_line(c)
    c.now_ms += 2 * TTL_MS
    if found == "granted":
        c.ok(sent, True)
    else:
        c.says(sent, "not_held")
        c.turn()
    with pytest.raises(LeaseExpired):
        place.result()


def test_a_place_that_is_gone_while_its_lease_lives_is_asked_for_again(c: Coordinating) -> None:
    place, sent = in_line(c)
    c.says(sent, "not_held")
    sent = c.one()
    assert sent.ops[0][1:5] == ["acquire", "lock", "l", 55]
    c.ok(sent, [88, True])
    assert place.result().token == 88


# -- counters -----------------------------------------------------------------------------------


def counting(c: Coordinating, timeout_ms: int | None = None) -> Acquisition:
    """Two permits of a counter that are asked for under a lease that is granted."""
    place = Acquisition(
        "counter", "n", lease=c.granted(), permits=2, capacity=5, timeout_ms=timeout_ms
    )
    c.session.begin(place, c.now_ms)
    return place


TAKE = ["release", "counter", "n", 77]
CANCEL = ["cancel", "counter", "n", 77]
GIVE_BACK = ["signal", "n", 2]


def taking(c: Coordinating, ms: int) -> Sent:
    """The last of the messages of so many milliseconds that take what was granted: they are
    repeated until one is answered, for longer than the lease lives."""
    return [sent for sent in c.sends_in(ms) if [op[1:] for op in sent.ops] == [TAKE]][-1]


@pytest.mark.parametrize("at_once", [True, False])
def test_what_a_counter_grants_is_taken_before_it_is_had(c: Coordinating, at_once: bool) -> None:
    place = counting(c)
    c.ok(c.one(), [77, at_once])
    if not at_once:
        c.ok(c.one(), True)
    sent = c.one()
    assert [op[1:] for op in sent.ops] == [TAKE]
    assert not place.done
    c.ok(sent)
    assert c.session.take_tasks() == [place]
    assert place.result().token == 77
    assert c.kept_for(TTL_MS) == [], "there is nothing to give up"


@pytest.mark.parametrize("granted", [True, False])
def test_who_leaves_before_taking_cancels(c: Coordinating, granted: bool) -> None:
    place = counting(c, timeout_ms=700)
    c.ok(c.one(), [77, False])
    sent = c.one()
    if granted:
        c.ok(sent, True)
        c.give_up(place)  # it is on the way to take them, and that was not sent yet
        assert c.sends() == [CANCEL]
    else:
        [left] = c.later(700)
        assert [op[1:] for op in left.ops] == [CANCEL]
        assert isinstance(place.error, NotAcquired)


def test_an_acquire_of_a_counter_that_is_answered_too_late_is_cancelled(c: Coordinating) -> None:
    place = counting(c, timeout_ms=300)
    c.one()
    c.later(300)
    assert isinstance(place.error, NotAcquired)
    again = c.sends_in(1500)
    c.ok(again[-1], [77, True])
    assert c.sends() == [CANCEL]


@pytest.mark.parametrize("lease_ends", [True, False])
def test_what_was_taken_for_somebody_who_has_left_is_given_back(
    c: Coordinating, lease_ends: bool
) -> None:
    place = counting(c, timeout_ms=300)
    c.ok(c.one(), [77, True])
    c.one()
    c.later(300)
    assert isinstance(place.error, NotAcquired)
    c.ok(taking(c, TTL_MS if lease_ends else 1500))
    assert c.sends() == [GIVE_BACK]


def test_what_was_taken_and_never_handed_over_is_given_back(c: Coordinating) -> None:
    place = counting(c)
    c.ok(c.one(), [77, True])
    c.ok(c.one())
    assert place.done
    c.give_up(place)
    assert c.sends() == [GIVE_BACK]


def test_what_was_not_taken_any_more_is_not_given_back(c: Coordinating) -> None:
    place = counting(c, timeout_ms=300)
    c.ok(c.one(), [77, True])
    c.one()
    c.later(300)
    assert isinstance(place.error, NotAcquired)
    c.says(taking(c, 2000), "not_held")
    assert [name for s in c.later(2000) for name in s.names if name != "lease_keep"] == []


def test_what_is_taken_stays_taken_when_the_lease_ends_meanwhile(c: Coordinating) -> None:
    place = counting(c)
    c.ok(c.one(), [77, True])
    c.one()
    sent = taking(c, TTL_MS)
    assert not place.done, "the answer says which came first"
    c.ok(sent)
    assert place.result().token == 77


def test_if_the_lease_ended_before_they_were_taken_nothing_is(c: Coordinating) -> None:
    place = counting(c)
    c.ok(c.one(), [77, True])
    c.one()
    c.says(taking(c, TTL_MS), "not_held")
    with pytest.raises(LeaseExpired):
        place.result()


def test_if_it_cannot_be_known_whether_they_were_taken_it_says_so(c: Coordinating) -> None:
    place = counting(c)
    c.ok(c.one(), [77, True])
    c.refuse(c.one(), "outcome_unknown")
    [sent] = c.later(300)
    c.refuse(sent, "session_expired")
    with pytest.raises(OutcomeUnknown):
        place.result()
    names = [op[1] for s in c.sends_in(100) for op in s.ops]
    assert "open" in names


def test_who_loses_the_right_while_it_waits_leaves_the_line_and_is_told_so(
    c: Coordinating,
) -> None:
    place, sent = in_line(c)
    c.refuse(sent, "denied", message="user 'billing' may not read 'l'")
    assert c.sends() == [RELEASE]
    with pytest.raises(Denied, match="user 'billing' may not read 'l'"):
        place.result()
    assert place.lease is not None
    assert place.lease.ended is None, "others may be under it"


def test_who_may_not_have_a_lease_is_told_so(c: Coordinating) -> None:
    place = c.place()
    c.refuse(c.one(), "denied", message="user 'billing' may not write anything")
    with pytest.raises(Denied, match="may not write anything"):
        place.result()
    assert c.later(5000) == []
