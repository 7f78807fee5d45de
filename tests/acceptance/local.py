"""The scenario's cluster as processes of this machine: SIGKILL, SIGSTOP and `client member`."""

from __future__ import annotations

import signal
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.acceptance.byhand import ByHand
from tests.acceptance.expectation import Done, Unmet
from tests.acceptance.platforms import last_line, replica_names
from tests.acceptance.with_processes import WithProcesses
from tests.system.processes import Cluster

PROBE_S: Final = 5.0


class Local(WithProcesses, ByHand):
    """Real `raftzmq node` processes on loopback, their data in a directory of their own."""

    name = "local"

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__(say)
        keys = self.directory / "keys"
        self.program("keys", "create", str(keys)).expect()
        self.environment["RAFTZMQ_KEY"] = str(keys / "admin.key")
        self._cluster = Cluster(self.directory, arguments=["--keys", str(keys)])
        self.environment["RAFTZMQ_ENDPOINTS"] = ",".join(self._cluster.endpoints)

    # -- the cluster ----------------------------------------------------------------------------

    def deploy(self) -> None:
        for name in replica_names(3):
            self.start(name)

    def kill(self, node: str) -> None:
        self._cluster[node].kill()

    def stop_worker(self, node: str) -> str:
        self._cluster[node].pause()
        return f"process {self._cluster[node].pid}"

    def stuck(self, node: str) -> str | None:
        process = self._cluster[node]
        state = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0]
        return None if process.is_running and state == "T" else f"its process is in state {state}"

    def start_worker(self, node: str) -> None:
        self._cluster[node].resume()

    def kill_all(self) -> None:
        for node in self._cluster.running:
            node.send(signal.SIGKILL)
        for node in self._cluster.nodes:
            node.kill()  # waits for its end
        self.deploy()

    def running(self) -> list[str]:
        return [node.name for node in self._cluster.running]

    def start(self, node: str) -> None:
        known = [process for process in self._cluster.nodes if process.name == node]
        process = known[0] if known else self._cluster.add_process(node)
        process.start()

    def stop(self, node: str) -> None:
        self._cluster[node].terminate()
        code = self._cluster[node].wait()
        if code != 0:
            raise Unmet(f"{node} ends with exit code 0 after SIGTERM", f"exit code {code}")

    def upgrade(self, node: str) -> None:
        self.start(node)

    def remove_disk(self, node: str) -> None:
        self._cluster[node].wipe()

    # -- what is seen of it ---------------------------------------------------------------------

    def instance(self, node: str) -> str:
        process = self._cluster[node]
        return f"process {process.pid}" if process.is_running else ""

    def address(self, node: str) -> str | None:
        return None

    def unready(self, node: str) -> str | None:
        port = self._cluster[node].port + 2
        return probe(f"http://127.0.0.1:{port}/readyz")

    def client(self, *arguments: str) -> Done:
        return self.program("client", *arguments)

    def check(self) -> str:
        return last_line(self.client("--timeout", "30", "check").expect().out)

    # -- the end --------------------------------------------------------------------------------

    def gather(self, directory: Path) -> None:
        for node in self._cluster.nodes:
            (directory / f"{node.name}.log").write_text(node.output())
        (directory / "status.txt").write_text(self.client("status").said)
        super().gather(directory)

    def whereabouts(self) -> str:
        pids = [str(node.pid) for node in self._cluster.running]
        return self.ended_by(pids)

    def close(self) -> None:
        for node in self._cluster.nodes:
            node.kill()
        super().close()


def probe(url: str) -> str | None:
    """What a probe says if it is not well."""
    try:
        with urllib.request.urlopen(url, timeout=PROBE_S):
            return None
    except urllib.error.HTTPError as refused:
        with refused:
            return f"{refused.code}, {refused.read().decode(errors='replace').strip()}"
    except OSError as error:
        return f"{url}: {error}"
