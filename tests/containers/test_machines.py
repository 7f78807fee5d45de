"""The page about three machines, done word by word under systemd."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator

import pytest

from tests.containers import machines
from tests.containers.engine import docker, eventually, unique, why_not
from tests.containers.machines import BASE, Machine, Machines, block

pytestmark = [pytest.mark.system, pytest.mark.proof]

UNIT = "raftzmq@{}.service"
NAMES = ("alpha", "beta", "gamma")
EXPOSURE_MAX = 2.0
"""What `systemd-analyze security` may say; 9.6 is a service without any sandbox. Measured: 1.2."""

HANDOVER_S = 10.0
"""How long a stop takes at most while all is well; systemd would kill after 60 s."""

Cluster = dict[str, Machine]


@pytest.fixture(scope="module")
def machine_image() -> Iterator[str]:
    """The image of a machine. Skips where there can be none."""
    if reason := why_not():
        pytest.skip(reason)
    if docker("image", "inspect", BASE).code and docker("pull", BASE).code:
        pytest.skip(f"{BASE} is not here and cannot be pulled")
    tag = unique("machine")
    try:
        machines.build(tag)
        yield tag
    finally:
        docker("image", "rm", "--force", tag)


@pytest.fixture(scope="module")
def network(machine_image: str) -> Iterator[Machines]:
    with Machines(machine_image) as made:
        yield made


@pytest.fixture(scope="module")
def cluster(network: Machines) -> Cluster:
    """The three machines of the page, set up as it says."""
    started = {name: network.start(name) for name in NAMES}
    make, copy = block("## Make the keys").splitlines()
    started["alpha"](make)
    assert copy.startswith("for machine in alpha beta gamma; do scp keys/node.key keys/server.key")
    for machine in started.values():
        give_keys(started["alpha"], machine)
    for ordinal, (name, machine) in enumerate(started.items()):
        machine(for_node(block("## Start"), ordinal, name))
    for machine in started.values():
        machine(READY)
    return started


READY = block("When it is ready").splitlines()[0].replace("alpha", "127.0.0.1")


def for_node(script: str, ordinal: int, name: str) -> str:
    """Commands that the page has for alpha, for another node."""
    at_alpha = ("raft-0.env", "RAFTZMQ_ADVERTISE=alpha", "raftzmq@raft-0")
    for text in at_alpha:
        script = script.replace(
            text, text.replace("raft-0", f"raft-{ordinal}").replace("alpha", name)
        )
    return script


def give_keys(source: Machine, target: Machine) -> None:
    """What the page does with scp, and the commands after it."""
    for file in ("node.key", "server.key", "users.toml"):
        text = source(f"cat keys/{file}")
        target(f"cat > /etc/raftzmq/keys/{file} <<'EOF'\n{text}\nEOF")
    target(block("so that the node can read them"))


def client(cluster: Cluster, *words: str) -> str:
    """`raftzmq client` as the page calls it, on alpha."""
    status = block("When it is ready").splitlines()[1]
    assert status.endswith(" status")
    options = "--timeout 60 " + " ".join(words)
    return cluster["alpha"](status.removesuffix("status") + options)


def leader(cluster: Cluster) -> str:
    found = json.loads(client(cluster, "status", "-w", "json", "|| true"))  # one may be stopped
    name: str = next(node["node"] for node in found if node["role"] == "leader")
    return name


def machine_of(cluster: Cluster, node: str) -> Machine:
    return cluster[NAMES[int(node[-1])]]


def test_the_page_leads_to_a_cluster_of_three(cluster: Cluster) -> None:
    assert "3 of 3 nodes healthy" in client(cluster, "status")
    client(cluster, "put", "greeting", "hello")
    assert client(cluster, "get", "greeting") == "hello"


def test_the_unit_is_valid_and_confines_the_node(cluster: Cluster) -> None:
    alpha, unit = cluster["alpha"], UNIT.format("raft-0")
    assert alpha(f"systemd-analyze verify {unit} 2>&1") == ""
    said = alpha(f"systemd-analyze security --no-pager {unit}")
    exposure = re.search(r"exposure level for \S+: ([\d.]+)", said)
    assert exposure, said
    assert float(exposure[1]) <= EXPOSURE_MAX
    pid = alpha.property("MainPID", unit)
    assert alpha(f"stat --format %U /proc/{pid}") == "raftzmq"
    assert alpha.property("LimitNOFILE", unit) == "65536"
    assert alpha("stat --format %a /var/lib/raftzmq/raft-0") == "700"


def test_a_leader_hands_over_when_it_is_stopped_and_comes_back(cluster: Cluster) -> None:
    node = leader(cluster)
    machine, unit = machine_of(cluster, node), UNIT.format(node)
    began_s = time.monotonic()
    machine(f"systemctl stop {unit}")
    assert time.monotonic() - began_s < HANDOVER_S
    assert machine.property("Result", unit) == "success"
    assert machine.property("ExecMainStatus", unit) == "0"
    assert leader(cluster) != node
    client(cluster, "put", "while", "stopped")
    machine(f"systemctl start {unit}\n{READY}")
    assert "3 of 3 nodes healthy" in client(cluster, "status")


def test_a_node_that_is_killed_is_started_again(cluster: Cluster) -> None:
    machine, unit = cluster["beta"], UNIT.format("raft-1")
    pid = machine.property("MainPID", unit)
    machine(f"kill -KILL {pid}")
    eventually(lambda: machine.property("NRestarts", unit) == "1", "a restart")
    machine(READY)
    assert machine.property("MainPID", unit) != pid


def test_wrong_usage_is_not_tried_again_and_again(cluster: Cluster) -> None:
    machine, unit = cluster["gamma"], UNIT.format("nonsense")
    machine("echo > /etc/raftzmq/nonsense.env")
    machine(f"systemctl start {unit} || true")
    eventually(lambda: machine.property("ActiveState", unit) == "failed", "an end")
    assert machine.property("NRestarts", unit) == "0"
    assert "'nonsense' is not a pod name" in machine.journal()


def test_an_upgrade_of_one_after_the_other_loses_nothing(cluster: Cluster) -> None:
    for ordinal, (name, machine) in enumerate(cluster.items()):
        said = machine(for_node(block("## Upgrade"), ordinal, name))
        assert "ok caught_up" in said
        client(cluster, "put", f"after/{name}", "written")
    for name in cluster:
        assert client(cluster, "get", f"after/{name}") == "written"


def test_a_machine_that_is_gone_is_replaced_by_one_with_its_name(
    cluster: Cluster, network: Machines
) -> None:
    docker("rm", "--force", "--volumes", cluster["gamma"].container)
    client(cluster, "put", "while", "gone")
    cluster["gamma"] = gamma = network.start("gamma")
    give_keys(cluster["alpha"], gamma)
    gamma(for_node(block("## Start"), 2, "gamma"))
    gamma(READY)
    assert "3 of 3 nodes healthy" in client(cluster, "status")


def test_a_machine_that_is_gone_is_replaced_by_one_with_another_name(
    cluster: Cluster, network: Machines
) -> None:
    alpha = cluster["alpha"]
    docker("rm", "--force", "--volumes", cluster["gamma"].container)
    alpha(block("Take the old node out first"))
    delta = network.start("delta")
    give_keys(alpha, delta)
    delta(block("On delta, when it is installed"))
    eventually(lambda: "raft-3 is not an initial member" in delta.journal(), "its asking to join")
    assert "ok caught_up" in alpha(block("When its journal says"))
    members = json.loads(client(cluster, "member", "list", "-w", "json"))
    assert {member["name"] for member in members} == {"raft-0", "raft-1", "raft-3"}
