"""What clients get: results, errors by name, and unknown outcomes called unknown."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from raftzmq import limits
from raftzmq.core.entry import COMMANDS
from raftzmq.core.messages import AppendEntries, SnapshotChunk
from raftzmq.lines import with_body
from raftzmq.storage import StorageConfig
from raftzmq.transport.client_wire import ErrorReply, OperationsRequest, Results
from raftzmq.transport.operator_wire import (
    Done,
    StatusReply,
    StatusRequest,
    StopRequest,
    TransferRequest,
)
from raftzmq.transport.peer_wire import Envelope
from tests.node.world import STEP_MS, World


def test_while_an_audit_that_is_required_cannot_be_written_only_reads_are_taken() -> None:
    world = World(3)
    leader = world.formed()
    session = world.session(leader.name)
    leader.unrecorded = "the audit trail cannot be written"
    for op in (["put", "k", "v"], ["delete", "k"]):
        code, _, message = world.operate(leader.name, *op, session=session)[1:]
        assert (code, message) == ("disk_full", leader.unrecorded)
    assert world.operate(leader.name, "get", "k")[1] == "ok"
    refused = world.member(leader.name, "remove", "raft-2")
    assert isinstance(refused, ErrorReply)
    assert refused.code == "disk_full"
    leader.unrecorded = ""
    assert world.operate(leader.name, "put", "k", "v", session=session)[1] == "ok"


def test_a_put_is_read_back_from_the_leader_and_stale_from_everybody() -> None:
    world = World(3)
    leader = world.formed()
    session = world.session(leader.name)
    _, code, index, body = world.operate(leader.name, "put", "greeting", "hello", session=session)
    assert (code, body) == ("ok", None)
    assert world.operate(leader.name, "get", "greeting")[3] == ["hello", index]
    world.run(1)
    for name in world.nodes:
        assert world.operate(name, "get", "greeting", stale=True)[3] == ["hello", index]


def test_a_follower_names_the_leader_and_its_client_port() -> None:
    world = World(3)
    leader = world.formed()
    follower = next(name for name in world.nodes if name != leader.name)
    request = OperationsRequest(session=0, ack=1, stale=False, ops=[[1, "get", "k"]])
    reply = world.answer(follower, request)
    assert isinstance(reply, ErrorReply)
    assert (reply.code, reply.ids) == ("not_leader", [1])
    assert (reply.leader, reply.address) == (leader.name, f"{leader.name}.raft-service:6001")


def test_a_bad_operation_does_not_harm_its_neighbours() -> None:
    world = World(3)
    leader = world.formed()
    session = world.session(leader.name)
    ops = [[50, "put", "", "v"], [51, "put", "k", "v"], [52, "frobnicate"], [53, "get", 5]]
    world.replies[leader.name].clear()
    world.ask(leader.name, OperationsRequest(session, 50, False, ops, leader.cluster))
    world.run(1)
    codes = {}
    for reply in world.replies[leader.name]:
        for result in reply.results:  # type: ignore[union-attr]
            codes[result[0]] = result[1]
    assert codes == {50: "invalid", 51: "ok", 52: "invalid", 53: "invalid"}


def test_results_name_the_log_entry_that_their_writes_came_in() -> None:
    world = World(3)
    leader = world.formed()
    session = world.session(leader.name)
    request = OperationsRequest(
        session, 50, False, [[serial, "put", "k", "v"] for serial in range(50, 53)], leader.cluster
    )
    reply = world.answer(leader.name, request)
    assert isinstance(reply, Results)
    index = leader.raft.log.last_index
    assert list(reply.entries) == [[index, 3]]
    assert [result[2] - reply.results[0][2] for result in reply.results] == [0, 1, 2]
    read = world.answer(leader.name, OperationsRequest(0, 0, False, [[1, "get", "k"]]))
    assert isinstance(read, Results)
    assert list(read.entries) == [[leader.raft.applied_index, 1]]


def test_a_retry_with_the_same_serial_returns_the_first_result_even_from_the_next_leader() -> None:
    world = World(3)
    leader = world.formed()
    session = world.session(leader.name)
    request = OperationsRequest(session, 70, False, [[70, "put", "k", "1"]], leader.cluster)
    first = world.answer(leader.name, request)
    world.run(1)
    world.kill(leader.name)
    successor = world.until(world.leader)
    again = world.answer(successor.name, request)
    assert again.results == first.results  # type: ignore[union-attr]
    assert world.operate(successor.name, "get", "k")[3][1] == first.results[0][2]  # type: ignore[union-attr]


def test_writes_in_flight_when_leadership_is_lost_have_an_unknown_outcome() -> None:
    world = World(3)
    leader = world.formed()
    session = world.session(leader.name)
    world.cut.add(leader.name)
    request = OperationsRequest(session, 80, False, [[80, "put", "k", "1"]], leader.cluster)
    reply = world.answer(leader.name, request)
    assert isinstance(reply, ErrorReply)
    assert (reply.code, reply.ids) == ("outcome_unknown", [80])


def test_a_session_of_another_cluster_is_unknown_here_whatever_its_number() -> None:
    world = World(3)
    leader = world.formed()
    session = world.session(leader.name)
    for cluster in ("", "0123456789abcdef"):
        request = OperationsRequest(session, 60, False, [[60, "put", "k", "1"]], cluster)
        reply = world.answer(leader.name, request)
        assert isinstance(reply, ErrorReply)
        assert (reply.code, reply.ids) == ("session_expired", [60])


def test_a_cut_off_leader_answers_no_linearizable_read() -> None:
    world = World(3)
    leader = world.formed()
    world.cut.add(leader.name)
    reply = world.answer(
        leader.name, OperationsRequest(session=0, ack=0, stale=False, ops=[[90, "get", "k"]])
    )
    assert isinstance(reply, ErrorReply)
    assert reply.code == "not_leader"


def test_too_many_writes_in_flight_are_refused_as_overload(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PROPOSALS_IN_FLIGHT", 10)
    world = World(3)
    leader = world.formed()
    session = world.session(leader.name)
    world.replies[leader.name].clear()
    for k in range(20):
        ops = [[100 + k, "put", "k", "v"]]
        world.ask(leader.name, OperationsRequest(session, 100, False, ops, leader.cluster))
    world.run(1)
    codes = [getattr(reply, "code", "ok") for reply in world.replies[leader.name]]
    assert codes.count("overloaded") == 10
    world.serial = 200
    assert world.operate(leader.name, "put", "k", "w", session=session)[1] == "ok"


def test_a_transfer_is_answered_when_the_other_leads() -> None:
    world = World(3)
    leader = world.formed()
    other = next(name for name in world.nodes if name != leader.name)
    reply = world.answer(leader.name, TransferRequest(id=1, to=other))
    assert isinstance(reply, Done), reply
    assert world.leader() is world.nodes[other]


def test_stopping_hands_leadership_over_within_a_tenth_of_a_second() -> None:
    world = World(3)
    leader = world.formed()
    leader.stop()
    start = world.now_ms
    world.until(lambda: (new := world.leader()) and new is not leader)
    assert world.now_ms - start <= 100


def test_a_full_disk_refuses_writes_keeps_reads_and_clears_by_itself() -> None:
    world = World(3)
    leader = world.formed()
    session = world.session(leader.name)
    assert world.operate(leader.name, "put", "k", "1", session=session)[1] == "ok"
    for disk in world.disks.values():
        disk.capacity = 0
        disk.capacity = 16 - disk.room()  # room for part of a line
    serial = world.serial = world.serial + 1
    world.ask(
        leader.name,
        OperationsRequest(session, serial, False, [[serial, "put", "k", "2"]], leader.cluster),
    )
    world.run(5)
    assert world.leader() is leader
    assert world.operate(leader.name, "put", "k", "3", session=session)[1] == "disk_full"
    assert world.operate(leader.name, "get", "k")[3][0] == "1"
    for disk in world.disks.values():
        disk.capacity = None
    world.run(3)
    assert world.operate(leader.name, "get", "k")[3][0] == "2"
    assert world.operate(leader.name, "put", "k", "4", session=session)[1] == "ok"


def test_a_far_behind_node_gets_a_snapshot_and_ends_with_the_same_state() -> None:
    world = World(3, storage=StorageConfig(snapshot_entries=30, keep_entries=5, segment_entries=10))
    leader = world.formed()
    session = world.session(leader.name)
    other = next(name for name in world.nodes if name != leader.name)
    world.kill(other)
    for k in range(200):
        assert world.operate(leader.name, "put", f"k{k % 7}", f"{k}", session=session)[1] == "ok"
    assert leader.raft.log.first_index > 100
    node = world.start(other)
    world.until(lambda: node.raft.applied_index == leader.raft.applied_index)
    assert node.machine.state_hash() == leader.machine.state_hash()
    world.kill(other)  # and it is all there after a restart
    node = world.start(other)
    world.until(lambda: node.raft.applied_index == leader.raft.applied_index)
    assert node.machine.state_hash() == leader.machine.state_hash()


def test_a_node_that_starts_with_a_long_log_hears_its_peers_while_it_applies_it() -> None:
    world = World(3)
    leader = world.formed()
    session = world.session(leader.name)
    for k in range(100):
        assert world.operate(leader.name, "put", f"k{k}", "v" * 100, session=session)[1] == "ok"
    other = next(name for name in world.nodes if name != leader.name)
    world.run(1)
    world.kill(other)
    node = world.start(other)
    assert any(e.kind == COMMANDS for e in node.raft.log.entries)
    assert all(e.body is None for e in node.raft.log.entries if e.kind == COMMANDS)
    node.settings = replace(node.settings, work_per_turn=100)
    applied = [0]
    while applied[-1] < leader.raft.applied_index:
        world.step()
        if node.raft.applied_index > applied[-1]:
            applied.append(node.raft.applied_index)
            behind = node.raft.applied_index < node.raft.commit_index
            assert (node.next_deadline_ms <= world.now_ms) == behind, "it goes on without a pause"
    assert len(applied) > 8
    for before, after in pairwise(applied):
        handed = node.raft.log.between(before + 1, after)
        lines = [len(e.line) for e in handed if e.kind == COMMANDS]
        assert len(lines) <= 10, "an entry of one put is at least ten units"
        assert len(lines) <= 1 or sum(lines) <= 2000
    assert node.machine.state_hash() == leader.machine.state_hash()


def test_a_leader_with_a_long_log_to_apply_sends_heartbeats_between_small_amounts_of_it() -> None:
    world = World(3)
    leader = world.formed()
    session = world.session(leader.name)
    for k in range(50):
        assert world.operate(leader.name, "put", f"k{k}", "v", session=session)[1] == "ok"
    reads = [["prefix", "k", 100]]
    for _ in range(50):  # short entries that take long
        assert world.operate(leader.name, "txn", [], reads, [], session=session)[1] == "ok"
    for name in world.initial:
        world.kill(name)
    for name in world.initial:
        node = world.start(name)
        node.settings = replace(node.settings, work_per_turn=100)
    leader = world.until(world.leader)
    term, applied, turns = leader.raft.term, leader.raft.applied_index, 0
    heartbeats = []
    while leader.raft.applied_index < leader.raft.log.last_index:
        deadline_ms = leader.raft.heartbeat_deadline_ms
        world.step()
        heartbeats.append(leader.raft.heartbeat_deadline_ms != deadline_ms)
        done, applied = leader.raft.applied_index - applied, leader.raft.applied_index
        assert done <= 20, "one read of this log is more than a turn's work"
        turns += done > 0
    assert turns > 50
    assert sum(heartbeats) >= len(heartbeats) * STEP_MS // (leader.raft.config.heartbeat_ms + 20)
    world.run(1)
    assert {node.raft.term for node in world.nodes.values()} == {term}
    assert len({node.machine.state_hash() for node in world.nodes.values()}) == 1


def test_an_entry_has_a_bounded_number_of_operations() -> None:
    world = World(1)
    leader = world.formed()
    session = world.session(leader.name)
    before = leader.raft.log.last_index
    count = limits.ENTRY_OPERATIONS
    for start in (0, 2, count):  # three messages of one turn
        size = 2 if start == 0 else count - 2 if start == 2 else 3
        ops = [[serial, "put", "k", ""] for serial in range(50 + start, 50 + start + size)]
        world.ask(leader.name, OperationsRequest(session, 50, False, ops, leader.cluster))
    world.run(1)
    sizes = [
        sum(len(group[2]) for group in with_body(entry).body)
        for entry in leader.raft.log.between(before + 1, leader.raft.log.last_index)
    ]
    assert sizes == [count, 3]


def test_entries_committed_in_the_turn_that_completes_a_snapshot_are_applied_before_it() -> None:
    world = World(3, storage=StorageConfig(snapshot_entries=30, keep_entries=5, segment_entries=10))
    leader = world.formed()
    session = world.session(leader.name)
    other = next(name for name in world.nodes if name != leader.name)
    node = world.nodes[other]
    world.cut.add(other)
    have = node.raft.log.last_index
    for k in range(3):
        assert world.operate(leader.name, "put", "k", f"{k}", session=session)[1] == "ok"
    late = tuple(leader.raft.log.between(have + 1, leader.raft.log.last_index))
    for k in range(60):
        assert world.operate(leader.name, "put", "k", f"{k}", session=session)[1] == "ok"
    meta = leader.raft.snapshot_meta
    assert meta is not None
    assert meta.index > late[-1].index
    raft, to = leader.raft, node.raft.id
    prev_term = node.raft.log.last_term
    data, done = world.stores[leader.name].read_chunk(meta.index, meta.term, 0, 1 << 20)
    assert done
    for message in (
        AppendEntries(raft.id, to, raft.term, have, prev_term, late[-1].index, 0, late),
        SnapshotChunk(raft.id, to, raft.term, meta.index, meta.term, 0, data, True),
    ):
        node.receive(Envelope(leader.cluster, message))
    world.step()
    assert node.machine.applied_index == node.raft.applied_index == meta.index


def test_a_snapshot_that_finds_no_room_refuses_no_writes() -> None:
    world = World(3, storage=StorageConfig(snapshot_entries=30, keep_entries=5, segment_entries=10))
    leader = world.formed()
    session = world.session(leader.name)
    refused = []

    def full(operation: str, path: Path) -> None:
        if "snapshots" in path.parts and operation != "unlink":
            refused.append(path)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    for disk in world.disks.values():
        disk.before = full
    for k in range(100):
        assert world.operate(leader.name, "put", "k", f"{k}", session=session)[1] == "ok"
    assert refused
    for disk in world.disks.values():
        disk.before = lambda operation, path: None
    for k in range(100):
        assert world.operate(leader.name, "put", "k", f"{k}", session=session)[1] == "ok"
    assert leader.raft.snapshot_meta is not None


def test_large_answers_are_split_into_frames_that_fit() -> None:
    world = World(3)
    leader = world.formed()
    session = world.session(leader.name)
    big = "x" * limits.VALUE_BYTES
    for k in range(3):
        assert world.operate(leader.name, "put", f"k{k}", big, session=session)[1] == "ok"
    ops = [[200 + k, "get", f"k{k % 3}"] for k in range(12)]
    world.replies[leader.name].clear()
    world.ask(leader.name, OperationsRequest(session=0, ack=0, stale=False, ops=ops))
    world.run(1)
    answered = sorted(r[0] for reply in world.replies[leader.name] for r in reply.results)  # type: ignore[union-attr]
    assert answered == [op[0] for op in ops]
    assert len(world.replies[leader.name]) > 1


def test_an_idle_session_expires_by_replicated_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SESSION_TTL_MS", 3_000)
    world = World(3)
    leader = world.formed()
    session = world.session(leader.name)
    assert world.operate(leader.name, "put", "k", "1", session=session)[1] == "ok"
    world.run(8)
    assert world.operate(leader.name, "put", "k", "2", session=session)[1] == "session_expired"
    assert world.operate(leader.name, "get", "k")[3][0] == "1"


def test_a_node_that_was_told_to_stop_says_so_and_counts_as_unwell() -> None:
    world = World(3)
    leader = world.formed()
    before = world.answer(leader.name, StatusRequest(1))
    assert isinstance(before, StatusReply)
    assert (before.status["stopping"], before.status["healthy"]) == (False, True)
    assert world.answer(leader.name, StopRequest(2)) == Done(2, f"{leader.name} is stopping")
    after = world.answer(leader.name, StatusRequest(3))
    assert isinstance(after, StatusReply)
    assert (after.status["stopping"], after.status["healthy"]) == (True, False)
