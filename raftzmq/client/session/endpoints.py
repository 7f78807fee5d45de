"""What is known of each endpoint: its link, and what it last said."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

HINTED_LINKS: Final = 8
"""Most links kept to endpoints that are not known, but were named by nodes or callers."""

ADDRESSES_MOST: Final = 64
"""Most addresses of a name that are tried."""


@dataclass(slots=True)
class Link:
    """The connection to an endpoint. `up` is None while the shell has not said."""

    up: bool | None = None
    used_ms: int = 0
    heard_ms: int = -1
    unanswered_ms: int | None = None  # since when something has been sent and nothing heard
    suspect_until_ms: int = 0
    refused: str | None = None  # why the handshake fails, as far as was found out


class Endpoints:
    """The configured endpoints, in order, the addresses behind their names, those of members that
    nodes told of (`learned`), others that nodes named, and what each last said."""

    def __init__(self, configured: tuple[str, ...], guess: str = "") -> None:
        self.configured = configured
        self._guess = guess
        self.given = configured
        """The configured ones, and all addresses of names among them, where that was looked up."""
        self.learned: tuple[str, ...] = ()
        self._addresses: dict[str, tuple[str, ...]] = {}
        self.links: dict[str, Link] = {}
        self._said: dict[str, tuple[int, str]] = {}

    def link(self, endpoint: str) -> Link:
        link = self.links.get(endpoint)
        if link is None:
            link = self.links[endpoint] = Link()
        return link

    @property
    def known(self) -> tuple[str, ...]:
        """All that may be asked: the configured ones first."""
        return self.given + self.learned

    def learn(self, addresses: Iterable[str]) -> None:
        """Take these as the members' endpoints."""
        self.learned = tuple(e for e in dict.fromkeys(addresses) if e not in self.configured)

    def resolve(self, name: str, addresses: Iterable[str]) -> None:
        """Take all addresses of a configured name for endpoints of their own: libzmq tries one of
        them, and it may be the one where nobody is."""
        if name in self.configured:
            self._addresses[name] = tuple(addresses)[:ADDRESSES_MOST]
            every = (one for some in self._addresses.values() if len(some) > 1 for one in some)
            self.given = tuple(dict.fromkeys((*self.configured, *every)))

    def heard_last(self) -> str | None:
        """The endpoint that said something last."""
        heard = [endpoint for endpoint, link in self.links.items() if link.heard_ms >= 0]
        return max(heard, key=lambda endpoint: self.links[endpoint].heard_ms, default=None)

    def note(self, endpoint: str, text: str, now_ms: int) -> None:
        """Remember what became of asking the endpoint, for the text of errors."""
        self._said[endpoint] = (now_ms, text)

    def is_suspect(self, endpoint: str, now_ms: int) -> bool:
        link = self.links.get(endpoint)
        return link is not None and now_ms < link.suspect_until_ms

    def after(self, endpoint: str, now_ms: int) -> str:
        """The next endpoint to try: the next in turn that is not suspect nor known to be out of
        reach, if there is any. Members' own addresses may mean nothing here: they come after the
        configured ones, those that are connected first."""
        others = [*_in_turn(self.given, endpoint), *_in_turn(self.learned, endpoint)]

        def cost(candidate: str) -> tuple[bool, bool, bool]:
            link = self.links.get(candidate)
            up = None if link is None else link.up
            unsure = candidate not in self.given and not up
            return self.is_suspect(candidate, now_ms), up is False, unsure

        return min(others, key=cost, default=self.configured[0])

    def refusal(self) -> str | None:
        """Why no configured endpoint lets this client in, in words; None: one may yet."""
        refused = [self.link(endpoint).refused for endpoint in self.configured]
        if None in refused:
            return None
        # Of several that say the same, the first speaks for all.
        by_reason = {why.partition(" ")[2]: why for why in reversed(refused) if why is not None}
        return "; ".join(reversed(by_reason.values()))

    def connected(self, now_ms: int) -> str | None:
        """A known endpoint that is connected and not suspect."""
        for endpoint in self.known:
            link = self.links.get(endpoint)
            if link is not None and link.up and now_ms >= link.suspect_until_ms:
                return endpoint
        return None

    def surplus(self, used: set[str]) -> list[str]:
        """Forget the longest unused endpoints that are not known, beyond the bound."""
        known = self.known
        named = [e for e in self.links if e not in known and e not in used]
        named.sort(key=lambda endpoint: self.links[endpoint].used_ms)
        dropped = named[: max(0, len(named) - HINTED_LINKS)]
        for endpoint in dropped:
            del self.links[endpoint]
            self._said.pop(endpoint, None)
        return dropped

    def account(self, since_ms: int, asked: str | None = None) -> str:
        """Which endpoint answered what since then; only of `asked` if it is given."""
        endpoints = [asked] if asked else [*self.configured]
        if not asked:
            endpoints += [e for e in self._said if e not in self.configured]
        parts = []
        for endpoint in endpoints:
            said_ms, text = self._said.get(endpoint, (-1, ""))
            link = self.links.get(endpoint)
            if said_ms < since_ms:
                if endpoint not in self.configured and endpoint != asked:
                    continue
                if link is None or link.up is None:
                    text = "not asked"
                else:
                    text = "no answer" if link.up else "no connection"
            parts.append(f"{endpoint}: {text}")
        if self._guess and self.heard_last() is None:
            parts.append(self._guess)
        return "; ".join(parts)


def _in_turn(endpoints: tuple[str, ...], last: str) -> list[str]:
    """The others, beginning with the one after the last."""
    start = endpoints.index(last) + 1 if last in endpoints else 0
    return [one for one in endpoints[start:] + endpoints[:start] if one != last]
