"""Groups and barriers of the blocking client."""

from __future__ import annotations

from raftzmq.client.base import TTL_S
from raftzmq.client.blocking_leases import Lease
from raftzmq.client.blocking_mirrors import Mirror
from raftzmq.client.handles import barrier, group
from raftzmq.client.handles.notices import OnChange
from raftzmq.client.operations.arguments import milliseconds
from raftzmq.client.results import Value
from raftzmq.client.session.leases import HeldLease
from raftzmq.client.shell import OnLost, blocking, finish


class Member(group.Member, Lease):
    """A member of a group until it is closed, or until its lease has ended: that is the lease that
    it is, which can hold other keys and locks too. Made by `Group.join`.

        with db.group("workers").join("10.0.0.7:8000") as me:
            me.update("10.0.0.7:8001")
            print(me.key, me.data)
    """

    update = blocking(group.Member._update)


class Group(group.Group):
    """A party of live members. Each is a key that begins with the group's name and a slash, goes
    with its lease, and holds what the member says of itself. Made by `Client.group`.

        workers = db.group("workers")
        with workers.join("10.0.0.7:8000"):
            print(workers.members())
    """

    members = blocking(group.Group._members)

    def join(
        self, data: Value = "", *, ttl: float = TTL_S, on_lost: OnLost = None, timeout: float = 5
    ) -> Member:
        """Be a member until it is closed, and others see `data`. If this process dies, it is no
        member `ttl` seconds later. `on_lost` is called once it is none any more without having been
        closed. Raises Unavailable if it is not in within `timeout` seconds.

            with db.group("workers").join("10.0.0.7:8000") as me:
                print(me.id)
        """
        state = HeldLease(milliseconds(ttl), timeout_s=timeout)
        member = Member(self._shell, state, on_lost, self.prefix, data)
        try:
            return finish(member._open())
        except BaseException:  # an interrupt: nobody else knows of this one
            member.close()
            raise

    def mirror(self, *, on_change: OnChange = None, timeout: float = 5) -> Mirror:
        """The members as a mapping that follows the cluster, with `on_change`: see `Client.mirror`.

        with db.group("workers").mirror(on_change=lambda: print("changed")) as there:
            print(there.copy())
        """
        return finish(Mirror(self._shell, self.prefix, on_change, timeout)._enter())


class Barrier(barrier.Barrier):
    """Where a number of parties wait for one another. Made by `Client.barrier`.
    For example:

        db.barrier("start/7", 1).wait(timeout=60)
    """

    members = blocking(barrier.Barrier._members)
    wait = blocking(barrier.Barrier._wait)
