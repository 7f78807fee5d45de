"""A party of live members: a key for each, which ends with the member's lease."""

from __future__ import annotations

from typing import Self

from raftzmq import limits
from raftzmq.client.handles.lease import Lease
from raftzmq.client.operations import keys
from raftzmq.client.operations.arguments import check_key, encode_value
from raftzmq.client.results import Value
from raftzmq.client.session.leases import HeldLease
from raftzmq.client.shell import OnLost, Shell
from raftzmq.prefixes import prefix_end


class Member(Lease):
    """A lease, and with it a key of the group that says something of the member."""

    def __init__(
        self, shell: Shell, state: HeldLease, on_lost: OnLost, prefix: str, data: Value
    ) -> None:
        encode_value(data)  # what is wrong with it, the caller learns now
        super().__init__(shell, state, on_lost)
        self._prefix = prefix
        self._data = data
        self._joined = False

    @property
    def key(self) -> str:
        """The member's key: that of the group, and the number of its lease."""
        return f"{self._prefix}{self.id}"

    @property
    def data(self) -> Value:
        """What others see of it."""
        return self._data

    async def _open(self) -> Self:
        """Return once others see it. Raises as for a lease, and Denied."""
        await super()._open()
        if not self._joined:
            try:
                await self._update(self._data, timeout=self._state.timeout_s)
            except BaseException:
                self.close()
                raise
            self._joined = True
        return self

    async def _update(self, data: Value, *, timeout: float = 5) -> None:
        """Have others see something else. Raises LeaseExpired if it is no member any more."""
        self.check()
        await self._shell.run(keys.put(self.key, data, lease=self, timeout=timeout))
        self._data = data


class Group:
    """Who is there: the keys that begin with the group's name and a slash."""

    def __init__(self, shell: Shell, name: str, timeout: float | None) -> None:
        self.name = check_key(name)
        check_key(f"{name}/{limits.INDEX_MAX}\0")  # else no key of a member has room
        self._shell = shell
        self._timeout = 5 if timeout is None else timeout

    @property
    def prefix(self) -> str:
        """What the keys of its members begin with."""
        return f"{self.name}/"

    async def _members(self, *, timeout: float | None = None) -> dict[str, Value]:
        """Who is there now, in the order of joining: what each says of itself, by the number of its
        lease."""
        within = self._timeout if timeout is None else timeout
        start, end = self.prefix, prefix_end(self.prefix)
        found: dict[str, Value] = {}
        more = True
        while more:
            part = await self._shell.run(keys.range_(start, end, timeout=within))
            found.update({item.key.removeprefix(self.prefix): item.value for item in part.items})
            more = part.more
            start = f"{part.items[-1].key}\0" if part.items else end
        return {name: found[name] for name in sorted(found, key=lambda name: (len(name), name))}
