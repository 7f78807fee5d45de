"""Nodes among strangers, who say what anybody could who reaches the port and reads the status."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import pytest

from raftzmq import limits
from raftzmq.core.identity import NodeId
from raftzmq.core.messages import (
    AppendEntries,
    AppendRejected,
    Heartbeat,
    LogRegressed,
    VoteRequest,
)
from raftzmq.errors import StaleData
from raftzmq.node import Node, admission, hellos
from raftzmq.node.state import ADDRESSES_MAX, HELLO_INTERVAL_MS
from raftzmq.transport.operator_wire import Done
from raftzmq.transport.peer_wire import Envelope, Hello, Neighbour, Welcome
from raftzmq.versions import SPOKEN
from tests.node.world import NONCE, World

STRANGER = NodeId("raft-9", "bad0" * 4)
ELSEWHERE = "elsewhere:6000"


def followers(world: World, leader: Node) -> list[Node]:
    return [node for node in world.nodes.values() if node is not leader]


def hello_of(world: World, node: Node) -> Hello:
    """The hello that the node sends next."""
    node.tick(world.now_ms + HELLO_INTERVAL_MS)
    return next(g for _, _, g in node.greetings if isinstance(g, Hello))


def lead_far(world: World, jumps: int) -> Node:
    """Have somebody who says that he is a member take the term as far as he can; return the leader
    that they elect then."""
    leader = world.formed()
    for _ in range(jumps):
        for node in followers(world, leader):
            term = node.raft.term + limits.TERM_JUMP
            vote = VoteRequest(leader.raft.id, node.raft.id, term, 0, 0, True)
            node.receive(Envelope(node.cluster, vote))
        world.run(2)
        leader = world.formed()
    return leader


def test_a_cluster_survives_votes_that_are_asked_for_in_a_members_name() -> None:
    world = World(3)
    leader = lead_far(world, 3)
    assert leader.raft.term > 3 * limits.TERM_JUMP
    assert world.operate(leader.name, "get", "k")[1] == "ok"


def test_the_last_term_is_not_reached_by_a_word() -> None:
    world = World(3)
    leader = world.formed()
    for node in followers(world, leader):
        for sender in (STRANGER, leader.raft.id):
            vote = VoteRequest(sender, node.raft.id, limits.TERM_MAX, 99, limits.TERM_MAX, True)
            node.receive(Envelope(node.cluster, vote))
    world.run(5)
    assert world.leader() is leader
    assert leader.raft.term < limits.TERM_JUMP


def test_no_forged_word_makes_a_node_believe_that_it_has_lost_its_log() -> None:
    world = World(3)
    leader = world.formed()
    for _ in range(100):
        for node in followers(world, leader):
            last, term = node.raft.log.last_index, node.raft.term
            me = leader.raft.id, node.raft.id, term
            for forged in (
                LogRegressed(*me, last + 5, 0),
                LogRegressed(*me, last + 5, world.random.getrandbits(53)),
                Heartbeat(*me, last + 5, 0),
                AppendEntries(*me, last + 5, term, last, 0, ()),
            ):
                node.receive(Envelope(node.cluster, forged))
            reject = AppendRejected(node.raft.id, leader.raft.id, term, 1, 0, 0, 0, 0, 5)
            leader.receive(Envelope(leader.cluster, reject))
        world.step()
    world.run(1)
    assert world.leader() is leader
    assert all(node.raft.regressed is None for node in world.nodes.values())
    session = world.session(leader.name)
    assert world.operate(leader.name, "put", "k", "v", session=session)[1] == "ok"
    world.kill(leader.name)
    world.until(lambda: world.leader() is not None)


@pytest.mark.parametrize("writes", [0, 3])
def test_an_old_copy_of_a_directory_still_stops_its_node(writes: int) -> None:
    world = World(3)
    leader = world.formed()
    session = world.session(leader.name)
    name = followers(world, leader)[0].name
    world.run(1)
    old = deepcopy(world.disks[name])
    for k in range(3):
        world.operate(leader.name, "put", "k", f"{k}", session=session)
    world.run(1)
    world.kill(name)
    old.crash(world.random)  # nobody has it open
    world.disks[name] = old
    world.start(name)

    def go_on() -> None:
        for k in range(writes):
            world.operate(leader.name, "put", "k", f"{k}", session=session)
        world.run(5)

    with pytest.raises(StaleData):
        go_on()
    world.kill(name)
    with pytest.raises(StaleData):
        world.start(name)
    assert world.leader() is leader


@pytest.mark.parametrize("name", ["raft-2", "raft-3"])
def test_a_wiped_and_a_new_node_join_a_cluster_of_a_far_later_term(name: str) -> None:
    world = World(3)
    leader = lead_far(world, 3)
    if leader.name == name:
        world.answer_transfer("raft-0")
        leader = world.formed()
    if name in world.nodes:
        world.kill(name)
        world.wipe(name)
    newcomer = world.start(name)
    if name not in world.initial:
        world.run(1)
        assert isinstance(world.member(leader.name, "add", name), Done)
    world.until(lambda: newcomer.role == "follower")
    assert newcomer.raft.term > 3 * limits.TERM_JUMP


def test_a_member_that_was_away_takes_a_far_later_term() -> None:
    world = World(3)
    leader = world.formed()
    late = followers(world, leader)[0]
    world.cut.add(late.name)
    for node in world.nodes.values():
        if node is not late:
            node.raft.vouch(frozenset(), 9 * limits.TERM_JUMP)
            vote = VoteRequest(leader.raft.id, node.raft.id, 9 * limits.TERM_JUMP, 0, 0, True)
            node.receive(Envelope(node.cluster, replace(vote, sender=late.raft.id)))
    world.until(lambda: (new := world.leader()) and new.raft.term > 9 * limits.TERM_JUMP)
    world.cut.clear()
    world.until(lambda: late.role == "follower" and late.raft.term > 9 * limits.TERM_JUMP)


def test_a_welcome_that_nobody_asked_for_tells_nothing() -> None:
    world = World(3)
    leader = world.formed()
    empty = world.start("raft-3")
    world.until(lambda: empty.cluster)
    world.cut |= {*world.initial}
    world.run(3)
    for node in (empty, followers(world, leader)[0]):
        hello_of(world, node)  # it has asked others
        cluster = node.cluster
        forged = Welcome(
            cluster, STRANGER, ELSEWHERE, node.raft.id, NONCE, limits.TERM_MAX - 1, "raft-9",
            (Neighbour(STRANGER, ELSEWHERE),), "give it up",
        )  # fmt: skip
        for welcome in (forged, replace(forged, cluster="f" * 16)):
            node.greeted(welcome, world.now_ms)
        assert STRANGER not in node.raft.vouched
        assert node.raft.vouched_term < limits.TERM_JUMP
        assert node.address_of("raft-9") is None
        assert not node.removed
        assert "give it up" not in (node.joining.waiting or "")


def test_an_empty_node_adopts_no_cluster_of_a_stranger() -> None:
    world = World(3)
    world.cut |= {*world.initial}
    node = world.nodes["raft-0"]
    world.run(1)
    forged = Welcome("f" * 16, STRANGER, ELSEWHERE, node.raft.id, NONCE, 1, None, (), "")
    node.greeted(forged, world.now_ms)
    assert node.cluster == ""
    world.cut.clear()
    world.formed()


def test_a_stranger_does_not_lead_a_newcomer() -> None:
    world = World(3)
    leader = world.formed()
    newcomer = world.start("raft-3")
    world.until(lambda: newcomer.cluster)
    newcomer.receive(Envelope(leader.cluster, Heartbeat(STRANGER, newcomer.raft.id, 1, 0, 0)))
    assert newcomer.raft.leader is None


def test_hellos_leave_no_address_behind() -> None:
    world = World(3)
    leader = world.formed()
    member = followers(world, leader)[0]
    for k in range(2 * ADDRESSES_MAX):
        node = NodeId(f"raft-{k + 10}", "bad0" * 4)
        for asked in (leader, member):
            asked.greeted(Hello(leader.cluster, node, ELSEWHERE, NONCE, SPOKEN), world.now_ms)
    for asked in (leader, member):
        assert asked.address_of("raft-10") is None
        assert len(asked.addresses) <= len(world.initial)
    assert len(leader.greetings) + len(member.greetings) <= 3 * hellos.HELLOS
    assert len(leader.admission._asking) <= admission.ASKING_MAX


def test_one_that_is_expected_is_admitted_however_many_ask() -> None:
    world = World(3)
    leader = world.formed()
    world.kill("raft-2" if leader.name != "raft-2" else "raft-1")
    name = ({*world.initial} - {*world.nodes}).pop()
    world.wipe(name)
    for number in range(4 * admission.ASKING_MAX):
        node = NodeId(f"raft-{number + 10}", "bad0" * 4)
        leader.greeted(Hello(leader.cluster, node, ELSEWHERE, NONCE, SPOKEN), world.now_ms)
        if number % hellos.HELLOS == 0:
            world.run(0.1)
    newcomer = world.start(name)
    world.until(lambda: newcomer.role == "follower")


def test_the_same_hello_is_answered_a_few_times_a_second() -> None:
    world = World(3)
    leader = world.formed()
    hello = Hello(leader.cluster, STRANGER, ELSEWHERE, NONCE, SPOKEN)
    answers = 0
    for now_ms in range(world.now_ms, world.now_ms + 1000):
        leader.greeted(hello, now_ms)
        answers += len(leader.greetings)
        leader.greetings.clear()
    assert 3 < answers <= 1 + 1000 // hellos.INTERVAL_MS


@pytest.mark.parametrize("name", ["raft-1", "raft-2"])
def test_nobody_takes_the_place_of_a_member_that_restarts(name: str) -> None:
    """With its name, its address and an incarnation of one's own it was admitted in its place."""
    world = World(3)
    leader = world.formed()
    if leader.name == name:
        world.answer_transfer("raft-0")
        leader = world.formed()
    before = leader.raft.membership
    world.kill(name)
    world.run(1)
    forged = Hello(leader.cluster, NodeId(name, "bad0" * 4), world.initial[name], NONCE, SPOKEN)
    for _ in range(20):
        leader.greeted(forged, world.now_ms)
        world.run(0.2)
    assert leader.raft.membership == before
    back = world.start(name)
    world.until(lambda: back.role == "follower")
    leader.greeted(forged, world.now_ms)
    world.run(1)
    assert leader.raft.membership == before


def test_no_answer_but_of_the_asked_counts() -> None:
    world = World(3)
    leader = world.formed()
    name = followers(world, leader)[0].name
    world.kill(name)
    world.run(1)
    before = leader.raft.membership
    fake = NodeId(name, "bad0" * 4)
    for _ in range(20):
        leader.greeted(
            Hello(leader.cluster, fake, world.initial[name], NONCE, SPOKEN), world.now_ms
        )
        answer = Welcome(
            leader.cluster, fake, ELSEWHERE, leader.raft.id, NONCE, 1, None, (), ""
        )  # fmt: skip
        leader.greeted(answer, world.now_ms)
        world.run(0.2)
    assert leader.raft.membership == before
