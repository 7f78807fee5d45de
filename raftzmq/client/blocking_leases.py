"""Leases of the blocking client."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Self

from raftzmq.client.handles import lease
from raftzmq.client.shell import blocking
from raftzmq.errors import RaftzmqError


class Lease(lease.Lease):
    """A lease that is kept alive in the background until it is closed: use it with `with`, or
    `close` it. `lost` is set once it has ended: also when the cluster says so, or when the cluster
    did not confirm it within its time to live by this process's own clock; then `on_lost` is called
    too.

        with db.lease(ttl=10) as lease:
            db.put("workers/7", "here", lease=lease)
    """

    lost: threading.Event

    revoke = blocking(lease.Lease._revoke)

    def __enter__(self) -> Self:
        return self._enter()

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        """An interrupt may come before anybody has it, or before the first step of `__exit__`."""
        if self._is_forgotten() or (self._entered and not self.lost.is_set()):
            with suppress(RaftzmqError):
                self.close()
