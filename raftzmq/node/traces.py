"""When a traced request of a client got how far at this node: received, proposed, saved here,
applied, answered. Nothing is noted unless the driver exports it and the client sent a trace."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from raftzmq.transport.client_wire import ErrorReply, OperationsRequest, Reply, Results

TRACES_MOST: Final = 10_000
"""The most requests that are followed at a time; the oldest is given up for another one."""


@dataclass(slots=True)
class Trace:
    """An operation, and when it got how far, in seconds of the node's clock; None: it has not.
    `parent` is the client's span, as W3C's traceparent. `code` is that of its result."""

    operation: str
    parent: str
    received_s: float
    proposed_s: float | None = None
    saved_s: float | None = None
    applied_s: float | None = None
    answered_s: float | None = None
    index: int = 0
    code: str = ""


class Traces:
    """`active` says whether any request is followed: whoever notes something asks that first, so
    that it costs nothing where nothing is traced."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.enabled = False
        self.active = False
        self._clock = clock
        self._open: dict[tuple[bytes, int], Trace] = {}
        self._unsaved: list[Trace] = []  # proposed, in order of the log
        self._unapplied: list[Trace] = []
        self._done: list[Trace] = []

    def received(self, client: bytes, request: OperationsRequest) -> None:
        """Follow those operations of a message that are traced."""
        if not self.enabled:
            return
        now_s = self._clock()
        names = {op[0]: op[1] for op in request.ops}
        for ident, parent in request.traces:
            if ident in names:
                self._open[client, ident] = Trace(names[ident][:40], parent, now_s)
        while len(self._open) > TRACES_MOST:
            del self._open[next(iter(self._open))]
        self.active = bool(self._open)

    def proposed(self, client: bytes, ids: Iterable[int], index: int) -> None:
        """These writes are in the entry at `index`, which is not durable yet."""
        now_s = self._clock()
        for ident in ids:
            trace = self._open.get((client, ident))
            if trace is not None:
                trace.proposed_s, trace.index = now_s, index
                self._unsaved.append(trace)
                self._unapplied.append(trace)

    def saved(self, last_index: int) -> None:
        """The log is durable here up to `last_index`."""
        self._unsaved = self._noted(self._unsaved, last_index, "saved_s")

    def applied(self, last_index: int) -> None:
        """All up to `last_index` is committed and applied here."""
        self._unapplied = self._noted(self._unapplied, last_index, "applied_s")

    def _noted(self, traces: list[Trace], last_index: int, what: str) -> list[Trace]:
        """Note the time in those up to `last_index`; return the others."""
        now_s = self._clock()
        for trace in traces:
            if trace.index <= last_index:
                setattr(trace, what, now_s)
        return [trace for trace in traces if trace.index > last_index]

    def answered(self, client: bytes, reply: Reply) -> None:
        """An answer has left for a client."""
        if isinstance(reply, Results):
            for ident, code, _, _ in reply.results:
                self._end(client, ident, code)
        elif isinstance(reply, ErrorReply):
            for ident in reply.ids or ():
                self._end(client, ident, reply.code)
        self.active = bool(self._open)

    def _end(self, client: bytes, ident: int, code: str) -> None:
        trace = self._open.pop((client, ident), None)
        if trace is not None:
            trace.answered_s, trace.code = self._clock(), code
            self._done.append(trace)

    def take(self) -> list[Trace]:
        """Those that were answered since the last time."""
        done, self._done = self._done, []
        if not self._open:
            self._unsaved.clear()
            self._unapplied.clear()
        return done
