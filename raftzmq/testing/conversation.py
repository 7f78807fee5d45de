"""One client's session, joined to a node in this process by its messages on the wire."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from random import Random
from typing import Final

from raftzmq.client.session.acquisition import Acquisition
from raftzmq.client.session.calls import Call
from raftzmq.client.session.session import Session
from raftzmq.client.session.tasks import Task
from raftzmq.client.shell import Action
from raftzmq.errors import RaftzmqError
from raftzmq.testing.faults import Faults

CLOSED: Final = "the client was closed"
EVENT: Final = "what a watch waits for"


def _nothing() -> None:
    pass


def end(one: Conversation) -> None:
    """Nobody has the client any more. May run where the collector runs."""
    one.over = True


def is_unbounded(task: Task) -> bool:
    """Whether its caller waits for it however long it takes."""
    return isinstance(task, Acquisition) and task.timeout_ms is None


def words(task: Task) -> str:
    """What it is to get, for people."""
    return f"{task.kind} {task.name!r}" if isinstance(task, Acquisition) else "a lease"


class Conversation:
    """Not for use by several threads at once. `told` is called when something may be done."""

    def __init__(self, name: bytes, endpoint: str, random: Random, faults: Faults) -> None:
        self.name = name
        self.session = Session((endpoint,), random, random)
        self.connected = True
        self.over = False  # nobody speaks here any more,
        self.why = ""  # and that is why
        self.told: Callable[[], None] = _nothing
        self.inbox: deque[Action] = deque()
        self._endpoint = endpoint
        self._faults = faults
        self._spoiled: dict[Call, RaftzmqError] = {}
        self._arrived: deque[bytes] = deque()

    # -- what callers hand in -------------------------------------------------------------------

    def submit(self, call: Call, now_ms: int) -> None:
        """Hand in a call; it may be done at once, with the error that the test ordered for it."""
        fault = self._faults.next_for(call)
        if fault is not None and not fault.done:
            call.error, call.done = fault.error, True
            return
        if fault is not None:
            self._spoiled[call] = fault.error
        self.session.submit(call, now_ms)

    def begin(self, task: Task, now_ms: int) -> None:
        """Hand in a task, as `submit` a call."""
        fault = self._faults.next_for(None)
        if fault is not None:
            task.error, task.done = fault.error, True
            return
        self.session.begin(task, now_ms)

    def take_finished(self) -> list[Call]:
        """The calls that are done since the last time."""
        finished = self.session.take_finished()
        for call in finished:
            error = self._spoiled.pop(call, None)
            if error is not None and call.error is None:
                call.error = error
        return finished

    # -- what travels ---------------------------------------------------------------------------

    def arrive(self, frame: bytes) -> bool:
        """Take a frame of the node; False: it is lost."""
        if self.connected and not self.over:
            self._arrived.append(frame)
            return True
        return False

    def turn(self, now_ms: int) -> tuple[bool, list[bytes]]:
        """Do what is due now. Return whether anything was there to do, and what leaves."""
        session, endpoint = self.session, self._endpoint
        busy = bool(self.inbox or self._arrived)
        while self.inbox:
            self.inbox.popleft()(session, now_ms)
        while self._arrived:
            session.received(endpoint, self._arrived.popleft(), now_ms)
        session.tick(now_ms)
        for wanted in session.interests():
            session.link_state(wanted, self.connected and wanted == endpoint, now_ms)
        leaving = [batch.frame for batch in session.outgoing(now_ms)]
        session.resets()
        return busy or bool(leaving), leaving

    def cut(self, now_ms: int) -> None:
        """The connection is lost, with what is on its way."""
        self.connected = False
        self._arrived.clear()
        self.session.link_state(self._endpoint, False, now_ms)

    def end(self, why: str) -> None:
        """Fail what is under way, and speak no more."""
        if not self.over:
            self.over, self.why = True, why
            self.session.close(why)
            self.told()

    @property
    def exact_ms(self) -> int:
        """When something is due that must not be late: leases to be kept, places to be got."""
        return min(self.session.leases.due_ms, self.session.places.due_ms)
