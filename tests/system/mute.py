"""A node with a defect: the thread that answers probes ends by itself after a while."""

from __future__ import annotations

import asyncio
from typing import Final

from raftzmq.server.web import Web
from raftzmq_cli.main import main

WHILE_S: Final = 0.2


async def _brief(web: Web) -> None:
    await asyncio.sleep(WHILE_S)


if __name__ == "__main__":
    setattr(Web, "_serve", _brief)  # noqa: B010
    main()
