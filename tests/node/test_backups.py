"""Snapshots for clients: any node gives one, of one moment, piece by piece, and forgets it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from raftzmq import limits
from raftzmq.access.users import User
from raftzmq.machine import Machine
from raftzmq.storage import MemoryFiles
from raftzmq.storage.snapshot_files import check_snapshot, read_records
from raftzmq.transport.client_wire import ErrorReply
from raftzmq.transport.operator_wire import StatusReply, StatusRequest
from raftzmq.transport.snapshot_wire import (
    NoteRequest,
    PullRequest,
    SnapshotBegun,
    SnapshotPiece,
    SnapshotRequest,
)
from tests.node.world import CLIENT, World

TIME = "2026-11-30T14:34:00Z"


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SNAPSHOT_PIECE_BYTES", 300)
    monkeypatch.setattr("raftzmq.node.backups.SLICE_BYTES", 50)
    monkeypatch.setattr("raftzmq.storage.snapshot_lines.LINE_RECORDS", 1)


@pytest.fixture
def world() -> World:
    world = World(3)
    leader = world.formed()
    put(world, *(f"key/{k}" for k in range(20)))
    assert leader is world.leader()
    return world


def put(world: World, *keys: str, value: str = "v") -> int:
    """Write keys; return the revision of the last."""
    leader = world.leader()
    assert leader is not None
    session = world.session(leader.name)
    results = [world.operate(leader.name, "put", k, value, session=session) for k in keys]
    return max(int(result[2]) for result in results)


def begin(world: World, name: str, start: int, ident: int = 1) -> Any:
    cluster = world.nodes[name].cluster
    return world.answer(name, SnapshotRequest(ident, cluster, start, TIME))


def begun(world: World, name: str, start: int = 1, ident: int = 1) -> SnapshotBegun:
    reply = begin(world, name, start, ident)
    assert isinstance(reply, SnapshotBegun)
    return reply


def pull(world: World, name: str, snapshot: int, offset: int) -> Any:
    return world.answer(name, PullRequest(2, snapshot, offset))


def pieces(world: World, name: str, snapshot: int, offset: int = 0) -> bytes:
    """The bytes from `offset` to the end."""
    data = b""
    while True:
        piece = pull(world, name, snapshot, offset + len(data))
        assert isinstance(piece, SnapshotPiece), piece
        assert piece.offset == offset + len(data)
        data += piece.data
        if piece.done:
            return data


def restored(data: bytes) -> Machine:
    files = MemoryFiles()
    files.create(path := files_path(files)).write(data)
    check_snapshot(files, path)
    return Machine.restore(read_records(files, path))


def files_path(files: MemoryFiles) -> Path:
    files.make_dirs(Path("/d"))
    return Path("/d/backup")


def a_follower(world: World) -> str:
    return next(name for name, node in world.nodes.items() if node is not world.leader())


def test_a_follower_gives_the_state_that_it_has(world: World) -> None:
    name = a_follower(world)
    revision = put(world, "last")
    snapshot = begun(world, name, revision)
    assert (snapshot.node, snapshot.keys) == (name, 21)
    assert snapshot.revision >= revision
    machine = restored(pieces(world, name, snapshot.snapshot))
    assert machine.state_hash() == world.nodes[name].machine.state_hash()


def test_the_header_says_where_and_when_it_was_taken(world: World) -> None:
    name = a_follower(world)
    files = MemoryFiles()
    files.create(path := files_path(files)).write(pieces(world, name, begun(world, name).snapshot))
    whole = check_snapshot(files, path)
    assert whole.header["cluster"] == world.nodes[name].cluster
    assert whole.header["time"] == TIME
    assert whole.meta.membership == world.nodes[name].raft.membership


def test_what_is_written_after_its_beginning_is_not_in_it(world: World) -> None:
    leader = world.leader()
    assert leader is not None
    before = leader.machine.state_hash()
    snapshot = begun(world, leader.name)
    assert isinstance(pull(world, leader.name, snapshot.snapshot, 0), SnapshotPiece)
    put(world, *(f"key/{k}" for k in range(25)), value="later")
    machine = restored(pieces(world, leader.name, snapshot.snapshot, 0))
    assert machine.state_hash() == before
    assert leader.machine.state.keys.frozen_count == 0, "and nothing is frozen any more"


def test_a_piece_whose_answer_was_lost_is_given_again(world: World) -> None:
    name = a_follower(world)
    world.run(1)  # it has all by then
    snapshot = begun(world, name).snapshot
    whole = pieces(world, name, begun(world, name, ident=9).snapshot)
    offset = 0
    while offset < len(whole):
        first, again = (pull(world, name, snapshot, offset) for _ in range(2))
        assert first == again
        assert first.data == whole[offset : offset + len(first.data)]
        offset += len(first.data)
    assert isinstance(pull(world, name, snapshot, offset), ErrorReply)


def test_a_beginning_that_is_asked_for_twice_is_one(world: World) -> None:
    name = a_follower(world)
    assert begun(world, name) == begun(world, name)
    assert begun(world, name, ident=2).snapshot != begun(world, name).snapshot


def test_a_node_that_lags_waits_and_then_says_so(world: World) -> None:
    name = a_follower(world)
    newest = world.nodes[name].machine.revision
    world.ask(name, SnapshotRequest(1, world.nodes[name].cluster, newest + 20, TIME))
    world.run(0.2)
    assert not world.replies[name]
    put(world, *map(str, range(20)))
    reply = world.until(lambda: world.replies[name] and world.replies[name][-1])
    assert isinstance(reply, SnapshotBegun)
    assert reply.revision >= newest + 20
    world.cut.add(name)
    assert begin(world, name, put(world, "more"), 2).code == "overloaded"


def test_there_are_few_at_a_time_and_those_that_are_left_are_forgotten(world: World) -> None:
    name = a_follower(world)
    numbers = [begun(world, name, ident=k).snapshot for k in range(limits.SNAPSHOTS)]
    assert begin(world, name, 1, 99).code == "overloaded"
    pieces(world, name, numbers[0])
    begun(world, name, ident=98)
    world.run(limits.SNAPSHOT_UNUSED_MS / 1000 + 1)
    assert world.nodes[name].machine.state.keys.frozen_count == 0
    for number in numbers:
        assert pull(world, name, number, 0).code == "invalid"
    begun(world, name, ident=99)


def test_they_are_forgotten_when_the_state_is_replaced(world: World) -> None:
    name = a_follower(world)
    snapshot = begun(world, name).snapshot
    world.nodes[name].backups.abort()
    assert pull(world, name, snapshot, 0).code == "invalid"


def test_it_takes_an_admin(world: World) -> None:
    name = a_follower(world)
    user = User("billing", read=("",), write=("",))
    request = SnapshotRequest(1, world.nodes[name].cluster, 1, TIME)
    for asked in (request, PullRequest(1, begun(world, name).snapshot, 0)):
        reply = world.answer(name, asked, user)
        assert isinstance(reply, ErrorReply)
        assert (reply.code, reply.message) == (
            "denied",
            "user 'billing' may not take a snapshot: that takes an admin",
        )


def test_another_clusters_revision_means_nothing(world: World) -> None:
    name = a_follower(world)
    reply = world.answer(name, SnapshotRequest(1, "0" * 16, 1, TIME))
    assert isinstance(reply, ErrorReply)
    assert reply.code == "invalid"


def test_while_an_audit_that_is_required_cannot_be_written_there_is_none(world: World) -> None:
    name = a_follower(world)
    world.nodes[name].unrecorded = "the audit trail cannot be written"
    assert begin(world, name, 1).code == "disk_full"


def test_a_backup_is_noted_and_the_newest_is_kept(world: World) -> None:
    node = world.nodes[a_follower(world)]
    for revision, time_s in ((20, 2_000), (10, 1_000)):
        assert world.answer(node.name, NoteRequest(1, revision, time_s)).id == 1  # type: ignore[union-attr]
        assert node.last_backup == (20, 2_000)
    status = world.answer(node.name, StatusRequest(2))
    assert isinstance(status, StatusReply)
    assert status.status["last_backup"] == {"revision": 20, "time_s": 2_000}


def test_a_snapshot_belongs_to_no_connection(world: World) -> None:
    name = a_follower(world)
    snapshot = begun(world, name).snapshot
    world.ask(name, PullRequest(2, snapshot, 0), client=CLIENT + b" again")
    reply = world.until(lambda: world.replies[name] and world.replies[name][-1])
    assert isinstance(reply, SnapshotPiece)
