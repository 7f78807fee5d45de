"""A barrier: nobody goes on before as many as are meant have arrived."""

from __future__ import annotations

from typing import Final

from raftzmq.client.handles.group import Group, Member
from raftzmq.client.handles.mirror import Mirror
from raftzmq.client.operations import keys
from raftzmq.client.operations.arguments import milliseconds, quoted, timeout_ms
from raftzmq.client.session.agenda import NEVER_MS
from raftzmq.client.session.leases import HeldLease
from raftzmq.client.shell import Shell
from raftzmq.errors import InvalidRequest, NotAcquired

OPEN: Final = "open"
"""The key, beside those of the members, that says that all had arrived."""

OPEN_S: Final = 86_400.0
"""For so many seconds it lets those pass who come late, or come again."""


class Barrier(Group):
    """Those who wait are members of a group. Whoever sees as many as are meant opens the barrier
    for all, also for those who look when the first have gone."""

    def __init__(
        self, shell: Shell, name: str, parties: int, ttl: float, timeout: float | None
    ) -> None:
        super().__init__(shell, name, timeout)
        if type(parties) is not int or parties < 1:
            raise InvalidRequest(f"a barrier is for 1 or more, not for {quoted(parties)}")
        self.parties = parties
        self._ttl_ms = milliseconds(ttl)

    async def _wait(self, *, timeout: float | None = None) -> None:
        """Arrive, and return once all have: within `timeout` seconds, or NotAcquired is raised and
        who waited has not arrived. Raises LeaseExpired if that is so for lack of a connection."""
        within_ms = timeout_ms(timeout)
        shell = self._shell
        until_ms = NEVER_MS if within_ms is None else shell.now_ms() + within_ms
        mirror = Mirror(shell, self.prefix, None, self._timeout)
        state = HeldLease(self._ttl_ms, timeout_s=self._timeout)
        member = Member(shell, state, None, self.prefix, "")
        try:
            await mirror._open()
            await member._open()
            await self._all(mirror, member, until_ms)
        finally:
            mirror.close()
            member.close()

    async def _all(self, mirror: Mirror, member: Member, until_ms: int) -> None:
        """Return once all have arrived."""
        shell, seen = self._shell, -1
        while True:
            left_s = min((until_ms - shell.now_ms()) / 1000, member.remaining)
            seen = await mirror._wait(after=seen, timeout=max(0.0, left_s))
            there = mirror.copy()
            if OPEN in there:
                return
            if len(there) >= self.parties:
                opened = keys.put(f"{self.prefix}{OPEN}", "", ttl=OPEN_S, timeout=self._timeout)
                await shell.run(opened)
                return
            member.check()
            if shell.now_ms() >= until_ms:
                raise NotAcquired(
                    f"{len(there)} of {self.parties} have arrived at barrier {self.name!r} in time"
                )
