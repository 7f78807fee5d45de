"""`raftzmq node` in small sizes: a few hundred entries bring a snapshot, written in many slices,
then compaction, and snapshots for those that lag. Everything else is as in the real program."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Final

import raftzmq.server
from raftzmq.core.config import Config
from raftzmq.node import NodeSettings
from raftzmq.server import server
from raftzmq.server.config import ServerConfig
from raftzmq.storage import StorageConfig
from raftzmq_cli.main import main

STORAGE: Final = StorageConfig(
    segment_bytes=64 * 1024,
    segment_entries=100,
    snapshot_bytes=128 * 1024,
    snapshot_entries=200,
    keep_entries=3000,  # on disk, for the Logbook
)


def serve(config: ServerConfig) -> int:
    return server.serve(replace(config, storage=STORAGE))


def run() -> None:
    setattr(server, "Config", partial(Config, keep_entries=200, keep_bytes=32 * 1024))  # noqa: B010
    setattr(  # noqa: B010
        server, "NodeSettings", partial(NodeSettings, snapshot_slice_bytes=2048, chunk_bytes=8192)
    )
    setattr(raftzmq.server, "serve", serve)  # noqa: B010
    main()


if __name__ == "__main__":
    run()
