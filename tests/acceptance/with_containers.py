"""Whatever runs as containers of one network, with the writer as one more."""

from __future__ import annotations

import json
import secrets
import shutil
from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Final

from tests.acceptance.expectation import Done, Unmet, run
from tests.acceptance.platforms import PYTHON, SCRIPT, Place, last_line, replace_text

HARDENED: Final = (
    *("--user", "65532:65532", "--read-only", "--cap-drop", "ALL"),
    *("--security-opt", "no-new-privileges"),
)
"""As in Kubernetes: nothing can be written but the volume."""

LABEL: Final = "raftzmq-acceptance"
"""Every container but the writer has it, with the network as its value."""

TRIES: Final = 10


class WithContainers(Place):
    """A network of its own, and containers, whose names begin as the network's."""

    def __init__(self, say: Callable[[str], None], image: str) -> None:
        super().__init__(say)
        self.image = image
        self.network = f"raftzmq-acceptance-{secrets.token_hex(4)}"
        self._exchange = Path(mkdtemp(prefix="raftzmq-acceptance-docker-"))
        self._exchange.chmod(0o777)  # the writer is another user
        shutil.copy(SCRIPT, self._exchange)
        self._hosts = 10
        """The last number of the newest address; none is given a second time."""
        self._subnet = make_network(self.network)

    @abstractmethod
    def writer_environment(self) -> str:
        """The variable that tells the writer where the service is."""

    def writer_options(self) -> tuple[str, ...]:
        """What docker is told of the writer besides."""
        return ()

    def start_writer(self, prefix: str) -> None:
        files = ("--orders", "/acceptance/orders.json", "--report", "/acceptance/report.json")
        docker(
            *("run", "--detach", "--name", self.container("writer"), "--network", self.network),
            *("--env", self.writer_environment()),
            *self.writer_options(),
            *("--volume", f"{self._exchange}:/acceptance", "--entrypoint", PYTHON, *HARDENED),
            *(self.image, "/acceptance/writer.py", "--prefix", prefix, *files),
        )

    def order_writer(self, orders: str) -> None:
        replace_text(self._exchange / "orders.json", orders)

    def writer_report(self) -> str | None:
        if not self.inspected("writer")["State"]["Running"]:
            said = docker("logs", self.container("writer")).err
            raise Unmet("a writer that works", f"it has ended: {last_line(said)}")
        report = self._exchange / "report.json"
        return report.read_text() if report.exists() else None

    def gather(self, directory: Path) -> None:
        everything = run("docker", "ps", "--all", "--filter", f"name={self.network}-")
        (directory / "containers.txt").write_text(everything.out)
        for name in [*self.containers(), self.container("writer")]:
            said = run("docker", "logs", "--timestamps", name)
            (directory / f"{name}.log").write_text(said.out + said.err)
            (directory / f"{name}.json").write_text(run("docker", "inspect", name).out)
        (directory / "status.txt").write_text(self.client("status").said)
        for path in self._exchange.glob("*.json"):
            shutil.copy(path, directory)

    def whereabouts(self) -> str:
        return f"docker ps --all --filter name={self.network}-"

    def close(self) -> None:
        names = [*self.containers(), self.container("writer")]
        run("docker", "rm", "--force", *names)
        volumes = run("docker", "volume", "ls", "--quiet", "--filter", f"name={self.network}-").out
        if volumes:
            run("docker", "volume", "rm", *volumes.split())
        run("docker", "network", "rm", self.network)
        shutil.rmtree(self._exchange)

    def container(self, name: str) -> str:
        """What docker calls a container, and its volume."""
        return f"{self.network}-{name}"

    def containers(self) -> list[str]:
        """All containers but the writer, running or not."""
        label = f"label={LABEL}={self.network}"
        return docker("ps", "--all", "--filter", label, "--format", "{{.Names}}").out.split()

    def inspected(self, name: str) -> Any:
        return json.loads(docker("inspect", self.container(name)).out)[0]

    def execute(self, *command: str) -> Done:
        """Run a command beside the writer."""
        return run("docker", "exec", self.container("writer"), *command)

    def new_address(self) -> str:
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
