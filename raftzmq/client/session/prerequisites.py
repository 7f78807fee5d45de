"""Calls that cannot be sent yet: writes without a session, requests without a known leader."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final

from raftzmq.client.operations import cluster
from raftzmq.client.session.calls import Call, Lane
from raftzmq.client.session.endpoints import Endpoints
from raftzmq.client.session.serials import Serials
from raftzmq.errors import RaftzmqError, Unavailable
from raftzmq.transport.operator_wire import StatusReply

PROBE_S: Final = 1.0
FRESH_MS: Final = 1000
"""A leader heard from within this time is believed to lead still."""


class SessionOpening:
    """Writes wait here until the session that they need is open. An open whose answer was lost
    leaves a session that nobody uses, which the cluster forgets in time."""

    def __init__(
        self,
        serials: Serials,
        secrets: Random,
        start: Callable[[Call, int], None],
        fail: Callable[[Call, RaftzmqError, int], None],
    ) -> None:
        self._serials = serials
        self._secrets = secrets
        self._start = start
        self._fail = fail
        self._parked: list[tuple[Lane, Call]] = []
        self._opening: Call | None = None

    def park(self, lane: Lane, call: Call, now_ms: int) -> None:
        """Keep a write until a session is open; open one if that is not under way. Then it goes on
        in its lane."""
        self._parked.append((lane, call))
        opening = self._opening
        if opening is None:
            secret = f"{self._secrets.getrandbits(64):016x}"
            opening = Call(cluster.open_session(secret), now_ms, 1, internal=self._opened)
            opening.deadline_ms = call.deadline_ms
            self._opening = opening
            self._start(opening, now_ms)
        opening.deadline_ms = max(opening.deadline_ms, call.deadline_ms)

    def _opened(self, opening: Call, now_ms: int) -> None:
        self._opening = None
        parked, self._parked = self._parked, []
        parked = [(lane, call) for lane, call in parked if not call.done]
        try:
            self._serials.opened(*opening.result())
        except Unavailable:
            pass  # whatever still waits has a later deadline, and tries again
        except RaftzmqError as error:
            for _, call in parked:
                self._fail(call, error, now_ms)
            return
        for lane in dict.fromkeys(lane for lane, _ in parked):
            lane.requeue([call for of, call in parked if of is lane])


class LeaderSearch:
    """Requests that are no operations have no serial and are sent once. So that this once is not
    wasted on a node that is down, they wait here until a node says that it leads; or, if none does,
    until all have had time to answer: then one that answered will know whom to ask instead."""

    def __init__(
        self, endpoints: Endpoints, lane: Lane, random: Random, start: Callable[[Call, int], None]
    ) -> None:
        self._endpoints = endpoints
        self._lane = lane
        self._random = random
        self._start = start
        self._parked: list[Call] = []
        self._probes: dict[Call, str] = {}
        self._answering: str | None = None

    def known(self, now_ms: int) -> bool:
        """Whether the lane aims at a node that answered lately, and not that it does not lead."""
        lane = self._lane
        return lane.confirmed and now_ms - self._endpoints.link(lane.target).heard_ms < FRESH_MS

    def park(self, call: Call, now_ms: int) -> None:
        """Keep a request until the leader is known; ask every endpoint if that is not under way."""
        self._parked.append(call)
        if self._probes:
            return
        self._answering = None
        for endpoint in dict.fromkeys((*self._endpoints.known, self._lane.target)):
            probe = Call(cluster.status(endpoint), now_ms, PROBE_S, internal=self._answered)
            self._probes[probe] = endpoint
        for probe in list(self._probes):
            self._start(probe, now_ms)

    def _answered(self, probe: Call, now_ms: int) -> None:
        endpoint = self._probes.pop(probe)
        leads = False
        if isinstance(probe.answer, StatusReply):
            self._answering = endpoint
            leads = probe.answer.status.get("role") == "leader"
        if not (leads or not self._probes):
            return
        parked, self._parked = self._parked, []
        parked = [call for call in parked if not call.done]
        if parked and self._answering is not None:
            self._lane.aim(self._answering, now_ms)
            self._lane.confirmed = True
        elif parked:
            self._lane.pause(now_ms, self._random)
        self._lane.requeue(parked)
