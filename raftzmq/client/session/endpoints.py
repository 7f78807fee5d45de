"""What is known of each endpoint: its link, and what it last said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

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
