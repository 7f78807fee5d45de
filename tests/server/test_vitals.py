"""What the loop publishes of a node."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from raftzmq import limits
from raftzmq.histogram import Histogram
from raftzmq.node import Node
from raftzmq.server.health import readiness, report
from raftzmq.server.vitals import DISK_LOOK_MS, PUBLISH_MS, Recorder
from raftzmq.transport.watch_wire import WatchRequest
from tests.node.world import STEP_MS, World


def recorder(node: Node, world: World, directory: Path, **counters: Counter[str]) -> Recorder:
    return Recorder(node, Histogram((0.001,)), counters, directory, world.now_ms)


def run(world: World, seconds: float, *recorders: Recorder) -> None:
    for _ in range(int(seconds * 1000 / STEP_MS)):
        world.step()
        for each in recorders:
            each.turn(world.now_ms)


def test_vitals_are_whole_and_new_ones_come_only_when_they_are_due(tmp_path: Path) -> None:
    world = World(1)
    made = recorder(world.formed(), world, tmp_path)
    first, started_ms = made.latest, world.now_ms
    assert made.next_ms == started_ms + PUBLISH_MS
    made.turn(started_ms + PUBLISH_MS - 1)
    assert made.latest is first
    made.turn(started_ms + PUBLISH_MS)
    assert made.latest is not first
    assert made.latest.at_ms == started_ms + PUBLISH_MS


def test_leader_and_follower_say_what_they_are(tmp_path: Path) -> None:
    world = World(3)
    leader = world.formed()
    follower = next(node for node in world.nodes.values() if node is not leader)
    leads, follows = (recorder(node, world, tmp_path) for node in (leader, follower))
    session = world.session(leader.name)
    world.cut.add(follower.name)
    for k in range(5):
        world.operate(leader.name, "put", f"key-{k}", "v", session=session)
    leads.publish(world.now_ms)
    one, other = leads.latest, follows.latest
    assert (one.role, other.role) == ("leader", "follower")
    assert one.leader == other.leader == leader.name
    assert (one.members, one.voters, one.is_member, one.is_voter) == (3, 3, True, True)
    assert one.applied_index == one.commit_index == one.last_index
    assert {name for name, _ in one.lags} == world.nodes.keys() - {leader.name}
    assert dict(one.lags)[follower.name] >= 5
    assert other.lags == ()
    assert ("write", "ok", 6) in one.requests
    assert one.proposals_applied_count == 6


def test_what_clients_share_is_that_of_the_state_machine(tmp_path: Path) -> None:
    world = World(1)
    leader = world.formed()
    made = recorder(leader, world, tmp_path)
    session = world.session(leader.name)
    lease = world.operate(leader.name, "lease_grant", 60_000, session=session)[3]
    for _ in range(2):
        world.operate(leader.name, "acquire", "lock", "l", lease, 1, 0, True, None, session=session)
    world.ask(leader.name, WatchRequest(1, "", True, None, False))
    world.operate(leader.name, "put", "k", "v", session=session)
    made.publish(world.now_ms)
    latest = made.latest
    assert (latest.keys, latest.sessions, latest.leases) == (1, 1, 1)
    assert (latest.queues, latest.places) == (1, 2)
    assert (latest.watches, latest.watches_behind, latest.watch_events_count) == (1, 0, 1)
    assert latest.watch_first_revision == 1


def test_changes_of_the_leader_are_counted_once_for_each_term(tmp_path: Path) -> None:
    world = World(3)
    made = {name: recorder(node, world, tmp_path) for name, node in world.nodes.items()}
    leader = world.formed()
    run(world, 1, *made.values())
    before = {name: each.latest.leader_changes_count for name, each in made.items()}
    assert min(before.values()) >= 1
    world.kill(leader.name)
    del made[leader.name]
    run(world, 5, *made.values())
    assert world.leader() is not None
    for name, each in made.items():
        terms = world.nodes[name].raft.term - leader.raft.term
        assert 1 <= each.latest.leader_changes_count - before[name] <= terms


def test_a_node_that_comes_back_is_ready_only_when_it_has_caught_up(tmp_path: Path) -> None:
    world = World(3)
    leader = world.formed()
    session = world.session(leader.name)
    absent = next(name for name in world.nodes if name != leader.name)
    world.kill(absent)
    for k in range(30):
        world.operate(leader.name, "put", f"key-{k}", "v", session=session)
    commit_index = leader.raft.commit_index
    back = recorder(world.start(absent), world, tmp_path)

    def step() -> bool:
        run(world, STEP_MS / 1000, back)
        back.publish(world.now_ms)
        return report(readiness(back.latest, world.now_ms))[0]

    assert not report(readiness(back.latest, world.now_ms))[0]
    world.until(step)
    assert back.latest.applied_index >= commit_index


def test_what_the_leader_has_committed_counts_before_it_is_here(tmp_path: Path) -> None:
    world = World(3)
    leader = world.formed()
    follower = next(node for node in world.nodes.values() if node is not leader)
    made = recorder(follower, world, tmp_path)
    run(world, 2, made)
    assert report(readiness(made.latest, world.now_ms))[0]
    follower.raft.leader_commit_index = follower.raft.commit_index + limits.LAG_ENTRIES + 1
    made.publish(world.now_ms)
    passed, text = report(readiness(made.latest, world.now_ms))
    assert not passed
    assert "FAILED caught_up: 10001 of " in text


def test_a_node_cut_from_the_others_is_soon_not_ready_and_then_ready_again(tmp_path: Path) -> None:
    world = World(3)
    leader = world.formed()
    made = recorder(leader, world, tmp_path)
    run(world, 2, made)
    assert report(readiness(made.latest, world.now_ms))[0]
    world.cut.add(leader.name)
    run(world, 3, made)
    passed, text = report(readiness(made.latest, world.now_ms))
    assert not passed
    assert "FAILED leader" in text
    world.cut.clear()
    run(world, 5, made)
    assert report(readiness(made.latest, world.now_ms))[0]


def test_a_node_that_was_told_to_stop_says_so(tmp_path: Path) -> None:
    world = World(1)
    node = world.formed()
    made = recorder(node, world, tmp_path)
    assert not made.latest.stopping
    node.stop_requested = True
    made.publish(world.now_ms)
    assert made.latest.stopping


def test_messages_and_connections_are_sorted_by_what_became_of_them(tmp_path: Path) -> None:
    world = World(1)
    node = world.formed()
    node.dropped["json"] += 2
    node.raft.dropped["an earlier term"] += 3
    clients = Counter(received=10, sent=9, unroutable=1, crowd=4)
    links = Counter(sent=5, would_block=2, renewed=1)
    latest = recorder(node, world, tmp_path, clients=clients, links=links).latest
    assert set(latest.dropped) == {
        ("node", "json", 2),
        ("raft", "an earlier term", 3),
        ("clients", "unroutable", 1),
        ("links", "would_block", 2),
    }
    assert latest.cut == (("clients", "crowd", 4),)
    assert latest.received == (("clients", 10),)
    assert latest.sent == (("clients", 9), ("links", 5))


def test_the_disk_is_looked_at_only_now_and_then(tmp_path: Path) -> None:
    world = World(1)
    directory = tmp_path / "data"
    directory.mkdir()
    made = recorder(world.formed(), world, directory)
    assert made.latest.disk_free_bytes
    assert made.latest.disk_bytes
    assert made.latest.disk_free_bytes <= made.latest.disk_bytes
    directory.rmdir()
    started_ms = world.now_ms
    made.publish(started_ms + DISK_LOOK_MS - 1)
    assert made.latest.disk_free_bytes is not None
    made.publish(started_ms + DISK_LOOK_MS)
    assert made.latest.disk_free_bytes is None
    assert made.latest.disk_bytes is None
