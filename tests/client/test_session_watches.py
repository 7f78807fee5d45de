"""Watches miss nothing and repeat nothing, whatever becomes of nodes and links."""

from __future__ import annotations

import pytest

from raftzmq import limits
from raftzmq.client.results import Event
from raftzmq.client.session import watches
from raftzmq.client.session.subscriptions import Subscription
from raftzmq.errors import Denied, InvalidRequest, Unavailable, WatchLost
from raftzmq.transport.client_wire import encode_reply
from raftzmq.transport.watch_wire import Events, WatchRequest
from tests.client.conversation import A, B, C
from tests.client.coordinating import Coordinating, values


@pytest.fixture
def c() -> Coordinating:
    return Coordinating()


def watched(c: Coordinating, after: int = 10) -> tuple[Subscription, str, WatchRequest]:
    """A watch from now on, that a node has begun."""
    one = c.subscribe()
    endpoint, request = c.asked()
    c.watching(endpoint, request, after)
    assert one.opened
    return one, endpoint, request


def test_events_come_in_order_each_once(c: Coordinating) -> None:
    one, node, request = watched(c)
    assert (request.start, request.key, request.prefix) == (None, "k", False)
    c.events(node, request, 10, 12, 11, 12)
    c.events(node, request, 12, 20, 15)
    c.events(node, request, 20, 30)
    assert c.session.take_news() == [one]
    assert one.take() == (Event(11, "k", "11.0", None), Event(12, "k", "12.0", None))
    assert one.through == 12
    assert values(one) == ["15.0"]
    assert one.through == 30, "it is told that nothing happened, too"


def test_values_are_decoded_and_a_deletion_says_so(c: Coordinating) -> None:
    one, node, request = watched(c)
    events = [[11, "k", {"b64": "/w=="}, "old"], [12, "k", None, {"b64": "/w=="}]]
    c.answer(node, Events(request.id, 10, 12, events))
    first, second = one.take()
    assert (first.kind, first.value, first.previous) == ("put", b"\xff", "old")
    assert (second.kind, second.value, second.previous) == ("delete", None, b"\xff")


def test_from_a_revision_it_asks_from_there(c: Coordinating) -> None:
    one = c.subscribe(start=5)
    node, request = c.asked()
    assert request.start == 5
    assert not one.opened
    c.watching(node, request, 4)
    c.events(node, request, 4, 6, 5, 6)
    assert values(one) == ["5.0", "6.0"]


def test_equal_watches_of_a_client_are_one_on_the_wire_and_share_each_event(
    c: Coordinating,
) -> None:
    one, node, request = watched(c)
    others = [c.subscribe() for _ in range(1000)]
    later = c.subscribe(start=11)
    assert not any(isinstance(sent.request, WatchRequest) for sent in c.turn())
    assert all(other.opened for other in [*others, later])
    c.events(node, request, 10, 14, 11, 12, 13, 14)
    batch = one.take()
    assert all(other.take() is batch for other in others)
    assert values(later) == ["11.0", "12.0", "13.0", "14.0"]


def test_one_that_begins_elsewhere_does_not_share(c: Coordinating) -> None:
    _, node, request = watched(c)
    for start in (5, 15):
        c.subscribe(start=start)
        assert c.asked()[1].start == start
    c.events(node, request, 10, 10, 11, 11)
    c.subscribe()
    assert c.asked()[1].start is None, "the others have a part of the next revision already"


def test_the_last_to_leave_ends_the_watch_at_the_node(c: Coordinating) -> None:
    one, _, request = watched(c)
    other = c.subscribe()
    c.session.unsubscribe(one, c.now_ms)
    assert c.turn() == []
    c.session.unsubscribe(other, c.now_ms)
    assert c.unwatched(c.turn()) == [request.id]
    assert c.later(60_000) == []


