"""What answers mean for the calls in flight, and what it means that none come."""

from __future__ import annotations

from itertools import chain, repeat, starmap
from random import Random
from typing import Final, TypeGuard

from raftzmq.client.operations.arguments import Answer, NodeRequest
from raftzmq.client.session.calls import Batch, Call, Lane
from raftzmq.client.session.endpoints import Endpoints
from raftzmq.client.session.flight import Flight
from raftzmq.client.session.outstanding import Outstanding
from raftzmq.client.session.routing import Routing
from raftzmq.client.session.serials import Serials
from raftzmq.client.session.verdicts import (
    ABOUT_THE_MESSAGE,
    DONE,
    REFUSALS,
    RETRIED,
    declined,
    message_of,
    words,
)
from raftzmq.client.session.watches import Watches
from raftzmq.errors import OutcomeUnknown, SessionExpired
from raftzmq.transport.client_wire import ErrorReply, Results, Single
from raftzmq.transport.watch_wire import WatcherHears, Watching

RENEW_MS: Final = 2000
"""A link with nothing heard for so long is made anew, so that its name is resolved again."""


class Answers:
    """Each method takes what happened at an endpoint: calls end, or go back into their queues."""

    def __init__(
        self,
        endpoints: Endpoints,
        routing: Routing,
        flight: Flight,
        serials: Serials,
        calls: Outstanding,
        watches: Watches,
        random: Random,
    ) -> None:
        self._endpoints = endpoints
        self._routing = routing
        self._flight = flight
        self._serials = serials
        self._calls = calls
        self._watches = watches
        self._random = random

    def results(self, endpoint: str, reply: Results, now_ms: int) -> None:
        by_id = self._flight.by_id
        term, leader, cluster = reply.term, reply.leader, reply.cluster
        if leader == reply.node and endpoint == self._routing.leader.target:
            self._routing.leader.confirmed = True
        done: list[Call] = []
        again: list[Call] = []
        indices = chain.from_iterable(starmap(repeat, reply.entries or [(0, len(reply.results))]))
        for (ident, code, revision, body), index in zip(reply.results, indices, strict=True):
            call = by_id.get(ident)
            if call is None:
                continue  # late, or a duplicate: the call has its answer
            if code in DONE:
                del by_id[ident]
                call.answer = Answer(code == "ok", revision, body, term, leader, cluster, index)
                done.append(call)
            elif code in REFUSALS:
                del by_id[ident]
                call.error = REFUSALS[code](message_of(body, code))
                done.append(call)
            elif _is_at(call, endpoint):
                assert call.batch is not None
                lane = call.batch.lane
                if self._is_retried(call, code, message_of(body, code), now_ms):
                    self._routing.declined(lane, endpoint, code, None, now_ms)
                    again.append(call)
        self._calls.end_all(done, now_ms)
        self.again(again)

    def single(self, endpoint: str, reply: Single, now_ms: int) -> None:
        """A node answered a request that is a message of its own."""
        call = self._flight.by_id.get(reply.id)
        if call is not None and isinstance(call.work, NodeRequest):
            if call.batch is not None:
                call.batch.lane.answered()
            call.answer = reply
            call.answered_by = endpoint
            self._calls.end(call, now_ms)

    def of_a_watch(self, endpoint: str, reply: WatcherHears, now_ms: int) -> None:
        """A node said something of a watch."""
        call = self._flight.by_id.get(reply.id)
        if isinstance(reply, Watching) and call is not None and call.batch is not None:
            call.batch.lane.answered()
        self._watches.received(endpoint, reply, now_ms)

    def refused(self, endpoint: str, reply: ErrorReply, now_ms: int) -> None:
        """A node would not do some operations of a message, or any."""
        self._endpoints.note(endpoint, words(reply), now_ms)
        if reply.ids is None:
            self._unread(endpoint, reply, now_ms)
            return
        # An answer that another endpoint, or an earlier try, has overtaken is of no use.
        by_id = self._flight.by_id
        calls = [call for i in reply.ids if _is_at(call := by_id.get(i), endpoint)]
        lanes = dict.fromkeys(call.batch.lane for call in calls if call.batch is not None)
        together = len(calls)
        again = [
            c for c in calls if self._is_retried(c, reply.code, reply.message, now_ms, together)
        ]
        for lane in lanes:
            self._routing.declined(lane, endpoint, reply.code, reply.address, now_ms)
        self.again(again)

    def _unread(self, endpoint: str, reply: ErrorReply, now_ms: int) -> None:
        """A node could not read a message, so cannot say which. Every one may be it, or not."""
        for batch in reversed(self._flight.at(endpoint)):
            calls = batch.calls_in_flight()
            for call in calls:
                call.alone = True
                call.in_doubt = call.in_doubt or reply.code not in RETRIED
            self.again([call for call in calls if call.repeatable])
            self._routing.declined(batch.lane, endpoint, reply.code, reply.address, now_ms)
            batch.lane.pause(now_ms, self._random)

    def _is_retried(
        self, call: Call, code: str, message: str, now_ms: int, together: int = 1
    ) -> bool:
        """Whether the call is sent again after an answer that is not a result; else it ends."""
        if code == SessionExpired.code and call.session == self._serials.session:
            self._serials.lost()
        if code in ABOUT_THE_MESSAGE and together > 1 and not call.alone:
            call.alone = True  # one of them is at fault; sent one by one, it alone will fail
            return True
        error = declined(call, code, message)
        if error is not None:
            self._calls.fail(call, error, now_ms)
        return error is None

    def again(self, calls: list[Call]) -> None:
        """Put calls that are in flight back into the queues they came from, in front."""
        by_lane: dict[Lane, list[Call]] = {}
        for call in calls:
            if call.batch is not None and not call.done:
                by_lane.setdefault(call.batch.lane, []).append(call)
                self._flight.release(call)
        for lane, group in by_lane.items():
            lane.requeue(group)

    def silent(self, batch: Batch, now_ms: int) -> None:
        """No answer in time: anything may have been lost, so send again; and elsewhere, if
        nothing else came from there either."""
        calls = batch.calls_in_flight()
        for call in calls:
            call.in_doubt = True
            call.silences += 1
        self.again(calls)
        batch.lane.paced(now_ms - batch.sent_ms)
        link = self._endpoints.link(batch.endpoint)
        if link.heard_ms > batch.sent_ms:
            return
        self._routing.leave(batch.endpoint, "no answer", now_ms)
        for held in [b for b in self._flight.at(batch.endpoint) if b.lane.holds]:
            self.again(held.calls_in_flight())  # nobody will answer these sooner
        since_ms = link.unanswered_ms
        if since_ms is not None and now_ms - since_ms >= RENEW_MS:
            self._routing.reset(batch.endpoint)
            link.up = link.unanswered_ms = None
            self.lost(batch.endpoint, "no answer", now_ms)

    def lost(self, endpoint: str, what: str, now_ms: int) -> None:
        """Answers to what is in flight there can no longer arrive."""
        for batch in reversed(self._flight.at(endpoint)):
            calls = batch.calls_in_flight()
            for call in calls:
                if call.repeatable:
                    call.in_doubt = True
                else:
                    error = OutcomeUnknown(f"sent to {endpoint}, then {what}")
                    self._calls.fail(call, error, now_ms)
            self.again(calls)
        self._routing.leave(endpoint, what, now_ms)
        self._watches.link_lost(endpoint, now_ms)


def _is_at(call: Call | None, endpoint: str) -> TypeGuard[Call]:
    """Whether the call is in flight at the endpoint."""
    return call is not None and call.batch is not None and call.batch.endpoint == endpoint
