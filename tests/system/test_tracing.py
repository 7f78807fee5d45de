"""A traced request, from the client's span to the steps at a real node, sent by OTLP."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from raftzmq import AsyncClient, Client
from raftzmq.errors import Fenced
from tests.system.processes import Cluster, wait_for

pytestmark = pytest.mark.system

STEPS = ["propose", "fsync", "commit", "answer"]


class Collector:
    """What an OpenTelemetry collector does: takes spans by HTTP."""

    def __init__(self) -> None:
        taken: queue.Queue[Span] = queue.Queue()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                    for scope in resource.scope_spans:
                        for span in scope.spans:
                            taken.put(span)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.spans: list[Span] = []
        self._taken = taken
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def spans_of(self, trace_id: int) -> list[Span]:
        """Those of a trace that have come so far, in the order in which they began."""
        while not self._taken.empty():
            self.spans.append(self._taken.get())
        wanted = trace_id.to_bytes(16, "big")
        found = [span for span in self.spans if span.trace_id == wanted]
        return sorted(found, key=lambda span: (span.start_time_unix_nano, span.name))

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.close()


@pytest.fixture(scope="module")
def provided() -> InMemorySpanExporter:
    """Where the spans of this process go; a process has one provider."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return exporter


@pytest.fixture
def memory(provided: InMemorySpanExporter) -> InMemorySpanExporter:
    """The spans of a test."""
    provided.clear()
    return provided


def client_span(memory: InMemorySpanExporter, name: str) -> ReadableSpan:
    found = [span for span in memory.get_finished_spans() if span.name == name]
    memory.clear()
    assert len(found) == 1
    return found[0]


def test_a_put_is_one_trace_from_the_client_to_the_answer(
    tmp_path: Path,
    collector: Collector,
    memory: InMemorySpanExporter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
    with Cluster(tmp_path, size=1, arguments=("--trace",)) as cluster:
        cluster.start()
        with Client(cluster.endpoints, tracing=True) as client:
            client.put("key", "value", timeout=30)
            asked = client_span(memory, "raftzmq put")
            assert asked.kind is trace.SpanKind.CLIENT
            check_node_spans(collector, asked)

            with trace.get_tracer("test").start_as_current_span("mine") as mine:
                client.get("key", timeout=30)
            read = client_span(memory, "raftzmq get")
            assert read.parent is not None
            assert read.parent.span_id == mine.get_span_context().span_id

            with pytest.raises(Fenced):
                client.put("key", "value", fence=("nobody", 1), timeout=30)
            failed = client_span(memory, "raftzmq fenced")
            assert failed.status.status_code is trace.StatusCode.ERROR

        async def put() -> None:
            async with AsyncClient(cluster.endpoints, tracing=True) as db:
                await db.put("key", "value", timeout=30)

        asyncio.run(put())
        check_node_spans(collector, client_span(memory, "raftzmq put"))
        collector.close()  # a collector that is gone holds nothing up
        with Client(cluster.endpoints, tracing=True) as client:
            client.put("key", "value", timeout=30)
        cluster.nodes[0].terminate()
        assert cluster.nodes[0].wait(10) == 0
        cluster.show()


def check_node_spans(collector: Collector, asked: ReadableSpan) -> None:
    """The node's spans are those of the client's trace, each within its parent."""
    context = asked.get_span_context()
    assert context is not None
    spans = wait_for(
        "the node's spans",
        lambda: found if len(found := spans_of(collector, context)) == 5 else None,
    )
    (node,) = [span for span in spans if span.name == "raftzmq node put"]
    assert node.kind == Span.SPAN_KIND_SERVER
    assert node.parent_span_id == context.span_id.to_bytes(8, "big")
    steps = {span.name: span for span in spans if span is not node}
    assert set(steps) == set(STEPS)
    for step in steps.values():
        assert step.parent_span_id == node.span_id
        assert node.start_time_unix_nano <= step.start_time_unix_nano <= step.end_time_unix_nano
        assert step.end_time_unix_nano <= node.end_time_unix_nano
    assert steps["propose"].end_time_unix_nano == steps["commit"].start_time_unix_nano


def spans_of(collector: Collector, context: trace.SpanContext) -> list[Span]:
    return collector.spans_of(context.trace_id)


def test_a_client_that_traces_and_a_node_that_does_not(
    tmp_path: Path, memory: InMemorySpanExporter
) -> None:
    with Cluster(tmp_path, size=1) as cluster:
        cluster.start()
        with Client(cluster.endpoints, tracing=True) as client:
            client.put("key", "value", timeout=30)
        assert client_span(memory, "raftzmq put").status.status_code is trace.StatusCode.UNSET