@pytest.mark.parametrize("fault", ["link", "gap", "silence", "stopping", "ahead"])
def test_it_goes_on_behind_what_it_has(c: Coordinating, fault: str) -> None:
    one, node, request = watched(c)
    c.events(node, request, 10, 12, 11, 12)
    if fault == "link":
        c.down.add(node)
    elif fault == "gap":
        c.events(node, request, 13, 14, 14)  # the message before was lost
    elif fault == "stopping":
        c.lost(node, request, "stopping", 13)
    elif fault == "ahead":
        c.watching(node, request, 14)  # so it has told of 14
    again = next(s for s in c.later(3500) if isinstance(s.request, WatchRequest))
    assert isinstance(again.request, WatchRequest)
    assert again.request.start == 13
    assert again.request.id != request.id
    assert (again.endpoint == node) == (fault in {"gap", "ahead"})
    c.events(node, request, 12, 13, 13)  # late, and of the watch before
    c.watching(again.endpoint, again.request, 12)
    c.events(again.endpoint, again.request, 12, 14, 13, 14)
    assert values(one) == ["11.0", "12.0", "13.0", "14.0"]


def test_while_it_hears_something_it_is_content_and_confirms_that_it_is_there(
    c: Coordinating,
) -> None:
    _, node, request = watched(c)
    confirmed = 0
    for through in range(11, 40):
        for sent in c.later(limits.WATCH_PROGRESS_MS):
            assert (sent.endpoint, sent.request) == (node, WatchRequest(*_again(request, through)))
            confirmed += 1
        c.events(node, request, through - 1, through)
    assert confirmed == 2, "nodes forget what was not confirmed for half a minute"


def _again(request: WatchRequest, through: int) -> tuple[int, str, bool, int, bool, str]:
    cluster = "6f1c0a5b9d3e7f21"
    return request.id, request.key, request.prefix, through, request.previous, cluster


def test_a_revision_in_pieces_is_put_together_and_goes_on_after_a_loss(c: Coordinating) -> None:
    one, node, request = watched(c)
    c.events(node, request, 10, 10, 11, 11, 11)
    c.events(node, request, 10, 10, 11, 11, skip=3)
    assert values(one) == [f"11.{n}" for n in range(5)]
    c.down.add(node)
    again = next(s for s in c.later(200) if isinstance(s.request, WatchRequest))
    assert isinstance(again.request, WatchRequest)
    assert again.request.start == 11, "the revision is not complete yet"
    c.watching(again.endpoint, again.request, 10)
    c.events(again.endpoint, again.request, 10, 11, *[11] * 7)
    c.events(again.endpoint, again.request, 11, 12, 12)
    assert values(one) == ["11.5", "11.6", "12.0"]


def test_a_piece_that_is_told_once_more_counts_once(c: Coordinating) -> None:
    one, node, request = watched(c)
    c.events(node, request, 10, 10, 11, 11, 11)
    c.events(node, request, 10, 10, 11, skip=0)
    c.events(node, request, 10, 11, 11, 11, skip=2)
    assert values(one) == [f"11.{n}" for n in range(4)]


def test_a_piece_that_was_lost_is_noticed(c: Coordinating) -> None:
    _, node, request = watched(c)
    c.events(node, request, 10, 10, 11, 11)
    c.events(node, request, 10, 11, 11, skip=3)
    assert c.asked()[1].start == 11


def test_what_one_node_has_forgotten_others_are_asked_for(c: Coordinating) -> None:
    one = c.subscribe(start=5)
    asked = []
    for start in (40, 20, 30):
        node, request = c.asked()
        asked.append(node)
        c.lost(node, request, "compacted", start)
    assert set(asked) == {A, B, C}
    with pytest.raises(WatchLost) as caught:
        one.take()
    assert (caught.value.reason, caught.value.start) == ("compacted", 20)
    assert c.later(60_000) == []


