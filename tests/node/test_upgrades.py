"""The cluster version rises when all members speak more, and falls when an operator says so."""

from __future__ import annotations

from typing import Any

import pytest

from raftzmq.core.identity import NodeId
from raftzmq.errors import DataError, UnknownEntry
from raftzmq.lines import decode_entry
from raftzmq.machine.commands.upgrades import HOLDINGS
from raftzmq.transport.client_wire import ErrorReply, OperationsRequest, Reply
from raftzmq.transport.operator_wire import Done, StatusReply, StatusRequest, UpgradeRequest
from raftzmq.transport.peer_wire import Hello
from raftzmq.versions import SINCE, Spoken
from tests.machine.entries import commands_of
from tests.node.world import NONCE, World

OLD, NEW, NEXT = Spoken(1, 1), Spoken(1, 2), Spoken(1, 3)


def upgraded(size: int = 3) -> World:
    """A cluster of new builds at version 2."""
    world = World(size, spoken=NEW)
    world.formed()
    world.until(lambda: versions(world) == {2})
    return world


def versions(world: World) -> set[int]:
    return {node.machine.version for node in world.nodes.values()}


def restart(world: World, name: str, spoken: Spoken) -> None:
    world.kill(name)
    world.spoken[name] = spoken
    world.start(name)
    world.until(lambda: world.nodes[name].raft.leader is not None and world.leader() is not None)


def upgrade(world: World, action: str) -> Reply:
    leader = world.until(world.leader)
    return world.answer(leader.name, UpgradeRequest(1, action))


def status(world: World) -> dict[str, Any]:
    reply = world.answer(world.until(world.leader).name, StatusRequest(1))
    assert isinstance(reply, StatusReply)
    return reply.status


def test_a_cluster_of_old_builds_stays_at_version_one_and_its_snapshots_say_nothing() -> None:
    world = World(spoken=OLD)
    world.formed()
    world.run(5)
    assert versions(world) == {1}
    for node in world.nodes.values():
        assert [record[0] for record in node.machine.snapshot()] == ["machine"]


def test_the_version_rises_when_the_last_old_node_has_gone_and_not_before() -> None:
    world = World(spoken=OLD)
    world.formed()
    restart(world, "raft-0", NEW)
    restart(world, "raft-1", NEW)
    world.run(5)
    assert versions(world) == {1}
    if world.nodes["raft-2"].role == "leader":
        world.answer_transfer("raft-0")
        world.until(lambda: world.nodes["raft-0"].role == "leader")
    world.run(1)
    assert status(world)["upgrade_blocked"] == [
        "raft-2 speaks cluster version 1: run a newer build there"
    ]
    restart(world, "raft-2", NEW)
    world.until(lambda: versions(world) == {2})
    assert status(world)["members_spoken"] == {name: [1, 2] for name in world.initial}


def test_a_node_that_is_not_heard_blocks_it() -> None:
    world = World(spoken=OLD)
    leader = world.formed()
    silent = min(world.nodes.keys() - {leader.name})
    for name in sorted(world.nodes.keys() - {silent}):
        restart(world, name, NEW)
    world.kill(silent)
    world.run(5)
    assert versions(world) == {1}
    assert status(world)["upgrade_blocked"] == [f"{silent} is not heard: start it, or remove it"]


def test_it_is_in_the_snapshot_and_comes_back_from_it() -> None:
    world = upgraded(1)
    (node,) = world.nodes.values()
    records = list(node.machine.snapshot())
    assert records[1] == ["version", 2, False, 0]
    assert type(node.machine).restore(records, NEW).state_hash() == node.machine.state_hash()


def test_an_old_build_does_not_take_a_state_of_a_higher_version() -> None:
    world = upgraded(1)
    (node,) = world.nodes.values()
    with pytest.raises(DataError, match=r"the cluster has version 2, .* speaks cluster version 1"):
        type(node.machine).restore(node.machine.snapshot(), OLD)


def test_an_old_build_stops_at_the_entry_that_sets_a_higher_version() -> None:
    world = upgraded()
    world.kill("raft-2")
    world.spoken["raft-2"] = OLD
    world.start("raft-2")
    with pytest.raises(UnknownEntry, match="sets the cluster version to 2, and this build speaks"):
        world.run(10)


def test_an_old_build_that_wants_to_join_is_told_and_writes_nothing() -> None:
    world = upgraded()
    world.kill("raft-2")
    world.wipe("raft-2")
    world.spoken["raft-2"] = OLD
    node = world.start("raft-2")
    before = dict(world.nodes["raft-0"].raft.membership.to_body())
    world.until(lambda: "cluster version" in (node.joining.waiting or ""))
    waiting = node.joining.waiting or ""
    assert waiting.endswith(
        "has cluster version 2, and raft-2 speaks cluster version 1: run a newer build there"
    )
    world.run(5)
    assert node.cluster == "", "it has taken the cluster's name"
    assert world.nodes["raft-0"].raft.membership.to_body() == before


def test_an_old_build_is_not_added_by_hand_either() -> None:
    world = upgraded()
    leader = world.until(world.leader)
    newcomer = NodeId("raft-3", "cafe" * 4)
    leader.greeted(Hello(leader.cluster, newcomer, "gone:6000", NONCE, OLD), world.now_ms)
    reply = world.member(leader.name, "add", "raft-3")
    assert isinstance(reply, ErrorReply)
    assert reply.message.endswith(
        "has cluster version 2, and raft-3 speaks cluster version 1: run a newer build there"
    )


