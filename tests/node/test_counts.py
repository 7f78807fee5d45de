"""What a node counts of its own work."""

from __future__ import annotations

from raftzmq.node.counts import ADMIN, READ, STALE_READ, WRITE
from raftzmq.storage import StorageConfig
from raftzmq.transport.client_wire import OperationsRequest
from raftzmq.transport.operator_wire import StatusRequest
from tests.node.world import World


def test_requests_are_counted_by_kind_and_by_the_code_of_their_result() -> None:
    world = World(3)
    leader = world.formed()
    session = world.session(leader.name)
    world.operate(leader.name, "put", "k", "v", session=session)
    world.operate(leader.name, "cas", "k", "w", 1, session=session)
    world.operate(leader.name, "put", "", "v", session=session)
    world.operate(leader.name, "put", "k", "v", session=session + 1)
    world.operate(leader.name, "get", "k")
    world.operate(leader.name, "get", "k", stale=True)
    world.operate(leader.name, "get", 5, stale=True)
    world.answer(leader.name, StatusRequest(1))
    world.member(leader.name, "remove", "raft-9")
    assert leader.counts.answered == {
        WRITE: {"ok": 2, "compare_failed": 1, "invalid": 1, "session_expired": 1},
        READ: {"ok": 1},
        STALE_READ: {"ok": 1, "invalid": 1},
        ADMIN: {"ok": 1, "refused": 1},
    }


def test_what_a_follower_is_asked_is_counted_there_and_what_it_applies_is_not() -> None:
    world = World(3)
    leader = world.formed()
    session = world.session(leader.name)
    follower = next(node for node in world.nodes.values() if node is not leader)
    world.operate(follower.name, "put", "k", "v", session=session)
    world.operate(follower.name, "get", "k")
    world.operate(leader.name, "put", "k", "v", session=session)
    world.run(1)
    assert follower.raft.applied_index == leader.raft.applied_index
    assert follower.counts.answered[WRITE] == {"not_leader": 1}
    assert follower.counts.answered[READ] == {"not_leader": 1}
    assert follower.counts.proposals_applied == 0
    assert sum(follower.counts.commit_seconds.tally().counts) == 0


def test_every_write_is_counted_as_applied_with_how_long_it_took() -> None:
    world = World(3)
    leader = world.formed()
    session = world.session(leader.name)
    ops = [[100 + k, "put", "k", str(k)] for k in range(50)]
    world.answer(leader.name, OperationsRequest(session, 100, False, ops, leader.cluster))
    counts = leader.counts
    tally = counts.commit_seconds.tally()
    assert counts.proposals_applied == sum(tally.counts) == counts.answered[WRITE]["ok"] == 51
    # To the followers and back: two steps of 10 ms.
    assert 0.01 * 51 <= tally.total <= 0.04 * 51
    assert leader.proposals.pending == 0


def test_entries_that_nobody_here_asked_for_are_not_counted() -> None:
    world = World(3)
    leader = world.formed()
    session = world.session(leader.name)
    request = OperationsRequest(session, 70, False, [[70, "put", "k", "1"]], leader.cluster)
    world.ask(leader.name, request)
    leader.proposals.propose()
    leader.raft.propose([(0, 0, (0, "expire"))])  # as when time has passed
    world.run(1)
    assert leader.counts.answered[WRITE]["ok"] == 2, "the session, and the write"


def test_writes_whose_outcome_was_not_seen_are_counted_as_failed() -> None:
    world = World(3)
    leader = world.formed()
    session = world.session(leader.name)
    world.cut.add(leader.name)
    request = OperationsRequest(session, 80, False, [[80, "put", "k", "1"]], leader.cluster)
    world.answer(leader.name, request)
    assert leader.counts.proposals_failed == 1
    assert leader.counts.answered[WRITE]["outcome_unknown"] == 1
    assert leader.proposals.pending == 0


def test_nodes_do_not_all_write_their_snapshots_at_the_same_moment() -> None:
    world = World(5, storage=StorageConfig(snapshot_bytes=1 << 30, snapshot_entries=100))
    leader = world.formed()
    session = world.session(leader.name)
    begun: dict[str, int] = {}
    for k in range(150):
        assert world.operate(leader.name, "put", "k", f"{k}", session=session)[1] == "ok"
        for name, node in world.nodes.items():
            if node.counts.snapshots_taken:
                begun.setdefault(name, k)
    assert len(begun) == 5
    assert len(set(begun.values())) > 2


def test_snapshots_are_counted_where_they_are_taken_sent_and_received() -> None:
    small = StorageConfig(
        segment_bytes=2048, segment_entries=8, snapshot_bytes=2048, snapshot_entries=20,
        keep_entries=2,
    )  # fmt: skip
    world = World(3, storage=small)
    leader = world.formed()
    session = world.session(leader.name)
    absent = next(name for name in world.nodes if name != leader.name)
    world.kill(absent)
    world.run(1)  # the leader has noticed, and sends it no snapshot
    for k in range(100):
        world.operate(leader.name, "put", f"key-{k}", "v" * 100, session=session)
    assert leader.counts.snapshots_taken > 0
    assert leader.counts.snapshots_taken_bytes > 1000
    assert leader.counts.snapshots_sent == 0
    back = world.start(absent)
    world.until(lambda: back.raft.applied_index == leader.raft.applied_index)
    assert back.counts.snapshots_received == 1
    assert leader.counts.snapshots_sent == 1
    size = back.counts.snapshots_received_bytes
    assert 1000 < size == leader.counts.snapshots_sent_bytes
    assert back.counts.snapshots_sent == back.counts.snapshots_sent_bytes == 0


def test_a_follower_knows_how_far_the_leader_has_committed_before_it_has_the_entries() -> None:
    world = World(3)
    leader = world.formed()
    session = world.session(leader.name)
    follower = next(node for node in world.nodes.values() if node is not leader)
    world.cut.add(follower.name)
    for k in range(20):
        world.operate(leader.name, "put", f"key-{k}", "v", session=session)
    commit_index = leader.raft.commit_index
    world.cut.remove(follower.name)
    world.until(lambda: follower.raft.leader_commit_index >= commit_index)
    world.until(lambda: follower.raft.commit_index >= commit_index)
