"""Leases of the asyncio client."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Any, Self

from raftzmq.client.handles import lease


class Lease(lease.Lease):
    """A lease that is kept alive in the background until it is closed: use it with `async with`, or
    await it and `close` it. `lost` is set once it has ended: also when the cluster says so, or when
    the cluster did not confirm it within its time to live by this process's own clock; then
    `on_lost` is called too."""

    lost: asyncio.Event

    open = lease.Lease._open
    revoke = lease.Lease._revoke

    def __await__(self) -> Generator[Any, None, Self]:
        return self.open().__await__()

    async def __aenter__(self) -> Self:
        await self.open()
        return self._enter()

    async def __aexit__(self, *_: object) -> None:
        self.close()
