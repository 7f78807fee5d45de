"""What the scenario of the older design asks of a platform, and the two that a person keeps."""

from __future__ import annotations

import signal
from abc import abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from raftzmq_cli.compare.systems import ViewsSystem, free_ports
from raftzmq_cli.views.roles import Roles
from tests.acceptance.expectation import Done, Unmet
from tests.acceptance.platforms import Place, answer_of, last_line
from tests.acceptance.with_containers import HARDENED, LABEL, WithContainers, docker
from tests.acceptance.with_processes import WithProcesses

VIEW_SERVER: Final = "view-server"
FOUND_AT: Final = f"{VIEW_SERVER}:7000"
STORAGE_PORT: Final = 7001
SERVERS: Final = 3


class ViewsPlatform(Place):
    """Where a view server and storage servers run, and what can be done to them there."""

    can_pause = True
    """Whether a server can be made to stand still, and to come back."""

    @abstractmethod
    def deploy(self) -> None:
        """Have a view server and three storage servers running."""

    @abstractmethod
    def kill(self, server: str) -> None:
        """End a storage server by force, at once."""

    @abstractmethod
    def replace(self, server: str) -> None:
        """Have another in place of one that was killed, perhaps under the same name. Where the
        platform does that by itself, nothing is to do."""

    def pause(self, server: str) -> None:
        """Have a storage server stand still, out of reach."""
        raise NotImplementedError(server)

    def resume(self, server: str) -> None:
        """Let it go on."""
        raise NotImplementedError(server)

    def roles(self) -> Roles:
        """What the view server says."""
        document = answer_of(self.client("status", "-w", "json").expect(0, 1))
        try:
            return Roles.of(document)
        except (KeyError, TypeError) as error:
            raise Unmet("the fields of a status", f"{error!r} of {document!r:.500}") from None

    def check(self) -> str:
        return last_line(self.client("--timeout", "30", "check").expect().out)


class ViewsLocal(WithProcesses, ViewsPlatform):
    """Processes of this machine. One that was killed comes back under its name, with nothing."""

    name = "local-views"

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__(say)
        self._system = ViewsSystem(self.directory, free_ports())
        self.environment["RAFTZMQ_VIEW_SERVER"] = self._system.address

    def deploy(self) -> None:
        self._system.start()

    def kill(self, server: str) -> None:
        self._system.processes[server].kill()

    def replace(self, server: str) -> None:
        self._system.processes[server].start()

    def pause(self, server: str) -> None:
        self._system.processes[server].signal(signal.SIGSTOP)

    def resume(self, server: str) -> None:
        self._system.processes[server].signal(signal.SIGCONT)

    def client(self, *arguments: str) -> Done:
        return self.program("views", "client", *arguments)

    def gather(self, directory: Path) -> None:
        (directory / "status.txt").write_text(self.client("status").said)
        super().gather(directory)

    def whereabouts(self) -> str:
        processes = self._system.processes.values()
        return self.ended_by([str(process.pid) for process in processes if process.is_running])

    def close(self) -> None:
        self._system.close()
        super().close()


class ViewsDocker(WithContainers, ViewsPlatform):
    """Containers of the real image; the view server has a name in the network, as a Service gives
    it, and storage servers are found by their addresses. One that was killed is replaced by
    another one, as a Deployment does."""

    name = "docker-views"

    def __init__(self, say: Callable[[str], None], image: str) -> None:
        super().__init__(say, image)
        self._addresses: dict[str, str] = {}

    def deploy(self) -> None:
        self._start(VIEW_SERVER, ("--network-alias", VIEW_SERVER), ("views", "server"))
        for _ in range(SERVERS):
            self._add()

    def kill(self, server: str) -> None:
        docker("rm", "--force", self.container(server))

    def replace(self, server: str) -> None:
        self._add()

    def pause(self, server: str) -> None:
        docker("network", "disconnect", self.network, self.container(server))
        docker("pause", self.container(server))

    def resume(self, server: str) -> None:
        address = ("--ip", self._addresses[server])
        docker("network", "connect", *address, self.network, self.container(server))
        docker("unpause", self.container(server))

    def client(self, *arguments: str) -> Done:
        return self.execute("raftzmq", "views", "client", *arguments)

    def writer_environment(self) -> str:
        return f"RAFTZMQ_VIEW_SERVER={FOUND_AT}"

    def _add(self) -> None:
        """One more storage server, under a name that none has had."""
        name = f"storage-{len(self._addresses)}"
        self._addresses[name] = self.new_address()
        variables = {
            "RAFTZMQ_VIEW_SERVER": FOUND_AT,
            "RAFTZMQ_ADDRESS": f"{self._addresses[name]}:{STORAGE_PORT}",
        }
        env = [word for pair in variables.items() for word in ("--env", "=".join(pair))]
        self._start(name, ("--ip", self._addresses[name], *env), ("views", "store", name))

    def _start(self, name: str, options: Sequence[str], command: Sequence[str]) -> None:
        docker(
            *("run", "--detach", "--name", self.container(name), "--hostname", name),
            *("--label", f"{LABEL}={self.network}", "--network", self.network),
            *("--env", "RAFTZMQ_INSECURE=1"),
            *(*options, *HARDENED, self.image, *command),
        )
