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


def require_free(cluster: LocalCluster, nodes: Iterable[LocalNode], *, is_new: bool) -> None:
    """Raises PortTaken, with what to do, if a node that is to be started cannot have its ports."""
    taken = next((port for node in nodes for port in node.ports if not is_free(port)), None)
    if taken is None:
        return
    base = _free_base(cluster)
    other = _cluster_at(taken, cluster)
    text = f"port {taken} is taken"
    if other is not None:
        text += f" by the cluster in {other.directory} (to stop it: {running.stop_command(other)})"
    if is_new:
        cure = f"give --base-port {base}"
    else:
        cure = (
            f"the ports of the cluster in {cluster.directory} stay the same, so free them, or give "
            f"another --dir and --base-port {base}"
        )
    raise PortTaken(f"{text}; nothing was started: {cure}")


def _free_base(cluster: LocalCluster) -> int:
    """The first port of a row in which all of the cluster's nodes would find theirs free."""
    base = cluster.base_port
    for base in range(cluster.base_port + _BASE_STEP, _BASE_MAX, _BASE_STEP):
        moved = replace(cluster, base_port=base)
        if all(is_free(port) for node in moved.nodes for port in node.ports):
            break
    return base


def _cluster_at(port: int, cluster: LocalCluster) -> LocalCluster | None:
    """The other cluster of this machine that has a port."""
    for other in running.clusters():
        has_it = any(port in node.ports for node in other.nodes if node.pid() is not None)
        if has_it and other.directory != cluster.directory:
            return other
    return None
