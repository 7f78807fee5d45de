"""`raftzmq local up --rejoin NODE`: a node sets its data aside and copies that of the others.

Its data may be the only copy of something: it is set aside only while the others lead without it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from raftzmq.errors import InvalidRequest, RaftzmqError, Refused
from raftzmq_cli.client import statuses
from raftzmq_cli.client.invocation import ClientInvocation
from raftzmq_cli.common import exits, messages
from raftzmq_cli.common.messages import program, short
from raftzmq_cli.local import running
from raftzmq_cli.local.ownership import own
from raftzmq_cli.local.processes import LocalCluster, LocalNode

_STATUS_TIMEOUT_S: Final = 1.0
_POLL_S: Final = 0.1


def node_of(cluster: LocalCluster, name: str, *, is_new: bool) -> LocalNode:
    """The node that is to rejoin. Raises InvalidRequest, Refused."""
    if is_new:
        raise InvalidRequest(f"no local cluster in {short(cluster.directory)}: leave out --rejoin")
    node = next((node for node in cluster.nodes if node.name == name), None)
    if node is None:
        names = ", ".join(node.name for node in cluster.nodes)
        raise InvalidRequest(f"--rejoin {name!r} is no node of this cluster; there are {names}")
    if cluster.size < 3:
        raise Refused(
            f"the other nodes are no majority without {name}: its data is the only copy that counts"
        )
    if node.pid() is not None:
        raise Refused(f"{name} is running: 'raftzmq client stop {name}' stops it first")
    return node


def wait_for_the_others(
    run: ClientInvocation,
    cluster: LocalCluster,
    started: Sequence[LocalNode],
    newcomer: LocalNode,
    wait_s: float,
) -> None:
    """Wait until the other nodes take a write without this one. Raises NotInTime, AnswerIsNo."""
    deadline = time.monotonic() + wait_s
    while True:
        dead = [node.name for node in started if node.exit_code() is not None]
        if dead:
            raise exits.AnswerIsNo(
                f"{', '.join(dead)} ended at once (see node.log); the data of {newcomer.name} was "
                "not set aside, because it may be needed"
            )
        documents = own(cluster, statuses.collect(run, _STATUS_TIMEOUT_S))
        if statuses.leader_of(documents) is not None and _take_a_write(run):
            return
        if time.monotonic() > deadline:
            raise exits.NotInTime(
                f"the other nodes take no write after {wait_s:g} s; the data of {newcomer.name} "
                "was not set aside, because it may be needed"
            )
        time.sleep(_POLL_S)


def advise(cluster: LocalCluster, dead: Sequence[LocalNode]) -> None:
    """Say how to do here what the log of a node asks for."""
    for node in dead:
        if cluster.size > 2 and any("--rejoin" in text for text in node.last_log_lines()):
            options = running.options(cluster)
            messages.say(
                f"raftzmq: to do so here: {program()} local up --rejoin {node.name}{options}"
            )


def _take_a_write(run: ClientInvocation) -> bool:
    try:
        run.client.txn(timeout=_STATUS_TIMEOUT_S)
    except RaftzmqError:
        return False
    return True
