"""Which lane a call travels in, and which endpoint each lane aims at: hints followed, dead ends
left, pauses in between."""

from __future__ import annotations

from collections.abc import Collection
from random import Random
from typing import Final

from raftzmq.client.session.calls import (
    AWAITS,
    BACKOFF_MOST_MS,
    OVERLOADED_MOST_MS,
    OWN,
    WATCHES,
    Call,
    Lane,
)
from raftzmq.client.session.endpoints import HINTED_LINKS, Endpoints
from raftzmq.client.session.verdicts import ABOUT_THE_MESSAGE, STAYING
from raftzmq.errors import Overloaded

SUSPECT_MS: Final = 1000
"""An endpoint that was silent, lost or out of reach is avoided for so long."""

CHASES: Final = 3
"""Most leader hints followed in a row; they may be wrong, or lead in a circle."""

HEDGE_MS: Final = 150
"""A target not connected by then is left for any other endpoint that is."""

UNREACHABLE_MS: Final = 500
"""A target not connected by then is left in any case."""

USELESS_HINT_MS: Final = 5000
"""For so long, a hint to an endpoint that could not be connected is not followed again."""


class Routing:
    """The lanes. Those that may go anywhere are steered; one that is fixed to an endpoint only
    pauses."""

    def __init__(self, endpoints: Endpoints, random: Random) -> None:
        self._endpoints = endpoints
        self._random = random
        first = endpoints.configured[0]
        self.leader = Lane(first)
        anyone = Lane(first, stale=True)
        own = Lane(first, own=True)
        # In the order in which they send. Those of named endpoints come later.
        self._lanes = {OWN: own, "": self.leader, "any": anyone}
        self._roaming = [own, self.leader, anyone]
        self._resets: list[str] = []

    @property
    def lanes(self) -> Collection[Lane]:
        return self._lanes.values()

    def lane(self, call: Call, now_ms: int) -> Lane:
        """The one that a call is to travel in."""
        lane = self._lanes.get(call.lane) or self._new_lane(call)
        if not (lane.queue or lane.messages):
            lane.aimed_ms = now_ms  # patience with the target begins with the first call
            if lane.holds or call.lane == OWN:
                lane.target = self.leader.target
        return lane

    def _new_lane(self, call: Call) -> Lane:
        if call.work.endpoint is not None:
            lane = Lane(call.work.endpoint, fixed=True, stale=True)
        else:
            lane = Lane(self.leader.target, holds=call.lane == AWAITS)
            if call.lane == WATCHES:  # any node will do: let not all clients choose the same
                lane.target = self._random.choice(self._endpoints.configured)
            self._roaming.append(lane)
        self._lanes[call.lane] = lane
        return lane

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
        if endpoint in self._endpoints.given:
            if waited_ms >= UNREACHABLE_MS or (
                waited_ms >= HEDGE_MS and self._endpoints.connected(now_ms)
            ):
                self.leave(endpoint, "no connection", now_ms)
        elif waited_ms >= UNREACHABLE_MS:
            # An address that is of no use from here; do not keep a resolver busy with it.
            self.reset(endpoint)
            self._avoid(endpoint, "no connection", now_ms, USELESS_HINT_MS)

    def watch_later(self, endpoint: str, now_ms: int) -> None:
        """Ask another endpoint than this for watches, after a pause."""
        lane = self._lanes[WATCHES]
        if lane.target == endpoint:
            lane.aim(self._endpoints.after(endpoint, now_ms), now_ms)
        lane.pause(now_ms, self._random)

    def watch_elsewhere(self, tried: Collection[str], now_ms: int) -> bool:
        """Ask one that was not tried for watches; False if there is none."""
        for endpoint in self._endpoints.known:
            if endpoint not in tried and not self._endpoints.is_suspect(endpoint, now_ms):
                self._lanes[WATCHES].aim(endpoint, now_ms)
                return True
        return False

    def reset(self, endpoint: str) -> None:
        """Have the link closed; if it is wanted again, it is made anew."""
        self._resets.append(endpoint)

    def take_resets(self, in_use: set[str]) -> list[str]:
        """The links to close now: also of endpoints that nobody uses, beyond the bound. Some are
        `in_use` besides those that calls wait for."""
        resets, self._resets = self._resets, []
        endpoints = self._endpoints
        if len(endpoints.links) > len(endpoints.known) + HINTED_LINKS:
            in_use = in_use.union(lane.target for lane in self.lanes if lane.queue)
            for endpoint in endpoints.surplus(in_use):
                resets.append(endpoint)
                self._lanes.pop(endpoint, None)
        return resets

    def leave(self, endpoint: str, what: str, now_ms: int) -> None:
        """Go on without the endpoint for a while; `what` says why."""
        self._avoid(endpoint, what, now_ms, SUSPECT_MS)

    def _avoid(self, endpoint: str, what: str, now_ms: int, for_ms: int) -> None:
        self._endpoints.note(endpoint, what, now_ms)
        self._endpoints.link(endpoint).suspect_until_ms = now_ms + for_ms
        for lane in self._roaming:
            if lane.target == endpoint:
                lane.aim(self._endpoints.after(endpoint, now_ms), now_ms)
