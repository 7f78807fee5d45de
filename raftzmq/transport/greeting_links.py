"""Links for answers to hellos: few, short-lived, and apart from those to peers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from raftzmq.access.keys import KeyPair, PublicKey
from raftzmq.transport.links import PeerLinks
from raftzmq.transport.options import STRANGERS_LANE, Context

LINKS: Final = 16
"""The most such links at a time. The one that was used longest ago makes room."""

OPENED_AT_ONCE: Final = 8
OPENED_EVERY_MS: Final = 250
"""A link may be opened every so often, and so many at once after a pause: each may take a look-up
of its host's name."""

TRY_MS: Final = 500
"""A link that does not get connected expects another of the accepted keys after so long."""

UNUSED_MS: Final = 10_000
"""A link that was not used for this long is closed."""


class GreetingLinks:
    """Anybody can say hello under any name and give any address. The answer goes there, on a link
    that nothing else uses.

    These links share one I/O thread, which a name server that does not answer may block. Times are
    in milliseconds.
    """

    def __init__(self, context: Context) -> None:
        self._links = PeerLinks(context, lane=STRANGERS_LANE)
        self._used_ms: dict[str, int] = {}
        """By address, that which was used longest ago first."""
        self._tries: dict[str, tuple[int, int]] = {}
        """By address: which of the accepted keys is expected there, and since when."""
        self._due_ms = -OPENED_AT_ONCE * OPENED_EVERY_MS
        """When the next link would be due, if one after the other were opened."""

    def use_keys(self, own: KeyPair, accepted: Sequence[PublicKey]) -> None:
        """As `PeerLinks.use_keys`."""
        self._links.use_keys(own, accepted)

    def __len__(self) -> int:
        return len(self._used_ms)

    def send(self, address: str, frames: Sequence[bytes], now_ms: int) -> bool:
        """Hand an answer over. False if there is no connection yet: a hello comes again. Raises
        InvalidRequest for what is no address."""
        if address not in self._used_ms:
            due_ms = max(self._due_ms, now_ms - (OPENED_AT_ONCE - 1) * OPENED_EVERY_MS)
            if due_ms > now_ms:
                return False
            self._due_ms = due_ms + OPENED_EVERY_MS
            if len(self._used_ms) >= LINKS:
                self._drop(next(iter(self._used_ms)))
            self._tries[address] = 0, now_ms
            self._links.set_address(address, address)
        else:
            del self._used_ms[address]
        self._used_ms[address] = now_ms
        sent = self._links.send(address, frames)
        if not sent:
            self._expect_another_key(address, now_ms)
        return sent

    def turn(self, now_ms: int) -> None:
        """Close what has not been used for long."""
        for address in [a for a, ms in self._used_ms.items() if now_ms - ms > UNUSED_MS]:
            self._drop(address)

    def close(self) -> None:
        self._links.close()
        self._used_ms.clear()
        self._tries.clear()

    def _expect_another_key(self, address: str, now_ms: int) -> None:
        """While a key is replaced, the other side may have one that is not the first."""
        accepted = self._links.accepted
        number, since_ms = self._tries[address]
        if len(accepted) > 1 and now_ms - since_ms >= TRY_MS:
            number = (number + 1) % len(accepted)
            self._tries[address] = number, now_ms
            self._links.expect(address, accepted[number])

    def _drop(self, address: str) -> None:
        del self._used_ms[address]
        del self._tries[address]
        self._links.drop(address)
