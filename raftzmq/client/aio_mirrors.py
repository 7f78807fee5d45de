"""Mirrors of the asyncio client."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Self

from raftzmq.client.handles import mirror


class Mirror(mirror.Mirror):
    """All keys with a prefix and their values, as a mapping that follows the cluster: the names of
    keys without the prefix. Made by `AsyncClient.mirror`: await it, or use `async with`.

    At each moment it is what the cluster held at one `revision`. Without a connection it stays as
    it was, and is not `current`. `close` ends it, and so does the garbage collector when nobody has
    it any more. Reading raises Denied once its user may not read all of the prefix, and Unavailable
    once the client is closed; of a closed mirror one can go on reading.
    """

    open = mirror.Mirror._open

    def __await__(self) -> Generator[Any, None, Self]:
        return self._enter().__await__()

    async def __aenter__(self) -> Self:
        return await self._enter()

    async def __aexit__(self, *_: object) -> None:
        self.close()
