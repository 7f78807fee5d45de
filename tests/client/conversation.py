"""A session without sockets: the test holds the clock, the links and every node's answers."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from raftzmq.client.operations import keys
from raftzmq.client.operations.arguments import Work
from raftzmq.client.session.calls import Call
from raftzmq.client.session.session import Session
from raftzmq.transport.client_wire import (
    ErrorReply,
    OperationsRequest,
    Reply,
    Request,
    Results,
    decode_request,
    encode_reply,
)
from raftzmq.transport.operator_wire import Done, StatusReply

A, B, C = "a:6001", "b:6001", "c:6001"
CLUSTER = "6f1c0a5b9d3e7f21"
NAMES = {A: "raft-0", B: "raft-1", C: "raft-2"}


class Sent:
    """A message that the session sent."""

    def __init__(self, endpoint: str, frame: bytes) -> None:
        self.endpoint = endpoint
        self.frame = frame
        self.request: Request = decode_request(frame)

    @property
    def operations(self) -> OperationsRequest:
        assert isinstance(self.request, OperationsRequest)
        return self.request

    @property
    def ops(self) -> list[list[Any]]:
        return [list(op) for op in self.operations.ops]

    @property
    def ids(self) -> list[int]:
        if isinstance(self.request, OperationsRequest):
            return [op[0] for op in self.request.ops]
        return [self.request.id]

    @property
    def names(self) -> list[str]:
        return [op[1] for op in self.ops]


class Conversation:
    def __init__(
        self, endpoints: Sequence[str] = (A, B, C), *, learns_members: bool = False, **bounds: Any
    ) -> None:
        self.now_ms = 1_000_000
        self.session = Session(
            endpoints, Random(7), Random(8), learns_members=learns_members, **bounds
        )
        self.down: set[str] = set()
        self.closed: list[str] = []

    def call(self, work: Work, timeout: float = 5) -> Call:
        call = Call(work, self.now_ms, timeout)
        self.session.submit(call, self.now_ms)
        return call

    def put(self, key: str, value: str = "v", timeout: float = 5) -> Call:
        return self.call(keys.put(key, value), timeout)

    def get(self, key: str, timeout: float = 5) -> Call:
        return self.call(keys.get(key), timeout)

    def stale_get(self, key: str, endpoint: str | None = None, timeout: float = 5) -> Call:
        return self.call(keys.get(key, stale=True, endpoint=endpoint), timeout)

    def turn(self) -> list[Sent]:
        """What a shell does in its turns until the session wants no more of them now."""
        now = self.now_ms
        sent: list[Sent] = []
        for _ in range(10):
            self.session.tick(now)
            for endpoint in sorted(self.session.interests()):
                self.session.link_state(endpoint, endpoint not in self.down, now)
            sent += [Sent(batch.endpoint, batch.frame) for batch in self.session.outgoing(now)]
            due_ms = self.session.next_deadline_ms()
            if due_ms is None or due_ms > now:
                break
        else:
            raise AssertionError("the session wants turns without end")
        assert not any(message.endpoint in self.down for message in sent)
        self.closed += self.session.resets()
        return sent

    def one(self) -> Sent:
        """The one message that a turn sends."""
        sent = self.turn()
        assert len(sent) == 1, [message.request for message in sent]
        return sent[0]

    def later(self, ms: int) -> list[Sent]:
        """Everything that is sent in the next `ms` milliseconds, waking only when it says."""
        end_ms = self.now_ms + ms
        sent: list[Sent] = []
        for _ in range(10_000):
            sent += self.turn()
            due_ms = self.session.next_deadline_ms()
            if due_ms is None or due_ms >= end_ms:
                self.now_ms = end_ms
                return sent + self.turn()
            self.now_ms = max(due_ms, self.now_ms)
        raise AssertionError("the session wants to be woken without end")

    def answer(self, endpoint: str, reply: Reply) -> None:
        self.session.received(endpoint, encode_reply(reply), self.now_ms)

    def results(self, endpoint: str, *results: Sequence[Any], leader: str = "") -> None:
        name = NAMES.get(endpoint, "raft-9")
        entries = [[revision, 1] for _, _, revision, _ in results]  # one command an entry
        reply = Results(name, 3, leader or name, list(results), CLUSTER, entries)
        self.answer(endpoint, reply)

    def done(self, sent: Sent, index: int = 100, body: Any = None) -> None:
        """Answer every operation of a message, each at its own index."""
        results = [[i, "ok", index + n, body] for n, i in enumerate(sent.ids)]
        self.results(sent.endpoint, *results)

    def refuse(
        self,
        sent: Sent,
        code: str,
        address: str | None = None,
        message: str = "because",
        ids: Sequence[int] | None = (),
    ) -> None:
        name = NAMES.get(sent.endpoint, "raft-9")
        leader = NAMES.get(address or "")
        chosen = sent.ids if ids == () else ids
        self.answer(sent.endpoint, ErrorReply(chosen, code, message, name, 3, leader, address))

    def status(self, sent: Sent, role: str) -> None:
        self.answer(sent.endpoint, StatusReply(sent.ids[0], {"role": role}))

    def complete(self, sent: Sent) -> None:
        self.answer(sent.endpoint, Done(sent.ids[0], "complete"))

    def open_session(self, number: int = 12) -> None:
        """Have a session open, with a first write done."""
        call = self.put("first")
        opening = self.one()
        assert opening.names == ["open"]
        self.done(opening, number, number)
        self.done(self.one())
        assert call.done
        self.session.take_finished()
