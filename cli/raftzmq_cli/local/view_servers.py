"""The servers of the older design as plain processes, and the directory they live in.

DIR/cluster.json                as that of a Raft cluster, and "design"
DIR/view-server/, storage-0/    each with node.pid and node.log; there is no data on disk
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from raftzmq.client.discovery import LOCAL_STEP, described
from raftzmq_cli.common.designs import Design
from raftzmq_cli.local.processes import LocalCluster, LocalNode

DIRECTORY: Final = Path(".raftzmq/views")
BASE_PORT: Final = 7000
SERVERS: Final = 3
VIEW_SERVER: Final = "view-server"


class LocalServer(LocalNode):
    """The view server or a storage server. `peers` is the view server's address."""

    @property
    def ports(self) -> tuple[int, ...]:
        return (self.port,)

    @property
    def mark(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    @property
    def command(self) -> list[str]:
        program = [sys.executable, "-m", "raftzmq_cli", "views"]
        how = ["--listen", self.mark, *(["--keys", str(self.keys)] if self.keys else [])]
        if self.name == VIEW_SERVER:
            return [*program, "server", "--name", self.name, *how]
        return [*program, "store", self.name, "--view-server", self.peers, *how]


@dataclass(frozen=True, slots=True)
class LocalViews(LocalCluster):
    """A directory with a view server and `size` storage servers."""

    @property
    def nodes(self) -> list[LocalNode]:
        ports = {VIEW_SERVER: self.base_port}
        ports |= {f"storage-{k}": self.base_port + 1 + LOCAL_STEP * k for k in range(self.size)}
        return [
            LocalServer(name, port, self.directory / name, self.view_server, self.keys)
            for name, port in ports.items()
        ]

    @property
    def design(self) -> Design:
        return Design.VIEWS

    @property
    def view_server(self) -> str:
        return f"127.0.0.1:{self.base_port}"

    def document(self) -> dict[str, Any]:
        return {**LocalCluster.document(self), "design": Design.VIEWS.value}

    def forget_unformed(self, started: Sequence[LocalNode]) -> None:  # noqa: ARG002
        self.file.unlink(missing_ok=True)


def load(directory: Path) -> LocalViews | None:
    """Return the servers of the older design that live in `directory`, or None. What is damaged is
    left to `processes.load` to refuse."""
    directory = directory.resolve()
    try:
        document = json.loads((directory / "cluster.json").read_text())
        if document.get("design") != Design.VIEWS:
            return None
        return LocalViews(directory, *described(document))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
