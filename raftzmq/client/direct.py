"""A shell without threads and without an event loop: calls are handed in, and come back when done.

For programs that keep many operations in flight and do nothing else, as the benchmark and bulk
loads do: waking one caller costs an asyncio task or a thread more than the operation itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random, SystemRandom
from typing import Any, Final

from raftzmq.access.key_files import KeyPath, key_file
from raftzmq.client import discovery
from raftzmq.client.operations import cluster, queues
from raftzmq.client.operations.arguments import Operation
from raftzmq.client.session.acquisition import Acquisition
from raftzmq.client.session.calls import Call
from raftzmq.client.session.session import Session
from raftzmq.client.session.subscriptions import Subscription
from raftzmq.client.session.tasks import Task
from raftzmq.client.sockets import Links, Sleeper, now_ms, turn

CLOSE_S: Final = 0.2
"""How long closing waits for the cluster to forget the session."""


class DirectClient:
    """Operations (`keys.put(key, value)` and the like) in, finished calls out. For one
    thread. Nothing is sent or received but in `wait`."""

    def __init__(self, endpoints: Sequence[str] | str | None = None, key: KeyPath = None) -> None:
        place = discovery.find(endpoints)
        random = Random(SystemRandom().getrandbits(64))
        self._session = Session(place.endpoints, random, SystemRandom(), guess=place.guess)
        self._links = Links(key_source=key_file(place.key if key is None else key))
        self._sleeper = Sleeper()

    def submit(self, work: Operation[Any], timeout: float) -> Call:
        """Hand in an operation, to be done within `timeout` seconds. `waiter` of the call is the
        caller's own."""
        now = now_ms()
        call = Call(work, now, timeout)
        self._session.submit(call, now)
        return call

    def begin(self, task: Task) -> None:
        """Hand in a lease that is to be granted (HeldLease), or a place to be acquired
        (Acquisition): once it is, or is not, `take_tasks` gives it back."""
        self._session.begin(task, now_ms())

    def release(self, place: Acquisition, timeout: float) -> Call:
        """Hand in the release of a place that is held, to be done within `timeout` seconds."""
        self._session.places.given_back(place)
        return self.submit(queues.release(place.kind, place.name, place.token), timeout)

    def watch(self, subscription: Subscription) -> None:
        """Begin to watch: `take_news` gives it back whenever there is something in it to take."""
        self._session.subscribe(subscription, now_ms())

    def unwatch(self, subscription: Subscription) -> None:
        """Watch no longer."""
        self._session.unsubscribe(subscription, now_ms())

    def wait(self) -> list[Call]:
        """Return calls that are done, each once: `error` says which have failed, `result()` gives
        what they return. Waits for the first of them, or for a task that is done or a watch with
        news, and then there may be none; something must be under way."""
        while not ((finished := turn(self._session, self._links)) or self.has_other):
            self._sleeper.sleep((self._session, self._links))
        return finished

    @property
    def has_other(self) -> bool:
        """Whether there are tasks or watches to take."""
        return self._session.has_other

    def take_tasks(self) -> list[Task]:
        """The tasks that are done since the last time."""
        return self._session.take_tasks()

    def take_news(self) -> list[Subscription]:
        """The watches to which something happened since the last time."""
        return self._session.take_news()

    def perform(self, task: Task) -> None:
        """Have one task done while nothing else is; raise its error."""
        self.begin(task)
        self._until_done(task)
        self.take_tasks()
        task.result()

    def run(self, work: Operation[Any], timeout: float) -> Any:
        """Have one operation done while no other is, and return its result or raise its error."""
        call = self.submit(work, timeout)
        self._until_done(call)
        return call.result()

    def _until_done(self, work: Call | Task) -> None:
        while True:
            turn(self._session, self._links)
            if work.done:
                return
            self._sleeper.sleep((self._session, self._links))

    def close(self) -> None:
        """End the session and all leases, and close the sockets. What is not done has an unknown
        outcome."""
        try:
            if self._session.can_close_session:
                self._session.leases.drop_all("the client was closed", now_ms())
                end = Call(cluster.close_session(), now_ms(), CLOSE_S, own=True)
                self._session.submit(end, now_ms())
                self._until_done(end)
        finally:
            self._session.close("the client was closed")
            self._links.close_all()


class DirectClients:
    """Several clients, each with connections and a session of its own, that are waited for
    together. Whoever submits chooses one of `members`."""

    def __init__(
        self, count: int, endpoints: Sequence[str] | str | None = None, key: KeyPath = None
    ) -> None:
        self.members = [DirectClient(endpoints, key) for _ in range(count)]
        self._conversations = [(member._session, member._links) for member in self.members]
        self._sleeper = Sleeper()

    def wait(self) -> list[Call]:
        """Return calls of any member that are done, as `DirectClient.wait` does."""
        while True:
            finished = [call for one in self._conversations for call in turn(*one)]
            if finished or any(member.has_other for member in self.members):
                return finished
            self._sleeper.sleep(*self._conversations)

    def close(self) -> None:
        """Close every member."""
        for member in self.members:
            member.close()
