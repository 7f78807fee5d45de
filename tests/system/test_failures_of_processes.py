"""Processes that die, stop, stand still and come back: nothing acknowledged is lost."""

from __future__ import annotations

import json
import signal
import time

import pytest

from raftzmq import Client
from raftzmq.errors import OutcomeUnknown, Unavailable
from raftzmq.server.server import STOP_ANSWER_S
from raftzmq.server.shutdown import HANDOVER_MS
from tests.amounts import sample
from tests.system.load import Load
from tests.system.processes import STEADY, Cluster, NodeProcess, wait_for
from tests.system.raw import Raw

pytestmark = pytest.mark.system
steady = pytest.mark.parametrize("cluster", [STEADY], indirect=True, ids=["steady"])

KILLS = 10
ALONE_S = 0.15


@steady
def test_three_processes_form_one_cluster_and_elect_one_leader(cluster: Cluster) -> None:
    statuses = [node.status() for node in cluster.nodes]
    assert all(statuses)
    roles = sorted(status["role"] for status in statuses if status)
    assert roles == ["follower", "follower", "leader"]
    for field in ("cluster", "term", "leader", "members", "version"):
        assert len({json.dumps(status[field]) for status in statuses if status}) == 1, field
    assert all(status["healthy"] for status in statuses if status)


def test_what_one_node_acknowledges_is_read_from_every_node(
    cluster: Cluster, client: Client
) -> None:
    written = client.put("greeting", "hello")
    client.put("bytes", b"\x00\xff")
    item = client.get("greeting")
    assert item is not None
    assert (item.value, item.revision) == ("hello", written.revision)
    found = cluster.everything()
    assert found["greeting"] == ("hello", written.revision)
    assert found["bytes"].value == {"b64": "AP8="}


@pytest.mark.proof
def test_ten_killed_leaders_lose_no_acknowledged_write(cluster: Cluster, client: Client) -> None:
    resumed_s = []
    with Load(client) as load:
        for kill in range(KILLS):
            leader, followers = cluster.leader(), cluster.followers()
            load.wait_for_progress()
            if kill % 2:
                # Alone for a moment, a leader that acknowledges too early has something to lose.
                stand_still(followers, ALONE_S)
            leader.kill()
            for follower in followers:
                follower.resume()
            resumed_s.append(load.wait_for_progress())
            leader.start()
            wait_until_caught_up(leader, cluster)
    print(f"writes resumed after {sorted(round(s, 2) for s in resumed_s)} s")
    load.assert_kept(cluster.everything(Load.PREFIX))
    assert not load.unavailable


def stand_still(nodes: list[NodeProcess], seconds: float) -> None:
    for node in nodes:
        node.pause()
    time.sleep(seconds)


def wait_until_caught_up(node: NodeProcess, cluster: Cluster) -> None:
    """Wait until a restarted node has applied what was committed when it came back."""
    leading = cluster.leader().status()
    assert leading
    committed = leading["commit_index"]

    def caught_up() -> bool:
        status = node.status()
        return status is not None and status["applied_index"] >= committed

    wait_for(f"{node.name} is caught up", caught_up)


def test_all_killed_at_once_come_back_with_everything(cluster: Cluster, client: Client) -> None:
    with Load(client) as load:
        load.wait_for_progress()
        for node in cluster.nodes:
            node.kill()
        for node in cluster.nodes:
            node.start()
        load.wait_for_progress()
    load.assert_kept(cluster.everything(Load.PREFIX))


@steady
def test_a_terminated_leader_hands_over_and_exits_cleanly(cluster: Cluster, client: Client) -> None:
    leader = cluster.leader()
    before = leader.status()
    assert before
    with Load(client) as load:
        began_s = time.monotonic()
        leader.terminate()
        assert leader.wait() == 0
        ended_s = time.monotonic()
        load.wait_for_progress()
    after = cluster.leader().status()
    assert after
    assert after["term"] > before["term"]
    stopping = leader.output().partition(" stopping ")[2]
    waited_s = ended_s - began_s
    assert " is follower " in stopping or waited_s > HANDOVER_MS / 1000, "it was not handed over"
    assert after["members"] == before["members"], "stopping must not change the membership"
    print(f"the longest gap between acknowledgements was {load.longest_gap_s:.2f} s")
    assert not load.unknown
    assert not load.unavailable
    leader.start()
    load.assert_kept(cluster.everything(Load.PREFIX))


@pytest.mark.proof
def test_all_terminated_at_once_end_and_come_back(cluster: Cluster, client: Client) -> None:
    with Load(client) as load:
        for node in cluster.nodes:
            node.terminate()
        assert [node.wait() for node in cluster.nodes] == [0, 0, 0]
        for node in cluster.nodes:
            node.start()
        load.wait_for_progress()
    load.assert_kept(cluster.everything(Load.PREFIX))


@pytest.mark.proof
def test_one_after_the_other_is_restarted_and_no_client_notices(
    cluster: Cluster, client: Client
) -> None:
    with Load(client) as load:
        for node in cluster.nodes:
            node.terminate()
            assert node.wait() == 0
            node.start()
            wait_until_caught_up(node, cluster)
            load.wait_for_progress()
    print(f"the longest gap between acknowledgements was {load.longest_gap_s:.2f} s")
    assert not load.unknown
    assert not load.unavailable
    load.assert_kept(cluster.everything(Load.PREFIX))


@pytest.mark.parametrize("way", sample(["request", "SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT"], 1))
def test_a_follower_stops_cleanly_on_a(way: str, cluster: Cluster, client: Client) -> None:
    follower = cluster.followers()[0]
    began_s = time.monotonic()
    if way == "request":
        with Raw(follower.endpoint) as raw:
            assert raw.ask({"type": "stop", "id": 1})["type"] == "done"
    else:
        follower.send(signal.Signals[way])
    assert follower.wait() == 0
    if way == "request":
        assert time.monotonic() - began_s > STOP_ANSWER_S, "no time to read the answer"
    assert "Traceback" not in follower.output()
    client.put("still", "there")


def test_a_leader_that_stood_still_serves_nothing_old(cluster: Cluster, client: Client) -> None:
    client.put("key", "old")
    leader = cluster.leader()
    leader.pause()
    new = client.put("key", "new")
    with Raw(leader.endpoint) as raw:
        # These wait in its socket until it wakes up and believes, at first, that it still leads.
        raw.send(
            b'{"v":1,"type":"operations","session":0,"ack":0,"stale":false,"ops":[[1,"get","key"]]}'
        )
        leader.resume()
        answer = raw.receive()
    if answer["type"] == "results":
        assert answer["results"] == [[1, "ok", answer["results"][0][2], ["new", new.revision]]]
    else:
        assert answer["code"] == "not_leader", answer
    assert cluster.everything()["key"] == ("new", new.revision)


@pytest.mark.proof
def test_a_minority_refuses_writes_and_reads_but_not_stale_ones(
    cluster: Cluster, client: Client
) -> None:
    client.put("key", "value")
    cluster.wait_until_ready()
    lonely, *others = cluster.nodes
    for other in others:
        other.kill()
    with pytest.raises((Unavailable, OutcomeUnknown)):
        client.put("key", "lost", timeout=2.0)
    with pytest.raises(Unavailable):
        client.get("key", timeout=1.0)
    assert lonely.everything()["key"].value == "value"
    for other in others:
        other.start()
    cluster.wait_until_ready()
    client.put("key", "again")
    item = client.get("key")
    assert item is not None
    assert item.value == "again"
