"""What methods of AsyncClient return, under the names that `raftzmq` has for them."""

from raftzmq.client.aio import Barrier as AsyncBarrier
from raftzmq.client.aio import Election as AsyncElection
from raftzmq.client.aio import Group as AsyncGroup
from raftzmq.client.aio import JsonView as AsyncJsonView
from raftzmq.client.aio import Lease as AsyncLease
from raftzmq.client.aio import Lock as AsyncLock
from raftzmq.client.aio import Member as AsyncMember
from raftzmq.client.aio import Mirror as AsyncMirror
from raftzmq.client.aio import PlainSemaphore as AsyncPlainSemaphore
from raftzmq.client.aio import Scan as AsyncScan
from raftzmq.client.aio import Semaphore as AsyncSemaphore
from raftzmq.client.aio import Snapshot as AsyncSnapshot
from raftzmq.client.aio import Watch as AsyncWatch

__all__ = [
    "AsyncBarrier",
    "AsyncElection",
    "AsyncGroup",
    "AsyncJsonView",
    "AsyncLease",
    "AsyncLock",
    "AsyncMember",
    "AsyncMirror",
    "AsyncPlainSemaphore",
    "AsyncScan",
    "AsyncSemaphore",
    "AsyncSnapshot",
    "AsyncWatch",
]
