"""How far traced requests got at a node, and when."""

from __future__ import annotations

from collections.abc import Callable

from raftzmq.node.traces import TRACES_MOST, Traces
from raftzmq.transport.client_wire import ErrorReply, OperationsRequest, Results
from tests.node.world import World

CLIENT = b"client"
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Driven:
    """Traces whose clock a test sets."""

    def __init__(self, *, enabled: bool = True) -> None:
        self.now_s = 0.0
        self.traces = Traces(lambda: self.now_s)
        self.traces.enabled = enabled

    def ask(self, *idents: int, traced: bool = True) -> None:
        ops = [[ident, "put", "k", "v"] for ident in idents]
        sent = [[ident, PARENT] for ident in idents] if traced else []
        request = OperationsRequest(1, 0, False, ops, "", sent)
        self.traces.received(CLIENT, request)

    def answer(self, *idents: int) -> None:
        results = [(ident, "ok", 1, None) for ident in idents]
        self.traces.answered(CLIENT, Results("raft-0", 1, "raft-0", results))


def test_a_write_is_followed_from_its_arrival_to_its_answer() -> None:
    driven = Driven()
    driven.ask(7)
    steps: list[Callable[[], None]] = [
        lambda: driven.traces.proposed(CLIENT, [7], 12),
        lambda: driven.traces.saved(12),
        lambda: driven.traces.applied(12),
        lambda: driven.answer(7),
    ]
    for second, step in enumerate(steps, start=1):
        assert driven.traces.active
        driven.now_s = float(second)
        step()
    assert not driven.traces.active
    (trace,) = driven.traces.take()
    assert (trace.operation, trace.parent, trace.code, trace.index) == ("put", PARENT, "ok", 12)
    assert (trace.received_s, trace.proposed_s) == (0.0, 1.0)
    assert (trace.saved_s, trace.applied_s, trace.answered_s) == (2.0, 3.0, 4.0)
    assert driven.traces.take() == []


def test_what_is_later_in_the_log_is_not_saved_or_applied_yet() -> None:
    driven = Driven()
    driven.ask(7, 8)
    driven.traces.proposed(CLIENT, [7], 12)
    driven.traces.proposed(CLIENT, [8], 13)
    driven.traces.saved(12)
    driven.traces.applied(12)
    driven.answer(7, 8)
    first, second = driven.traces.take()
    assert first.saved_s is not None
    assert first.applied_s is not None
    assert second.saved_s is None
    assert second.applied_s is None


def test_nothing_is_followed_that_nobody_exports_or_traces() -> None:
    for driven, traced in ((Driven(enabled=False), True), (Driven(), False)):
        driven.ask(7, traced=traced)
        assert not driven.traces.active
        driven.answer(7)
        assert driven.traces.take() == []


def test_a_refused_request_ends_too() -> None:
    driven = Driven()
    driven.ask(7)
    error = ErrorReply([7], "not_leader", "no", "raft-0", 1, None, None)
    driven.traces.answered(CLIENT, error)
    (trace,) = driven.traces.take()
    assert trace.code == "not_leader"
    assert trace.proposed_s is None


def test_only_so_many_are_followed() -> None:
    driven = Driven()
    for first in range(0, TRACES_MOST + 100, 100):
        driven.ask(*range(first, first + 100))
    driven.answer(*range(100))
    assert driven.traces.take() == []
    driven.answer(TRACES_MOST + 99)
    assert len(driven.traces.take()) == 1


def test_a_node_notes_each_step_of_a_real_write() -> None:
    world = World(3)
    leader = world.formed()
    session = world.session(leader.name)
    leader.traces.enabled = True
    ops = [[50, "put", "k", "v"], [51, "get", "k"]]
    sent = [[50, PARENT], [51, PARENT], [99, PARENT]]
    request = OperationsRequest(session, 0, False, ops, leader.cluster, sent)
    leader.request(CLIENT, request, 100, world.now_ms)
    assert leader.traces.active
    for _ in range(50):
        world.step()
    leader.traces.answered(CLIENT, Results("raft-0", 1, "raft-0", [(50, "ok", 1, None)]))
    (trace,) = leader.traces.take()
    assert trace.index > 0
    assert None not in (trace.proposed_s, trace.saved_s, trace.applied_s)