def test_a_downgrade_is_pinned_until_it_is_finished() -> None:
    world = upgraded()
    assert isinstance(upgrade(world, "downgrade"), Done)
    world.run(5)
    assert versions(world) == {1}
    assert status(world)["cluster_version_pinned"]
    restart(world, "raft-0", OLD)
    restart(world, "raft-1", OLD)
    restart(world, "raft-2", OLD)
    world.run(5)
    for name in world.initial:
        restart(world, name, NEW)
    world.run(5)
    assert versions(world) == {1}
    assert isinstance(upgrade(world, "finish"), Done)
    assert versions(world) == {2} or world.until(lambda: versions(world) == {2})


def test_after_a_downgrade_no_node_needs_or_sends_what_came_before() -> None:
    world = upgraded()
    upgrade(world, "downgrade")
    world.until(lambda: versions(world) == {1})
    world.until(lambda: all(node.version_settled for node in world.nodes.values()))
    lowered = {node.machine.state.lowered_index for node in world.nodes.values()}
    assert len(lowered) == 1
    assert lowered != {0}
    for name in world.initial:
        restart(world, name, OLD)
        assert world.nodes[name].raft.log.first_index > max(lowered)


def test_a_downgrade_is_refused_while_the_state_holds_what_is_newer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(SINCE, "record tomorrow/2", 2)
    monkeypatch.setitem(HOLDINGS, "record tomorrow/2", lambda _: "something of tomorrow")
    world = upgraded()
    reply = upgrade(world, "downgrade")
    assert isinstance(reply, ErrorReply)
    assert "something of tomorrow: remove that first" in reply.message
    assert versions(world) == {2}


def test_the_lowest_version_cannot_be_lowered() -> None:
    world = World(spoken=OLD)
    world.formed()
    reply = upgrade(world, "downgrade")
    assert isinstance(reply, ErrorReply)
    assert reply.message == "the cluster version is 1: no lower one is spoken here"


def test_to_finish_says_what_is_in_the_way() -> None:
    world = World(spoken=NEW)
    world.spoken["raft-2"] = OLD
    world.kill("raft-2")
    world.start("raft-2")
    world.formed()
    if world.nodes["raft-2"].role == "leader":
        world.answer_transfer("raft-0")
        world.until(lambda: world.nodes["raft-0"].role == "leader")
    reply = upgrade(world, "finish")
    assert isinstance(reply, ErrorReply)
    assert "raft-2 speaks cluster version 1" in reply.message


def test_a_new_leader_uses_no_newer_form_before_it_knows_the_whole_log() -> None:
    world = upgraded()
    leader = world.until(world.leader)
    assert leader.upgrades.version == 2
    leader.raft.applied_index, applied = leader.raft.term_start_index - 1, leader.raft.applied_index
    assert leader.upgrades.version == 1
    leader.raft.applied_index = applied
    leader.upgrades.downgrade()
    assert leader.machine.version == 2
    assert leader.upgrades.version == 1, "the lower version is in the log already"


def test_two_steps_are_made_at_once_if_all_speak_them() -> None:
    world = World(spoken=NEXT)
    world.formed()
    world.until(lambda: versions(world) == {3})


# -- what is new in version 2 ----------------------------------------------------------------------

PUT_IF: list[Any] = ["put_if", "k", "v", 0, ["ttl", 60_000]]
NEWER: list[list[Any]] = [
    PUT_IF,
    ["txn", [], [["get", "k"]], [["put_if", "k", "v", None, "keep"]]],
    ["fenced", [["q", 1]], PUT_IF],
    ["incr", "k", 1, None],
    ["txn", [], [], [["incr", "k", 1, None]]],
    ["fenced", [["q", 1]], ["incr", "k", 1, None]],
    ["proclaim", "q", 1, "v"],
]


@pytest.mark.parametrize("op", NEWER, ids=str)
def test_a_newer_write_is_refused_by_a_cluster_of_version_one_and_changes_nothing(
    op: list[Any],
) -> None:
    world = upgraded()
    assert isinstance(upgrade(world, "downgrade"), Done)
    leader = world.until(world.leader)
    session = world.session(leader.name)
    before = leader.machine.state_hash(), leader.raft.log.last_index
    _, code, revision, message = world.operate(leader.name, *op, session=session)
    assert (code, revision) == ("unsupported", 0)
    assert message["message"] == (
        f"{op[0]} needs cluster version 2, and this cluster has 1: upgrade every node, then run "
        "`raftzmq client upgrade finish`; nothing was changed"
    )
    assert (leader.machine.state_hash(), leader.raft.log.last_index) == before
    assert isinstance(upgrade(world, "finish"), Done)
    code = world.operate(leader.name, *op, session=session)[1]
    assert code == ("fenced" if op[0] in ("fenced", "proclaim") else "ok")


def test_a_newer_write_in_the_turn_of_a_downgrade_stands_before_it_or_is_tried_again() -> None:
    world = upgraded()
    leader = world.until(world.leader)
    session = world.session(leader.name)
    replies: list[Any] = []

    def hear(reply: Any) -> bool:
        replies.append(reply)
        return True

    world.listeners[b"writer"] = hear
    ask = OperationsRequest(session, 1, False, [[101, *PUT_IF]], leader.cluster)
    late = OperationsRequest(session, 1, False, [[102, *PUT_IF]], leader.cluster)
    world.ask(leader.name, ask, b"writer")
    world.ask(leader.name, UpgradeRequest(1, "downgrade"), b"operator")
    world.ask(leader.name, late, b"writer")
    log = leader.raft.log
    last = [decode_entry(log.entry(log.last_index - before).line) for before in (1, 0)]
    assert [op[1] for entry in last for _, _, op in commands_of(entry)] == [
        "put_if",
        "cluster_version",
    ]
    world.until(lambda: len(replies) == 2)
    codes = {result[0]: result[1] for reply in replies for result in reply.results}
    assert codes == {101: "ok", 102: "overloaded"}
    world.until(lambda: versions(world) == {1})
