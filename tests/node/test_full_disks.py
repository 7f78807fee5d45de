"""Full disks of some nodes: who leads then, what is answered, what ends on time."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from raftzmq import limits
from raftzmq.core.membership import Membership
from raftzmq.core.messages import SnapshotChunk
from raftzmq.core.ready import Ready, SnapshotMeta
from raftzmq.node import Node
from raftzmq.node.interfaces import Outbox
from raftzmq.transport.client_wire import OperationsRequest
from raftzmq.transport.operator_wire import StatusReply, StatusRequest
from tests.node.watcher import Watcher
from tests.node.world import World


class Disks:
    """Three nodes, and a session that writes; the disks fill up as a test says."""

    def __init__(self) -> None:
        self.world = World(3)
        self.leader = self.world.formed()
        self.session = self.world.session(self.leader.name)
        assert self.write("put", "k", "1")[1] == "ok"

    @property
    def others(self) -> list[str]:
        return [name for name in self.world.nodes if name != self.leader.name]

    def fill(self, *names: str) -> None:
        for name in names:
            disk = self.world.disks[name]
            disk.capacity = 0
            disk.capacity = 16 - disk.room()  # room for part of a line

    def write(self, *op: Any, node: str = "") -> list[Any]:
        return self.world.operate(node or self.leader.name, *op, session=self.session)

    def begin(self, *op: Any) -> int:
        """Ask the leader for a write and wait for nothing; return its serial."""
        serial = self.world.serial = self.world.serial + 1
        ops = [[serial, *op]]
        request = OperationsRequest(self.session, serial, False, ops, self.leader.cluster)
        self.world.listeners[b"writer"] = lambda _reply: True
        self.world.ask(self.leader.name, request, b"writer")
        return serial

    def successor(self) -> Node:
        found = self.world.until(lambda: (new := self.world.leader()) is not self.leader and new)
        assert isinstance(found, Node)
        return found


def test_a_leader_whose_disk_alone_is_full_hands_over_within_a_tenth_of_a_second() -> None:
    disks = Disks()
    disks.fill(disks.leader.name)
    serial = disks.begin("put", "k", "2")
    began_ms = disks.world.now_ms
    new = disks.successor()
    assert disks.world.now_ms - began_ms <= 100
    # Its outcome was unknown at the old leader; sent again, it is done once.
    request = OperationsRequest(
        disks.session, serial, False, [[serial, "put", "k", "2"]], new.cluster
    )
    disks.world.answer(new.name, request)
    assert disks.write("get", "k", node=new.name)[3][0] == "2"
    assert disks.write("put", "k", "3", node=new.name)[1] == "ok"
    assert disks.leader.disk_full
    assert disks.leader.role == "follower"


def test_a_read_at_the_full_leader_is_told_to_ask_another() -> None:
    disks = Disks()
    disks.fill(disks.leader.name)
    disks.begin("put", "k", "2")
    disks.world.step()
    disks.world.step()  # committed by the two others, and it cannot apply it
    assert disks.world.operate(disks.leader.name, "get", "k")[1] == "not_leader"


def test_nobody_is_told_of_a_full_disk_before_it_is_clear_that_no_other_node_has_room() -> None:
    """A write that comes a moment after the one that did not fit is to be tried again."""
    disks = Disks()
    disks.fill(disks.leader.name, disks.others[0])
    disks.begin("put", "k", "2")
    disks.world.step()
    assert disks.leader.disk_full
    assert disks.write("put", "k", "3")[1] == "overloaded"
    disks.world.run(0.5)
    assert disks.write("put", "k", "4")[1] == "disk_full"


def test_a_lease_ends_on_time_under_the_successor() -> None:
    disks = Disks()
    lease = disks.write("lease_grant", 1000)[3]
    disks.write("put_leased", "leased", "v", lease)
    disks.fill(disks.leader.name)  # the entry that ends the lease is the first that finds no room
    disks.world.run(3)
    new = disks.successor()
    assert disks.world.operate(new.name, "get", "leased")[3] is None


def test_it_comes_back_when_it_has_room() -> None:
    disks = Disks()
    disks.fill(disks.leader.name)
    disks.begin("put", "k", "2")
    new = disks.successor()
    disks.world.run(3)
    disks.world.disks[disks.leader.name].capacity = None
    disks.world.until(lambda: disks.leader.raft.applied_index == new.raft.applied_index)
    assert not disks.leader.disk_full
    assert disks.leader.machine.state_hash() == new.machine.state_hash()
    assert disks.world.leader() is new


def test_with_a_second_full_disk_it_leads_on_and_can_be_read() -> None:
    disks = Disks()
    disks.fill(disks.leader.name, disks.others[0])
    disks.begin("put", "k", "2")
    term = disks.leader.raft.term
    disks.world.run(5)
    assert disks.world.leader() is disks.leader
    assert {node.raft.term for node in disks.world.nodes.values()} == {term}
    assert disks.write("get", "k")[3][0] == "1"
    assert disks.write("put", "k", "3")[1] == "disk_full"
    disks.world.disks[disks.others[0]].capacity = None
    new = disks.successor()
    assert disks.write("put", "k", "4", node=new.name)[1] == "ok"


@pytest.mark.parametrize("led", [True, False], ids=["that led", "that followed"])
def test_a_node_that_cannot_store_what_is_committed_does_not_say_that_nothing_happens(
    led: bool,
) -> None:
    """Its watchers take its silence for what it is, and go to another node."""
    disks = Disks()
    full = disks.leader if led else disks.world.nodes[disks.others[0]]
    watcher = Watcher()
    disks.world.listeners[b"watcher"] = watcher.hears
    disks.world.ask(full.name, watcher.request, b"watcher")
    disks.world.until(lambda: watcher.progress)
    disks.fill(full.name)
    disks.begin("put", "k", "2")
    disks.world.until(lambda: full.disk_full and full.role == "follower" and full.raft.leader)
    heard = watcher.progress
    disks.world.run(5 * limits.WATCH_PROGRESS_MS / 1000)
    assert full.raft.leader is not None, "it knows who leads"
    assert watcher.progress == heard
    disks.world.disks[full.name].capacity = None
    disks.world.until(lambda: watcher.events and watcher.events[-1][2] == "2")


def test_a_piece_of_a_snapshot_that_fits_is_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """It fits where the one before was deleted. Only a whole snapshot shows that there is room."""
    disks = Disks()
    full = disks.world.nodes[disks.others[0]]
    full.lacks = "space"
    piece = SnapshotChunk(disks.leader.raft.id, full.raft.id, 1, 9, 1, 0, b"piece", done=False)
    whole = replace(piece, done=True)
    meta = SnapshotMeta(9, 1, 0, Membership(()))
    monkeypatch.setattr(full.snapshots, "received", lambda chunk: meta if chunk.done else None)
    out = Mock(spec=Outbox)
    assert full._save(Ready(chunks=[piece]), [], out)
    assert full.disk_full
    assert full._save(Ready(chunks=[whole]), [], out)
    assert not full.disk_full


def test_a_crowd_that_takes_all_descriptors_is_not_called_a_full_disk() -> None:
    disks = Disks()
    full = disks.leader

    def before(operation: str, path: Path) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), str(path))

    for name in disks.world.nodes:  # nobody is there to take over
        disks.world.disks[name].before = before
    disks.begin("put", "k", "2")
    disks.world.until(lambda: full.out_of_files)
    assert not full.disk_full
    assert disks.write("put", "k", "3")[1] == "overloaded", "clients try again"
    status = disks.world.answer(full.name, StatusRequest(id=1))
    assert isinstance(status, StatusReply)
    told = {field: status.status[field] for field in ("disk_full", "out_of_files", "healthy")}
    assert told == {"disk_full": False, "out_of_files": True, "healthy": False}
    for name in disks.world.nodes:
        disks.world.disks[name].before = lambda _operation, _path: None
    disks.world.until(lambda: not full.out_of_files)
    assert disks.write("put", "k", "4")[1] == "ok"
