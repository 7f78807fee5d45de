"""Whether the ports of a local cluster are free, who has them, and which would be."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from raftzmq.errors import PortTaken
from raftzmq_cli.common.ports import is_free
from raftzmq_cli.local import running
from raftzmq_cli.local.processes import LocalCluster, LocalNode

_BASE_STEP: Final = 100
_BASE_MAX: Final = 60_000


def require_free(
    cluster: LocalCluster, nodes: Iterable[LocalNode], *, is_new: bool, option: str = "--dir"
) -> None:
    """Raises PortTaken, with what to do, if a node that is to be started cannot have its ports.
    `option` is the one that chose the directory."""
    taken = next((port for node in nodes for port in node.ports if not is_free(port)), None)
    if taken is None:
        return
    base = _free_base(cluster, cluster.base_port + _BASE_STEP)
    other = _cluster_at(taken, cluster)
    text = f"port {taken} is taken"
    if other is not None:
        text += f" by the cluster in {other.directory} (to stop it: {running.stop_command(other)})"
    if is_new:
        cure = f"give --base-port {base}"
    else:
        cure = (
            f"the ports of the cluster in {cluster.directory} stay the same, so free them, or give "
            f"another {option} and --base-port {base}"
        )
    raise PortTaken(f"{text}; nothing was started: {cure}")


def moved_where_free(cluster: LocalCluster) -> LocalCluster:
    """The cluster at its ports, or at the next ones that are all free."""
    return replace(cluster, base_port=_free_base(cluster, cluster.base_port))


def _free_base(cluster: LocalCluster, start: int) -> int:
    """The first port of a row, from `start` on, in which all of the cluster's nodes would find
    theirs free; `start` if there is none."""
    for base in range(start, _BASE_MAX, _BASE_STEP):
        moved = replace(cluster, base_port=base)
        if all(is_free(port) for node in moved.nodes for port in node.ports):
            return base
    return start


def _cluster_at(port: int, cluster: LocalCluster) -> LocalCluster | None:
    """The other cluster of this machine that has a port."""
    for other in running.clusters():
        has_it = any(port in node.ports for node in other.nodes if node.pid() is not None)
        if has_it and other.directory != cluster.directory:
            return other
    return None
