"""Shells whose calls are OpenTelemetry's spans, children of the span that is current where the call
is made. Needs the extra raftzmq[otel]; nothing of it is imported, or costs anything, without
`tracing=True`."""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

from raftzmq.client.aio_shell import AsyncShell
from raftzmq.client.blocking_shell import BlockingShell
from raftzmq.client.operations.arguments import NodeRequest, Operation, Work
from raftzmq.client.session.calls import Call, TracedCall
from raftzmq.errors import InvalidRequest

try:
    from opentelemetry import trace
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
except ImportError:
    raise InvalidRequest("tracing needs the extra: pip install 'raftzmq[otel]'") from None

T = TypeVar("T")


def begin(work: Work) -> tuple[trace.Span, str]:
    """Begin the span of a call; return it, and how nodes are told of it, as W3C's traceparent. A
    span that is not sampled has none."""
    span = trace.get_tracer("raftzmq").start_span(
        f"raftzmq {_name(work)}", kind=trace.SpanKind.CLIENT
    )
    carrier: dict[str, str] = {}
    if span.get_span_context().trace_flags.sampled:
        TraceContextTextMapPropagator().inject(carrier, trace.set_span_in_context(span))
    return span, carrier.get("traceparent", "")


def end(span: trace.Span, error: BaseException | None) -> None:
    """End the span of a call that is done."""
    if error is not None:
        span.record_exception(error)
        span.set_status(trace.StatusCode.ERROR, str(error))
    span.end()


def _name(work: Work) -> str:
    """What is asked: `put`, `get`; the first word of an operation's JSON."""
    if isinstance(work, Operation):
        return work.tail.split(b'"', 2)[1].decode()
    return "request"


class TracedBlockingShell(BlockingShell):
    """As BlockingShell, with a span for each call."""

    traced = True

    async def run(self, work: Operation[T] | NodeRequest[T]) -> T:
        span, sent = begin(work)
        try:
            call = TracedCall(work, self.now_ms(), sent)
            result: T = self._here().run([call])[0].result()
        except BaseException as error:
            end(span, error)
            raise
        end(span, None)
        return result


class TracedAsyncShell(AsyncShell):
    """As AsyncShell, with a span for each call."""

    traced = True

    def submit(self, work: Work) -> Call:
        span, sent = begin(work)
        try:
            call = self.hand_in(TracedCall(work, self.now_ms(), sent))
        except BaseException as error:
            end(span, error)
            raise

        def done(waiter: asyncio.Future[Any]) -> None:
            end(span, asyncio.CancelledError() if waiter.cancelled() else call.error)

        call.waiter.add_done_callback(done)
        return call
