"""Nodes that speak the client protocol over real sockets and misbehave as told.

One thread serves them all, from one real state machine, so sessions and serials work as they do in
a cluster. There is no Raft: who leads is what the test says.
"""

from __future__ import annotations

import functools
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from queue import SimpleQueue
from typing import Any

import zmq

from raftzmq.machine import READS, WRITES, Machine, validate_read, validate_write
from raftzmq.transport.client_wire import (
    ErrorReply,
    OperationsRequest,
    Reply,
    Request,
    Results,
    decode_request,
    encode_reply,
)
from raftzmq.transport.operator_wire import Done, StatusReply, StatusRequest
from raftzmq.transport.scan_wire import ScanEnd, ScanNext, ScanRequest
from raftzmq.transport.watch_wire import UnwatchRequest, WatchRequest
from tests.client.fake_scans import FakeScans
from tests.client.fake_watches import CLUSTER, FakeWatches
from tests.system.ports import STEP, free_ports

PATIENCE_S = 120.0

SERVE = "serve"
IGNORE = "ignore"
"""As if the message had been lost."""
LOSE_ANSWER = "lose the answer"
"""Do what is asked, and say nothing."""
ANSWER_TWICE = "answer twice"
GARBAGE = "garbage"
"""Do what is asked, and answer with something that is not of the protocol."""
DIE = "die"
"""Do what is asked, and close the port in place of the answer."""


@dataclass(frozen=True)
class Refuse:
    """Do nothing, and say so. `address` None: the true leader's."""

    code: str
    address: str | None = None


@dataclass(frozen=True)
class OutcomeUnknown:
    """Do what is asked, and say that the outcome is unknown."""


Action = str | Refuse | OutcomeUnknown


@dataclass(eq=False)
class FakeNode:
    name: str
    port: int
    socket: zmq.Socket[bytes] | None = None
    script: deque[Action] = field(default_factory=deque)
    default: Action = SERVE
    requests: list[Request] = field(default_factory=list)
    old: bool = False
    """It knows no request that is newer than 0.2.0."""

    @property
    def endpoint(self) -> str:
        return f"127.0.0.1:{self.port}"


