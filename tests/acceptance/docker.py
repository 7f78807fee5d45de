"""The scenario's cluster as containers of the real image, with names as a Service gives them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tests.acceptance.byhand import ByHand
from tests.acceptance.expectation import Done, Unmet, run
from tests.acceptance.images import labelled
from tests.acceptance.platforms import PYTHON, client_endpoints, last_line, replica_names
from tests.acceptance.with_containers import HARDENED, LABEL, WithContainers, docker

SERVICE: Final = "raft-service"
READ_PROBE: Final = """
import sys, urllib.error, urllib.request
try:
    urllib.request.urlopen(sys.argv[1], timeout=5)
except urllib.error.HTTPError as refused:
    sys.exit(f"{refused.code}, {refused.read().decode(errors='replace').strip()}")
except OSError as error:
    sys.exit(f"{sys.argv[1]}: {error}")
"""
STOP_S: Final = "60"


class Docker(WithContainers, ByHand):
    """A container, a volume and a name in the network for each replica. A worker is the container's
    link to the network and its time: both are taken away."""

    name = "docker"

    def __init__(
        self, say: Callable[[str], None], image: str, second_image: str | None = None
    ) -> None:
        super().__init__(say, image)
        self._second_image = second_image
        self._made_image = ""

    # -- the cluster ----------------------------------------------------------------------------

    def deploy(self) -> None:
        made = ("--rm", "--volume", f"{self._keys}:/data", *HARDENED, self.image)
        docker("run", *made, "keys", "create", "/data/keys")
        for name in replica_names(3):
            self.start(name)

    def kill(self, node: str) -> None:
        docker("rm", "--force", self.container(node))

    def stop_worker(self, node: str) -> str:
        container = self.container(node)
        docker("network", "disconnect", self.network, container)
        docker("pause", container)
        return f"container {container}"

    def stuck(self, node: str) -> str | None:
        status = self.inspected(node)["State"]["Status"]
        return None if status == "paused" else f"its container is {status}"

    def start_worker(self, node: str) -> None:
        container = self.container(node)
        alias = ("--alias", f"{node}.{SERVICE}")
        docker("network", "connect", "--ip", self.new_address(), *alias, self.network, container)
        docker("unpause", container)

    def kill_all(self) -> None:
        names = self.running()
        docker("rm", "--force", *(self.container(name) for name in names))
        for name in reversed(names):
            self.start(name)

    def running(self) -> list[str]:
        label = f"label={LABEL}={self.network}"
        return sorted(docker("ps", "--filter", label, "--format", '{{.Label "node"}}').out.split())

    def start(self, node: str) -> None:
        self._start(node, self.image)

    def _start(self, node: str, image: str) -> None:
        docker(
            *("run", "--detach", "--name", self.container(node), "--hostname", node),
            *("--label", f"{LABEL}={self.network}", "--label", f"node={node}"),
            *("--network", self.network, "--network-alias", f"{node}.{SERVICE}"),
            *("--ip", self.new_address(), "--volume", f"{self.container(node)}:/data"),
            *("--volume", f"{self._keys}:/keys:ro", *HARDENED, image),
            *("node", node, "--service", SERVICE, "--replicas", "3", "--keys", "/keys/keys"),
        )

    @property
    def _keys(self) -> str:
        """The volume of the keys, which belong to the user of the image."""
        return self.container("keys")

    def stop(self, node: str) -> None:
        docker("stop", "--time", STOP_S, self.container(node))
        code = self.inspected(node)["State"]["ExitCode"]
        if code != 0:
            raise Unmet(f"{node} ends with exit code 0 after SIGTERM", f"exit code {code}")
        docker("rm", self.container(node))

    def roll(self) -> None:
        if self._second_image is None:
            self._second_image = self._made_image = labelled(
                self.image, lambda made: f"{self.network}:{made}"
            )
        super().roll()

    def upgrade(self, node: str) -> None:
        assert self._second_image
        self._start(node, self._second_image)

    def remove_disk(self, node: str) -> None:
        docker("volume", "rm", self.container(node))

    # -- what is seen of it ---------------------------------------------------------------------

    def instance(self, node: str) -> str:
        done = run("docker", "inspect", "--format", "{{.Id}}", self.container(node))
        return f"container {done.out[:12]}" if done.code == 0 else ""

    def address(self, node: str) -> str | None:
        networks = self.inspected(node)["NetworkSettings"]["Networks"]
        return str(networks[self.network]["IPAddress"])

    def unready(self, node: str) -> str | None:
        url = f"http://{node}.{SERVICE}:6002/readyz"
        done = self.execute(PYTHON, "-c", READ_PROBE, url)
        return None if done.code == 0 else done.err.strip()

    def client(self, *arguments: str) -> Done:
        return self.execute("raftzmq", "client", *arguments)

    def check(self) -> str:
        return last_line(self.client("--timeout", "30", "check").expect().out)

    def writer_environment(self) -> str:
        return f"RAFTZMQ_ENDPOINTS={client_endpoints(replica_names(3))}"

    def writer_options(self) -> tuple[str, ...]:
        return (
            *("--env", "RAFTZMQ_KEY=/keys/keys/admin.key"),
            *("--volume", f"{self._keys}:/keys:ro"),
        )

    # -- the end --------------------------------------------------------------------------------

    def close(self) -> None:
        super().close()
        if self._made_image:
            run("docker", "image", "rm", self._made_image)
