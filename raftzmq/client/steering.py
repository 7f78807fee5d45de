"""Which endpoint a lane aims at: hints followed, dead ends left, pauses in between."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Final

from raftzmq.client.outcomes import ABOUT_THE_MESSAGE, STAYING
from raftzmq.client.routes import (
    BACKOFF_MOST_MS,
    CHASES,
    OVERLOADED_MOST_MS,
    SUSPECT_MS,
    Endpoints,
    Lane,
)
from raftzmq.errors import Overloaded

HEDGE_MS: Final = 150
"""A target not connected by then is left for any other endpoint that is."""

UNREACHABLE_MS: Final = 500
"""A target not connected by then is left in any case."""

USELESS_HINT_MS: Final = 5000
"""For so long, a hint to an endpoint that could not be connected is not followed again."""


class Steering:
    """Steers the lanes that may go anywhere; one that is fixed to an endpoint only pauses.
    `resets` gathers links that are to be closed."""

    def __init__(self, endpoints: Endpoints, roaming: Sequence[Lane], random: Random) -> None:
        self._endpoints = endpoints
        self._roaming = list(roaming)
        self._random = random
        self.resets: list[str] = []

    def steer(self, lane: Lane) -> None:
        """Steer one lane more."""
        self._roaming.append(lane)

    def declined(
        self, lane: Lane, endpoint: str, code: str, address: str | None, now_ms: int
    ) -> None:
        """After an answer that says "not here" or "not now": where to go next, and when."""
        if lane.fixed or code in STAYING:
            if code not in ABOUT_THE_MESSAGE:
                most_ms = OVERLOADED_MOST_MS if code == Overloaded.code else BACKOFF_MOST_MS
                lane.pause(now_ms, self._random, most_ms)
        elif lane.target == endpoint:  # otherwise it has gone on already
            if address is None or address != endpoint:
                if address is not None and self._is_worth_chasing(lane, address, now_ms):
                    lane.chases += 1
                    lane.aim(address, now_ms)
                    return
                lane.aim(self._endpoints.after(endpoint, now_ms), now_ms)
            lane.pause(now_ms, self._random)

    def _is_worth_chasing(self, lane: Lane, address: str, now_ms: int) -> bool:
        return lane.chases < CHASES and not self._endpoints.is_suspect(address, now_ms)

    def tick(self, now_ms: int) -> None:
        for lane in self._roaming:
            if lane.queue:
                self._reach(lane, now_ms)

    def hedges(self, lane: Lane, now_ms: int) -> bool:
        """Whether links to all endpoints are wanted, to go on with whichever is up first."""
        if lane.fixed or self._endpoints.link(lane.target).up:
            return False
        return now_ms - lane.aimed_ms >= HEDGE_MS

    def _reach(self, lane: Lane, now_ms: int) -> None:
        """Leave a target that does not get connected."""
        endpoint = lane.target
        if self._endpoints.link(endpoint).up:
            return
        waited_ms = now_ms - lane.aimed_ms
        if endpoint in self._endpoints.configured:
            if waited_ms >= UNREACHABLE_MS or (
                waited_ms >= HEDGE_MS and self._endpoints.connected(now_ms)
            ):
                self.leave(endpoint, "no connection", now_ms)
        elif waited_ms >= UNREACHABLE_MS:
            # A hint that is of no use from here; do not keep a resolver busy with it.
            self.resets.append(endpoint)
            self._avoid(endpoint, "no connection", now_ms, USELESS_HINT_MS)

    def leave(self, endpoint: str, what: str, now_ms: int) -> None:
        """Go on without the endpoint for a while; `what` says why."""
        self._avoid(endpoint, what, now_ms, SUSPECT_MS)

    def _avoid(self, endpoint: str, what: str, now_ms: int, for_ms: int) -> None:
        self._endpoints.note(endpoint, what, now_ms)
        self._endpoints.link(endpoint).suspect_until_ms = now_ms + for_ms
        for lane in self._roaming:
            if lane.target == endpoint:
                lane.aim(self._endpoints.after(endpoint, now_ms), now_ms)
