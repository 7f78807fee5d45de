"""Networks that fall apart, one way or both, and come together again, while clients are at work.

What the clients see is checked each time: every history has an order in which the answers are
right, nothing acknowledged is lost, and all nodes come to hold the same.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest

from raftzmq import Client
from tests.amounts import amount, sample
from tests.progress import counted
from tests.system.namespaces import NamespacedCluster, Network, hosts, missing
from tests.system.processes import NodeProcess, wait_for
from tests.system.raw import NoAnswer, Raw
from tests.system.workload import Workload

pytestmark = pytest.mark.system

PATIENCE_S: Final = 60.0
"""How long anything here may take on a machine however busy; it takes a second or two."""

CALM: Final = ["--election-timeout-ms", "1500", "--heartbeat-ms", "100"]
"""For tests that no other leader is elected: a busy machine's pauses are shorter than this."""

FLAPS: Final = amount(4, 40)


@pytest.fixture
def network() -> Iterator[Network]:
    if reason := missing():
        pytest.skip(reason)
    with Network(3) as three:
        yield three


@pytest.fixture
def cluster(network: Network, tmp_path: Path) -> Iterator[NamespacedCluster]:
    """Three nodes with a network each; started."""
    with NamespacedCluster(tmp_path, network) as three:
        try:
            yield start(three)
        finally:
            three.show()


@pytest.fixture
def calm(network: Network, tmp_path: Path) -> Iterator[NamespacedCluster]:
    """The same with long election timeouts."""
    with NamespacedCluster(tmp_path, network) as three:
        try:
            yield start(three, *CALM)
        finally:
            three.show()


def start(cluster: NamespacedCluster, *arguments: str) -> NamespacedCluster:
    for node in cluster.nodes:
        node.arguments += arguments
        node.start()
    cluster.wait_until_ready(PATIENCE_S)
    return cluster


def status(node: NodeProcess) -> dict[str, Any]:
    return wait_for(f"{node.name} answers", node.status, PATIENCE_S)


def newer_leader(nodes: list[NodeProcess], term: int) -> NodeProcess:
    """Wait until one of the nodes leads in a later term and the others follow it."""

    def found() -> NodeProcess | None:
        said = [node.status() for node in nodes]
        terms = {told["term"] for told in said if told}
        leading = [
            node
            for node, told in zip(nodes, said, strict=True)
            if told and told["role"] == "leader"
        ]
        agreed = all(told and leading and told["leader"] == leading[0].name for told in said)
        return leading[0] if agreed and len(terms) == 1 and terms.pop() > term else None

    return wait_for("a newer leader", found, PATIENCE_S)


def wait_until_caught_up(node: NodeProcess, leader: NodeProcess) -> float:
    """Wait until the node has applied what is committed now; return how many seconds it took."""
    committed, began_s = status(leader)["commit_index"], time.monotonic()

    def caught_up() -> bool:
        told = node.status()
        return told is not None and told["applied_index"] >= committed

    wait_for(f"{node.name} is caught up", caught_up, PATIENCE_S)
    return time.monotonic() - began_s


def finish(workload: Workload, cluster: NamespacedCluster) -> None:
    """The network is whole again: everything converges, and what clients saw was right."""
    workload.wait_for_progress()
    workload.stop()
    cluster.wait_until_ready(PATIENCE_S)
    print(workload.check(cluster))


READ: Final = (
    b'{"v":1,"type":"operations","session":0,"ack":0,"stale":false,"ops":[[1,"get","key"]]}'
)


def assert_serves_nothing(node: NodeProcess, revision: int) -> None:
    """A node in a minority acknowledges no write and answers no read, but for stale ones."""
    with Raw(node.endpoint) as raw:
        for op in ((2, "get", "key"), (3, "cas", "key", "lost", revision)):
            with suppress(NoAnswer):
                answer = raw.operations(op, timeout_s=1.0)
                assert answer["type"] == "error", answer
    assert node.everything("key")["key"] == ("old", revision)


def let_pass_nothing(network: Network, one: str, others: list[str]) -> None:
    network.isolate(one)


def reject_everything(network: Network, one: str, others: list[str]) -> None:
    for other in others:
        network.cut(one, other, reject=True)


def cut_off_from_clients_too(network: Network, one: str, others: list[str]) -> None:
    network.split([one], [*others, network.clients])


def not_hear(network: Network, one: str, others: list[str]) -> None:
    for other in others:
        network.cut_one_way(other, one)


def not_be_heard(network: Network, one: str, others: list[str]) -> None:
    for other in others:
        network.cut_one_way(one, other)


