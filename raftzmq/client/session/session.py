"""A client's conversation with a cluster, without sockets, clock or threads.

A shell hands in calls and tasks, frames that arrived and which links are up, and the time with
each; it sends what `outgoing` returns, and wakes those who wait for what is finished. A *call* is
one request and its answer; a *task* takes several, which the session makes itself. DESIGN.md says
how it decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from random import Random
from typing import Final

from raftzmq.client.session.acquisition import Acquisition
from raftzmq.client.session.agenda import NEVER_MS
from raftzmq.client.session.answers import Answers
from raftzmq.client.session.calls import Batch, Call, Lane
from raftzmq.client.session.endpoints import Endpoints
from raftzmq.client.session.flight import Flight
from raftzmq.client.session.leases import HeldLease, LeaseKeeper
from raftzmq.client.session.members import MemberSearch
from raftzmq.client.session.mirrors import Mirrored, Mirrors
from raftzmq.client.session.outstanding import CALL_BYTES_MOST, CALLS_MOST, Outstanding
from raftzmq.client.session.packer import Packer
from raftzmq.client.session.places import Acquisitions
from raftzmq.client.session.prerequisites import LeaderSearch, SessionOpening
from raftzmq.client.session.routing import HEDGE_MS, Routing
from raftzmq.client.session.serials import Serials
from raftzmq.client.session.subscriptions import Subscription
from raftzmq.client.session.tasks import Task
from raftzmq.client.session.watches import Watches
from raftzmq.errors import WireError
from raftzmq.transport.client_wire import ErrorReply, Results, Single, decode_reply, encode_request

LINK_CHECK_MS: Final = 100
"""How often to look whether links are still up while answers are awaited."""


class Session:
    """See the module. Not for use by several threads at once."""

    def __init__(
        self,
        endpoints: Sequence[str],
        random: Random,
        secrets: Random,
        *,
        learns_members: bool = True,
        calls_most: int = CALLS_MOST,
        call_bytes_most: int = CALL_BYTES_MOST,
        traced: bool = False,
        guess: str = "",
    ) -> None:
        """`random` spreads pauses; `secrets` must be a SystemRandom but in tests, for nobody else
        may guess what it draws. Without `learns_members` only the endpoints and those that hints
        name are used. `traced`: calls may be TracedCalls. `guess`: where the endpoints come
        from that nobody gave, for the errors of a client that none of them has ever answered."""
        self.endpoints = Endpoints(tuple(endpoints), guess)
        self._now_ms = 0
        self._serials = Serials()
        self._flight = Flight(random)
        self._routing = Routing(self.endpoints, random)
        self._calls = calls = Outstanding(
            self._routing, self._flight, self._serials, calls_most, call_bytes_most
        )
        leader = self._routing.leader
        opening = SessionOpening(self._serials, secrets, calls.start, calls.fail)
        search = LeaderSearch(self.endpoints, leader, random, calls.start)
        self._members = MemberSearch(self.endpoints, calls.start) if learns_members else None
        self._packer = Packer(
            self._flight, self._serials, opening, search, calls.fail, traced=traced
        )
        self.leases = LeaseKeeper(calls.submit, calls.cancel, self._finish)
        self.places = Acquisitions(
            self.leases, calls.submit, calls.cancel, self._finish, self.endpoints.account
        )
        self.watches = Watches(calls, self._routing)
        self.mirrors = Mirrors(calls, self.watches)
        self._answers = Answers(
            self.endpoints,
            self._routing,
            self._flight,
            self._serials,
            calls,
            self.watches,
            random,
        )
        self._done: list[Task] = []
        self._unanswered = Lane("")  # of frames that nobody waits for an answer to

    # -- calls --------------------------------------------------------------------------------

    def submit(self, call: Call, now_ms: int) -> None:
        """Take a call; it finishes, one way or the other, by its deadline."""
        self._now_ms = now_ms
        self._calls.submit(call, now_ms)

    def cancel(self, call: Call, now_ms: int) -> None:
        """Nobody waits for the call any more. What was sent of it may still take effect."""
        self._now_ms = now_ms
        self._calls.cancel(call, now_ms)

    def take_finished(self) -> list[Call]:
        """The calls that are done since the last time."""
        return self._calls.take_finished()

    @property
    def can_close_session(self) -> bool:
        """Whether a session is open, and the leader there to be told that it is not needed."""
        leader = self._routing.leader
        link = self.endpoints.link(leader.target)
        return bool(self._serials.session and link.up and leader.confirmed)

    def close(self, why: str) -> None:
        """Fail every call and every task."""
        self.places.close(why)
        self.leases.close(why, self._now_ms)
        self.mirrors.close(why)
        self.watches.close(why)
        self._calls.close(why, self._now_ms)

    # -- tasks --------------------------------------------------------------------------------

    def begin(self, task: Task, now_ms: int) -> None:
        """Take a task; when it is done, `take_tasks` gives it back."""
        self._now_ms = now_ms
        if isinstance(task, Acquisition):
            self.places.begin(task, now_ms)
        elif isinstance(task, HeldLease):
            self.leases.begin(task, now_ms)

    def take_tasks(self) -> list[Task]:
        """The tasks that are done since the last time."""
        done, self._done = self._done, []
        return done

    def abandon(self, task: Task, now_ms: int) -> None:
        """Nobody wants what the task is to get, or has got, any more: give it up."""
        self._now_ms = now_ms
        if isinstance(task, Acquisition):
            self.places.leave(task, now_ms)
        elif isinstance(task, HeldLease):
            self.leases.drop(task, "it was given up", now_ms)

    @property
    def owes_writes(self) -> bool:
        """Whether writes of the session's own are to be answered yet: releases and the like."""
        return self._calls.has_internal_writes

    @property
    def has_other(self) -> bool:
        """Whether there are tasks or subscriptions to take."""
        return bool(self._done or self.watches.has_news)

    def subscribe(self, subscription: Subscription, now_ms: int) -> None:
        """Begin to watch; `take_news` gives the subscription back whenever something happens."""
        self._now_ms = now_ms
        self.watches.subscribe(subscription, now_ms)

    def unsubscribe(self, subscription: Subscription, now_ms: int) -> None:
        """Watch no longer."""
        self._now_ms = now_ms
        self.watches.unsubscribe(subscription, now_ms)

    def mirror(self, mirror: Mirrored, now_ms: int) -> None:
        """Begin to keep a mirror; `take_news` gives it back whenever it has changed, or failed."""
        self._now_ms = now_ms
        self.mirrors.begin(mirror, now_ms)

    def mirror_no_more(self, mirror: Mirrored, now_ms: int) -> None:
        self._now_ms = now_ms
        self.mirrors.end(mirror, now_ms)

    def take_news(self) -> list[Subscription]:
        """The watches to which something happened since the last time."""
        return self.watches.take_news()

    def _finish(self, task: Task) -> None:
        self._done.append(task)

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
            self._answers.results(endpoint, reply, now_ms)
        elif isinstance(reply, ErrorReply):
            self._answers.refused(endpoint, reply, now_ms)
        elif isinstance(reply, Single):
            self._answers.single(endpoint, reply, now_ms)
        else:
            self._answers.of_a_watch(endpoint, reply, now_ms)

    def link_state(self, endpoint: str, up: bool, now_ms: int) -> None:
        """Say whether the endpoint is connected now."""
        self._now_ms = now_ms
        link = self.endpoints.link(endpoint)
        was, link.up = link.up, up
        if up and not was:
            link.suspect_until_ms = 0
            link.refused = None
            if self._members is not None:
                self._members.connected(now_ms)
        elif was and not up:
            self._answers.lost(endpoint, "connection lost", now_ms)

    def inspected(self, endpoint: str, refusal: str | None, now_ms: int) -> None:
        """Say why the endpoint, which is not connected, refuses the handshake; None: it does not.
        Calls fail at once that only this one may answer, and all where every endpoint refuses."""
        self._now_ms = now_ms
        self.endpoints.link(endpoint).refused = refusal
        if refusal is None:
            return
        self._routing.leave(endpoint, refusal, now_ms)
        self._calls.refuse(refusal, endpoint, now_ms)
        if (every := self.endpoints.refusal()) is not None:
            self._calls.refuse(every, None, now_ms)

    def resolved(self, endpoint: str, addresses: Iterable[str]) -> None:
        """Say which addresses the name of an endpoint has: it is not connected."""
        self.endpoints.resolve(endpoint, addresses)

    def tick(self, now_ms: int) -> None:
        """Do what is due by now."""
        self._now_ms = now_ms
        if self._calls and now_ms >= self._calls.due_ms:
            self._calls.expire(self.endpoints, now_ms)
        for batch in self._flight.silent(now_ms):
            self._answers.silent(batch, now_ms)
        if now_ms >= self.leases.due_ms:
            self.leases.tick(now_ms)
        if now_ms >= self.places.due_ms:
            self.places.tick(now_ms)
        if now_ms >= self.watches.due_ms:
            self.watches.tick(now_ms)
        if now_ms >= self.mirrors.due_ms:
            self.mirrors.tick(now_ms)
        if self._members is not None and now_ms >= self._members.due_ms:
            self._members.tick(now_ms)

    # -- what leaves --------------------------------------------------------------------------

    def interests(self) -> set[str]:
        """The endpoints that links are wanted to, and whose state is to be reported before
        `outgoing`. None while there is nothing to do."""
        wanted = self._wanted_by_calls() if self._calls else set()
        if self.watches:
            for endpoint in self.watches.endpoints():
                wanted.add(endpoint)
                self.endpoints.link(endpoint).used_ms = self._now_ms
        return wanted

    def _wanted_by_calls(self) -> set[str]:
        wanted = {batch.endpoint for batch in self._flight}
        for lane in self._routing.lanes:
            if lane.queue:
                wanted.add(lane.target)
                if self._routing.hedges(lane, self._now_ms):
                    wanted.update(self.endpoints.given)
        for endpoint in wanted:
            self.endpoints.link(endpoint).used_ms = self._now_ms
        for endpoint, link in self.endpoints.links.items():
            if link.up:
                wanted.add(endpoint)
            elif endpoint not in wanted:
                link.up = None  # nobody looks any more
        return wanted

    def outgoing(self, now_ms: int) -> Iterator[Batch]:
        """Messages to send now, each `frame` to its `endpoint`. Only to links reported as up."""
        self._now_ms = now_ms
        self._routing.tick(now_ms)
        for lane in list(self._routing.lanes):
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
        for endpoint, request in self.watches.take_frames():
            if self.endpoints.link(endpoint).up:  # else the watch there has ended anyway
                frame = encode_request(request)
                yield Batch(endpoint, self._unanswered, [], frame, now_ms, None, 0)

    def unsent(self, batch: Batch, now_ms: int) -> None:
        """The link did not take the message: it was not sent."""
        self._now_ms = now_ms
        self.endpoints.link(batch.endpoint).up = None
        self._answers.again(batch.calls_in_flight())

    def resets(self) -> list[str]:
        """Links to close now; if wanted again, they are made anew."""
        return self._routing.take_resets({batch.endpoint for batch in self._flight})

    def next_deadline_ms(self) -> int | None:
        """When `tick` and the state of links are due next; None: when something else happens."""
        due_ms = min(
            self.leases.due_ms, self.places.due_ms, self.watches.due_ms, self.mirrors.due_ms
        )
        if self._members is not None:
            due_ms = min(due_ms, self._members.due_ms)
        if self.watches:
            due_ms = min(due_ms, self._now_ms + LINK_CHECK_MS)
        if self._calls:
            due_ms = min(due_ms, self._calls_due_ms())
        return None if due_ms == NEVER_MS else due_ms

    def _calls_due_ms(self) -> int:
        now_ms = self._now_ms
        due = [self._calls.due_ms]
        if self._flight:
            due.append(now_ms + LINK_CHECK_MS)
            due.append(self._flight.next_silent_ms() or due[0])
        for lane in self._routing.lanes:
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
