"""Groups and barriers of the asyncio client."""

from __future__ import annotations

from raftzmq.client.aio_leases import Lease
from raftzmq.client.aio_mirrors import Mirror
from raftzmq.client.base import TTL_S
from raftzmq.client.handles import barrier, group
from raftzmq.client.handles.notices import OnChange
from raftzmq.client.operations.arguments import milliseconds
from raftzmq.client.results import Value
from raftzmq.client.session.leases import HeldLease
from raftzmq.client.shell import OnLost


class Member(group.Member, Lease):
    """A member of a group from `async with`, or from awaiting it, until it is closed or its lease
    has ended: that is the lease that it is, which can hold other keys and locks too. Made by
    `Group.join`."""

    open = group.Member._open
    update = group.Member._update


class Group(group.Group):
    """A party of live members. Each is a key that begins with the group's name and a slash, goes
    with its lease, and holds what the member says of itself. Made by `AsyncClient.group`."""

    members = group.Group._members

    def join(
        self, data: Value = "", *, ttl: float = TTL_S, on_lost: OnLost = None, timeout: float = 5
    ) -> Member:
        """Be a member, from `async with` or from awaiting it until it is closed, and others see
        `data`. If this process dies, it is no member `ttl` seconds later. `on_lost` is called once
        it is none any more without having been closed."""
        state = HeldLease(milliseconds(ttl), timeout_s=timeout)
        return Member(self._shell, state, on_lost, self.prefix, data)

    def mirror(self, *, on_change: OnChange = None, timeout: float = 5) -> Mirror:
        """The members as a mapping that follows the cluster, with `on_change`: see
        `AsyncClient.mirror`."""
        return Mirror(self._shell, self.prefix, on_change, timeout)


class Barrier(barrier.Barrier):
    """Where a number of parties wait for one another. Made by `AsyncClient.barrier`."""

    members = barrier.Barrier._members
    wait = barrier.Barrier._wait
