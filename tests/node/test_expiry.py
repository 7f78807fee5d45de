"""What has had its time ends on time by the leader's clock, and never before."""

from __future__ import annotations

from typing import Any

import pytest

from raftzmq import limits
from raftzmq.core.entry import COMMAND
from raftzmq.lines import decode_entry
from raftzmq.node import Node
from raftzmq.node.expiry import EXPIRY_MS
from tests.node.watcher import Watcher
from tests.node.world import STEP_MS, World

TTL_MS = 1_000


class Leased:
    """A world with a lease and a key that goes with it, and a watcher of that key."""

    def __init__(self, size: int = 3) -> None:
        self.world = World(size)
        self.leader = self.world.formed()
        self.session = self.world.session(self.leader.name)
        self.watcher = Watcher("leased")
        self.world.listeners[b"watcher"] = self.watcher.hears
        self.watched = min(n for n in self.world.nodes if n != self.leader.name or size == 1)
        self.world.ask(self.watched, self.watcher.request, b"watcher")
        self.lease = self.write("lease_grant", TTL_MS)[3]
        self.granted_ms = self.world.now_ms
        self.write("put_leased", "leased", "v", self.lease)

    def write(self, *op: Any) -> list[Any]:
        return self.world.operate(self.leader.name, *op, session=self.session)

    def ended(self) -> int:
        """Run until the key has gone; return when that was."""
        self.world.until(lambda: [e for e in self.watcher.events if e[2] is None], 60)
        return self.world.now_ms

    def proposed(self, node: Node) -> int:
        """How many entries in a node's log end something."""
        lines = [entry.line for entry in node.raft.log.entries if entry.kind == COMMAND]
        commands = [decode_entry(line).body for line in lines]
        return sum(op[1] == "expire" for _, _, op in commands)


def test_a_lease_that_is_not_kept_ends_on_time_and_is_told_everywhere() -> None:
    leased = Leased()
    took_ms = leased.ended() - leased.granted_ms
    # The grant itself was some steps before its answer, and the end takes some to get around.
    assert TTL_MS - 10 * STEP_MS <= took_ms <= TTL_MS + 15 * STEP_MS
    assert leased.world.operate(leased.leader.name, "get", "leased")[3] is None


def test_a_lease_that_is_kept_does_not_end() -> None:
    leased = Leased()
    for _ in range(10):
        leased.world.run(TTL_MS / 3000)
        assert leased.write("lease_keep", leased.lease)[1] == "ok"
    assert len(leased.watcher.events) == 1
    assert leased.ended() - leased.world.now_ms <= TTL_MS + 15 * STEP_MS


def test_the_leader_wakes_for_it() -> None:
    idle = World(1).formed()
    assert idle.next_deadline_ms == idle.raft.next_deadline_ms, "there is nothing else to do"
    leased = Leased(1)
    due_ms = leased.leader.expiry.next_deadline_ms
    assert due_ms is not None
    assert leased.granted_ms + TTL_MS - 10 * STEP_MS <= due_ms <= leased.granted_ms + TTL_MS
    assert leased.leader.next_deadline_ms <= due_ms
    leased.ended()


def test_a_failover_gives_more_time_and_never_less() -> None:
    leased = Leased()
    leased.world.run(TTL_MS * 0.8 / 1000)
    leased.world.kill(leased.leader.name)
    assert leased.watched in leased.world.nodes
    took_ms = leased.ended() - leased.granted_ms
    assert TTL_MS <= took_ms <= 4 * TTL_MS
    assert leased.watcher.lost is None


@pytest.mark.parametrize("cut", [False, True])
def test_one_entry_at_a_time_ends_things(cut: bool) -> None:
    """Also while none can be committed, as for a leader that has lost its followers."""
    leased = Leased()
    leader = leased.leader
    leased.world.run((TTL_MS - 200) / 1000)
    if cut:
        leased.world.cut = set(leased.world.nodes) - {leader.name}
    while leader.raft.role.value == "leader" and leased.world.now_ms < leased.granted_ms + TTL_MS:
        leased.world.step()
    leased.world.run(0.2)
    assert leased.proposed(leader) <= 1


def test_what_ends_at_nearly_the_same_time_ends_together() -> None:
    world = World(1)
    leader = world.formed()
    session = world.session(leader.name)
    for n in range(20):
        world.operate(leader.name, "put_ttl", f"k{n}", "v", TTL_MS, session=session)
    before = world.operate(leader.name, "prefix", "k", 100)[3][0]
    assert len(before) == 20
    index, took_ms = leader.raft.log.last_index, 20 * STEP_MS
    world.until(lambda: world.operate(leader.name, "prefix", "k", 100)[3][0] == [])
    assert 1 <= leader.raft.log.last_index - index <= took_ms // EXPIRY_MS + 2


@pytest.mark.parametrize("deposed", [False, True])
def test_leaders_go_on_until_a_large_lease_has_nothing_left(
    deposed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "REMOVALS_PER_ENTRY", 3)
    leased = Leased()
    world, leader = leased.world, leased.leader
    for n in range(20):
        leased.write("put_leased", f"leased{n:02}", "v", leased.lease)
    assert leased.write("lease_revoke", leased.lease)[1] == "ok"
    assert leased.write("lease_keep", leased.lease)[1] == "lease_expired"
    if deposed:
        world.kill(leader.name)
    leases = [node.machine.state.leases for node in world.nodes.values()]
    world.until(lambda: not any(one.ending for one in leases), 60)
    assert all(len(node.machine) == 0 for node in world.nodes.values())
    assert all(leased.proposed(node) >= 20 // 3 for node in world.nodes.values())
    world.run(0.2)
    due = [node.expiry.next_deadline_ms for node in world.nodes.values()]
    assert all(ms is None or ms > world.now_ms + TTL_MS for ms in due), "nothing is left to do"


def test_a_prefix_that_is_too_large_is_refused_before_anything_is_deleted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "REMOVALS_PER_ENTRY", 3)
    leased = Leased(1)
    for n in range(4):
        leased.write("put", f"k{n}", "v")
    assert leased.write("delete_prefix", "k")[1] == "invalid"
    assert leased.write("txn", [], [["delete_prefix", "k"]], [])[1] == "invalid"
    assert leased.write("delete_first", "k", 3)[3] == [3, True]
    assert leased.write("delete_prefix", "k")[3] == 1