def test_too_slow_for_one_node_it_goes_on_where_it_stands_if_that_can_be(c: Coordinating) -> None:
    one, node, request = watched(c)
    c.lost(node, request, "slow", 8)
    again = [s for s in c.later(200) if isinstance(s.request, WatchRequest)]
    assert [s.request.start for s in again if isinstance(s.request, WatchRequest)] == [11]
    assert one.error is None


def test_who_takes_nothing_is_told_from_where_to_go_on(
    c: Coordinating, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watches, "BACKLOG_EVENTS", 3)
    one, node, request = watched(c)
    other = c.subscribe()
    c.events(node, request, 10, 12, 11, 12)
    assert values(other) == ["11.0", "12.0"]
    c.events(node, request, 12, 14, 13, 14)
    assert values(other) == ["13.0", "14.0"]
    assert [event.revision for event in one.take() + one.take()] == [11, 12, 13, 14]
    with pytest.raises(WatchLost) as caught:
        one.take()
    assert (caught.value.reason, caught.value.start) == ("slow", 15)


def test_a_change_too_large_for_any_message_ends_it_with_where_to_go_on(c: Coordinating) -> None:
    one, node, request = watched(c)
    c.lost(node, request, "oversize", 12)
    with pytest.raises(WatchLost) as caught:
        one.take()
    assert caught.value.start == 12


def test_a_node_that_tells_of_what_is_not_watched_is_asked_to_stop_now_and_then(
    c: Coordinating,
) -> None:
    watched(c)
    stray = WatchRequest(999_999, "k", False, None, False)
    for through in range(11, 20):
        c.events(B, stray, through - 1, through)
    c.put("k")  # so that there is a link
    sent = c.later(100)
    assert c.unwatched(sent) == [999_999]


def test_an_answer_that_is_not_of_the_protocol_is_asked_for_again_elsewhere(
    c: Coordinating,
) -> None:
    one, node, request = watched(c)
    bad = Events(request.id, 10, 11, [[11, "k", {"b64": "?"}, None]])
    c.session.received(node, encode_reply(bad), c.now_ms)
    again = next(s for s in c.later(200) if isinstance(s.request, WatchRequest))
    assert again.endpoint != node
    assert one.error is None


def test_a_request_is_repeated_until_somebody_answers(c: Coordinating) -> None:
    one = c.subscribe()
    c.down |= {A, B, C}
    c.later(5000)
    c.down.clear()
    node, request = next(
        (s.endpoint, s.request) for s in c.later(300) if isinstance(s.request, WatchRequest)
    )
    c.watching(node, request, 10)
    assert one.opened


def test_closing_the_session_ends_all(c: Coordinating) -> None:
    one, _, _ = watched(c)
    c.session.close("the client was closed")
    with pytest.raises(Unavailable):
        one.take()
    with pytest.raises(Unavailable):
        one.take()
    assert c.session.next_deadline_ms() is None


def test_a_node_without_watches_is_an_error(c: Coordinating) -> None:
    one = c.subscribe()
    sent = next(s for s in c.turn() if isinstance(s.request, WatchRequest))
    c.refuse(sent, "invalid")
    with pytest.raises(InvalidRequest):
        one.take()


@pytest.mark.parametrize(
    ("key", "prefix", "start"),
    [(None, None, None), ("k", "p", None), ("", None, None), ("k", None, 0), ("k", None, True)],
)
def test_what_cannot_be_watched_is_refused_at_once(
    key: str | None, prefix: str | None, start: int | None
) -> None:
    with pytest.raises(InvalidRequest):
        Subscription(key, prefix, start, False)


@pytest.mark.parametrize("after", [0, 1])
def test_a_watch_that_its_user_may_not_have_ends_and_is_not_asked_for_elsewhere(
    c: Coordinating, after: int
) -> None:
    if after:
        one, node, request = watched(c)
    else:
        one = c.subscribe()
        node, request = c.asked()
    c.lost(node, request, "denied", 12)
    for _ in range(2):
        with pytest.raises(Denied, match="because"):
            one.take()
    assert not any(isinstance(s.request, WatchRequest) for s in c.later(5000))
