"""Traces of requests, as OpenTelemetry's spans, sent by OTLP to where the environment says
(OTEL_EXPORTER_OTLP_ENDPOINT and so on). Needs the extra raftzmq[otel].

For each traced operation there is one span of the node, and in it one for each step: propose,
fsync, commit, answer. They are made when it is answered, with the times that were noted before, and
sent by a thread of the exporter.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from threading import Thread
from typing import TYPE_CHECKING, Final

from raftzmq import __version__
from raftzmq.errors import InvalidRequest
from raftzmq.node import Node
from raftzmq.node.traces import Trace
from raftzmq.server.config import ServerConfig

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

CLOSE_S: Final = 1.0
"""How long a node that ends waits for its last spans to be sent."""


class Tracing:
    """Makes spans of what Traces notes."""

    def __init__(
        self,
        node: str,
        exporter: SpanExporter | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """`clock` is that of the node. Raises InvalidRequest without the extra."""
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ImportError:
            raise InvalidRequest("--trace needs the extra: pip install 'raftzmq[otel]'") from None
        self._clock = clock
        resource = Resource.create({"service.name": "raftzmq", "service.instance.id": node})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter or OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("raftzmq", __version__)

    def export(self, traces: Iterable[Trace]) -> None:
        """Hand over the spans of answered requests; never waits."""
        from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        offset_ns = time.time_ns() - int(self._clock() * 1e9)
        for trace in traces:
            context = TraceContextTextMapPropagator().extract({"traceparent": trace.parent})

            def at(seconds: float) -> int:
                return offset_ns + int(seconds * 1e9)

            assert trace.answered_s is not None
            span = self._tracer.start_span(
                f"raftzmq node {trace.operation}",
                context,
                SpanKind.SERVER,
                {"raftzmq.code": trace.code, "raftzmq.index": trace.index},
                start_time=at(trace.received_s),
            )
            if trace.code != "ok":
                span.set_status(Status(StatusCode.ERROR, trace.code))
            inside = set_span_in_context(span)
            for name, begun_s, ended_s in _steps(trace):
                step = self._tracer.start_span(name, inside, start_time=at(begun_s))
                step.end(at(ended_s))
            span.end(at(trace.answered_s))

    def close(self) -> None:
        """Send what is left, but do not wait for a collector that is not there."""
        ending = Thread(target=self._provider.shutdown, name="otel-shutdown", daemon=True)
        ending.start()
        ending.join(CLOSE_S)


def tracing_of(config: ServerConfig, node: Node, stack: ExitStack) -> Tracing:
    """Follow the requests of clients that send a trace, and export that, until the stack ends.
    Raises InvalidRequest without the extra."""
    tracing = Tracing(config.name)
    stack.callback(tracing.close)
    node.traces.enabled = True
    return tracing


def _steps(trace: Trace) -> list[tuple[str, float, float]]:
    """The steps that were taken: name, begin, end. A leader saves while others do, so fsync may end
    after commit, and is left out if it ended after the answer."""
    proposed_s, applied_s = trace.proposed_s, trace.applied_s
    steps = []
    if proposed_s is not None:
        steps.append(("propose", trace.received_s, proposed_s))
        if trace.saved_s is not None:
            steps.append(("fsync", proposed_s, trace.saved_s))
        if applied_s is not None:
            steps.append(("commit", proposed_s, applied_s))
    begun_s = trace.received_s if applied_s is None else applied_s
    if trace.answered_s is not None:
        steps.append(("answer", begun_s, trace.answered_s))
    return steps
