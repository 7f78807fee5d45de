"""A party of live members: a key for each, which ends with the member's lease."""

from __future__ import annotations

from typing import Self

from raftzmq import limits
from raftzmq.client.handles.lease import Lease
from raftzmq.client.operations import keys
from raftzmq.client.operations.arguments import check_key, encode_value
from raftzmq.client.results import Value
from raftzmq.client.session.leases import HeldLease
from raftzmq.client.session.mirrors import page_from
from raftzmq.client.shell import OnLost, Shell


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
        start, more = self.prefix, True
        found: dict[str, Value] = {}
        while more:
            page = await self._shell.run(page_from(start, self.prefix, within))
            for item in page:
                found[item.key.removeprefix(self.prefix)] = item.value
                start = f"{item.key}\0"
            more = page.more
        return {name: found[name] for name in sorted(found, key=lambda name: (len(name), name))}
