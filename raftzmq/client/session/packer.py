"""Filling messages: which calls of a lane travel next, and together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import orjson

from raftzmq import limits
from raftzmq.client.operations.arguments import NodeRequest
from raftzmq.client.session.calls import Batch, Call, Lane, TracedCall
from raftzmq.client.session.flight import Flight
from raftzmq.client.session.prerequisites import LeaderSearch, SessionOpening
from raftzmq.client.session.serials import OWN_ROOM, Serials
from raftzmq.errors import OutcomeUnknown, RaftzmqError
from raftzmq.transport.client_wire import OperationsRequest, encode_request

MESSAGE_BYTES: Final = 1024 * 1024
"""A message of operations grows to about this size; a single larger operation travels alone."""

ID_BYTES: Final = 24
"""At most what an id and the punctuation around it add to an operation."""

READ_IDS: Final = 2**40
"""Where the ids of all but writes begin. They are apart, so that serials have no gaps."""


class Packer:
    """Gives calls their ids and makes messages of them. Calls at the head of a queue that cannot
    be sent yet are put where they wait (prerequisites.py), so that those behind them can go on."""

    def __init__(
        self,
        flight: Flight,
        serials: Serials,
        opening: SessionOpening,
        search: LeaderSearch,
        fail: Callable[[Call, RaftzmqError, int], None],
        *,
        traced: bool,
    ) -> None:
        self._flight = flight
        self._serials = serials
        self._opening = opening
        self._search = search
        self._fail = fail
        self._traced = traced
        self._next_id = READ_IDS

    def pack(self, lane: Lane, now_ms: int) -> Batch | None:
        """Put the lane's next message in flight and return it; None if nothing can be sent."""
        queue, serials = lane.queue, self._serials
        session, room = serials.session, serials.room + OWN_ROOM * lane.own
        calls: list[Call] = []
        size = 0
        while queue and len(calls) < limits.OPERATIONS_PER_MESSAGE:
            call = queue[0]
            if call.done:
                queue.popleft()
            elif isinstance(call.work, NodeRequest):
                if calls:
                    break
                queue.popleft()
                if (batch := self._request(lane, call, call.work, now_ms)) is not None:
                    return batch
            else:
                if calls and (call.alone or calls[0].alone or size + call.size > MESSAGE_BYTES):
                    break
                if not call.numbered:
                    queue.popleft()
                    self._give_id(call)
                elif call.session == session != 0:
                    queue.popleft()
                elif room <= 0:
                    break
                else:
                    queue.popleft()
                    if not self._may_be_numbered(lane, call, now_ms):
                        continue
                    call.id, call.session = serials.take(), session
                    room -= 1
                calls.append(call)
                size += call.size + ID_BYTES
        return self._launch(lane, calls, now_ms) if calls else None

    def _request(self, lane: Lane, call: Call, work: NodeRequest[Any], now_ms: int) -> Batch | None:
        if call.to_leader and not self._search.known(now_ms):
            self._search.park(call, now_ms)
            return None
        self._give_id(call)
        return self._flight.launch(lane, [call], encode_request(work.build(call.id)), now_ms)

    def _launch(self, lane: Lane, calls: list[Call], now_ms: int) -> Batch:
        serials = self._serials
        ops = b",".join([b"[%d,%b" % (call.id, call.work.tail) for call in calls])  # type: ignore[union-attr]
        session = 0 if lane.stale else serials.session
        cluster = serials.cluster if session else ""
        encoded: Any = orjson.Fragment(b"[%b]" % ops)
        traces = _traces_of(calls) if self._traced else ()
        request = OperationsRequest(session, serials.ack, lane.stale, encoded, cluster, traces)
        return self._flight.launch(lane, calls, encode_request(request), now_ms)

    def _give_id(self, call: Call) -> None:
        if not call.id:
            call.id = self._next_id
            self._next_id += 1

    def _may_be_numbered(self, lane: Lane, call: Call, now_ms: int) -> bool:
        """Whether a write may get a serial in the session; False: it is not to be sent now."""
        if call.session:
            self._flight.by_id.pop(call.id, None)
            call.id = call.session = 0
            if call.in_doubt:
                # In another session the write would be another one, and might be done twice.
                error = OutcomeUnknown(
                    "sent, and then its session expired before the answer came: "
                    "it may have been done"
                )
                self._fail(call, error, now_ms)
                return False
        if not self._serials.session:
            self._opening.park(lane, call, now_ms)
            return False
        return True


def _traces_of(calls: list[Call]) -> list[tuple[int, str]]:
    return [(call.id, call.trace) for call in calls if isinstance(call, TracedCall) and call.trace]
