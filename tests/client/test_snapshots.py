"""Whom a client asks for a snapshot, and what it says when nobody gives one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from raftzmq import NodeStatus
from raftzmq.client.handles.snapshot import Snapshot
from raftzmq.client.operations.arguments import NodeRequest, Operation
from raftzmq.client.shell import finish
from raftzmq.errors import InvalidRequest, Overloaded, RaftzmqError, Refused, Unavailable
from raftzmq.transport.snapshot_wire import PullRequest, SnapshotBegun, SnapshotPiece


class FakeShell:
    """Answers as it was told, each endpoint by its own words, and writes down who was asked."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.asked: list[str] = []
        self.reads = 0

    def time_of_day(self) -> str:
        return "2026-11-30T14:34:00Z"

    async def run(self, work: Operation[Any] | NodeRequest[Any]) -> Any:
        if isinstance(work, Operation):
            self.reads += 1
            return "6f1c0a5e9b7d4c21", 4711
        request = work.build(1)
        assert work.endpoint is not None
        self.asked.append(work.endpoint)
        answer = self.answers[work.endpoint]
        if isinstance(answer, RaftzmqError):
            raise answer
        if isinstance(request, PullRequest):
            return work.decode(SnapshotPiece(1, request.offset, b"bytes", request.offset == 10))
        return work.decode(SnapshotBegun(1, 8231, work.endpoint, "6f1c0a5e9b7d4c21", 4712, 2))


def snapshot(shell: FakeShell, *found: NodeStatus, stale: bool = False) -> Snapshot:
    async def ask(_endpoints: Sequence[str] | None, *, timeout: float) -> list[NodeStatus]:
        assert timeout > 0
        return list(found)

    given: Any = shell
    return Snapshot(given, ask, None, 5, stale=stale)


def status(endpoint: str, role: str = "follower", **more: Any) -> NodeStatus:
    fields = {"node": endpoint, "role": role, "healthy": True, "version": "0.1.0", **more}
    return NodeStatus(endpoint, fields, None)


def test_a_healthy_follower_is_asked_first() -> None:
    shell = FakeShell(a=None, b=None, c=None)
    taken = snapshot(shell, status("a", "leader"), status("b", healthy=False), status("c"))
    finish(taken._open())
    assert shell.asked == ["c"]
    assert (taken.node, taken.revision, taken.keys) == ("c", 4712, 2)


def test_the_pieces_come_one_after_another_until_the_last() -> None:
    taken = snapshot(FakeShell(a=None), status("a"))
    assert [finish(taken._next()) for _ in range(4)] == [b"bytes", b"bytes", b"bytes", None]
    assert taken.size == 15


@pytest.mark.parametrize("error", [Overloaded("4 under way"), Unavailable("no answer")])
def test_another_is_asked_if_one_cannot(error: RaftzmqError) -> None:
    shell = FakeShell(a=error, b=None)
    finish(snapshot(shell, status("a"), status("b"))._open())
    assert shell.asked == ["a", "b"]
    with pytest.raises(type(error)):
        finish(snapshot(FakeShell(a=error), status("a"))._open())


def test_a_node_that_is_too_old_is_named_with_its_version() -> None:
    """It finds the request malformed."""
    old = InvalidRequest("unknown request type")
    shell = FakeShell(a=old, b=None)
    finish(snapshot(shell, status("a"), status("b"))._open())
    assert shell.asked == ["a", "b"], "a newer one gives it"
    with pytest.raises(Refused, match=r"^a runs raftzmq 0\.1\.0, which gives no snapshots: up"):
        finish(snapshot(FakeShell(a=old), status("a"))._open())


def test_a_stale_one_asks_no_other_node() -> None:
    shell = FakeShell(a=None)
    taken = snapshot(shell, status("a", cluster="6f1c0a5e9b7d4c21"), stale=True)
    finish(taken._open())
    assert shell.reads == 0
    finish(snapshot(shell, status("a"))._open())
    assert shell.reads == 1


def test_nobody_answers() -> None:
    with pytest.raises(Unavailable, match=r"no node can be asked .* \(a: nothing listens\)"):
        finish(snapshot(FakeShell(), NodeStatus("a", None, "nothing listens"))._open())


def test_what_it_is_is_not_known_before_it_has_begun() -> None:
    with pytest.raises(InvalidRequest, match="has not begun"):
        _ = snapshot(FakeShell(), status("a")).revision
