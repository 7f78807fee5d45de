"""A snapshot in the hands of whoever takes it: the whole state at one revision, as the bytes of a
file, one piece after another."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

from raftzmq.client.operations import snapshots
from raftzmq.client.operations.arguments import call_ms
from raftzmq.client.results import NodeStatus
from raftzmq.client.shell import Shell
from raftzmq.errors import (
    InvalidRequest,
    Overloaded,
    RaftzmqError,
    Refused,
    Unauthorized,
    Unavailable,
)
from raftzmq.naming import check_endpoint
from raftzmq.transport.snapshot_wire import SnapshotBegun

ASK_S: Final = 1.0
"""How long to wait for the nodes' word whom to ask."""

Ask = Callable[..., Coroutine[Any, Any, list[NodeStatus]]]


class Snapshot:
    """The whole state of the cluster at one revision, no older than the newest write that was
    answered before: keys, leases, queues, sessions, and the membership as information. Made by
    `snapshot` of a client; iterate to get its bytes, for one thread or task.

    It comes from one node, a follower if there is one, and as it was at one moment, however long it
    takes to read. What a node holds for a snapshot is forgotten 30 seconds after the last piece.
    """

    def __init__(
        self, shell: Shell, ask: Ask, endpoint: str | None, timeout: float, *, stale: bool = False
    ) -> None:
        call_ms(timeout)
        self._shell = shell
        self._ask = ask
        self._endpoint = None if endpoint is None else check_endpoint(endpoint)
        self._timeout = timeout
        self._stale = stale
        self._begun: SnapshotBegun | None = None
        self._ended = False
        self.size = 0
        """How many bytes have been read."""

    @property
    def cluster(self) -> str:
        """The id of the cluster."""
        return self._there.cluster

    @property
    def revision(self) -> int:
        """The revision of the state."""
        return self._there.revision

    @property
    def keys(self) -> int:
        """How many keys there are in it."""
        return self._there.keys

    @property
    def node(self) -> str:
        """The name of the node that it comes from."""
        return self._there.node

    @property
    def _there(self) -> SnapshotBegun:
        if self._begun is None:
            raise InvalidRequest("the snapshot has not begun: use `with`, or iterate first")
        return self._begun

    async def _open(self) -> None:
        """Begin. Raises Denied without the right, Refused if the nodes are too old, Overloaded if
        too many snapshots are under way, Unavailable."""
        if self._begun is not None:
            return
        cluster, revision = "", 0
        if not self._stale:
            cluster, revision = await self._shell.run(snapshots.newest(timeout=self._timeout))
        wrong: list[RaftzmqError] = []
        for asked in await self._candidates():
            time = self._shell.time_of_day()
            of = cluster or str((asked.status or {}).get("cluster"))
            begin = snapshots.begin(asked.endpoint, of, revision, time, timeout=self._timeout)
            try:
                self._begun = await self._shell.run(begin)
            except InvalidRequest as error:
                wrong.append(_too_old(asked, error))
            except (Unavailable, Overloaded) as error:
                wrong.append(error)
            else:
                self._endpoint = asked.endpoint
                return
        raise wrong[0]

    async def _candidates(self) -> Sequence[NodeStatus]:
        """Whom to ask, in which order: who is healthy and does not lead has most time for it."""
        endpoints = None if self._endpoint is None else [self._endpoint]
        found = await self._ask(endpoints, timeout=min(ASK_S, self._timeout))
        answered = [asked for asked in found if asked.status is not None]
        if not answered:
            said = "; ".join(f"{asked.endpoint}: {asked.error}" for asked in found)
            kind = Unauthorized if all(asked.unauthorized for asked in found) else Unavailable
            raise kind(f"no node can be asked for a snapshot ({said})")
        return sorted(answered, key=_patience)

    async def _next(self) -> bytes | None:
        """The next piece; None at the end. Raises Unavailable once the node has gone or has
        forgotten the snapshot: take another then."""
        await self._open()
        if self._ended:
            return None
        assert self._endpoint is not None
        begun = self._there
        pull = snapshots.pull(self._endpoint, begun.snapshot, self.size, timeout=self._timeout)
        try:
            piece = await self._shell.run(pull)
        except (InvalidRequest, Refused) as error:
            raise Unavailable(f"the snapshot broke off after {self.size} bytes: {error}") from None
        self.size += len(piece.data)
        self._ended = piece.done
        return piece.data


def _patience(asked: NodeStatus) -> tuple[bool, bool]:
    status = asked.status or {}
    return not status.get("healthy", False), status.get("role") == "leader"


def _too_old(asked: NodeStatus, error: InvalidRequest) -> RaftzmqError:
    """What a node means that finds the request malformed."""
    status = asked.status or {}
    if "unknown request type" not in str(error):
        return error
    return Refused(
        f"{status.get('node')} runs raftzmq {status.get('version')}, which gives no snapshots: "
        "upgrade it, or ask a newer node"
    )
