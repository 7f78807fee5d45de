"""Where to send: what is known of each endpoint, and lanes of calls that go the same way."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from random import Random
from typing import Final

from raftzmq.client.calls import Call

SUSPECT_MS: Final = 1000
"""An endpoint that was silent, lost or out of reach is avoided for so long."""

BACKOFF_MS: Final = 20
BACKOFF_MOST_MS: Final = 100
OVERLOADED_MOST_MS: Final = 1000
"""Pauses after "try again": doubling up to a bound, each cut by a random part up to a half. The
bound is what an election takes longer, on the average by half of it, for those who wait for it."""

CHASES: Final = 3
"""Most leader hints followed in a row; they may be wrong, or lead in a circle."""

HINTED_LINKS: Final = 8
"""Most links kept to endpoints that were not configured, but named by nodes or callers."""


@dataclass(slots=True)
class Link:
    """The connection to an endpoint. `up` is None while the shell has not said."""

    up: bool | None = None
    used_ms: int = 0
    heard_ms: int = -1
    unanswered_ms: int | None = None  # since when something has been sent and nothing heard
    suspect_until_ms: int = 0


class Endpoints:
    """The configured endpoints, in order, those that nodes named, and what each last said."""

    def __init__(self, configured: tuple[str, ...]) -> None:
        self.configured = configured
        self.links: dict[str, Link] = {}
        self._said: dict[str, tuple[int, str]] = {}

    def link(self, endpoint: str) -> Link:
        link = self.links.get(endpoint)
        if link is None:
            link = self.links[endpoint] = Link()
        return link

    def note(self, endpoint: str, text: str, now_ms: int) -> None:
        """Remember what became of asking the endpoint, for the text of errors."""
        self._said[endpoint] = (now_ms, text)

    def is_suspect(self, endpoint: str, now_ms: int) -> bool:
        link = self.links.get(endpoint)
        return link is not None and now_ms < link.suspect_until_ms

    def after(self, endpoint: str, now_ms: int) -> str:
        """The next endpoint to try: the next in turn that is not suspect nor known to be out of
        reach, if there is any."""
        configured = self.configured
        start = configured.index(endpoint) + 1 if endpoint in configured else 0
        others = [e for e in configured[start:] + configured[:start] if e != endpoint]

        def cost(candidate: str) -> tuple[bool, bool]:
            link = self.links.get(candidate)
            return self.is_suspect(candidate, now_ms), link is not None and link.up is False

        return min(others, key=cost, default=configured[0])

    def connected(self, now_ms: int) -> str | None:
        """A configured endpoint that is connected and not suspect."""
        for endpoint in self.configured:
            link = self.links.get(endpoint)
            if link is not None and link.up and now_ms >= link.suspect_until_ms:
                return endpoint
        return None

    def surplus(self, used: set[str]) -> list[str]:
        """Forget the longest unused endpoints that were not configured, beyond the bound."""
        named = [e for e in self.links if e not in self.configured and e not in used]
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
        return "; ".join(parts)


@dataclass(slots=True, eq=False)
class Lane:
    """Calls that go to the same endpoint now: the leader's, anybody's, or one that was named
    (`fixed`)."""

    target: str
    fixed: bool = False
    stale: bool = False  # whoever is asked answers, from what it has applied
    holds: bool = False  # nodes keep answers back: that they are owed says nothing of the load
    queue: deque[Call] = field(default_factory=deque)
    aimed_ms: int = 0
    resume_ms: int = 0
    failures: int = 0
    chases: int = 0
    confirmed: bool = False  # the target has answered as leader, and nothing said otherwise since
    messages: int = 0  # in flight
    bytes: int = 0  # in flight

    def aim(self, endpoint: str, now_ms: int) -> None:
        self.target = endpoint
        self.aimed_ms = now_ms
        self.confirmed = False

    def answered(self) -> None:
        """Progress: pauses and chases start from the beginning."""
        self.failures = 0
        self.chases = 0

    def pause(self, now_ms: int, random: Random, most_ms: int = BACKOFF_MOST_MS) -> None:
        """Send nothing for a while, a longer one each time in a row."""
        if now_ms < self.resume_ms:
            return
        backoff_ms = min(most_ms, BACKOFF_MS << min(self.failures, 16))
        self.resume_ms = now_ms + 1 + int(backoff_ms * (0.5 + random.random() / 2))
        self.failures += 1
        self.chases = 0

    def requeue(self, calls: list[Call]) -> None:
        """Put calls back in front, in their order."""
        self.queue.extendleft(reversed(calls))