@pytest.mark.parametrize(
    "fault",
    sample(
        [let_pass_nothing, reject_everything, cut_off_from_clients_too, not_hear, not_be_heard], 1
    ),
)
def test_a_leader_without_a_majority_is_replaced_and_serves_nothing(
    fault: Callable[[Network, str, list[str]], None], cluster: NamespacedCluster
) -> None:
    network, first_leader = cluster.network, cluster.leader()
    with (
        Client(cluster.endpoints) as client,
        Workload(cluster.endpoints, seed=1) as workload,
        Raw(first_leader.endpoint) as bound,
    ):
        old_revision = client.put("key", "old", timeout=PATIENCE_S).revision
        old, others = cluster.leader(), cluster.followers()
        wait_until_caught_up(old, old)
        term = status(old)["term"]
        fault(network, old.host, hosts(others))
        bound.send(READ)
        began_s = time.monotonic()
        new = newer_leader(others, term)
        elected_s = time.monotonic() - began_s
        resumed_s = workload.wait_for_progress()
        new_revision = client.put("key", "new", timeout=PATIENCE_S).revision
        if fault is not cut_off_from_clients_too:
            wait_for("it steps down", lambda: status(old)["role"] != "leader", PATIENCE_S)
            assert_serves_nothing(old, old_revision)
        network.heal()
        caught_up_s = wait_until_caught_up(old, new)
        print(f"elected {elected_s:.2f} s, resumed {resumed_s:.2f} s, back {caught_up_s:.2f} s")
        with suppress(NoAnswer):
            answer = bound.receive()
            # Asked in the minority; answered, if then, by a majority.
            assert answer["type"] == "error" or answer["results"][0][3][0] == "new", answer
        finish(workload, cluster)
    assert cluster.everything("key")["key"] == ("new", new_revision)


def cut_both_ways(network: Network, leader: str, follower: str) -> None:
    network.cut(leader, follower)


def cut_one_way(network: Network, leader: str, follower: str) -> None:
    network.cut_one_way(leader, follower)


def cut_from_everybody(network: Network, leader: str, follower: str) -> None:
    network.isolate(follower)


@pytest.mark.proof
@pytest.mark.parametrize("fault", [cut_both_ways, cut_one_way, cut_from_everybody])
def test_a_follower_that_does_not_hear_the_leader_deposes_nobody(
    fault: Callable[[Network, str, str], None], calm: NamespacedCluster
) -> None:
    leader, follower = calm.leader(), calm.followers()[0]
    term = status(leader)["term"]
    # While nobody writes it could be elected: its log is as good as the others'.
    fault(calm.network, leader.host, follower.host)
    wait_until_standing(follower)
    with Workload(calm.endpoints, seed=2) as workload:
        assert_leads(leader, term)
        calm.network.heal()
        print(f"back after {wait_until_caught_up(follower, leader):.2f} s")
        finish(workload, calm)
    assert_leads(leader, term)
    assert status(follower)["leader"] == leader.name


def wait_until_standing(node: NodeProcess) -> None:
    """Wait until the node has given its leader up and asked for votes."""
    wait_for("it stands", lambda: status(node)["role"] != "follower", PATIENCE_S)


def assert_leads(node: NodeProcess, term: int) -> None:
    told = status(node)
    assert (told["role"], told["term"]) == ("leader", term), f"{node.name} was deposed"


@pytest.mark.proof
def test_of_five_nodes_a_leader_that_reaches_a_majority_stays(tmp_path: Path) -> None:
    if reason := missing():
        pytest.skip(reason)
    with Network(5) as network, NamespacedCluster(tmp_path, network, 5) as five:
        start(five, *CALM)
        leader = five.leader()
        term = status(leader)["term"]
        at = network.hosts.index(leader.host)
        first, second, third, fourth, fifth = network.hosts[at:] + network.hosts[:at]
        ring = [(first, second), (second, third), (third, fourth), (fourth, fifth), (fifth, first)]
        far = next(node for node in five.nodes if node.host == third)
        for shape in "ring", "bridge":
            if shape == "ring":
                network.keep_only(ring)
            else:  # the fourth reaches all, the others only those on their side
                network.split([first, second], [third, fifth])
            wait_until_standing(far)
            with Workload(five.endpoints, seed=len(shape)) as workload:
                assert_leads(leader, term)
                network.heal()
                finish(workload, five)
            assert_leads(leader, term)


@pytest.mark.proof
def test_links_that_flap_lose_nothing(cluster: NamespacedCluster) -> None:
    network, random = cluster.network, Random(4)
    with Workload(cluster.endpoints, seed=4) as workload:
        for _ in counted("flaps of links", range(FLAPS)):
            one, other = random.sample(network.hosts, 2)
            match random.randrange(5):
                case 0:
                    network.isolate(one)
                case 1:
                    network.cut(one, other)
                case 2:
                    network.cut(one, other, reject=True)
                case 3:
                    network.cut_one_way(one, other)
                case 4:
                    network.lose(random.uniform(0.1, 0.5))
            time.sleep(random.uniform(0.1, 1.5))
            if random.random() < 0.7:  # else the next fault comes on top
                network.heal()
                time.sleep(random.uniform(0.0, 0.5))
        network.heal()
        finish(workload, cluster)


