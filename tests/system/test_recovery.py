"""A majority is lost for good: real nodes, `raftzmq recover`, and the way back to three."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from raftzmq import Client
from tests.system.processes import STEADY, Cluster, NodeProcess, wait_for

pytestmark = [
    pytest.mark.system,
    pytest.mark.parametrize("cluster", [STEADY], indirect=True, ids=["steady"]),
]


def raftzmq(*words: str) -> tuple[int, str, str]:
    """Run the program; return its exit code and what it said on stdout and stderr."""
    command = [sys.executable, "-m", "raftzmq_cli", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    return done.returncode, done.stdout, done.stderr


def told(*words: str) -> Any:
    code, out, err = raftzmq(*words, "-w", "json")
    assert code == 0, err
    return json.loads(out)


def stopped(cluster: Cluster, *lost: str) -> None:
    """All processes end at once, and some of the nodes lose their disks."""
    for node in cluster.nodes:
        node.kill()
    for name in lost:
        cluster[name].wipe()


def admit(cluster: Cluster, survivor: NodeProcess, name: str) -> None:
    """Start a node with an empty directory, and let it in as `recover` says."""
    node = cluster[name]
    node.start()
    words = ["client", "--endpoints", survivor.endpoint, "--timeout", "20", "member", "add", name]
    wait_for(f"{name} is let in", lambda: raftzmq(*words)[0] == 0)

    def votes() -> bool:
        status = survivor.status()
        return status is not None and any(
            m["name"] == name and m["voter"] for m in status["members"]
        )

    wait_for(f"{name} votes", votes)


def test_two_of_three_are_lost_and_the_third_goes_on_as_a_new_cluster(
    cluster: Cluster, client: Client, tmp_path: Path
) -> None:
    for number in range(300):
        client.put(f"key/{number}", f"value-{number}")
    kept = cluster.everything("key/")
    survivor = cluster["raft-2"]
    stopped(cluster)
    shutil.copytree(cluster["raft-0"].data_dir, tmp_path / "old-0")
    cluster["raft-0"].wipe()
    cluster["raft-1"].wipe()

    found = told("recover", str(survivor.data_dir))
    (row,) = found["survivors"]
    assert (row["node"], row["keys"], row["voters"]) == (
        "raft-2",
        300,
        ["raft-0", "raft-1", "raft-2"],
    )
    assert row["revision"] == found["lost_after"]["revision"]
    code, out, _ = raftzmq("recover", str(survivor.data_dir))
    assert code == 0
    assert "not seen  raft-0, raft-1" in out
    program, *words = shlex.split(found["command"])
    assert program == "raftzmq"
    new = told(*words)
    assert (new["node"], new["address"]) == ("raft-2", survivor.address)
    assert new["old_cluster"] == row["cluster"] != new["cluster"]

    survivor.start()
    wait_for("it leads", lambda: (survivor.status() or {}).get("role") == "leader")
    assert survivor.everything("key/") == kept
    for name in ("raft-0", "raft-1"):
        admit(cluster, survivor, name)
    cluster.wait_until_ready()
    assert cluster.everything("key/") == kept
    client.put("key/after", "recovery")  # it never noticed but that it had to wait
    assert len(cluster.everything("key/")) == 301

    # The disk of raft-0 turns up after all.
    returned = cluster["raft-0"]
    returned.kill()
    shutil.move(returned.data_dir, tmp_path / "new-0")
    shutil.move(tmp_path / "old-0", returned.data_dir)
    returned.start()

    def refused() -> str | None:
        status = returned.status()
        return status["waiting"] if status and new["cluster"] in (status["waiting"] or "") else None

    assert "empty directory" in wait_for("it says what to do", refused)
    assert cluster.leader() is not returned
    assert (returned.status() or {})["leader"] is None


@pytest.mark.proof
def test_the_commands_are_refused_where_they_would_lose_what_is_there(
    cluster: Cluster, client: Client
) -> None:
    client.put("key", "value")
    older, newer = cluster["raft-0"], cluster["raft-1"]
    cluster.wait_until_ready()
    leader = cluster.leader()
    code, _, err = raftzmq(
        "recover", str(leader.data_dir), "--as-new-cluster", "--confirm", "whatever"
    )
    assert (code, "in use by process" in err) == (1, True), err
    (running,) = told("recover", str(leader.data_dir))["survivors"]
    assert running["process"] == f"process {leader.pid}"
    older.kill()
    cluster.leader()
    client.put("key", "more")
    stopped(cluster, "raft-2")
    found = told("recover", str(older.data_dir), str(newer.data_dir))
    assert found["newest"].endswith("raft-1")
    assert found["objections"] == [
        "these are a majority: start them as they are, and nothing is lost"
    ]
    both = [str(older.data_dir), str(newer.data_dir), "--as-new-cluster"]
    code, _, err = raftzmq("recover", *both, "--confirm", found["confirm"])
    assert code == 2
    assert f"{newer.data_dir} is newer" in err
    code, _, err = raftzmq("recover", *both, "--confirm", found["confirm"], "--even-so")
    assert code == 2  # the text is of another revision
    assert 'say --confirm "lose everything after revision' in err
