"""The network between nodes, and between clients and nodes: it loses, delays and doubles."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from random import Random
from typing import Final

from raftzmq.core.messages import Message
from tests.sim.options import Options

QUEUE: Final = 200
"""Most messages that wait on a clogged link; a sender is told that no more can be queued."""

Deliver = Callable[[str, str, list[bytes]], None]


class Network:
    """Links are one-way, between names. `at(delay_ms, what)` puts off a delivery."""

    def __init__(
        self,
        options: Options,
        random: Random,
        at: Callable[[int, Callable[[], None]], None],
        counts: Counter[str],
    ) -> None:
        self._random = random
        self._at = at
        self._counts = counts
        self.calm(options)
        self.cut: set[tuple[str, str]] = set()
        self.lost_kinds: frozenset[type[Message]] = frozenset()
        """Messages between nodes that are all lost."""
        self.clogged: dict[tuple[str, str], list[tuple[Deliver, list[bytes]]]] = {}

    def calm(self, options: Options, *, perfect: bool = False) -> None:
        """Behave as the options say; `perfect`: lose and delay nothing."""
        self._low_ms, self._high_ms = (0, 2) if perfect else options.delay_ms
        self._loss = 0.0 if perfect else options.loss
        self._duplication = 0.0 if perfect else options.duplication
        self._slow_share = 0.0 if perfect else options.slow_share

    def send(
        self, sender: str, to: str, frames: list[bytes], deliver: Deliver, *, once: bool = False
    ) -> bool:
        """Let a message go; False if it could not even be queued. `once`: as over one connection,
        where a message may be lost with the connection, but does not come twice."""
        link = (sender, to)
        queue = self.clogged.get(link)
        if queue is not None:
            if len(queue) >= QUEUE:
                self._counts["would block"] += 1
                return False
            queue.append((deliver, frames))
            return True
        if link in self.cut:
            return True
        random = self._random.random
        if self._loss and random() < self._loss:
            self._counts["lost"] += 1
            return True
        self._carry(sender, to, frames, deliver)
        if self._duplication and not once and random() < self._duplication:
            self._counts["duplicated"] += 1
            self._carry(sender, to, frames, deliver)
        return True

    def _carry(self, sender: str, to: str, frames: list[bytes], deliver: Deliver) -> None:
        random = self._random
        delay_ms = self._low_ms + int(random.random() * (self._high_ms - self._low_ms + 1))
        if self._slow_share and random.random() < self._slow_share:
            delay_ms *= 10
            self._counts["overtaken"] += 1

        def arrive() -> None:
            if (sender, to) not in self.cut:  # what is on its way when a cable is cut is lost too
                deliver(sender, to, frames)

        self._at(delay_ms, arrive)

    def connected(self, one: str, other: str) -> bool:
        """Whether a connection between the two would stay up."""
        return (one, other) not in self.cut and (other, one) not in self.cut

    def cut_between(self, some: Iterable[str], others: Iterable[str]) -> None:
        """Cut every link between the two groups, both ways."""
        others = list(others)
        for a in some:
            for b in others:
                if a != b:
                    self.cut |= {(a, b), (b, a)}

    def clog(self, sender: str, to: str) -> None:
        self.clogged.setdefault((sender, to), [])

    def unclog(self) -> None:
        """Everything that was held up arrives, late, in a burst."""
        clogged, self.clogged = self.clogged, {}
        for (sender, to), queue in clogged.items():
            for deliver, frames in queue:
                self._carry(sender, to, frames, deliver)

    def hold(self, to: str) -> Callable[[], None]:
        """End the clogging of the links to a name; what was held up arrives when the result is
        called, even if the links have been cut by then."""
        links = [link for link in self.clogged if link[1] == to]
        queues = {link: self.clogged.pop(link) for link in links}

        def release() -> None:
            for (sender, _), queue in queues.items():
                for deliver, frames in queue:
                    deliver(sender, to, frames)

        return release

    def heal(self) -> None:
        self.cut.clear()
        self.lost_kinds = frozenset()
        self.unclog()
