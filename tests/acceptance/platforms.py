"""What the scenarios ask of a platform: processes, containers, or Kubernetes."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from tests.acceptance.expectation import Done, Unmet
from tests.acceptance.view import Status

SCRIPT: Final = Path(__file__).with_name("writer.py")
CLIENT_PORT: Final = 6001
PYTHON: Final = "/opt/raftzmq/bin/python"
"""In the image."""


def replica_names(count: int) -> list[str]:
    return [f"raft-{ordinal}" for ordinal in range(count)]


class Place(ABC):
    """Where something runs, whichever the design, with the writer beside it. What a method is asked
    to do and cannot raises Unmet. `say` tells a person what goes on."""

    name: str

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say

    @abstractmethod
    def client(self, *arguments: str) -> Done:
        """Run the design's client where it reaches the service, and wait for its end."""

    @abstractmethod
    def check(self) -> str:
        """Run the client check; return its last line."""

    # -- the writer -----------------------------------------------------------------------------

    @abstractmethod
    def start_writer(self, prefix: str) -> None:
        """Start writer.py where it reaches the cluster and nothing that is stopped takes it along;
        it has no orders yet."""

    @abstractmethod
    def order_writer(self, orders: str) -> None:
        """Give the writer new orders."""

    @abstractmethod
    def writer_report(self) -> str | None:
        """What the writer has reported; None: nothing yet. Raises Unmet if it has ended."""

    # -- the end --------------------------------------------------------------------------------

    @abstractmethod
    def gather(self, directory: Path) -> None:
        """Put into the directory whatever helps to understand what went wrong."""

    @abstractmethod
    def whereabouts(self) -> str:
        """Where the cluster is to be found, and how it is taken down by hand."""

    @abstractmethod
    def close(self) -> None:
        """Leave nothing behind that the run has made. May be called after any failure."""


class Platform(Place):
    """Where a cluster of Raft runs, and what can be done to it there."""

    # -- the cluster ----------------------------------------------------------------------------

    @abstractmethod
    def deploy(self) -> None:
        """Have three replicas running, each with a disk of its own."""

    @abstractmethod
    def kill(self, node: str) -> None:
        """End a replica by force, at once. Its disk stays."""

    @abstractmethod
    def replace(self, node: str) -> None:
        """Have a replica in place of one that was killed. Where the platform does that by itself,
        nothing is to do."""

    @abstractmethod
    def stop_worker(self, node: str) -> str:
        """Stop the machine that carries a replica; return how to call that machine."""

    @abstractmethod
    def stuck(self, node: str) -> str | None:
        """What speaks against it that the replica is where its stopped machine left it, not ended
        and not replaced; None: it is."""

    @abstractmethod
    def start_worker(self, node: str) -> None:
        """Start the machine again that `stop_worker` stopped."""

    @abstractmethod
    def scale(self, replicas: int) -> None:
        """Change how many replicas there are, and begin to make them members, or to remove them."""

    @abstractmethod
    def surplus(self, replicas: int) -> str | None:
        """Which replicas run that no longer should; None: none."""

    @abstractmethod
    def kill_all(self) -> None:
        """End all replicas at the same time, and have others in their places, elsewhere."""

    @abstractmethod
    def roll(self) -> None:
        """Replace one replica after the other by the next version, each when the last is ready."""

    # -- what is seen of it ---------------------------------------------------------------------

    @abstractmethod
    def instance(self, node: str) -> str:
        """What this very process, container or pod is known by; a replacement has another.
        Empty: there is none."""

    @abstractmethod
    def address(self, node: str) -> str | None:
        """The network address of a replica; None where addresses cannot change."""

    @abstractmethod
    def unready(self, node: str) -> str | None:
        """Why the probes do not call this replica ready, or None."""

    def statuses(self) -> list[Status]:
        """What all nodes say of themselves."""
        statuses = answer_of(self.client("status", "-w", "json").expect(0, 1, 3))
        if not isinstance(statuses, list):
            raise Unmet("a list with the status of every node", f"{statuses!r:.200}")
        return statuses

    def contents(self, node: str) -> Any:
        """All that this node has applied, asked of it alone."""
        return answer_of(self.client("dump", node, "-w", "json").expect())


def answer_of(done: Done) -> Any:
    """What a command with `-w json` answered. Raises Unmet."""
    try:
        return json.loads(done.out)
    except ValueError:
        raise Unmet(f"JSON from: {' '.join(done.command)}", done.said) from None


def last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2]


def client_endpoints(names: Sequence[str]) -> str:
    """Where clients find these replicas by their names in the Service."""
    return ",".join(f"{name}.raft-service:{CLIENT_PORT}" for name in names)


def replace_text(path: Path, text: str) -> None:
    """Write a file in one piece: whoever reads it sees the old text or the new one."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)
