"""What lies in a data directory: lost, torn, damaged, taken, another's."""

from __future__ import annotations

import json
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from raftzmq import Client
from raftzmq.errors import DiskFull, OutcomeUnknown
from tests.amounts import sample
from tests.system.processes import STEADY, Cluster, NodeProcess, config_lines, wait_for
from tests.system.workload import Workload

pytestmark = pytest.mark.system


def fill(client: Client, count: int = 200) -> None:
    for number in range(count):
        client.put(f"key/{number:04}", "x" * 50)


@pytest.mark.proof
def test_a_node_that_lost_its_disk_comes_back_as_a_learner_then_votes(
    cluster: Cluster, client: Client
) -> None:
    fill(client)
    victim = cluster.followers()[0]
    before = incarnation(victim)
    changes = len(list(config_lines(cluster.leader())))
    victim.kill()
    victim.wipe()
    victim.start()
    cluster.wait_until_ready()
    assert incarnation(victim) != before
    new = [votes_in(line, victim) for line in list(config_lines(cluster.leader()))[changes:]]
    assert new == [{incarnation(victim): False}, {incarnation(victim): True}]
    assert len(cluster.everything("key/")) == 200


def incarnation(node: NodeProcess) -> str:
    status = node.status()
    assert status
    return str(status["incarnation"])


def votes_in(config_line: str, node: NodeProcess) -> dict[str, bool]:
    """Incarnation -> whether it votes, of the node of that name in a line of the log."""
    members = json.loads(config_line[9:])[4]["members"]
    return {m["incarnation"]: m["voter"] for m in members if m["name"] == node.name}


@pytest.mark.proof
def test_a_founder_that_lost_its_disk_joins_again_and_forms_nothing_new(
    cluster: Cluster, client: Client
) -> None:
    fill(client, 20)
    founder = cluster.nodes[0]
    status = founder.status()
    assert status
    founder.kill()
    founder.wipe()
    founder.start()
    cluster.wait_until_ready()
    after = founder.status()
    assert after
    assert after["cluster"] == status["cluster"]
    assert len(cluster.everything("key/")) == 20


@pytest.mark.proof
def test_a_torn_last_line_is_cut_with_a_copy_kept(cluster: Cluster, client: Client) -> None:
    fill(client, 20)
    victim = cluster.followers()[0]
    victim.kill()
    segment = victim.segments()[-1]
    torn = segment.read_bytes().splitlines(keepends=True)[-1][:-5]
    with segment.open("ab") as file:
        file.write(torn)
    files = set(victim.data_dir.rglob("*"))
    victim.start()
    fill(client, 40)
    assert len(cluster.everything("key/")) == 40
    copies = [p for p in set(victim.data_dir.rglob("*")) - files if p.is_file()]
    assert any(torn == copy.read_bytes() for copy in copies), "no copy of what was cut"
    assert "WARNING" in victim.output()


