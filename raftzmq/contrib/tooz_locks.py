"""Locks of the driver of tooz, and the errors and names that both have."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING
from urllib.parse import quote

from raftzmq import (
    Client,
    LeaseExpired,
    NotAcquired,
    NotHeld,
    OutcomeUnknown,
    RaftzmqError,
    Unauthorized,
    Unavailable,
)
from raftzmq.contrib import missing

try:
    from tooz import ToozError, coordination, locking
except ModuleNotFoundError as error:
    raise missing("tooz", "tooz") from error

if TYPE_CHECKING:
    from raftzmq.client.blocking import Semaphore


@contextmanager
def translated() -> Iterator[None]:
    """Raises tooz's error in place of raftzmq's, which is its cause."""
    try:
        yield
    except (Unavailable, Unauthorized) as error:
        raise coordination.ToozConnectionError(str(error), cause=error) from error
    except OutcomeUnknown as error:
        raise coordination.OperationTimedOut(str(error), cause=error) from error
    except RaftzmqError as error:
        raise ToozError(str(error), cause=error) from error


def escaped(name: bytes | str) -> str:
    """The name of a group, member or lock within a key: as it is, if it is plain text."""
    return quote(name, safe="")


class RaftzmqLock(locking.Lock):
    """A lock, for one holder or, with `shared=True`, for all who share. It is kept alive in the
    background, without heartbeats. Threads may share the object; each `acquire` is another claim,
    and `release` gives up the newest."""

    def __init__(
        self, client: Client, name: bytes, *, namespace: str, ttl_s: float, owner: str
    ) -> None:
        super().__init__(name)
        self._client = client
        self._queue = f"{namespace}locks/{escaped(name)}"
        self._claims = client.rwlock(self._queue, ttl=ttl_s, owner=owner)
        self._held: list[Semaphore] = []

    def acquire(
        self, blocking: bool | float = True, shared: bool = False, timeout: float | None = None
    ) -> bool:
        """Whether it is held now. `blocking`: False, True, or for how many seconds; `timeout`
        bounds them too."""
        bounds = [] if blocking is True else [float(blocking)]
        bounds += [] if timeout is None else [timeout]
        seconds = min(bounds, default=None)
        with translated():
            claim = self._claims.read() if shared else self._claims.write()
            if seconds == 0:
                if not claim.try_wait():
                    return False
            else:
                try:
                    claim.wait(timeout=seconds)
                except NotAcquired:
                    return False
        self._held.append(claim)
        return True

    def release(self) -> bool:
        """Whether it was held until now; False if it was lost, or broken, or never acquired."""
        with translated():
            try:
                self._held.pop().signal()
            except (IndexError, LeaseExpired, NotHeld):
                return False
            with suppress(RaftzmqError):  # somebody has it already, or wants it
                self._client.forget("semaphore", self._queue)
        return True

    def break_(self) -> bool:
        """Take it from whoever holds it. Whether somebody did."""
        broken = False
        with translated():
            queue = self._client.describe("semaphore", self._queue)
            for holder in queue.holders if queue else ():
                with suppress(NotHeld):
                    self._client.release("semaphore", self._queue, holder.token)
                    broken = True
        return broken

    @property
    def acquired(self) -> bool:
        """Whether it is held, as far as this process knows."""
        return any(claim.held for claim in self._held)

    @property
    def token(self) -> int:
        """The fencing token of the newest claim: higher than that of all who held it before.
        Raises NotHeld."""
        if not self._held:
            raise NotHeld(f"this lock {self._queue!r} is not held: acquire it first")
        return self._held[-1].token

    def is_still_owner(self) -> bool:
        """Whether it is held, as the cluster knows."""
        with translated():
            queue = self._client.describe("semaphore", self._queue)
            holders = {holder.token for holder in queue.holders} if queue else set()
            return any(holders.intersection(claim.tokens) for claim in tuple(self._held))
