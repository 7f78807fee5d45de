"""A shell without threads and without an event loop: calls are handed in, and come back when done.

For programs that keep many operations in flight and do nothing else, as the benchmark and bulk
loads do: waking one caller costs an asyncio task or a thread more than the operation itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random, SystemRandom
from typing import Any, Final

from raftzmq.client import operations
from raftzmq.client.calls import Call
from raftzmq.client.links import Links, Sleeper, now_ms, send, turn
from raftzmq.client.session import ClientSession
from raftzmq.client.work import Operation

CLOSE_S: Final = 0.2
"""How long closing waits for the cluster to forget the session."""


class DirectClient:
    """Operations (`operations.put(key, value)` and the like) in, finished calls out. For one
    thread. Nothing is received but in `wait`, and nothing sent but there and in `send`."""

    def __init__(self, endpoints: Sequence[str] | str | None = None) -> None:
        random = Random(SystemRandom().getrandbits(64))
        self._session = ClientSession(operations.endpoint_list(endpoints), random)
        self._links = Links()
        self._sleeper = Sleeper()

    def submit(self, work: Operation[Any], timeout: float) -> Call:
        """Hand in an operation, to be done within `timeout` seconds. `waiter` of the call is the
        caller's own."""
        now = now_ms()
        call = Call(work, now, timeout)
        self._session.submit(call, now)
        return call

    def send(self) -> None:
        """Send what was handed in, so that nodes work on it while more is."""
        send(self._session, self._links, now_ms())

    def wait(self) -> list[Call]:
        """Return calls that are done, each once: `error` says which have failed, `result()` gives
        what they return. Waits for the first of them; there must be one that is not done."""
        while not (finished := turn(self._session, self._links)):
            self._sleeper.sleep((self._session, self._links))
        return finished

    def run(self, work: Operation[Any], timeout: float) -> Any:
        """Have one operation done while no other is, and return its result or raise its error."""
        call = self.submit(work, timeout)
        while not call.done:
            self.wait()
        return call.result()

    def close(self) -> None:
        """End the session and close the sockets. What is not done has an unknown outcome."""
        try:
            if self._session.can_close_session:
                call = self.submit(operations.close_session(), CLOSE_S)
                while not call.done:
                    self.wait()
        finally:
            self._session.close("the client was closed")
            self._links.close_all()


class DirectClients:
    """Several clients, each with connections and a session of its own, that are waited for
    together. Whoever submits chooses one of `members`."""

    def __init__(self, count: int, endpoints: Sequence[str] | str | None = None) -> None:
        self.members = [DirectClient(endpoints) for _ in range(count)]
        self._conversations = [(member._session, member._links) for member in self.members]
        self._sleeper = Sleeper()

    def wait(self) -> list[Call]:
        """Return calls of any member that are done, as `DirectClient.wait` does."""
        while True:
            if finished := [call for one in self._conversations for call in turn(*one)]:
                return finished
            self._sleeper.sleep(*self._conversations)

    def close(self) -> None:
        """Close every member."""
        for member in self.members:
            member.close()
