"""The client's side of a session: numbers for writes, and which of them have been answered."""

from __future__ import annotations

from typing import Final

from raftzmq import limits

WINDOW: Final = limits.SESSION_OUTSTANDING // 2
"""Most serials between the oldest unanswered write and a new one: well inside what nodes allow."""

OWN_ROOM: Final = WINDOW // 2
"""So many more are for the client's own writes, which the callers' do not keep out."""


class Serials:
    """Serials only grow, also from one session to the next, so that no answer is ever taken for
    another's. `session` is 0 while there is none."""

    def __init__(self) -> None:
        self.session = 0
        self.cluster = ""
        """The cluster that gave the session its number, which means nothing to any other."""
        self._next = 1
        self._lowest = 1  # no serial below it is unanswered
        self._unanswered: set[int] = set()

    @property
    def room(self) -> int:
        """How many writes may be given serials before older ones are answered."""
        return WINDOW - (self._next - self.ack)

    def take(self) -> int:
        """Return the next serial, for a write that is now unanswered."""
        serial = self._next
        self._next += 1
        self._unanswered.add(serial)
        return serial

    def settled(self, *serials: int) -> None:
        """The writes were answered, or nobody waits for their answers any more."""
        self._unanswered.difference_update(serials)

    @property
    def ack(self) -> int:
        """Every write with a lower serial has been settled."""
        while self._lowest < self._next and self._lowest not in self._unanswered:
            self._lowest += 1
        return self._lowest

    def opened(self, session: int, cluster: str) -> None:
        self.session = session
        self.cluster = cluster

    def lost(self) -> None:
        """The cluster does not know the session: what was unanswered in it stays so."""
        self.session = 0
        self._unanswered.clear()
        self._lowest = self._next
