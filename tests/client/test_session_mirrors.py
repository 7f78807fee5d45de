"""A mirror is at each moment what the cluster held at one revision, whatever becomes of nodes."""

from __future__ import annotations

from typing import Any

import pytest

from raftzmq.client.session import mirrors
from raftzmq.client.session.mirrors import RETRY_MS, Mirrored
from raftzmq.client.session.watches import SILENCE_MS
from raftzmq.errors import Denied, InvalidRequest, Overloaded, Unavailable
from raftzmq.transport.client_wire import OperationsRequest
from raftzmq.transport.watch_wire import Events, WatchRequest
from tests.client.conversation import Sent
from tests.client.coordinating import Coordinating


@pytest.fixture
def c() -> Coordinating:
    return Coordinating()


class Told:
    """Counts how often a mirror told of a change."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> None:
        self.times += 1


def begun(c: Coordinating, told: Told | None = None) -> Mirrored:
    mirror = Mirrored("k/", told)
    c.session.mirror(mirror, c.now_ms)
    return mirror


def held(mirror: Mirrored) -> dict[str, Any]:
    return {key: item.value if item else None for key, item in mirror.items.items()}


def read(c: Coordinating, revision: int, *keys: str, more: bool = False) -> Sent:
    """Answer the one page that is asked for: each key has its name as value, from revision 5."""
    (sent,) = [s for s in c.turn() if isinstance(s.request, OperationsRequest)]
    assert sent.names == ["range"]
    items = [[key, f"of {key}", 5] for key in keys]
    c.results(sent.endpoint, [sent.ids[0], "ok", revision, [items, more]])
    return sent


def followed(c: Coordinating) -> tuple[str, WatchRequest]:
    node, request = c.asked()
    assert request.start is not None
    c.watching(node, request, request.start - 1)
    return node, request


def tell(
    c: Coordinating, node: str, request: WatchRequest, after: int, through: int, *events: Any
) -> None:
    c.answer(node, Events(request.id, after, through, [[*event, None] for event in events]))


def test_it_is_read_and_then_followed_from_there(c: Coordinating) -> None:
    told = Told()
    mirror = begun(c, told)
    sent = read(c, 20, "k/a", "k/b")
    assert sent.ops[0][2:] == ["k/", "k0", mirrors.PAGE_KEYS]
    assert (mirror.whole, mirror.revision, told.times) == (True, 20, 0)
    node, request = followed(c)
    assert (request.key, request.prefix, request.start) == ("k/", True, 21)
    tell(c, node, request, 20, 23, [21, "k/a", "new"], [23, "k/b", None], [23, "k/c", "c"])
    assert held(mirror) == {"k/a": "new", "k/c": "c"}
    assert (mirror.revision, mirror.changes, told.times) == (23, 2, 1)
    tell(c, node, request, 23, 40)
    assert (mirror.revision, told.times) == (40, 1), "that nothing happened is known too"
    assert c.session.take_news() == [mirror]


def test_what_is_not_whole_yet_is_not_shown(c: Coordinating) -> None:
    mirror = begun(c)
    read(c, 20, "k/a")
    node, request = followed(c)
    tell(c, node, request, 20, 20, [21, "k/a", "1"], [21, "k/b", "1"])
    assert held(mirror) == {"k/a": "of k/a"}, "one message of a revision that takes several"
    c.answer(node, Events(request.id, 20, 21, [[21, "k/c", "1", None]], 2))
    assert held(mirror) == {"k/a": "1", "k/b": "1", "k/c": "1"}


def test_pages_of_several_revisions_are_whole_at_the_last(
    c: Coordinating, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirrors, "PAGE_KEYS", 2)
    told = Told()
    mirror = begun(c, told)
    read(c, 20, "k/a", "k/b", more=True)
    sent = read(c, 30, "k/c")
    assert sent.ops[0][2] == "k/b"
    assert not mirror.whole
    node, request = followed(c)
    assert request.start == 21, "what the later page has comes again"
    tell(c, node, request, 20, 25, [22, "k/a", "2"], [24, "k/c", "4"], [25, "k/z", "5"])
    assert not mirror.whole
    tell(c, node, request, 25, 31, [27, "k/z", None], [31, "k/d", "d"])
    assert mirror.whole
    assert held(mirror) == {"k/a": "2", "k/b": "of k/b", "k/c": "4", "k/d": "d"}
    assert (mirror.revision, told.times) == (31, 0)


def test_what_a_later_page_has_newer_is_not_undone(
    c: Coordinating, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = begun(c)
    read(c, 20, "k/a", more=True)
    (sent,) = [s for s in c.turn() if isinstance(s.request, OperationsRequest)]
    c.results(sent.endpoint, [sent.ids[0], "ok", 30, [[["k/b", "newest", 29]], False]])
    node, request = followed(c)
    tell(c, node, request, 20, 30, [25, "k/b", "old"], [26, "k/b", None], [29, "k/b", "newest"])
    assert (held(mirror), mirror.revision) == ({"k/a": "of k/a", "k/b": "newest"}, 30)


def test_what_no_node_remembers_is_read_anew(c: Coordinating) -> None:
    told = Told()
    mirror = begun(c, told)
    read(c, 20, "k/a", "k/b")
    node, request = followed(c)
    c.now_ms += 5000
    tell(c, node, request, 20, 22)
    for _ in range(3):
        c.lost(node, request, "compacted", 90)
        again = [s for s in c.turn() if isinstance(s.request, WatchRequest)]
        if not again:
            break
        node, request = again[0].endpoint, again[0].request  # type: ignore[assignment]
    assert held(mirror) == {"k/a": "of k/a", "k/b": "of k/b"}, "meanwhile it stays"
    c.now_ms += RETRY_MS
    read(c, 100, "k/b", "k/c")
    assert held(mirror) == {"k/b": "of k/b", "k/c": "of k/c"}
    assert (mirror.revision, told.times, mirror.error) == (100, 1, None)
    assert c.asked()[1].start == 101


def test_the_same_read_anew_is_no_change(c: Coordinating) -> None:
    told = Told()
    mirror = begun(c, told)
    read(c, 20, "k/a")
    mirror.lost()
    c.now_ms += RETRY_MS
    read(c, 30, "k/a")
    assert (mirror.revision, told.times) == (30, 0)


def test_it_knows_whether_it_is_current(c: Coordinating) -> None:
    mirror = begun(c)
    assert not mirror.is_current(c.now_ms)
    read(c, 20)
    node, request = followed(c)
    assert mirror.is_current(c.now_ms)
    assert not mirror.is_current(c.now_ms + SILENCE_MS)
    c.now_ms += SILENCE_MS
    tell(c, node, request, 20, 21)
    assert mirror.is_current(c.now_ms)


@pytest.mark.parametrize("code", ["denied", "invalid"])
def test_what_it_may_not_read_ends_it(c: Coordinating, code: str) -> None:
    first = begun(c)
    (sent,) = [s for s in c.turn() if isinstance(s.request, OperationsRequest)]
    c.says(sent, code)
    kind = Denied if code == "denied" else InvalidRequest
    with pytest.raises(kind, match="because"):
        first.check()
    second = begun(c)
    read(c, 20)
    node, request = c.asked()
    c.lost(node, request, code, 1)
    with pytest.raises(kind, match="because"):
        second.check()
    assert c.session.take_news() == [first, second]


def test_one_too_many_says_so(c: Coordinating, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raftzmq.limits.WATCHES_PER_CLIENT", 0)
    mirror = begun(c)
    read(c, 20)
    with pytest.raises(Overloaded, match="this client has 0 watches"):
        mirror.check()


def test_one_that_ends_asks_for_nothing_more(c: Coordinating) -> None:
    reading = begun(c)
    assert c.one().names == ["range"]
    c.session.mirror_no_more(reading, c.now_ms)
    following = begun(c)
    read(c, 20)
    _, request = followed(c)
    c.session.mirror_no_more(following, c.now_ms)
    assert c.unwatched(c.turn()) == [request.id]
    lost = begun(c)
    read(c, 20)
    lost.lost()
    c.session.mirror_no_more(lost, c.now_ms)
    c.turn()
    c.now_ms += RETRY_MS
    assert not [s for s in c.turn() if isinstance(s.request, OperationsRequest)]


def test_the_end_of_the_session_ends_all(c: Coordinating) -> None:
    mirrors_ = [begun(c)]
    read(c, 20)
    mirrors_.append(begun(c))
    c.turn()
    c.session.close("the client was closed")
    for mirror in mirrors_:
        with pytest.raises(Unavailable, match="the client was closed"):
            mirror.check()