class FakeCluster:
    """Use with `with`. Methods may be called from the test's thread; they take effect before they
    return."""

    def __init__(self, nodes: int = 3) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.machine = Machine()
        self.index = 0
        self.time_ms = 0
        self.watches = FakeWatches(self.machine)
        self.scans: dict[FakeNode, FakeScans] = {}
        self._held: list[tuple[FakeNode, bytes, Any]] = []  # reads whose answers are kept back
        self.executed: list[Any] = []
        self._commands: SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = SimpleQueue()
        self._bell = self._context.socket(zmq.PAIR)
        self._bell.bind("inproc://bell")
        self._ring = self._context.socket(zmq.PAIR)
        self._ring.connect("inproc://bell")
        self.nodes = [FakeNode(f"raft-{i}", 0) for i in range(nodes)]
        for node in self.nodes:
            self._listen(node)
        self.leader: FakeNode | None = self.nodes[0]
        self._thread = threading.Thread(target=self._main, name="fake-cluster", daemon=True)
        self._thread.start()

    @property
    def endpoints(self) -> list[str]:
        return [node.endpoint for node in self.nodes]

    def operations(self, name: str) -> list[Any]:
        """Every operation of that name that any node received, in order, repeats included."""
        return [
            op
            for node in self.nodes
            for request in node.requests
            if isinstance(request, OperationsRequest)
            for op in request.ops
            if op[1] == name
        ]

    def times_executed(self, name: str, key: str) -> int:
        """How often a write changed the state, repeats not included."""
        return sum(1 for op in self.executed if op[1] == name and op[2:3] == [key])

    def lead(self, node: FakeNode | None) -> None:
        self._do(lambda: setattr(self, "leader", node))

    def script(self, node: FakeNode, *actions: Action) -> None:
        """What the node does with the next messages, one action each."""
        self._do(lambda: node.script.extend(actions))

    def always(self, node: FakeNode, action: Action) -> None:
        self._do(lambda: setattr(node, "default", action))

    def kill(self, node: FakeNode) -> None:
        self._do(lambda: self._unlisten(node))

    def revive(self, node: FakeNode) -> None:
        self._do(lambda: self._listen(node))

    def pass_time(self, ms: int) -> None:
        """Let replicated time pass, and end what ends by then."""

        def expire() -> None:
            self.time_ms += ms
            self.index += 1
            self.machine.apply(self.index, self.time_ms, (0, 0, [0, "expire"]))
            self._answer_held()

        self._do(expire)

    def forget_sessions(self) -> None:
        """As if they had all expired; the keys are forgotten too."""

        def forget() -> None:
            self.machine = Machine()
            self.watches = FakeWatches(self.machine)
            self.machine.advance(self.index, 0)

        self._do(forget)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Nothing is received meanwhile."""
        held, go_on = threading.Event(), threading.Event()

        def hold() -> None:
            held.set()
            go_on.wait(PATIENCE_S)

        self._commands.put((hold, Future()))
        self._ring.send(b"")
        assert held.wait(PATIENCE_S)
        try:
            yield
        finally:
            go_on.set()

    def __enter__(self) -> FakeCluster:
        return self

    def __exit__(self, *_: object) -> None:
        self._commands.put(None)
        self._ring.send(b"")
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()
        for node in self.nodes:
            self._unlisten(node)
        self._ring.close(0)
        self._bell.close(0)
        self._context.term()

    def _do(self, action: Callable[[], Any]) -> None:
        done: Future[Any] = Future()
        self._commands.put((action, done))
        self._ring.send(b"")
        done.result(PATIENCE_S)

    # -- in the thread ------------------------------------------------------------------------

    def _listen(self, node: FakeNode) -> None:
        self.scans[node] = FakeScans(node.name, CLUSTER, lambda: self.machine)
        socket = self._context.socket(zmq.ROUTER)
        socket.setsockopt(zmq.LINGER, 0)
        if node.port:
            self._bind_again(socket, node.port)
        else:
            node.port = socket.bind_to_random_port("tcp://127.0.0.1", *_ports(), max_tries=1000)
        node.socket = socket

    def _bind_again(self, socket: zmq.Socket[bytes], port: int) -> None:
        """libzmq lets go of a closed socket's port a moment after its end."""
        deadline_s = time.monotonic() + PATIENCE_S
        while True:
            try:
                socket.bind(f"tcp://127.0.0.1:{port}")
                return
            except zmq.ZMQError as error:
                if error.errno != zmq.EADDRINUSE or time.monotonic() > deadline_s:
                    raise
            time.sleep(0.002)

    def _unlisten(self, node: FakeNode) -> None:
        if node.socket is not None:
            node.socket.close(0)
            node.socket = None
            self.watches.ended(node)

    def _main(self) -> None:
        while True:
            poller = zmq.Poller()
            poller.register(self._bell, zmq.POLLIN)
            for node in self.nodes:
                if node.socket is not None:
                    poller.register(node.socket, zmq.POLLIN)
            ready = dict(poller.poll())
            if self._bell in ready:
                self._bell.recv()
                command = self._commands.get()
                if command is None:
                    return
                action, done = command
                done.set_result(action())
            for node in self.nodes:
                if node.socket is not None and node.socket in ready:
                    self._serve(node)

    def _serve(self, node: FakeNode) -> None:
        assert node.socket is not None
        client, frame = node.socket.recv_multipart()
        request = decode_request(frame)
        node.requests.append(request)
        action = node.script.popleft() if node.script else node.default
        if action == IGNORE:
            return
        replies: Iterable[Reply]
        if isinstance(action, Refuse):
            replies = [self._error(node, _ids(request), action.code, action.address)]
        else:
            replies = self._replies(node, client, request)
        if isinstance(action, OutcomeUnknown):
            replies = [self._error(node, _ids(request), "outcome_unknown", None)]
        if action == LOSE_ANSWER:
            return
        if action == DIE:
            self._unlisten(node)
            return
        for reply in replies:
            out = b'{"v":1,"type":"resul' if action == GARBAGE else encode_reply(reply)
            for _ in range(2 if action == ANSWER_TWICE else 1):
                node.socket.send_multipart([client, out])
        self._answer_held()

    def _replies(self, node: FakeNode, client: bytes, request: Request) -> list[Reply]:
        if isinstance(request, OperationsRequest):
            return self._operations(node, client, request)
        if isinstance(request, WatchRequest | UnwatchRequest):
            return [*self.watches.asked(node, client, request)]
        if isinstance(request, ScanRequest | ScanNext | ScanEnd):
            if node.old:
                refused = self._error(node, [request.id], "malformed", None)
                return [replace(refused, message="unknown request type")]
            return self.scans[node].asked(client, request, self.time_ms)
        if isinstance(request, StatusRequest):
            role = "leader" if node is self.leader else "follower"
            members = [{"name": n.name, "address": f"127.0.0.1:{n.port - 1}"} for n in self.nodes]
            about = {"cluster": CLUSTER, "applied_index": self.index, "members": members}
            return [StatusReply(request.id, {"node": node.name, "role": role, "term": 1, **about})]
        if node is not self.leader and "Stop" not in type(request).__name__:
            return [self._error(node, [request.id], "not_leader", None)]
        return [Done(request.id, f"{node.name} did {type(request).__name__}")]

    def _operations(self, node: FakeNode, client: bytes, request: OperationsRequest) -> list[Reply]:
        if node is not self.leader and not request.stale:
            return [self._error(node, _ids(request), "not_leader", None)]
        results: list[Any] = []
        for op in request.ops:
            if op[1] in WRITES:
                validate_write(op)
                self.index += 1
                body = (request.session, request.ack, op)
                result = self.machine.apply(self.index, self.time_ms, body)
                if result[1] == self.index:
                    self.executed.append(op)
            else:
                assert op[1] in READS
                validate_read(op)
                result = self.machine.read(op)
                if op[1] in {"await", "observe"} and result[2] is False:
                    self._held.append((node, client, op))
                    continue
            results.append((op[0], *result))
        return [self._results(node, results)] if results else []

    def _results(self, node: FakeNode, results: list[Any]) -> Results:
        leader = self.leader.name if self.leader else None
        entries = [[revision, 1] for _, _, revision, _ in results]  # one command an entry
        return Results(node.name, 1, leader, results, CLUSTER, entries)

    def _answer_held(self) -> None:
        """Answer the reads that wait for what has happened now, and tell watchers."""
        for node, client, events in self.watches.owed():
            if node.socket is not None:
                node.socket.send_multipart([client, encode_reply(events)])
        held, self._held = self._held, []
        for node, client, op in held:
            result = self.machine.decide(op)
            if result is None:
                self._held.append((node, client, op))
            elif node.socket is not None:
                reply = self._results(node, [(op[0], *result)])
                node.socket.send_multipart([client, encode_reply(reply)])

    def _error(self, node: FakeNode, ids: list[int], code: str, address: str | None) -> ErrorReply:
        leader = self.leader
        if address is None and leader is not None:
            address = leader.endpoint
        name = leader.name if leader else None
        return ErrorReply(ids, code, f"{node.name}: {code}", node.name, 1, name, address)


@functools.cache
def _ports() -> tuple[int, int]:
    """The first port and the one after the last: this process's own, so that a dead node's port
    stays free."""
    tens = 8
    base = free_ports(tens)
    return base, base + STEP * tens


def _ids(request: Request) -> list[int]:
    if isinstance(request, OperationsRequest):
        return [op[0] for op in request.ops]
    return [request.id]
