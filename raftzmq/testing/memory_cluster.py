"""A node in this process, without threads or sockets, and the clock that it shares with clients.

The node is the real one (raftzmq/node), alone in its cluster and on a disk in memory. So what it
refuses, when leases end and what watchers see is what a cluster does. Messages travel as the bytes
that the wire has, in no time. Time passes where a test says so, and where a call waits for what
nothing else in this process can bring about.
"""

from __future__ import annotations

import heapq
import threading
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Final

from raftzmq.core.config import Config
from raftzmq.naming import client_address
from raftzmq.node import Node, NodeSettings
from raftzmq.storage import MemoryFiles, MemoryStorage
from raftzmq.testing.conversation import Conversation
from raftzmq.testing.faults import Faults
from raftzmq.transport.client_wire import (
    Reply,
    Results,
    decode_request,
    encode_reply,
    encode_results,
)
from raftzmq.versions import SPOKEN

NAME: Final = "raft-0"
ADDRESS: Final = f"{NAME}.fake.invalid:6000"
ENDPOINT: Final = client_address(ADDRESS)
INCARNATION: Final = "fa4efa4efa4efa4e"

LONG_MS: Final = 2**60

ALONE: Final = Config(election_timeout_ms=LONG_MS, heartbeat_ms=LONG_MS // 2)
"""There is nobody to hear from. A clock that moves by less at once is not taken for one that jumps,
which would end leases later."""

BEGINNING: Final = datetime(2026, 1, 1, tzinfo=UTC)
"""What the clock shows first, for people."""

STEPS: Final = 1000
"""However long `advance` is told to let pass, what may be late is looked at about so often in it:
heartbeats, and whether links are up. Leases and keys end exactly when they have to."""

QUIET_S: Final = 0.2
"""Where several threads use the fake, so long in real time one that waits leaves it to the others
to do something, before the fake's clock moves."""

PATIENCE_S: Final = 300.0


class Deadlock(AssertionError):
    """A call waits without a timeout for what nothing in this test will bring about."""


class MemoryCluster:
    """See the module. What a test uses is FakeCluster."""

    def __init__(self, *, seed: int, patience: float) -> None:
        self.now_ms = 0
        self.patience_ms = int(patience * 1000)
        self.lock = threading.RLock()
        self._moved = threading.Condition(self.lock)
        self._settled = 0  # how often something has moved by what threads did that do not wait
        self._quiet_since = -1  # at that count nothing came for QUIET_S
        self._threads: set[threading.Thread] = set()
        self._waiting: set[threading.Thread] = set()
        self.faults = Faults()
        self._random = Random(seed)
        self._conversations: dict[bytes, Conversation] = {}
        self._count = 0
        self._settling = False
        self._node_done_ms = -1  # by then the node has done all that is to do
        self._alarms: list[tuple[int, int, Callable[[], object]]] = []  # a heap
        self._tellings: deque[Callable[[], object]] = deque()
        store = MemoryStorage(MemoryFiles(), incarnation=lambda: INCARNATION)
        settings = NodeSettings(name=NAME, address=ADDRESS, initial={NAME: ADDRESS}, raft=ALONE)
        self._node = Node(settings, store, store.open(NAME), Random(seed), 0)
        while self._node.machine.version < SPOKEN.highest:
            self._node_turn()
            self.now_ms += 1

    # -- clients --------------------------------------------------------------------------------

    def join(self) -> Conversation:
        """A new client's conversation."""
        with self.lock:
            self._count += 1
            name = f"client-{self._count}".encode()
            random = Random(self._random.getrandbits(64))
            one = self._conversations[name] = Conversation(name, ENDPOINT, random, self.faults)
            return one

    @property
    def conversations(self) -> list[Conversation]:
        """Those of all clients that there are."""
        return list(self._conversations.values())

    def tell(self, what: Callable[[], object]) -> None:
        """Have it called once nothing else is under way: `on_lost` may take its time."""
        self._tellings.append(what)

    def call_at(self, time_ms: int, what: Callable[[], object]) -> None:
        """Have it called once the clock shows that time."""
        self._count += 1
        heapq.heappush(self._alarms, (time_ms, self._count, what))

    def time_of_day(self) -> str:
        """The date and time that the clock shows, as RFC 3339 has it."""
        shown = BEGINNING + timedelta(milliseconds=self.now_ms)
        return shown.isoformat(timespec="seconds").replace("+00:00", "Z")

    # -- what happens ---------------------------------------------------------------------------

    def settle(self) -> None:
        """Have everything happen that can happen without time passing."""
        with self.lock:
            if self._settling:
                return
            self._settling = True
            try:
                while self._round():
                    if threading.current_thread() not in self._waiting:
                        self._settled += 1
            finally:
                self._settling = False
                self._moved.notify_all()
            for one in self.conversations:
                one.told()
            while self._alarms and self._alarms[0][0] <= self.now_ms:
                heapq.heappop(self._alarms)[2]()
            while self._tellings:
                self._tellings.popleft()()

    def step(self, end_ms: int, coarse_ms: int = 1) -> None:
        """Let time pass until something is due, at most until `end_ms`; what may be late is, by up
        to `coarse_ms`."""
        with self.lock:
            due_ms = max(self._soon_ms(), self.now_ms + coarse_ms)
            due_ms = max(min(due_ms, self._exact_ms()), self.now_ms + 1)
            self.now_ms = min(due_ms, end_ms)
            self.settle()

    def advance(self, ms: int) -> None:
        """Let time pass."""
        with self.lock:
            end_ms = self.now_ms + ms
            self.settle()
            while self.now_ms < end_ms:
                self.step(end_ms, max(1, ms // STEPS))

    def wait(self, done: Callable[[], object], until_ms: int | None, what: str) -> bool:
        """Let time pass until it is done; False: it is not by `until_ms`. Raises Deadlock if that
        is None, and it is not within the fake's patience."""
        me = threading.current_thread()
        with self.lock:
            self._threads.add(me)
            self._waiting.add(me)
            try:
                self.settle()
                end_ms = self.now_ms + self.patience_ms if until_ms is None else until_ms
                coarse_ms = self.patience_ms // STEPS if until_ms is None else 1
                while not done():
                    if self._others_act(me):
                        continue
                    if self.now_ms >= end_ms:
                        if until_ms is None:
                            raise self.deadlock(what)
                        return False
                    self.step(end_ms, coarse_ms)
                return True
            finally:
                self._waiting.discard(me)

    def _others_act(self, me: threading.Thread) -> bool:
        """Give way to threads that have used this cluster too, until one has done something; False:
        none has for a while, or since that was last asked."""
        others = [one for one in self._threads - self._waiting if one is not me and one.is_alive()]
        if not others or self._quiet_since == self._settled:
            return False
        seen = self._settled
        if self._moved.wait_for(lambda: self._settled != seen, QUIET_S):
            return True
        self._quiet_since = seen
        return False

    def deadlock(self, what: str) -> Deadlock:
        """The error of a wait that would never end."""
        return Deadlock(
            f"{what} has no timeout, and did not come in {self.patience_ms / 1000:g} s of the "
            "fake's clock: nothing else in this test can bring it about"
        )

    # -- the node -------------------------------------------------------------------------------

    def _round(self) -> bool:
        """One turn of each client and of the node. Return whether anything moved."""
        moved = False
        for one in self.conversations:
            if one.over:
                del self._conversations[one.name]
                continue
            busy, frames = one.turn(self.now_ms)
            moved |= busy
            for frame in frames:
                self._node.wake(self.now_ms)
                request = decode_request(frame)
                self._node.request(one.name, request, len(frame), self.now_ms)
                self._node_done_ms = -1
        if self._node_done_ms != self.now_ms:
            self._node_turn()
            moved = True
        return moved

    def _node_turn(self) -> None:
        node, applied = self._node, self._node.machine.applied_index
        node.raft.still_ticks = 0  # this clock may stand still, and is right all the same
        node.wake(self.now_ms)
        node.tick(self.now_ms)
        node.turn(self)
        goes_on = node.machine.applied_index > applied or node.next_deadline_ms <= self.now_ms
        self._node_done_ms = -1 if goes_on else self.now_ms

    def _soon_ms(self) -> int:
        dues = [one.session.next_deadline_ms() for one in self._conversations.values()]
        return min([self._node.next_deadline_ms, *(ms for ms in dues if ms is not None)])

    def _exact_ms(self) -> int:
        dues = [one.exact_ms for one in self._conversations.values()]
        node = (self._node.expiry.next_deadline_ms, self._node.parked.next_deadline_ms)
        dues += [ms for ms in node if ms is not None]
        dues += [alarm[0] for alarm in self._alarms[:1]]
        return min(dues, default=self.now_ms + LONG_MS)

    # The node's Outbox

    def send(self, *_: object) -> bool:
        """There are no other nodes."""
        return False

    def greet(self, *_: object) -> None:
        """There are no other nodes."""

    def reply(self, client: bytes, reply: Reply) -> bool:
        """Bring the node's answer to the client."""
        one = self._conversations.get(client)
        if one is None:
            return False
        frames = encode_results(reply) if isinstance(reply, Results) else [encode_reply(reply)]
        return all(map(one.arrive, frames))
