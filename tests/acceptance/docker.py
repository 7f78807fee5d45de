"""The scenario's cluster as containers of the real image, with names as a Service gives them."""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Final

from tests.acceptance.byhand import ByHand
from tests.acceptance.expectation import Done, Unmet, run
from tests.acceptance.images import labelled
from tests.acceptance.platforms import (
    PYTHON,
    SCRIPT,
    client_endpoints,
    last_line,
    replace_text,
    replica_names,
)

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
HARDENED: Final = (
    *("--user", "65532:65532", "--read-only", "--cap-drop", "ALL"),
    *("--security-opt", "no-new-privileges"),
)
"""As in Kubernetes: nothing can be written but the volume."""

LABEL: Final = "raftzmq-acceptance"
STOP_S: Final = "60"
TRIES: Final = 10


class Docker(ByHand):
    """A container, a volume and a name in the network for each replica. A worker is the container's
    link to the network and its time: both are taken away."""

    name = "docker"

    def __init__(
        self, say: Callable[[str], None], image: str, second_image: str | None = None
    ) -> None:
        super().__init__(say)
        self._image = image
        self._second_image = second_image
        self._run = f"raftzmq-acceptance-{secrets.token_hex(4)}"
        self._exchange = Path(mkdtemp(prefix="raftzmq-acceptance-docker-"))
        self._exchange.chmod(0o777)  # the writer is another user
        shutil.copy(SCRIPT, self._exchange)
        self._hosts = 10
        """The last number of the newest address; none is given a second time."""
        self._made_image = ""
        self._subnet = make_network(self._run)

    # -- the cluster ----------------------------------------------------------------------------

    def deploy(self) -> None:
        for name in replica_names(3):
            self.start(name)

    def kill(self, node: str) -> None:
        docker("rm", "--force", self._container(node))

    def stop_worker(self, node: str) -> str:
        container = self._container(node)
        docker("network", "disconnect", self._run, container)
        docker("pause", container)
        return f"container {container}"

    def stuck(self, node: str) -> str | None:
        status = self._inspected(node)["State"]["Status"]
        return None if status == "paused" else f"its container is {status}"

    def start_worker(self, node: str) -> None:
        container = self._container(node)
        alias = ("--alias", f"{node}.{SERVICE}")
        docker("network", "connect", "--ip", self._new_address(), *alias, self._run, container)
        docker("unpause", container)

    def kill_all(self) -> None:
        names = self.running()
        docker("rm", "--force", *(self._container(name) for name in names))
        for name in reversed(names):
            self.start(name)

    def running(self) -> list[str]:
        label = f"label={LABEL}={self._run}"
        return sorted(docker("ps", "--filter", label, "--format", '{{.Label "node"}}').out.split())

    def start(self, node: str) -> None:
        self._start(node, self._image)

    def _start(self, node: str, image: str) -> None:
        docker(
            *("run", "--detach", "--name", self._container(node), "--hostname", node),
            *("--label", f"{LABEL}={self._run}", "--label", f"node={node}"),
            *("--network", self._run, "--network-alias", f"{node}.{SERVICE}"),
            *("--ip", self._new_address(), "--volume", f"{self._container(node)}:/data"),
            *(*HARDENED, image, "node", node, "--service", SERVICE, "--replicas", "3"),
        )

    def stop(self, node: str) -> None:
        docker("stop", "--time", STOP_S, self._container(node))
        code = self._inspected(node)["State"]["ExitCode"]
        if code != 0:
            raise Unmet(f"{node} ends with exit code 0 after SIGTERM", f"exit code {code}")
        docker("rm", self._container(node))

    def roll(self) -> None:
        if self._second_image is None:
            self._second_image = self._made_image = labelled(
                self._image, lambda made: f"{self._run}:{made}"
            )
        super().roll()

    def upgrade(self, node: str) -> None:
        assert self._second_image
        self._start(node, self._second_image)

    def remove_disk(self, node: str) -> None:
        docker("volume", "rm", self._container(node))

    # -- what is seen of it ---------------------------------------------------------------------

    def instance(self, node: str) -> str:
        done = run("docker", "inspect", "--format", "{{.Id}}", self._container(node))
        return f"container {done.out[:12]}" if done.code == 0 else ""

    def address(self, node: str) -> str | None:
        networks = self._inspected(node)["NetworkSettings"]["Networks"]
        return str(networks[self._run]["IPAddress"])

    def unready(self, node: str) -> str | None:
        url = f"http://{node}.{SERVICE}:6002/readyz"
        done = self._exec(PYTHON, "-c", READ_PROBE, url)
        return None if done.code == 0 else done.err.strip()

    def client(self, *arguments: str) -> Done:
        return self._exec("raftzmq", "client", *arguments)

    def check(self) -> str:
        return last_line(self.client("--timeout", "30", "check").expect().out)

    # -- the writer -----------------------------------------------------------------------------

    def start_writer(self, prefix: str) -> None:
        files = ("--orders", "/acceptance/orders.json", "--report", "/acceptance/report.json")
        docker(
            *("run", "--detach", "--name", self._container("writer"), "--network", self._run),
            *("--env", f"RAFTZMQ_ENDPOINTS={client_endpoints(replica_names(3))}"),
            *("--volume", f"{self._exchange}:/acceptance", "--entrypoint", PYTHON, *HARDENED),
            *(self._image, "/acceptance/writer.py", "--prefix", prefix, *files),
        )

    def order_writer(self, orders: str) -> None:
        replace_text(self._exchange / "orders.json", orders)

    def writer_report(self) -> str | None:
        if not self._inspected("writer")["State"]["Running"]:
            said = docker("logs", self._container("writer")).err
            raise Unmet("a writer that works", f"it has ended: {last_line(said)}")
        report = self._exchange / "report.json"
        return report.read_text() if report.exists() else None

    # -- the end --------------------------------------------------------------------------------

    def gather(self, directory: Path) -> None:
        everything = run("docker", "ps", "--all", "--filter", f"name={self._run}-")
        (directory / "containers.txt").write_text(everything.out)
        for name in [*self._containers(), self._container("writer")]:
            said = run("docker", "logs", "--timestamps", name)
            (directory / f"{name}.log").write_text(said.out + said.err)
            (directory / f"{name}.json").write_text(run("docker", "inspect", name).out)
        (directory / "status.txt").write_text(self.client("status").said)
        for path in self._exchange.glob("*.json"):
            shutil.copy(path, directory)

    def whereabouts(self) -> str:
        return f"docker ps --all --filter name={self._run}-"

    def close(self) -> None:
        names = [*self._containers(), self._container("writer")]
        run("docker", "rm", "--force", *names)
        volumes = run("docker", "volume", "ls", "--quiet", "--filter", f"name={self._run}-").out
        if volumes:
            run("docker", "volume", "rm", *volumes.split())
        run("docker", "network", "rm", self._run)
        if self._made_image:
            run("docker", "image", "rm", self._made_image)
        shutil.rmtree(self._exchange)

    # -- docker ---------------------------------------------------------------------------------

    def _container(self, node: str) -> str:
        """The name of a container, and of its volume."""
        return f"{self._run}-{node}"

    def _containers(self) -> list[str]:
        """The containers of all replicas, running or not."""
        listed = ("ps", "--all", "--filter", f"label={LABEL}={self._run}", "--format", "{{.Names}}")
        return docker(*listed).out.split()

    def _inspected(self, node: str) -> Any:
        return json.loads(docker("inspect", self._container(node)).out)[0]

    def _exec(self, *command: str) -> Done:
        return run("docker", "exec", self._container("writer"), *command)

    def _new_address(self) -> str:
        self._hosts += 1
        return f"{self._subnet}.{self._hosts}"


def make_network(name: str) -> str:
    """Make a network whose addresses can be chosen; return the first three numbers of them."""
    for _ in range(TRIES):
        subnet = f"10.{secrets.randbelow(200) + 20}.{secrets.randbelow(250)}"
        done = run("docker", "network", "create", "--subnet", f"{subnet}.0/24", name)
        if done.code == 0 or "overlaps" not in done.err:
            break
    done.expect()
    return subnet


def docker(*arguments: str) -> Done:
    """Run docker, which must succeed. Raises Unmet."""
    return run("docker", *arguments).expect()
