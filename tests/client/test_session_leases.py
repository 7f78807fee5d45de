"""Leases by their client's own clock: kept alive in time, never believed in for too long."""

from __future__ import annotations

import pytest

from raftzmq.errors import LeaseExpired, Unavailable
from tests.client.coordinating import TTL_MS, Coordinating


def test_a_lease_is_granted_and_lives_from_when_it_was_asked_for() -> None:
    c = Coordinating()
    lease = c.lease()
    asked_ms = c.now_ms
    sent = c.one()
    assert [op[1:] for op in sent.ops] == [["lease_grant", TTL_MS]]
    c.now_ms += 300
    c.ok(sent, 55)
    assert c.session.take_tasks() == [lease]
    assert (lease.id, lease.deadline_ms) == (55, asked_ms + TTL_MS)
    assert lease.alive(asked_ms + TTL_MS - 1)
    assert not lease.alive(asked_ms + TTL_MS)


def test_it_is_kept_alive_three_times_in_its_time_to_live() -> None:
    c = Coordinating()
    lease = c.granted()
    for _ in range(10):
        assert c.later(TTL_MS // 3 - 1) == []
        c.now_ms += 1
        kept_ms = c.now_ms
        sent = c.one()
        assert [op[1:] for op in sent.ops] == [["lease_keep", 55]]
        c.ok(sent, TTL_MS)
        assert lease.deadline_ms == kept_ms + TTL_MS


def test_a_keep_that_is_answered_late_counts_from_when_it_was_sent_first() -> None:
    c = Coordinating()
    lease = c.granted()
    sent = c.later(TTL_MS // 3 + 2000)  # repeated, for want of an answer
    assert len(sent) > 1
    assert {tuple(s.ids) for s in sent} == {tuple(sent[0].ids)}, "one serial: it counts once"
    kept_ms = c.now_ms - 2000
    c.ok(sent[-1], TTL_MS)
    assert lease.deadline_ms == kept_ms + TTL_MS


def test_unconfirmed_it_is_lost_at_its_deadline_and_kept_alive_no_more() -> None:
    c = Coordinating()
    lease = c.granted()
    ends: list[int] = []
    lease.listeners[ends.append] = None
    deadline_ms = lease.deadline_ms
    c.down |= {"a:6001", "b:6001", "c:6001"}
    c.later(TTL_MS - 1)
    assert not ends
    lease.check(c.now_ms)
    c.later(1)
    assert ends == [deadline_ms]
    c.down.clear()
    assert c.later(10 * TTL_MS) == []


def test_it_is_known_to_be_lost_before_any_turn_is_made() -> None:
    c = Coordinating()
    lease = c.granted()
    with pytest.raises(LeaseExpired, match="was not confirmed"):
        lease.check(lease.deadline_ms)


def test_it_is_lost_as_soon_as_the_cluster_says_so() -> None:
    c = Coordinating()
    lease = c.granted()
    [sent] = c.later(TTL_MS // 3)
    c.says(sent, "lease_expired")
    with pytest.raises(LeaseExpired):
        lease.check(c.now_ms)


def test_a_keep_that_is_refused_is_tried_again_while_there_is_time() -> None:
    c = Coordinating()
    lease = c.granted()
    [sent] = c.later(TTL_MS // 3)
    c.refuse(sent, "disk_full")
    again = c.later(TTL_MS // 3)
    assert again[0].names == ["lease_keep"]
    c.ok(again[0], TTL_MS)
    assert lease.alive(c.now_ms + TTL_MS // 3)


def test_a_lease_that_is_granted_after_its_own_time_is_of_no_use() -> None:
    c = Coordinating()
    lease = c.lease(timeout_s=60)
    sent = c.one()
    c.now_ms += TTL_MS
    c.ok(sent, 55)
    assert c.session.take_tasks() == [lease]
    with pytest.raises(LeaseExpired):
        lease.result()


def test_a_lease_that_is_not_granted_in_time_says_so_and_is_revoked_if_it_comes_to_be() -> None:
    c = Coordinating()
    lease = c.lease(timeout_s=1)
    sent = c.one()
    c.give_up(lease)
    assert c.session.take_tasks() == [lease]
    c.ok(sent, 55)
    assert c.sends() == [["lease_revoke", 55]]


def test_closing_a_lease_tells_the_cluster_and_ends_it_here_at_once() -> None:
    c = Coordinating()
    lease = c.granted()
    c.give_up(lease)
    assert not lease.alive(c.now_ms)
    assert c.sends() == [["lease_revoke", 55]]
    c.session.close("over")
    assert c.later(TTL_MS) == []


def test_the_clients_own_lease_is_one_for_all_places_and_ends_when_it_is_not_used() -> None:
    c = Coordinating()
    places = [c.place(), c.place()]
    sent = c.one()
    assert sent.names == ["lease_grant"]
    c.ok(sent, 55)
    sent = c.one()
    assert [op[1:5] for op in sent.ops] == 2 * [["acquire", "lock", "l", 55]]
    c.results(sent.endpoint, *[[i, "ok", n, [n, True]] for n, i in enumerate(sent.ids, 70)])
    assert c.session.take_tasks() == places
    for place in places:
        c.give_up(place)
    for sent in c.turn():
        assert set(sent.names) == {"release"}
        c.results(sent.endpoint, *[[i, "ok", 80, None] for i in sent.ids])
    assert c.kept_for(TTL_MS - 200) == [], "somebody may want it again soon"
    assert [sent.ops[0][1:] for sent in c.kept_for(400)] == [["lease_revoke", 55]]


def test_closing_the_session_fails_leases_that_are_asked_for() -> None:
    c = Coordinating()
    lease = c.lease()
    c.turn()
    c.session.close("the client was closed")
    assert c.session.take_tasks() == [lease]
    assert isinstance(lease.error, Unavailable)
