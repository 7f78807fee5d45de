"""A lease in the hands of its user."""

from __future__ import annotations

from functools import partial
from typing import Self

from raftzmq import limits
from raftzmq.client.forks import Origin
from raftzmq.client.handles.exclusive import Exclusive
from raftzmq.client.leased import AnyLease, Leased
from raftzmq.client.operations.arguments import quoted
from raftzmq.client.operations.leases import lease_revoke
from raftzmq.client.session.leases import HeldLease
from raftzmq.client.shell import Flag, OnLost, Shell, Teller
from raftzmq.errors import InvalidRequest, LeaseExpired


class Lease(Leased):
    """A lease that is kept alive in the background until it is closed. `lost` is set once it has
    ended: also when the cluster says so, or when the cluster did not confirm it within its time to
    live by this process's own clock; then `on_lost` is called too."""

    lost: Flag
    _began = False
    _entered = False
    _known = False  # whether somebody has got its number

    def __init__(self, shell: Shell, state: HeldLease, on_lost: OnLost) -> None:
        self._shell = shell
        self._state = state
        self._origin = Origin()
        self.lost = shell.flag()
        # It must know neither this object nor the shell: what nobody holds can go then.
        self._listener = partial(lose, self.lost, shell.teller(on_lost))
        state.listeners[self._listener] = None
        self._opening = Exclusive(shell, "another task opens this lease: wait for that")

    @property
    def id(self) -> int:
        """The number that the cluster gave the lease. Raises as `check` if there is none."""
        self.check_origin()
        if not self._state.id:
            self.check()
        self._known = True
        return self._state.id

    @property
    def ttl(self) -> float:
        """Its time to live, in seconds."""
        return self._state.ttl_ms / 1000

    @property
    def remaining(self) -> float:
        """How many seconds it certainly lives on without being kept alive; 0.0: it has ended."""
        return (self._state.deadline_ms - self._shell.now_ms()) / 1000 if self.alive else 0.0

    @property
    def alive(self) -> bool:
        """Whether it has not ended, as far as can be known here."""
        here = self._origin.is_here
        return here and self._state.alive(self._shell.now_ms()) and not self.lost.is_set()

    def check(self) -> None:
        """Raise LeaseExpired if it has ended; InvalidRequest if it is not granted yet; ForkedClient
        in a process forked from its own."""
        self.check_origin()
        self._state.check(self._shell.now_ms())
        if self.lost.is_set():
            raise LeaseExpired(
                f"lease {self._state.id or '(not granted)'} was closed: make another"
            )
        if not self._state.id:
            raise InvalidRequest("this lease is not granted yet: await it, or use `async with`")

    def close(self) -> None:
        """End it, without waiting for the cluster to say so. May be repeated."""
        self.check_origin()
        self._shell.check_caller()
        try:
            self._closing()
            if self._began:
                self._give_up()
        except BaseException:  # an interrupt: giving up twice does no harm
            self._give_up()
            raise

    async def _open(self) -> Self:
        """Return once it is granted. Raises LeaseExpired if it was closed, or given up before."""
        with self._opening:
            self._shell.check_caller()
            if not (self._began or self.lost.is_set()):
                self._began = True
                try:
                    await self._shell.perform(self._state)
                except BaseException:
                    self._closing()  # nobody waits for it any more
                    raise
            self.check()
        return self

    def _enter(self) -> Self:
        """Begin a `with`, of which there is one: its end ends the lease."""
        self.check()
        if self._entered:
            raise InvalidRequest("this lease is in use by a `with` already: make another")
        self._entered = True
        return self

    async def _revoke(self, *, timeout: float = 5) -> None:
        """End it now, with all that it holds. Raises LeaseExpired if it had ended already."""
        self.check()
        self._shell.check_caller()
        try:
            self._closing()
            await self._shell.run(lease_revoke(self.id, timeout=timeout))
        except BaseException:
            self.close()
            raise
        state, ended = self._state, LeaseExpired(f"lease {self.id} was revoked")
        self._shell.post(lambda session, now: session.leases.end(state, ended, now))

    def check_origin(self) -> None:
        """Raise ForkedClient in a process forked from the lease's."""
        self._origin.check("this lease")

    def _give_up(self) -> None:
        """Have it end in the background."""
        state = self._state
        self._shell.post(lambda session, now: session.leases.drop(state, "it was closed", now))

    def _is_forgotten(self) -> bool:
        """Whether nobody can end it any more once this object has gone, for nobody got it."""
        return self._began and not self._known and not self.lost.is_set()

    def _closing(self) -> None:
        """What ends it now is no loss."""
        self._state.listeners.pop(self._listener, None)
        self.lost.set()


def lose(
    lost: Flag,
    tell: Teller,
    _now_ms: int = 0,
) -> None:
    """Tell the user that something is lost."""
    lost.set()
    if tell is not None:
        tell()


def held_lease(lease: AnyLease | None) -> HeldLease | None:
    """The lease as a session knows it. Raises InvalidRequest."""
    if lease is None:
        return None
    if isinstance(lease, Lease):
        lease.check_origin()
        if lease.lost.is_set() or not lease._began:
            lease.check()
        lease._known = True
        return lease._state
    if type(lease) is not int or not 1 <= lease <= limits.INDEX_MAX:
        raise InvalidRequest(f"a lease is a Lease or its number, not {quoted(lease)}")
    return HeldLease.numbered(lease)