def test_a_flipped_byte_in_the_log_is_refused_and_rejoin_brings_the_node_back(
    cluster: Cluster, client: Client
) -> None:
    fill(client)
    victim = cluster.followers()[0]
    before = incarnation(victim)
    victim.kill()
    segment = victim.segments()[0]
    content = bytearray(segment.read_bytes())
    content[len(content) // 2] ^= 1
    segment.write_bytes(content)
    line = content[: len(content) // 2].count(b"\n") + 1

    code, said = victim.run()
    assert code not in (0, 2)
    assert f"{segment}, line {line}, byte " in said
    assert "--rejoin" in said
    assert "Traceback" not in said
    assert segment.read_bytes() == content, "a damaged log must be left as it is"

    victim.start("--rejoin")
    cluster.wait_until_ready()
    assert incarnation(victim) != before
    assert len(cluster.everything("key/")) == 200
    asides = [p for p in victim.data_dir.rglob(segment.name) if p != segment]
    assert any(p.read_bytes() == content for p in asides), "the damaged log must be kept"


@pytest.mark.parametrize("file", sample(["state.json", "node.json"], 1))
def test_a_damaged_small_file_is_refused(file: str, cluster: Cluster) -> None:
    victim = cluster.followers()[0]
    victim.kill()
    path = victim.data_dir / file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    code, said = victim.run()
    assert code not in (0, 2)
    assert str(path) in said
    assert "Traceback" not in said


def last_line(said: str) -> str:
    return said.strip().splitlines()[-1]


def assert_one_line(said: str) -> None:
    """One line names the cause; there may be events of the text log beside it."""
    errors = [line for line in said.splitlines() if line.startswith("raftzmq: ")]
    assert len(errors) == 1, said
    assert "Traceback" not in said, said


@pytest.mark.proof
def test_a_second_process_on_a_directory_ends_and_the_first_goes_on(
    cluster: Cluster, client: Client
) -> None:
    first = cluster.nodes[0]
    second = NodeProcess(first.name, first.data_dir.parent, first.port)
    second.arguments = first.arguments
    code, said = second.run()
    assert code not in (0, 2)
    assert_one_line(last_line(said))
    assert str(first.data_dir) in last_line(said)
    assert first.is_running
    client.put("still", "there")
    cluster.wait_until_ready()


@pytest.mark.proof
def test_a_port_that_is_taken_is_named(cluster: Cluster, tmp_path: Path) -> None:
    first = cluster.nodes[0]
    other = NodeProcess(first.name, tmp_path / "other", first.port)
    (tmp_path / "other").mkdir()
    other.arguments = first.arguments
    code, said = other.run()
    assert code not in (0, 2)
    assert_one_line(said)
    assert str(first.port) in last_line(said)


@pytest.mark.proof
def test_the_directory_of_another_node_is_refused(cluster: Cluster) -> None:
    one, two, _ = cluster.nodes
    one.kill()
    two.kill()
    own = two.data_dir
    two.data_dir = one.data_dir
    code, said = two.run()
    two.data_dir = own
    assert code not in (0, 2)
    assert_one_line(said)
    assert one.name in last_line(said)
    assert two.name in last_line(said)


@pytest.mark.proof
def test_the_directory_of_another_cluster_is_noticed(cluster: Cluster, tmp_path: Path) -> None:
    """A disk that was used elsewhere, under a node of the same name."""
    (tmp_path / "other").mkdir()
    with Cluster(tmp_path / "other") as other:
        other.start()
    victim = cluster.followers()[0]
    victim.kill()
    victim.wipe()
    other[victim.name].data_dir.rename(victim.data_dir)
    victim.start()

    def noticed() -> bool:
        status = victim.status()
        said = status["waiting"] if status else last_line(victim.output())
        return "cluster" in (said or "")

    wait_for("the node says that its directory is another cluster's", noticed)
    assert cluster.leader() is not victim


@pytest.mark.proof
def test_a_lost_disk_shows_in_no_history(cluster: Cluster) -> None:
    """The newcomer under the old name is soon needed: one of those who had everything is killed."""
    with Workload(cluster.endpoints, seed=30) as workload:
        victim, other = cluster.followers()
        before = incarnation(victim)
        victim.kill()
        victim.wipe()
        workload.wait_for_progress()
        victim.start()
        wait_for("it votes again", lambda: votes(victim) not in (None, before))
        other.kill()
        workload.wait_for_progress()
        other.start()
        workload.wait_for_progress()
    print(workload.check(cluster))


def votes(node: NodeProcess) -> str | None:
    """The incarnation in which a node, by its own account, is a voter; None if it is none."""
    status = node.status()
    if status is None:
        return None
    voters = {m["incarnation"] for m in status["members"] if m["voter"]}
    return status["incarnation"] if status["incarnation"] in voters else None


@pytest.mark.proof
def test_the_death_of_all_at_once_shows_in_no_history(cluster: Cluster) -> None:
    with Workload(cluster.endpoints, seed=31) as workload:
        for _ in range(3):
            for node in cluster.nodes:
                node.kill()
            for node in cluster.nodes:
                node.start()
            workload.wait_for_progress()
    print(workload.check(cluster))


class SmallDisk:
    """A file system of a few megabytes for the directory of one node. Only the node's process has
    it mounted, and it goes with the process; from outside it is seen through /proc."""

    MOUNT = (
        *("unshare", "--map-root-user", "--mount"),
        *("sh", "-c", 'mount -t tmpfs -o size=4m none "$0" && exec "$@"'),
    )

    def __init__(self, node: NodeProcess, directory: Path) -> None:
        self._node = node
        self._mounted = directory / f"{node.name}.disk"
        self._mounted.mkdir()
        node.data_dir = self._mounted / "data"
        node.within = [*self.MOUNT, str(self._mounted)]

    def look_inside(self) -> None:
        """From now on the node's files are read where they can be seen: once it runs."""
        self._mounted = Path(f"/proc/{self._node.pid}/root{self._mounted}")
        self._node.data_dir = self._mounted / "data"

    def fill(self) -> None:
        with suppress(OSError), (self._mounted / "ballast").open("wb", buffering=0) as ballast:
            while ballast.write(bytes(4096)) == 4096:
                pass
        assert not shutil.disk_usage(self._mounted).free

    def free(self) -> None:
        (self._mounted / "ballast").unlink()


@pytest.fixture
def small_disks(tmp_path: Path) -> None:
    """Skips where no process may mount anything."""
    (tmp_path / "probe").mkdir()
    try:
        command = [*SmallDisk.MOUNT, str(tmp_path / "probe"), "true"]
        subprocess.run(command, check=True, capture_output=True, text=True)
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no private mount here: {error} {getattr(error, 'stderr', '')}")


@pytest.mark.usefixtures("small_disks")
def test_full_disks_refuse_writes_serve_reads_and_heal(tmp_path: Path) -> None:
    # A vote takes disk, so whoever leads must go on leading.
    with Cluster(tmp_path, arguments=STEADY) as cluster:
        disks = [SmallDisk(node, tmp_path) for node in cluster.nodes]
        cluster.start()
        with Client(cluster.endpoints) as client, Workload(cluster.endpoints, seed=32) as workload:
            client.put("key", "value")
            for disk in disks:
                disk.look_inside()
                disk.fill()
            wait_for("writes are refused", lambda: is_refused(client))
            for _ in range(20):
                item = client.get("key", timeout=30)
                assert item is not None
                assert item.value == "value"
            wait_for("they still are", lambda: is_refused(client))
            for disk in disks:
                disk.free()
            workload.wait_for_progress()
            wait_for("no disk is full", lambda: not any(disk_full(n) for n in cluster.nodes))
        figures = workload.check(cluster)
        print(figures)
        assert figures.failed
        assert figures.compared
        cluster.show()


@pytest.mark.proof
@pytest.mark.usefixtures("small_disks")
def test_a_leader_whose_disk_alone_is_full_hands_over_and_everything_goes_on(
    tmp_path: Path,
) -> None:
    """Under an election timeout of three seconds: nobody deposes it."""
    with Cluster(tmp_path, arguments=STEADY) as cluster:
        disks = {node.name: SmallDisk(node, tmp_path) for node in cluster.nodes}
        cluster.start()
        with Client(cluster.endpoints) as client, Workload(cluster.endpoints, seed=33) as workload:
            client.put("key", "value")
            client.put("short-lived", "value", ttl=2.0)
            full = cluster.leader()
            disk = disks[full.name]
            disk.look_inside()
            disk.fill()
            wait_for("another leads", lambda: cluster.leader() is not full)
            item = client.get("key", timeout=5)
            assert item is not None
            assert client.put("large", "x" * 100_000, timeout=5)
            wait_for("its time ends", lambda: client.get("short-lived", timeout=5) is None)
            workload.wait_for_progress()
            assert disk_full(full)
            disk.free()
            wait_for("it has caught up", lambda: not disk_full(full))
            cluster.wait_until_ready()
        print(workload.check(cluster))
        cluster.show()


def is_refused(client: Client) -> bool:
    """Whether a write is refused for want of space; one that got nowhere yet is not."""
    try:
        client.put("other", "value", timeout=2)
    except DiskFull:
        return True
    except OutcomeUnknown:
        return False
    return False


def disk_full(node: NodeProcess) -> bool:
    status = node.status()
    return status is None or status["disk_full"]
