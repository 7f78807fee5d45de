"""When a link goes to where its peer speaks from, and when it goes by the name again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

import pytest

from raftzmq.server.detours import (
    ANSWER_MS,
    DOWN_MS,
    FRESH_MS,
    LOOK_MS,
    TRY_MS,
    UNANSWERED_MS,
    Detours,
)
from raftzmq.transport.links import PeerLinks

PEER = "raft-1"
ADDRESS = "raft-1.raft-service:6000"


@dataclass
class Links:
    """Links that go where they are told, and are up when a test says so."""

    addresses: dict[str, str] = field(default_factory=lambda: {PEER: ADDRESS})
    up: set[str] = field(default_factory=set)
    detours: dict[str, str] = field(default_factory=dict)
    opened: list[str] = field(default_factory=list)

    def address(self, name: str) -> str | None:
        return self.addresses.get(name)

    def is_up(self, name: str) -> bool:
        return name in self.up

    def detour(self, name: str) -> str | None:
        return self.detours.get(name)

    def take_detour(self, name: str, endpoint: str) -> None:
        self.detours[name] = endpoint
        self.opened.append(endpoint)

    def renew(self, name: str) -> None:
        self.detours.pop(name, None)
        self.opened.append("by name")


class Peer:
    """A peer that speaks from somewhere, as its node sees it."""

    def __init__(self, links: Links) -> None:
        self.links = links
        self.detours = Detours(cast("PeerLinks", links))
        self.now_ms = 0

    def run(self, until_ms: int, speaks_from: str = "") -> None:
        while self.now_ms < until_ms:
            self.now_ms += LOOK_MS
            if speaks_from:
                self.detours.spoke(PEER, speaks_from, self.now_ms)
            self.detours.turn([PEER], self.now_ms)


@pytest.fixture
def links() -> Links:
    return Links()


@pytest.fixture
def peer(links: Links) -> Peer:
    return Peer(links)


@pytest.mark.parametrize(
    ("speaks_from", "endpoint"),
    [
        ("10.0.0.7", "10.0.0.7:6000"),
        ("::ffff:10.0.0.7", "10.0.0.7:6000"),
        ("fd00::7", "[fd00::7]:6000"),
        ("[fd00::7]", "[fd00::7]:6000"),
    ],
)
def test_a_lost_link_goes_to_where_its_peer_speaks_from(
    speaks_from: str, endpoint: str, links: Links, peer: Peer
) -> None:
    peer.run(DOWN_MS, speaks_from)
    assert links.opened == []
    peer.run(DOWN_MS + 2 * LOOK_MS, speaks_from)
    assert links.opened == [endpoint]


@pytest.mark.parametrize(
    "speaks_from", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "fe80::1", "", "x"]
)
def test_an_address_that_no_other_machine_can_have_is_none(
    speaks_from: str, links: Links, peer: Peer
) -> None:
    peer.run(10_000, speaks_from)
    assert links.opened == []


def test_a_link_that_is_up_stays_whoever_speaks_in_the_name_of_its_peer(
    links: Links, peer: Peer
) -> None:
    links.up = {PEER}
    peer.run(10_000, "10.6.6.6")
    assert links.opened == []
    assert not peer.detours.lost


def test_an_address_that_is_no_name_is_never_left(links: Links, peer: Peer) -> None:
    links.addresses[PEER] = "10.0.0.1:6000"
    peer.run(10_000, "10.0.0.7")
    assert links.opened == []


def test_who_spoke_long_ago_may_be_elsewhere(links: Links, peer: Peer) -> None:
    peer.run(DOWN_MS - LOOK_MS, "10.0.0.7")
    peer.now_ms += FRESH_MS + DOWN_MS
    peer.run(peer.now_ms + 5_000)
    assert links.opened == []


def test_name_and_detour_take_turns_until_one_connects(links: Links, peer: Peer) -> None:
    peer.run(DOWN_MS + 4 * TRY_MS, "10.0.0.7")
    assert links.opened == ["10.0.0.7:6000", "by name"] * 2
    links.up = {PEER}
    peer.run(peer.now_ms + 10_000, "10.0.0.7")
    assert len(links.opened) == 4


def test_a_detour_that_is_lost_again_is_left_for_the_name(links: Links, peer: Peer) -> None:
    peer.run(DOWN_MS + 2 * LOOK_MS, "10.0.0.7")
    links.up = {PEER}
    peer.run(60_000)
    links.up = set()
    peer.run(60_000 + DOWN_MS + 2 * LOOK_MS)
    assert links.opened == ["10.0.0.7:6000", "by name"]


def test_a_detour_to_somebody_who_does_not_answer_is_not_tried_again_soon(
    links: Links, peer: Peer
) -> None:
    peer.run(DOWN_MS + 2 * LOOK_MS, "10.0.0.7")
    links.up = {PEER}
    assert peer.detours.keeps(PEER, peer.now_ms)  # what is owed was asked by the name
    peer.run(peer.now_ms + ANSWER_MS)
    assert not peer.detours.keeps(PEER, peer.now_ms)
    links.renew(PEER)
    links.up = set()
    peer.run(peer.now_ms + UNANSWERED_MS - LOOK_MS, "10.0.0.7")
    assert links.opened == ["10.0.0.7:6000", "by name"]
    peer.run(peer.now_ms + TRY_MS, "10.0.0.7")
    assert links.opened[2] == "10.0.0.7:6000"


def test_a_link_by_name_is_renewed_as_before(peer: Peer) -> None:
    assert not peer.detours.keeps(PEER, 0)


def test_a_peer_that_is_one_no_more_is_forgotten(links: Links, peer: Peer) -> None:
    peer.run(DOWN_MS, "10.0.0.7")
    assert list(peer.detours.lost) == [PEER]
    peer.detours.turn([], peer.now_ms + LOOK_MS)
    assert not peer.detours.lost
