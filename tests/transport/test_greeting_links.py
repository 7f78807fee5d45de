"""Answers to hellos of anybody: few links, few of them opened, and none shared with peers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from raftzmq.transport import options
from raftzmq.transport.greeting_links import (
    LINKS,
    OPENED_AT_ONCE,
    OPENED_EVERY_MS,
    UNUSED_MS,
    GreetingLinks,
)
from raftzmq.transport.links import PeerLinks
from raftzmq.transport.options import Context
from raftzmq.transport.servers import PeerServer
from tests.transport.loopback import until

SECOND_MS = 1000


@pytest.fixture
def greetings(context: Context) -> Iterator[GreetingLinks]:
    links = GreetingLinks(context)
    yield links
    links.close()


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that links were opened to."""
    found: list[str] = []
    open_link = PeerLinks.set_address

    def set_address(links: PeerLinks, name: str, address: str) -> None:
        found.append(address)
        open_link(links, name, address)

    monkeypatch.setattr(PeerLinks, "set_address", set_address)
    return found


def test_an_answer_arrives_when_the_hello_comes_again(
    greetings: GreetingLinks, peers: PeerServer
) -> None:
    address = f"127.0.0.1:{peers.port}"
    until(lambda: greetings.send(address, [b"welcome"], 0))
    assert until(lambda: peers.receive(1)) == [[b"welcome"]]


def test_a_thousand_addresses_leave_a_few_links(
    greetings: GreetingLinks, opened: list[str]
) -> None:
    for number in range(1000):
        greetings.send(f"127.0.0.1:{number + 1}", [b"welcome"], 0)
    assert len(greetings) == len(opened) == OPENED_AT_ONCE
    for now_ms in range(0, 20 * SECOND_MS, 10):
        greetings.send(f"127.0.0.1:{now_ms + 1}", [b"welcome"], now_ms)
        assert len(greetings) <= LINKS
    assert len(opened) <= OPENED_AT_ONCE + 20 * SECOND_MS // OPENED_EVERY_MS
    greetings.turn(21 * SECOND_MS + UNUSED_MS)
    assert len(greetings) == 0


def test_the_link_that_was_used_longest_ago_makes_room(
    greetings: GreetingLinks, opened: list[str]
) -> None:
    for number in range(LINKS):
        greetings.send(f"127.0.0.1:{number + 1}", [b"welcome"], number * SECOND_MS)
    now_ms = LINKS * SECOND_MS
    greetings.send("127.0.0.1:1", [b"welcome"], now_ms)
    greetings.send("127.0.0.1:99", [b"welcome"], now_ms)
    before = list(opened)
    greetings.send("127.0.0.1:1", [b"welcome"], now_ms)
    assert opened == before  # still there
    greetings.send("127.0.0.1:2", [b"welcome"], now_ms + SECOND_MS)
    assert opened == [*before, "127.0.0.1:2"]


def test_they_share_an_io_thread_that_no_peers_link_has(
    links: PeerLinks, greetings: GreetingLinks, chosen: list[int]
) -> None:
    for number in range(2 * options.LINK_THREADS):
        links.set_address(f"raft-{number}", "127.0.0.1:1")
    of_peers = set(chosen)
    chosen.clear()
    for number in range(3):
        greetings.send(f"127.0.0.1:{number + 1}", [b"welcome"], 0)
    assert len(set(chosen)) == 1
    assert not set(chosen) & of_peers
