"""Clients of both kinds that write down what they ask and are told, as the simulation's do."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, TypeVar

import orjson

from raftzmq import AsyncClient, Client
from raftzmq.client.aio_shell import AsyncShell
from raftzmq.client.blocking_shell import BlockingShell
from raftzmq.client.operations.arguments import Answer, NodeRequest, Operation, Work
from raftzmq.client.session.calls import Call
from raftzmq.errors import OutcomeUnknown
from tests.sim.history import FAILED, NEVER, OK, UNKNOWN, History, Op

T = TypeVar("T")


class Recorder:
    """Writes down what clients ask and are told, in moments of one clock. Used by many threads."""

    def __init__(self) -> None:
        self.history = History()
        self.outcomes: Counter[str] = Counter()
        self.acknowledged = 0
        """Writes."""
        self.newest_asked = 0
        """The newest moment at which a write was asked for that is acknowledged by now."""
        self.longest_gap_s = 0.0
        """Between two acknowledged writes, whoever got them."""
        self._moments = itertools.count(1)
        self._lock = threading.Lock()
        self._last_s: float | None = None
        self._newest: dict[str, tuple[Any, int]] = {}
        self._values: dict[tuple[str, int], Any] = {}

    def moment(self) -> int:
        return next(self._moments)

    def seen(self, key: str) -> tuple[Any, int]:
        """The value of a key in wire form, and its revision, as somebody last saw them."""
        return self._newest.get(key, (None, 0))

    def begin(self, client: str, work: Operation[Any]) -> Op:
        """Note down an operation that is about to be handed to a client."""
        name, *arguments = orjson.loads(b"[" + work.tail)
        op = Op(client, name, arguments, self.moment(), work.stale)
        if name == "cas":
            key, _, revision = arguments
            op.expected = self._values.get((key, revision), NEVER) if revision else None
        self.history.ops.append(op)
        return op

    def end(self, op: Op, call: Call) -> None:
        """Note down how it ended. Without this it stays of unknown outcome."""
        told = self.moment()
        with self._lock:
            op.told, op.session, op.serial = told, call.session, call.id
            if call.error is None:
                assert isinstance(call.answer, Answer)
                answer = call.answer
                op.index, op.compared, op.body = answer.revision, answer.compared, answer.body
                op.outcome = OK
                self._remember(op)
            else:
                op.outcome = UNKNOWN if isinstance(call.error, OutcomeUnknown) else FAILED
                op.error = f"{type(call.error).__name__}: {call.error}"
            self.outcomes[op.outcome] += 1

    def _remember(self, op: Op) -> None:
        if op.name in ("put", "cas") and op.compared:
            self._saw(op.arguments[0], op.arguments[1], op.index)
        elif op.name == "get" and op.body is not None:
            self._saw(op.arguments[0], *op.body)
        if op.is_write:
            now_s = time.monotonic()
            self.acknowledged += 1
            self.newest_asked = max(self.newest_asked, op.asked)
            if self._last_s is not None:
                self.longest_gap_s = max(self.longest_gap_s, now_s - self._last_s)
            self._last_s = now_s

    def _saw(self, key: str, value: Any, revision: int) -> None:
        self._values[key, revision] = value
        self._newest[key] = value, revision


class RecordedClient(Client):
    """The blocking client; what goes through its methods is recorded."""

    def __init__(self, endpoints: Sequence[str], name: str, recorder: Recorder) -> None:
        super().__init__(endpoints)
        self._shell = _RecordedShell(endpoints, name, recorder)


class _RecordedShell(BlockingShell):
    def __init__(self, endpoints: Sequence[str], name: str, recorder: Recorder) -> None:
        super().__init__(endpoints)
        self._name, self._recorder = name, recorder

    async def run(self, work: Operation[T] | NodeRequest[T]) -> T:
        assert isinstance(work, Operation)
        op = self._recorder.begin(self._name, work)
        call = (await self.run_all([work]))[0]
        self._recorder.end(op, call)
        result: T = call.result()
        return result


class RecordedAsyncClient(AsyncClient):
    """The asyncio client; what goes through its methods is recorded."""

    def __init__(self, endpoints: Sequence[str], name: str, recorder: Recorder) -> None:
        super().__init__(endpoints)
        self._shell = _RecordedAsyncShell(endpoints, name, recorder)


class _RecordedAsyncShell(AsyncShell):
    def __init__(self, endpoints: Sequence[str], name: str, recorder: Recorder) -> None:
        super().__init__(endpoints)
        self._name, self._recorder = name, recorder

    def submit(self, work: Work) -> Call:
        assert isinstance(work, Operation)
        op = self._recorder.begin(self._name, work)
        call = super().submit(work)

        def ended(waiter: asyncio.Future[None]) -> None:
            if not waiter.cancelled():
                self._recorder.end(op, call)

        call.waiter.add_done_callback(ended)
        return call
