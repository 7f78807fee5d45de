"""A client's conversation with a cluster, without sockets, clock or threads.

A shell hands in calls, frames that arrived and which links are up, and the time with each; it sends
what `outgoing` returns, and wakes the callers of `take_finished`. DESIGN.md says how it decides.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from random import Random
from typing import Final, TypeGuard

from raftzmq.client.calls import AWAITS, WATCHES, Batch, Call
from raftzmq.client.flight import Flight
from raftzmq.client.outcomes import (
    ABOUT_THE_MESSAGE,
    DONE,
    REFUSALS,
    RETRIED,
    abandoned,
    declined,
    message_of,
    overdue,
    words,
)
from raftzmq.client.packing import Packer
from raftzmq.client.routes import HINTED_LINKS, Endpoints, Lane
from raftzmq.client.serials import Serials
from raftzmq.client.steering import HEDGE_MS, Steering
from raftzmq.client.waiting import LeaderSearch, SessionOpening
from raftzmq.client.work import Answer, NodeRequest
from raftzmq.errors import (
    OutcomeUnknown,
    Overloaded,
    RaftzmqError,
    SessionExpired,
    WireError,
)
from raftzmq.transport.client_wire import Done, ErrorReply, Results, StatusReply, decode_reply
from raftzmq.transport.watch_wire import WatcherHears

RENEW_MS: Final = 2000
"""A link with nothing heard for so long is made anew, so that its name is resolved again."""

LINK_CHECK_MS: Final = 100
"""How often to look whether links are still up while answers are awaited."""

DEADLINE_GRAIN_MS: Final = 5
"""Deadlines are looked at this often at most: each look is at every call."""

CALLS_MOST: Final = 100_000
CALL_BYTES_MOST: Final = 256 * 1024 * 1024
"""Most calls, and bytes in them, that wait or are in flight; beyond: Overloaded."""


_batch_of = attrgetter("batch")


class ClientSession:
    """See the module. Not for use by several threads at once."""

    def __init__(
        self,
        endpoints: Sequence[str],
        random: Random,
        *,
        calls_most: int = CALLS_MOST,
        call_bytes_most: int = CALL_BYTES_MOST,
    ) -> None:
        self.endpoints = Endpoints(tuple(endpoints))
        self._random = random
        self._calls_most = calls_most
        self._call_bytes_most = call_bytes_most
        first = self.endpoints.configured[0]
        self._leader = Lane(first)
        self._anyone = Lane(first, stale=True)
        self._lanes = {"": self._leader, "any": self._anyone}  # and those of named endpoints
        self._serials = Serials()
        self._flight = Flight(random)
        self._steering = Steering(self.endpoints, (self._leader, self._anyone), random)
        opening = SessionOpening(self._serials, self._leader, self._start, self._fail)
        search = LeaderSearch(self.endpoints, self._leader, random, self._start)
        self._packer = Packer(self._flight, self._serials, opening, search, self._fail)
        self._live: dict[Call, None] = {}
        self._bytes = 0
        self._look_ms = 0  # when to look at deadlines next
        self._now_ms = 0
        self._finished: list[Call] = []

    # -- calls --------------------------------------------------------------------------------

    def submit(self, call: Call, now_ms: int) -> None:
        """Take a call; it finishes, one way or the other, by its deadline."""
        self._now_ms = now_ms
        if len(self._live) >= self._calls_most or self._bytes + call.size > self._call_bytes_most:
            self._bytes += call.size
            self._fail(call, Overloaded(f"{len(self._live)} calls of this client wait already"))
            return
        self._admit(call).queue.append(call)

    def cancel(self, call: Call, now_ms: int) -> None:
        """Nobody waits for the call any more. What was sent of it may still take effect."""
        self._now_ms = now_ms
        if not call.done:
            self._settle(call)

    def take_finished(self) -> list[Call]:
        """The calls that are done since the last time."""
        finished, self._finished = self._finished, []
        return finished

    def close(self, why: str) -> None:
        """Fail every call."""
        for call in list(self._live):
            if call.internal is None:
                self._fail(call, abandoned(call, why))
            else:
                self._settle(call)

    @property
    def can_close_session(self) -> bool:
        """Whether a session is open, and the leader there to be told that it is not needed."""
        link = self.endpoints.link(self._leader.target)
        return bool(self._serials.session and link.up and self._leader.confirmed)

    def _start(self, call: Call) -> None:
        """Take a call of the session's own, to be sent before others."""
        self._admit(call).queue.appendleft(call)

    def _admit(self, call: Call) -> Lane:
        lane = self._lanes.get(call.lane) or self._new_lane(call)
        if not (lane.queue or lane.messages):
            lane.aimed_ms = self._now_ms  # patience with the target begins with the first call
            if lane.holds:
                lane.target = self._leader.target
        if not self._live or call.deadline_ms < self._look_ms:
            self._look_ms = call.deadline_ms
        self._live[call] = None
        self._bytes += call.size
        return lane

    def _new_lane(self, call: Call) -> Lane:
        if call.work.endpoint is not None:
            lane = Lane(call.work.endpoint, fixed=True, stale=True)
        else:
            lane = Lane(self._leader.target, holds=call.lane == AWAITS)
            if call.lane == WATCHES:  # any node will do: let not all clients choose the same
                lane.target = self._random.choice(self.endpoints.configured)
            self._steering.steer(lane)
        self._lanes[call.lane] = lane
        return lane

    def _fail(self, call: Call, error: RaftzmqError) -> None:
        if not call.done:
            call.error = error
            self._end(call)

    def _end(self, call: Call) -> None:
        """The call has its answer or its error."""
        self._settle(call)
        if call.internal is None:
            self._finished.append(call)
        else:
            call.internal(call, self._now_ms)

    def _settle(self, call: Call) -> None:
        call.done = True
        self._live.pop(call, None)
        self._bytes -= call.size
        self._flight.release(call)
        if call.id:
            self._flight.by_id.pop(call.id, None)
            if call.numbered:
                self._serials.settled(call.id)

    def _end_all(self, calls: list[Call]) -> None:
        """As `_end` for each, but the bookkeeping is done once for all; their ids are forgotten
        already. The hot path of a client."""
        live = self._live
        for batch, group in groupby(calls, key=_batch_of):
            if batch is not None:
                batch.lane.answered()
                self._flight.release_from(batch, list(group))
        for call in calls:
            call.done = True
            live.pop(call, None)
        self._bytes -= sum([call.size for call in calls])
        self._serials.settled(*[call.id for call in calls if call.numbered])
        self._finished += [call for call in calls if call.internal is None]
        for call in [call for call in calls if call.internal is not None]:
            call.internal(call, self._now_ms)  # type: ignore[misc]  # it was looked at just now

    # -- what arrives -------------------------------------------------------------------------

    def received(self, endpoint: str, frame: bytes, now_ms: int) -> None:
        """Take a frame that an endpoint sent."""
        self._now_ms = now_ms
        try:
            reply = decode_reply(frame)
        except WireError as error:
            self.endpoints.note(endpoint, f"not of the protocol: {error}", now_ms)
            return
        link = self.endpoints.link(endpoint)
        link.heard_ms = now_ms
        link.unanswered_ms = None
        if isinstance(reply, Results):
            self._results(endpoint, reply)
        elif isinstance(reply, ErrorReply):
            self._refused(endpoint, reply)
        elif isinstance(reply, StatusReply | Done):
            self._single(reply)
        else:
            self._watch_heard(endpoint, reply)

    def _results(self, endpoint: str, reply: Results) -> None:
        by_id = self._flight.by_id
        term, leader, cluster = reply.term, reply.leader, reply.cluster
        if leader == reply.node and endpoint == self._leader.target:
            self._leader.confirmed = True
        done: list[Call] = []
        again: list[Call] = []
        for ident, code, index, body in reply.results:
            call = by_id.get(ident)
            if call is None:
                continue  # late, or a duplicate: the call has its answer
            if code in DONE:
                del by_id[ident]
                call.answer = Answer(code == "ok", index, body, term, leader, cluster)
                done.append(call)
            elif code in REFUSALS:
                del by_id[ident]
                call.error = REFUSALS[code](message_of(body, code))
                done.append(call)
            elif _is_at(call, endpoint):
                assert call.batch is not None
                lane = call.batch.lane
                if self._is_retried(call, code, message_of(body, code)):
                    self._steering.declined(lane, endpoint, code, None, self._now_ms)
                    again.append(call)
        self._end_all(done)
        self._again(again)

    def _single(self, reply: StatusReply | Done) -> None:
        call = self._flight.by_id.get(reply.id)
        if call is not None and isinstance(call.work, NodeRequest):
            if call.batch is not None:
                call.batch.lane.answered()
            call.answer = reply
            self._end(call)

    def _watch_heard(self, endpoint: str, reply: WatcherHears) -> None:
        """A node said something of a watch: nobody here asked for one."""

    def _refused(self, endpoint: str, reply: ErrorReply) -> None:
        """A node would not do some operations of a message, or any."""
        self.endpoints.note(endpoint, words(reply), self._now_ms)
        if reply.ids is None:
            self._unread(endpoint, reply)
            return
        # An answer that another endpoint, or an earlier try, has overtaken is of no use.
        by_id = self._flight.by_id
        calls = [call for i in reply.ids if _is_at(call := by_id.get(i), endpoint)]
        lanes = dict.fromkeys(call.batch.lane for call in calls if call.batch is not None)
        together = len(calls)
        again = [c for c in calls if self._is_retried(c, reply.code, reply.message, together)]
        for lane in lanes:
            self._steering.declined(lane, endpoint, reply.code, reply.address, self._now_ms)
        self._again(again)

    def _unread(self, endpoint: str, reply: ErrorReply) -> None:
        """A node could not read a message, so cannot say which. Every one may be it, or not."""
        for batch in reversed(self._flight.at(endpoint)):
            calls = batch.calls_in_flight()
            for call in calls:
                call.alone = True
                call.in_doubt = call.in_doubt or reply.code not in RETRIED
            self._again([call for call in calls if call.repeatable])
            self._steering.declined(batch.lane, endpoint, reply.code, reply.address, self._now_ms)
            batch.lane.pause(self._now_ms, self._random)

    def _is_retried(self, call: Call, code: str, message: str, together: int = 1) -> bool:
        """Whether the call is sent again after an answer that is not a result; else it ends."""
        if code == SessionExpired.code and call.session == self._serials.session:
            self._serials.lost()
        if code in ABOUT_THE_MESSAGE and together > 1 and not call.alone:
            call.alone = True  # one of them is at fault; sent one by one, it alone will fail
            return True
        error = declined(call, code, message)
        if error is not None:
            self._fail(call, error)
        return error is None

    def _again(self, calls: list[Call]) -> None:
        """Put calls that are in flight back into the queues they came from, in front."""
        by_lane: dict[Lane, list[Call]] = {}
        for call in calls:
            if call.batch is not None and not call.done:
                by_lane.setdefault(call.batch.lane, []).append(call)
                self._flight.release(call)
        for lane, group in by_lane.items():
            lane.requeue(group)

    # -- links and time -----------------------------------------------------------------------

    def interests(self) -> set[str]:
        """The endpoints that links are wanted to, and whose state is to be reported before
        `outgoing`. None while there is nothing to do."""
        if not self._live:
            return set()
        wanted = {batch.endpoint for batch in self._flight}
        for lane in self._lanes.values():
            if lane.queue:
                wanted.add(lane.target)
                if self._steering.hedges(lane, self._now_ms):
                    wanted.update(self.endpoints.configured)
        for endpoint in wanted:
            self.endpoints.link(endpoint).used_ms = self._now_ms
        for endpoint, link in self.endpoints.links.items():
            if link.up:
                wanted.add(endpoint)
            elif endpoint not in wanted:
                link.up = None  # nobody looks any more
        return wanted

    def link_state(self, endpoint: str, up: bool, now_ms: int) -> None:
        """Say whether the endpoint is connected now."""
        self._now_ms = now_ms
        link = self.endpoints.link(endpoint)
        was, link.up = link.up, up
        if up and not was:
            link.suspect_until_ms = 0
        elif was and not up:
            self._lost(endpoint, "connection lost")

    def tick(self, now_ms: int) -> None:
        """Do what is due by now."""
        self._now_ms = now_ms
        if self._live and now_ms >= self._look_ms:
            self._expire()
        for batch in self._flight.silent(now_ms):
            self._silent(batch)

    def _expire(self) -> None:
        now_ms = self._now_ms
        late = [call for call in self._live if now_ms >= call.deadline_ms]
        # The session's own first: what they met with is of use to those that waited for them.
        for call in sorted(late, key=lambda call: call.internal is None):
            if not call.done:
                self._fail(call, overdue(call, self.endpoints))
        earliest_ms = min((call.deadline_ms for call in self._live), default=0)
        self._look_ms = max(earliest_ms, now_ms + DEADLINE_GRAIN_MS)

    def _silent(self, batch: Batch) -> None:
        """No answer in time: anything may have been lost, so send again; and elsewhere, if
        nothing else came from there either."""
        calls = batch.calls_in_flight()
        for call in calls:
            call.in_doubt = True
            call.silences += 1
        self._again(calls)
        link = self.endpoints.link(batch.endpoint)
        if link.heard_ms > batch.sent_ms:
            return
        self._steering.leave(batch.endpoint, "no answer", self._now_ms)
        for held in [b for b in self._flight.at(batch.endpoint) if b.lane.holds]:
            self._again(held.calls_in_flight())  # nobody will answer these sooner
        since_ms = link.unanswered_ms
        if since_ms is not None and self._now_ms - since_ms >= RENEW_MS:
            self._steering.resets.append(batch.endpoint)
            link.up = link.unanswered_ms = None
            self._lost(batch.endpoint, "no answer")

    def _lost(self, endpoint: str, what: str) -> None:
        """Answers to what is in flight there can no longer arrive."""
        for batch in reversed(self._flight.at(endpoint)):
            calls = batch.calls_in_flight()
            for call in calls:
                if call.repeatable:
                    call.in_doubt = True
                else:
                    self._fail(call, OutcomeUnknown(f"sent to {endpoint}, then {what}"))
            self._again(calls)
        self._steering.leave(endpoint, what, self._now_ms)

    # -- what leaves --------------------------------------------------------------------------

    def outgoing(self, now_ms: int) -> Iterator[Batch]:
        """Messages to send now, each `frame` to its `endpoint`. Only to links reported as up."""
        self._now_ms = now_ms
        self._steering.tick(now_ms)
        for lane in list(self._lanes.values()):
            while (
                lane.queue
                and now_ms >= lane.resume_ms
                and self.endpoints.link(lane.target).up
                and self._flight.room(lane)
                and (batch := self._packer.pack(lane, now_ms)) is not None
            ):
                link = self.endpoints.link(lane.target)
                if link.unanswered_ms is None:
                    link.unanswered_ms = now_ms
                yield batch

    def unsent(self, batch: Batch, now_ms: int) -> None:
        """The link did not take the message: it was not sent."""
        self._now_ms = now_ms
        self.endpoints.link(batch.endpoint).up = None
        self._again(batch.calls_in_flight())

    def resets(self) -> list[str]:
        """Links to close now; if wanted again, they are made anew."""
        resets, self._steering.resets = self._steering.resets, []
        if len(self.endpoints.links) > len(self.endpoints.configured) + HINTED_LINKS:
            used = {batch.endpoint for batch in self._flight}
            used.update(lane.target for lane in self._lanes.values() if lane.queue)
            for endpoint in self.endpoints.surplus(used):
                resets.append(endpoint)
                self._lanes.pop(endpoint, None)
        return resets

    def next_deadline_ms(self) -> int | None:
        """When `tick` and the state of links are due next; None: when something else happens."""
        if not self._live:
            return None
        now_ms = self._now_ms
        due = [self._look_ms]
        if self._flight:
            due.append(now_ms + LINK_CHECK_MS)
            due.append(self._flight.next_silent_ms() or due[0])
        for lane in self._lanes.values():
            if not lane.queue:
                continue
            up = self.endpoints.link(lane.target).up
            if up is None:
                return now_ms
            if up and now_ms < lane.resume_ms:
                due.append(lane.resume_ms)
            elif not up:
                due.append(max(lane.aimed_ms + HEDGE_MS, now_ms + LINK_CHECK_MS // 2))
        return min(due)


def _is_at(call: Call | None, endpoint: str) -> TypeGuard[Call]:
    """Whether the call is in flight at the endpoint."""
    return call is not None and call.batch is not None and call.batch.endpoint == endpoint
