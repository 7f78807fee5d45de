"""Containers of the release's image are replaced by those of the present one, and back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from raftzmq import __version__
from tests.containers import engine
from tests.containers.engine import HARDENED, Engine, answer, docker, eventually, logs
from tests.upgrade.builds import RELEASE, build_image, release_commit
from tests.upgrade.test_rolling import WRITER

pytestmark = [pytest.mark.system, pytest.mark.proof]

NODES = ("raft-0", "raft-1", "raft-2")
ENDPOINTS = ",".join(f"{node}.raft-service:6001" for node in NODES)
STOP_S = 30
NO_TMPFS = HARDENED[: HARDENED.index("--tmpfs")]


@pytest.fixture(scope="module")
def images() -> Iterator[tuple[str, str]]:
    """The names of the release's image and of the present one."""
    if reason := engine.why_not():
        pytest.skip(reason)
    commit = release_commit()
    if commit is None:
        pytest.skip(f"release {RELEASE} is not in this clone: fetch the whole history")
    old, new = engine.unique("release"), engine.unique("present")
    try:
        build_image(commit, old)
        engine.build(new)
        yield old, new
    finally:
        docker("image", "rm", "--force", old, new)


class Containers:
    """Three nodes, each with a volume and a name in a network."""

    def __init__(self, made: Engine) -> None:
        self.made = made
        self.network = made.network()
        self.volumes = {node: made.volume() for node in NODES}
        self.running: dict[str, str] = {}

    def start(self, node: str, image: str) -> None:
        self.made.image = image
        self.running[node] = self.made.start(
            *("node", node, "--service", "raft-service", "--insecure"),
            options=(
                *(*NO_TMPFS, "--mount", f"type=volume,src={self.volumes[node]},dst=/data"),
                *("--network", self.network, "--network-alias", f"{node}.raft-service"),
                *("--hostname", node),
            ),
        )

    def roll(self, image: str) -> None:
        """Another image for one node after the other, each caught up before the next."""
        for node in NODES:
            answer("stop", "--time", str(STOP_S), self.running[node], timeout_s=STOP_S + 60)
            answer("rm", self.running[node])
            self.start(node, image)
            eventually(self.is_well, f"all is well after {node}")

    def client(self, *words: str) -> engine.Ended:
        """What a client inside one of the containers is told."""
        name = next(iter(self.running.values()))
        return docker("exec", name, "raftzmq", "client", "--endpoints", ENDPOINTS, *words)

    def is_well(self) -> bool:
        said = self.client("status", "-w", "json")
        nodes = json.loads(said.out) if said.code == 0 else []
        return len(nodes) == len(NODES) and all(node["lag"] < 100 for node in nodes)

    def upgrade(self) -> dict[str, Any]:
        """What `upgrade status` says; nothing while there is no leader."""
        said = self.client("upgrade", "status", "-w", "json")
        found: dict[str, Any] = json.loads(said.out) if said.out.startswith("{") else {}
        return found

    def builds(self) -> set[str]:
        return {node["build"] for node in self.upgrade()["nodes"]}


def test_containers_are_rolled_from_the_release_to_this_build_and_back(
    images: tuple[str, str],
) -> None:
    old, new = images
    with Engine(old) as made:
        cluster = Containers(made)
        for node in NODES:
            cluster.start(node, old)
        check = made.run(
            *("client", "check", "--endpoints", ENDPOINTS, "--timeout", "60"),
            options=(*HARDENED, "--network", cluster.network),
        )
        assert check.code == 0, check.out + check.err
        writer = made.start(
            *("-c", WRITER, "key/", ENDPOINTS),
            options=(*HARDENED, "--network", cluster.network, "--entrypoint", "python3"),
        )

        cluster.roll(new)
        eventually(lambda: cluster.upgrade().get("cluster_version") == 2, "version 2")
        assert cluster.builds() == {__version__}

        lowered = cluster.client("upgrade", "downgrade")
        assert lowered.code == 0, lowered.err
        eventually(lambda: bool(cluster.upgrade().get("settled")), "all nodes are settled")
        cluster.roll(old)
        assert cluster.builds() == {RELEASE}
        assert cluster.upgrade()["cluster_version"] == 1

        answer("stop", "--time", "60", writer, timeout_s=120)
        told = json.loads(logs(writer).splitlines()[-1])
        assert told["failed"] == []
        assert told["written"] > 100
