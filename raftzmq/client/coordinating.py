"""A session that also keeps leases alive, waits in lines and watches: in between calls, unasked.

What the shells run. Calls go to ClientSession as they are; tasks are taken apart into calls here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from random import Random

from raftzmq.client.acquiring import Acquisition, Acquisitions
from raftzmq.client.calls import WATCHES, Batch
from raftzmq.client.leasing import NEVER_MS, HeldLease, LeaseKeeper
from raftzmq.client.routes import Lane
from raftzmq.client.session import LINK_CHECK_MS, ClientSession
from raftzmq.client.subscriptions import Subscription
from raftzmq.client.tasks import Task
from raftzmq.client.watching import Watches
from raftzmq.transport.client_wire import encode_request
from raftzmq.transport.watch_wire import WatcherHears, Watching


class CoordinatingSession(ClientSession):
    """See the module. Not for use by several threads at once."""

    def __init__(self, endpoints: Sequence[str], random: Random) -> None:
        super().__init__(endpoints, random)
        self.leases = LeaseKeeper(self.submit, self.cancel, self._finish)
        self.places = Acquisitions(
            self.leases, self.submit, self.cancel, self._finish, self.endpoints.account
        )
        self.watches = Watches(self)
        self._done: list[Task] = []
        self._raw = Lane("")  # of frames that nobody waits for an answer to

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

    def take_news(self) -> list[Subscription]:
        """The watches to which something happened since the last time."""
        return self.watches.take_news()

    def close(self, why: str) -> None:
        """Fail every call and every task."""
        self.places.close(why)
        self.leases.close(why, self._now_ms)
        self.watches.close(why)
        super().close(why)

    def _finish(self, task: Task) -> None:
        self._done.append(task)

    # -- what a session does for watches ------------------------------------------------------

    def leave_endpoint(self, endpoint: str, what: str, now_ms: int) -> None:
        self._steering.leave(endpoint, what, now_ms)

    def watch_later(self, endpoint: str, now_ms: int) -> None:
        lane = self._lanes[WATCHES]
        if lane.target == endpoint:
            lane.aim(self.endpoints.after(endpoint, now_ms), now_ms)
        lane.pause(now_ms, self._random)

    def watch_elsewhere(self, tried: Collection[str], now_ms: int) -> bool:
        for endpoint in self.endpoints.configured:
            if endpoint not in tried and not self.endpoints.is_suspect(endpoint, now_ms):
                self._lanes[WATCHES].aim(endpoint, now_ms)
                return True
        return False

    def _watch_heard(self, endpoint: str, reply: WatcherHears) -> None:
        call = self._flight.by_id.get(reply.id)
        if isinstance(reply, Watching) and call is not None and call.batch is not None:
            call.batch.lane.answered()
        self.watches.received(endpoint, reply, self._now_ms)

    def _lost(self, endpoint: str, what: str) -> None:
        super()._lost(endpoint, what)
        self.watches.link_lost(endpoint, self._now_ms)

    # -- turns --------------------------------------------------------------------------------

    def tick(self, now_ms: int) -> None:
        """Do what is due by now."""
        super().tick(now_ms)
        if now_ms >= self.leases.due_ms:
            self.leases.tick(now_ms)
        if now_ms >= self.places.due_ms:
            self.places.tick(now_ms)
        if now_ms >= self.watches.due_ms:
            self.watches.tick(now_ms)

    def interests(self) -> set[str]:
        """As of ClientSession, and those that are watched at."""
        wanted = super().interests()
        if self.watches:
            for endpoint in self.watches.endpoints():
                wanted.add(endpoint)
                self.endpoints.link(endpoint).used_ms = self._now_ms
        return wanted

    def outgoing(self, now_ms: int) -> Iterator[Batch]:
        """As of ClientSession."""
        yield from super().outgoing(now_ms)
        if self.watches:
            for endpoint, request in self.watches.take_frames():
                if self.endpoints.link(endpoint).up:  # else the watch there has ended anyway
                    frame = encode_request(request)
                    yield Batch(endpoint, self._raw, [], frame, now_ms, None, 0)

    def next_deadline_ms(self) -> int | None:
        """As of ClientSession; with links to look at while anything is watched."""
        due_ms = super().next_deadline_ms()
        own_ms = min(self.leases.due_ms, self.places.due_ms, self.watches.due_ms)
        if self.watches:
            own_ms = min(own_ms, self._now_ms + LINK_CHECK_MS)
        if due_ms is not None:
            return min(due_ms, own_ms)
        return None if own_ms == NEVER_MS else own_ms
