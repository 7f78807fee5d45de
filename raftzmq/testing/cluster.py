"""A cluster of real processes on this machine, which a test can disturb."""

from __future__ import annotations

import atexit
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from raftzmq.errors import InvalidRequest
from raftzmq.testing.nodes import NURSERY, POLL_S, NodeProcess, start_together
from raftzmq.testing.ports import STEP, free_ports

if TYPE_CHECKING:
    from raftzmq.client.aio import AsyncClient
    from raftzmq.client.blocking import Client

T = TypeVar("T")

ASK_S: Final = 0.5
"""How long a node is waited for that is asked what it is."""

VOTERS: Final = ("leader", "follower")
"""The roles of nodes that are members and know who leads."""

SHOWN_LINES: Final = 20

atexit.register(NURSERY.end)


class Cluster:
    """Nodes `raft-0` … that know one another, on free ports and in a temporary directory.

        with Cluster(3) as cluster:
            db = cluster.client()
            db.put("greeting", "hello")
            cluster.kill_leader()
            assert db.get("greeting")

    Everything ends with the `with`, or with this process in whatever way that ends. If the body
    raises, the last lines of each log go to standard error, and the directory stays. Faults are
    undone by `heal`, `resume` and `restart`. Without `with`, as in a notebook, `start` and
    `close` begin and end it.
    """

    def __init__(
        self,
        size: int = 3,
        *,
        timeout: float = 60,
        log_level: str = "INFO",
        election_timeout_ms: int = 300,
    ) -> None:
        """`timeout`: seconds that anything here may take before it raises TimeoutError.
        `election_timeout_ms` is as of `raftzmq node`: longer where the machine is busy, so that
        leaders stay. Raises InvalidRequest."""
        if type(size) is not int or not 1 <= size <= 9:
            raise InvalidRequest("a cluster for tests has 1 to 9 nodes")
        self._timeout = timeout
        self.directory = Path(tempfile.mkdtemp(prefix="raftzmq-testing-"))
        base = free_ports(size)
        self._nodes = {
            f"raft-{k}": NodeProcess(
                f"raft-{k}",
                f"127.0.0.1:{base + STEP * k}",
                f"127.0.0.1:{base + STEP * k + 1}",
                self.directory,
            )
            for k in range(size)
        }
        self._cuts = self.directory / "cuts"
        self._cuts.write_bytes(bytes(size**2))
        self._settings = {
            "peers": {node.name: node.address for node in self._nodes.values()},
            "cuts": str(self._cuts),
            "log_level": log_level,
            "election_timeout_ms": election_timeout_ms,
            "heartbeat_ms": max(1, election_timeout_ms // 4),
        }
        self._sides: dict[str, object] = dict.fromkeys(self._nodes)
        self._clients: list[Client] = []
        self._closed = False
        NURSERY.begin()  # imports what nodes need while this process imports what clients need
        self._asking = _client(self.endpoints)

    # -- what it is -----------------------------------------------------------------------------

    @property
    def names(self) -> tuple[str, ...]:
        """The nodes' names."""
        return tuple(self._nodes)

    @property
    def endpoints(self) -> tuple[str, ...]:
        """Where clients reach the nodes: HOST:PORT of each."""
        return tuple(node.endpoint for node in self._nodes.values())

    @property
    def running(self) -> tuple[str, ...]:
        """The nodes that run and do not stand still."""
        return tuple(n.name for n in self._nodes.values() if not n.paused and n.is_running)

    @property
    def leader(self) -> str:
        """The name of the node that leads, as soon as a majority of all nodes says the same.
        Raises TimeoutError."""
        return self._wait_for("a majority agrees on a leader", self._agreed_leader)

    def endpoint(self, name: str) -> str:
        """Where clients reach that node. Raises InvalidRequest."""
        return self._node(name).endpoint

    def log(self, name: str) -> str:
        """All that the node has logged. Raises InvalidRequest."""
        return self._node(name).log()

    def client(self, *, timeout: float | None = None) -> Client:
        """A client of all nodes. It is closed with the cluster."""
        self._clients.append(_client(self.endpoints, timeout))
        return self._clients[-1]

    def async_client(self, *, timeout: float | None = None) -> AsyncClient:
        """An asyncio client of all nodes, to be used with `async with`."""
        from raftzmq.client.aio import AsyncClient

        return AsyncClient(self.endpoints, timeout=timeout)

    def __repr__(self) -> str:
        nodes = [f"{node.name} at {node.endpoint} {node.state}" for node in self._nodes.values()]
        return f"<Cluster: {', '.join(nodes)}>"

    # -- its life -------------------------------------------------------------------------------

    def start(self) -> Self:
        """Start all nodes, and return once the cluster takes writes. Raises TimeoutError."""
        self._start_what_does_not_run()
        self.wait_until_ready()
        return self

    def wait_until_ready(self) -> None:
        """Return once the nodes that run agree on a leader. Raises TimeoutError."""
        self._wait_for("all nodes agree on a leader", self._all_agree)

    def close(self, *, keep: bool = False) -> None:
        """End the nodes, and close the clients. The directory goes too, unless `keep`."""
        self._closed = True
        for client in [*self._clients, self._asking]:
            client.close()
        for node in self._nodes.values():
            node.kill()
        if not keep:
            shutil.rmtree(self.directory, ignore_errors=True)

    def show_logs(self) -> None:
        """Write the last lines of each log to standard error, where pytest shows them."""
        sys.stderr.write(self.last_lines())

    def last_lines(self) -> str:
        """The last lines of each log, under its name."""
        text = []
        for node in self._nodes.values():
            text += [f"-- {node.name}: {node.log_file}", *node.log().splitlines()[-SHOWN_LINES:]]
        return "\n".join([*text, ""])

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.show_logs()
            self.close(keep=True)
            raise

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self.show_logs()
        self.close(keep=kind is not None)

    # -- faults ---------------------------------------------------------------------------------

    def kill(self, name: str) -> None:
        """End a node as `kill -9` does. Raises InvalidRequest."""
        self._node(name).kill()

    def stop(self, name: str) -> None:
        """End a node as an operator does: it hands over leadership. Raises InvalidRequest."""
        self._node(name).stop()

    def restart(self, name: str) -> None:
        """Start a node on its data again, after killing it if it runs. Raises InvalidRequest."""
        node = self._node(name)
        node.kill()
        self._start([node])

    def kill_leader(self) -> str:
        """Kill the node that leads; return its name. Raises TimeoutError."""
        name = self.leader
        self.kill(name)
        return name

    def wipe(self, name: str) -> None:
        """Kill a node, and take its disk: `restart` brings it back as a machine with an empty one.
        Raises InvalidRequest."""
        node = self._node(name)
        node.kill()
        shutil.rmtree(node.data_dir, ignore_errors=True)

    def pause(self, name: str) -> None:
        """Have a node stand still, with its connections open. Raises InvalidRequest, also if it
        does not run."""
        node = self._node(name)
        if not node.is_running:
            raise InvalidRequest(f"{name} does not run")
        node.pause()

    def resume(self, name: str) -> None:
        """Let a node that stands still go on. Raises InvalidRequest."""
        self._node(name).resume()

    def partition(self, *groups: Iterable[str]) -> None:
        """Lose all messages between nodes of different groups; a node in none of them has a group
        of its own. Clients reach every node. Raises InvalidRequest.

            cluster.partition(["raft-0"], ["raft-1", "raft-2"])
        """
        groups = tuple([*group] for group in groups)
        sides: dict[str, object] = {}
        for number, group in enumerate(groups):
            for name in group:
                self._node(name)
                if name in sides:
                    raise InvalidRequest(f"{name} is in two groups: a partition has it in one")
                sides[name] = number
        self._divide({name: sides.get(name, name) for name in self.names})

    def heal(self) -> None:
        """Let all messages through again."""
        self._divide(dict.fromkeys(self.names))

    def repair(self) -> None:
        """Undo all faults, and return once the cluster takes writes. Raises TimeoutError."""
        self.heal()
        for node in self._nodes.values():
            if node.paused:
                node.resume()
        self._start_what_does_not_run()
        self.wait_until_ready()

    def _start_what_does_not_run(self) -> None:
        self._start([node for node in self._nodes.values() if not node.is_running])

    def _start(self, nodes: list[NodeProcess]) -> None:
        if self._closed:
            raise InvalidRequest("this cluster is closed: make another")
        start_together(nodes, self._settings)

    def _divide(self, sides: dict[str, object]) -> None:
        self._sides = sides
        cuts = bytes(sides[one] != sides[other] for one in sides for other in sides)
        with self._cuts.open("r+b") as file:  # the nodes have this very file in memory
            file.write(cuts)

    # -- looking at it --------------------------------------------------------------------------

    def _node(self, name: str) -> NodeProcess:
        node = self._nodes.get(name)
        if node is None:
            raise InvalidRequest(f"there is no node {name!r}: there are {', '.join(self._nodes)}")
        return node

    def _statuses(self) -> list[dict[str, Any]]:
        """What the nodes that run say of themselves, as far as they do."""
        asked = [self.endpoint(name) for name in self.running]
        if not asked:
            return []
        answers = self._asking.statuses(asked, timeout=ASK_S)
        return [answer.status for answer in answers if answer.status is not None]

    def _leaders_seen(self) -> list[str | None]:
        """Whom the voters in the newest term take for the leader; None for one that cannot hear it,
        and only believes so yet."""
        statuses = self._statuses()
        term = max((status["term"] for status in statuses), default=0)
        voters = [one for one in statuses if one["term"] == term and one["role"] in VOTERS]
        seen = [(status["node"], status["leader"]) for status in voters]
        return [leader if self._hears(name, leader) else None for name, leader in seen]

    def _hears(self, name: str, leader: str | None) -> bool:
        return leader is not None and self._sides[name] == self._sides[leader]

    def _agreed_leader(self) -> str | None:
        seen, running = self._leaders_seen(), self.running
        agreed = (n for n in running if 2 * seen.count(n) > len(self._nodes))
        return next(agreed, None)

    def _all_agree(self) -> bool:
        seen, running = self._leaders_seen(), self.running
        for node in self._nodes.values():
            if node.ended is not None:
                last = "".join(node.log().splitlines()[-1:]) or "it has logged nothing"
                raise RuntimeError(f"{node.name} has ended with code {node.ended}: {last}")
        return len(seen) == len(running) and len(set(seen)) == 1 and seen[0] in running

    def _wait_for(self, what: str, probe: Callable[[], T | None]) -> T:
        until_s = time.monotonic() + self._timeout
        while True:
            found = probe()
            if found is not None and found is not False:
                return found
            if time.monotonic() > until_s:
                raise TimeoutError(f"not within {self._timeout:g} s: {what}")
            time.sleep(POLL_S)


def _client(endpoints: tuple[str, ...], timeout: float | None = None) -> Client:
    from raftzmq.client.blocking import Client

    return Client(endpoints, timeout=timeout)
