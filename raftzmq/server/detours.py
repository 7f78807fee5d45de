"""The address that a peer's own messages come from, for when its name does not lead there yet.

A pod that comes back has a new address. It finds the others at once, but their name servers may
give its old address for as long as they keep an answer, often half a minute. So when a link is down
and its peer speaks, the link tries the address that the peer speaks from, with the port of the
peer's own address.

That address proves nothing. With keys, a link speaks only to who proves to be a node of the cluster
(links.py); without keys, whoever reaches the ports may do anything. Behind a translation of
addresses it may lead to somebody else, or nowhere. So a detour is only ever taken while the link
is down, only for the word of a member, and it ends when nobody is connected, or nobody answers.
"""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import IPv6Address, ip_address
from typing import Final

from raftzmq.naming import literal, parse_address
from raftzmq.transport.links import PeerLinks

LOOK_MS: Final = 100
"""Time between two looks at the links."""

DOWN_MS: Final = 300
"""A link that is down for so long is lost: one that was cut by chance connects again sooner."""

FRESH_MS: Final = 1000
"""For so long a peer is taken to be where it spoke from last."""

TRY_MS: Final = 1000
"""How long a detour may take to connect, and for how long it is the name's turn after that."""

ANSWER_MS: Final = 2000
"""For so long a detour may go unanswered."""

UNANSWERED_MS: Final = 60_000
"""For so long no detour is tried again to an address from where no answer has come."""


class Detours:
    """Finds lost links, and opens them anew. Times in milliseconds."""

    def __init__(self, links: PeerLinks, now_ms: int = 0) -> None:
        self._links = links
        self._next_ms = now_ms
        self._down_ms: dict[str, int] = {}  # since when a link is down
        self._seen: dict[
            str, tuple[str, int]
        ] = {}  # of lost peers: from where they spoke, and when
        self._since_ms: dict[
            str, int
        ] = {}  # when a link changed from the name to a detour, or back
        self._taken_ms: dict[str, int] = {}  # when the newest detour was taken
        self._unanswered: dict[str, tuple[str, int]] = {}  # which one was no use, and when

    @property
    def lost(self) -> Collection[str]:
        """The peers whose links are down: where they speak from is worth knowing."""
        return self._down_ms.keys()

    def spoke(self, name: str, address: str, now_ms: int) -> None:
        """A member has spoken from this IP address."""
        if name in self._down_ms and (host := _host(address)) is not None:
            self._seen[name] = host, now_ms

    def keeps(self, name: str, now_ms: int) -> bool:
        """A peer owes an answer for long. Whether its link is to stay: a detour that is new."""
        endpoint = self._links.detour(name)
        if endpoint is None:
            return False
        if now_ms - self._taken_ms[name] < ANSWER_MS:
            return True
        self._unanswered[name] = parse_address(endpoint)[0], now_ms
        return False

    def turn(self, peers: Collection[str], now_ms: int) -> None:
        """Call this often; it looks when it is time."""
        if now_ms < self._next_ms:
            return
        self._next_ms = now_ms + LOOK_MS
        for name in [*self._down_ms.keys() - set(peers)]:
            self._forget(name)
        for name in peers:
            address = self._links.address(name)
            if address is None or literal(parse_address(address)[0]) is not None:
                continue  # not known, or it cannot be stale
            if self._links.is_up(name):
                self._forget(name)
            elif now_ms - self._down_ms.setdefault(name, now_ms) >= DOWN_MS:
                self._open(name, address, now_ms)

    def _open(self, name: str, address: str, now_ms: int) -> None:
        """Try the other of the two: the name, or where the peer speaks from."""
        if now_ms - self._since_ms.get(name, now_ms - TRY_MS) < TRY_MS:
            return
        if self._links.detour(name) is not None:
            self._since_ms[name] = now_ms
            self._links.renew(name)
            return
        host, seen_ms = self._seen.get(name, ("", 0))
        if not host or now_ms - seen_ms > FRESH_MS:
            return
        mute, mute_ms = self._unanswered.get(name, ("", 0))
        if host == mute and now_ms - mute_ms < UNANSWERED_MS:
            return
        self._since_ms[name] = self._taken_ms[name] = now_ms
        self._links.take_detour(name, f"{host}:{parse_address(address)[1]}")

    def _forget(self, name: str) -> None:
        for known in (self._down_ms, self._seen, self._since_ms):
            known.pop(name, None)


def _host(address: str) -> str | None:
    """The host of an endpoint for this IP address; None if another machine cannot have it."""
    try:
        found = ip_address(address.removeprefix("[").removesuffix("]"))
    except ValueError:
        return None
    if isinstance(found, IPv6Address):
        if found.ipv4_mapped is None:
            return None if found.is_loopback or found.is_link_local else f"[{found}]"
        found = found.ipv4_mapped
    return None if found.is_loopback else str(found)
