"""A session that coordinates, without sockets: leases and places as the test answers for them."""

from __future__ import annotations

from random import Random
from typing import Any

from raftzmq.client.session.acquisition import Acquisition
from raftzmq.client.session.leases import HeldLease
from raftzmq.client.session.session import Session
from raftzmq.client.session.subscriptions import Subscription
from raftzmq.transport.client_wire import OperationsRequest
from raftzmq.transport.watch_wire import Events, UnwatchRequest, Watching, WatchLost, WatchRequest
from tests.client.conversation import CLUSTER, NAMES, A, B, C, Conversation, Sent

TTL_MS = 9000


class Coordinating(Conversation):
    def __init__(self) -> None:
        super().__init__()
        self.session: Session = Session((A, B, C), Random(7), Random(8), learns_members=False)
        self.open_session()
        self.index = 100

    # -- leases and places --------------------------------------------------------------------

    def lease(self, timeout_s: float = 5) -> HeldLease:
        """A lease that is asked for."""
        lease = HeldLease(TTL_MS, timeout_s=timeout_s)
        self.session.begin(lease, self.now_ms)
        return lease

    def granted(self) -> HeldLease:
        """A lease that has just been granted, without any delay."""
        lease = self.lease()
        self.ok(self.one(), 55)
        assert lease.id == 55
        self.session.take_tasks()
        return lease

    def place(self, lease: HeldLease | None = None, timeout_ms: int | None = None) -> Acquisition:
        """A place in the line of a lock that is asked for."""
        ttl_ms = 0 if lease else TTL_MS
        place = Acquisition("lock", "l", lease=lease, ttl_ms=ttl_ms, timeout_ms=timeout_ms)
        self.session.begin(place, self.now_ms)
        return place

    def give_up(self, task: HeldLease | Acquisition) -> None:
        self.session.abandon(task, self.now_ms)

    def ok(self, sent: Sent, body: Any = None) -> None:
        """Answer the one operation of a message."""
        self.says(sent, "ok", body)

    def says(self, sent: Sent, code: str, body: Any = None) -> None:
        assert len(sent.ids) == 1, sent.ops
        self.index += 1
        if code != "ok":
            body = {"message": "because"}
        self.results(sent.endpoint, [sent.ids[0], code, self.index, body])

    def sends(self) -> list[list[Any]]:
        """The operations that leave now, without their ids."""
        return [op[1:] for sent in self.turn() for op in _operations(sent)]

    def sends_in(self, ms: int) -> list[Sent]:
        """The messages of operations that leave in so many milliseconds."""
        return [s for s in self.later(ms) if isinstance(s.request, OperationsRequest)]

    def kept_for(self, ms: int) -> list[Sent]:
        """What leaves in so many milliseconds besides the keeping alive of leases, which is
        answered at once."""
        others: list[Sent] = []
        end_ms = self.now_ms + ms
        while self.now_ms < end_ms:
            for sent in self.later(min(100, end_ms - self.now_ms)):
                if sent.names == ["lease_keep"]:
                    self.ok(sent, TTL_MS)
                else:
                    others.append(sent)
        return others

    # -- watches ------------------------------------------------------------------------------

    def subscribe(self, start: int | None = None, key: str = "k") -> Subscription:
        one = Subscription(key, None, start, False)
        self.session.subscribe(one, self.now_ms)
        return one

    def asked(self) -> tuple[str, WatchRequest]:
        """The one request to watch that leaves now, and whom it is sent to."""
        found = [
            (s.endpoint, s.request) for s in self.turn() if isinstance(s.request, WatchRequest)
        ]
        assert len(found) == 1, found
        return found[0]

    def unwatched(self, sent: list[Sent]) -> list[int]:
        return [s.request.id for s in sent if isinstance(s.request, UnwatchRequest)]

    def watching(self, endpoint: str, request: WatchRequest, after: int) -> None:
        self.answer(endpoint, Watching(request.id, after, NAMES[endpoint], CLUSTER))

    def events(
        self,
        endpoint: str,
        request: WatchRequest,
        after: int,
        through: int,
        *revisions: int,
        skip: int = 0,
    ) -> None:
        """Tell of a change at each revision; the value says which of its revision it is."""
        events = []
        for n, revision in enumerate(revisions):
            nth = revisions[:n].count(revision) + (skip if revision == after + 1 else 0)
            events.append([revision, "k", f"{revision}.{nth}", None])
        self.answer(endpoint, Events(request.id, after, through, events, skip))

    def lost(self, endpoint: str, request: WatchRequest, code: str, start: int) -> None:
        self.answer(endpoint, WatchLost(request.id, code, "because", start))


def _operations(sent: Sent) -> list[list[Any]]:
    return sent.ops if isinstance(sent.request, OperationsRequest) else []


def values(one: Subscription) -> list[Any]:
    """The values of all events that can be taken now."""
    taken = []
    while events := one.take():
        taken += [event.value for event in events]
    return taken