@pytest.mark.proof
def test_with_a_fifth_of_all_packets_lost_work_goes_on(cluster: NamespacedCluster) -> None:
    with Workload(cluster.endpoints, seed=5) as workload:
        cluster.network.lose(0.2)
        began_s = time.monotonic()
        for _ in range(5):
            workload.wait_for_progress()
        print(f"five times something new after {time.monotonic() - began_s:.2f} s")
        cluster.network.heal()
        finish(workload, cluster)


@pytest.mark.proof
@pytest.mark.parametrize("role", ["leader", "follower"])
def test_the_end_of_a_node_that_nobody_was_told_of(role: str, cluster: NamespacedCluster) -> None:
    network = cluster.network
    with Workload(cluster.endpoints, seed=6) as workload:
        leader = cluster.leader()
        ended = leader if role == "leader" else cluster.followers()[0]
        others = [node for node in cluster.nodes if node is not ended]
        term = status(leader)["term"]
        network.split([ended.host], [*hosts(others), network.clients])
        ended.kill()  # the others' connections to it still stand, and nobody is at the other end
        if role == "leader":
            leader = newer_leader(others, term)
        workload.wait_for_progress()
        ended.start()
        network.heal()
        print(f"back after {wait_until_caught_up(ended, cluster.leader()):.2f} s")
        finish(workload, cluster)


@pytest.mark.proof
@pytest.mark.parametrize("count", [1, 3])
def test_nodes_that_come_back_elsewhere_are_found_by_their_names(
    count: int, network: Network, tmp_path: Path
) -> None:
    with NamespacedCluster(tmp_path, network, names=True) as cluster:
        start(cluster)
        leader, *followers = [cluster.leader(), *cluster.followers()]
        before = status(leader)
        moving = [*followers, leader][:count]
        network.isolate(moving[0].host)  # one of them vanishes without a word
        for node in moving:
            node.kill()
            cluster.move(node)
        network.heal()
        began_s = time.monotonic()
        for node in moving:
            node.start()
        cluster.wait_until_ready(PATIENCE_S)
        print(f"found after {time.monotonic() - began_s:.2f} s")
        after = status(cluster.leader())
        assert after["members"] == before["members"]
        assert after["cluster"] == before["cluster"]
        for node in cluster.nodes:
            assert status(node)["applied_index"] >= before["commit_index"]


@pytest.mark.parametrize("role", sample(["follower", "leader"], 1))
def test_a_node_that_comes_back_elsewhere_is_found_though_its_name_leads_to_where_it_was(
    role: str, network: Network, tmp_path: Path
) -> None:
    """As long as a name server gives the old address: half a minute, often."""
    with NamespacedCluster(tmp_path, network, names=True) as cluster:
        start(cluster)
        moving = cluster.leader() if role == "leader" else cluster.followers()[0]
        before = moving.host
        moving.kill()
        cluster.move(moving)
        cluster.tell_names({moving.name: before})
        began_s = time.monotonic()
        moving.start()
        cluster.wait_until_ready(PATIENCE_S)
        print(f"found after {time.monotonic() - began_s:.2f} s")
        with Client(cluster.endpoints) as client:
            client.put("key", "value", timeout=PATIENCE_S)
        # Nor is it lost when it stays silent for a while, and its link has to be made anew.
        network.isolate(moving.host)
        wait_until_standing(moving)
        network.heal()
        cluster.wait_until_ready(PATIENCE_S)
        assert status(moving)["leader"] == cluster.leader().name


@pytest.mark.proof
def test_a_link_that_has_come_to_somebody_else_is_not_kept(
    network: Network, tmp_path: Path
) -> None:
    with NamespacedCluster(tmp_path, network, names=True) as cluster:
        start(cluster)
        leader, (moving, other) = cluster.leader(), cluster.followers()
        moving.kill()
        # Its name still says where it was, and there is somebody else by now, who takes the call.
        cluster.tell_names({moving.name: other.host})
        wait_until_connected(other, leader, 2)
        cluster.tell_names({})
        moving.start()
        cluster.wait_until_ready(PATIENCE_S)


def wait_until_connected(node: NodeProcess, caller: NodeProcess, count: int) -> None:
    """Wait until the caller has that many connections to where the node hears its peers."""
    peers = f"dst {caller.host} sport = :{node.port}"
    command = [*node.within, "ss", "-Htn", "state", "established", *peers.split()]

    def connected() -> bool:
        found = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        return len(found.splitlines()) >= count

    wait_for(f"{caller.name} is connected to {node.name}", connected, PATIENCE_S)
