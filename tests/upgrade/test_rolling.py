"""A real cluster is rolled from the release to this build and back, while clients of both write."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from raftzmq import __version__
from tests.system.keyed import Writer
from tests.system.processes import STEADY, Cluster, NodeProcess, wait_for
from tests.upgrade.builds import RELEASE, install_release, release_commit

pytestmark = [pytest.mark.system, pytest.mark.proof]

WRITER = """
import json, signal, sys
from raftzmq import Client, RaftzmqError, __version__

stopped = []
signal.signal(signal.SIGTERM, lambda *_: stopped.append(1))
written, failed = 0, []
with Client(sys.argv[2].split(",")) as db:
    while not stopped:
        try:
            db.put(sys.argv[1] + str(written), str(written), timeout=60)
            written += 1
        except RaftzmqError as error:
            failed.append(repr(error))
    for number in range(written):
        found = db.get(sys.argv[1] + str(number), timeout=60)
        if found is None or found.value != str(number):
            failed.append(f"{number} is lost: {found}")
print(json.dumps({"build": __version__, "written": written, "failed": failed}))
"""


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that has the release."""
    commit = release_commit()
    if commit is None:
        pytest.skip(
            f"neither the tag v{RELEASE} nor the commit 'Release {RELEASE}' is in this clone: "
            "fetch the whole history"
        )
    return install_release(commit, tmp_path_factory.mktemp("release"))


@contextmanager
def writing(python: Path, prefix: str, endpoints: Sequence[str]) -> Iterator[None]:
    """A client of the build writes keys of its own meanwhile; in the end all are there."""
    command = [str(python), "-c", WRITER, prefix, ",".join(endpoints)]
    with subprocess.Popen(command, cwd=python.parent, stdout=subprocess.PIPE, text=True) as writer:
        try:
            yield
        finally:
            writer.terminate()
            out, _ = writer.communicate(timeout=120)
    told = json.loads(out)
    assert told["failed"] == []
    assert told["written"] > 0
    assert told["build"] == (__version__ if python == Path(sys.executable) else RELEASE)


def roll(cluster: Cluster, python: Path, writer: Writer) -> None:
    """Put every node on another build, one after the other, as docs/upgrading.md says."""
    for node in cluster.nodes:
        node.terminate()
        node.wait()
        node.python = python
        node.start()
        cluster.wait_until_caught_up(node)
        writer.go_on()


def versions(cluster: Cluster) -> set[int]:
    """What the nodes say of the cluster's version."""
    statuses = [node.status() for node in cluster.nodes]
    return {status["cluster_version"] for status in statuses if status}


def builds(cluster: Cluster) -> set[str]:
    statuses = [node.status() for node in cluster.nodes]
    return {status["version"] for status in statuses if status}


def settled(node: NodeProcess) -> bool:
    status = node.status()
    return status is not None and bool(status["cluster_version_settled"])


def test_a_cluster_is_rolled_forth_and_back_and_no_write_fails(
    tmp_path: Path, release: Path
) -> None:
    here = Path(sys.executable)
    with Cluster(tmp_path, 3, STEADY) as cluster:
        for node in cluster.nodes:
            node.python = release
        cluster.start()
        assert builds(cluster) == {RELEASE}
        endpoints = cluster.endpoints
        with (
            Writer(cluster.client) as writer,
            writing(release, "old/", endpoints),
            writing(here, "new/", endpoints),
            cluster.client() as db,
        ):
            writer.go_on()
            roll(cluster, here, writer)
            wait_for("the cluster version rises by itself", lambda: versions(cluster) == {2})
            assert builds(cluster) == {__version__}
            writer.go_on()

            db.upgrade_downgrade(timeout=60)
            wait_for("all nodes are settled", lambda: all(map(settled, cluster.nodes)))
            assert versions(cluster) == {1}
            roll(cluster, release, writer)
            assert builds(cluster) == {RELEASE}

            roll(cluster, here, writer)
            assert versions(cluster) == {1}, "an operator has pinned it"
            db.upgrade_finish(timeout=60)
            wait_for("the cluster version is raised", lambda: versions(cluster) == {2})
            writer.go_on()
        assert writer.failed == []
        cluster.everything()


def test_a_node_of_the_release_does_not_run_in_a_newer_cluster(
    tmp_path: Path, release: Path
) -> None:
    with Cluster(tmp_path, 3, STEADY) as cluster:
        cluster.start()
        wait_for("the cluster version rises", lambda: versions(cluster) == {2})
        follower = cluster.followers()[0]
        follower.terminate()
        follower.wait()
        here, follower.python = follower.python, release
        code, said = follower.run()
        assert code != 0
        assert "cluster version" in said.splitlines()[-1]
        assert "run that version here" in said.splitlines()[-1]

        follower.python = here
        follower.start()
        cluster.wait_until_ready()

        follower.kill()
        follower.wipe()
        follower.python = release
        follower.start()
        wait_for("it says why it does not join", lambda: "run a newer build" in follower.output())
        waiting = wait_for("it answers", follower.status)["waiting"]
        assert waiting.endswith("speaks cluster version 1: run a newer build there")
        assert wait_for("it answers", follower.status)["cluster"] == ""
