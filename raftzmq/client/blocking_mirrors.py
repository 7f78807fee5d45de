"""Mirrors of the blocking client."""

from __future__ import annotations

from typing import Self

from raftzmq.client.handles import mirror
from raftzmq.client.shell import finish


class Mirror(mirror.Mirror):
    """All keys with a prefix and their values, as a mapping that follows the cluster: the names of
    keys without the prefix. Made by `Client.mirror`, which returns it once it is read.

    At each moment it is what the cluster held at one `revision`. Without a connection it stays as
    it was, and is not `current`. `close` ends it, and so does the garbage collector when nobody has
    it any more. Reading raises Denied once its user may not read all of the prefix, and Unavailable
    once the client is closed; of a closed mirror one can go on reading. Any threads may read.

        with db.mirror("config/") as config:
            print(config.get("color", "red"), config.revision, config.current)
    """

    def __enter__(self) -> Self:
        return finish(self._enter())

    def __exit__(self, *_: object) -> None:
        self.close()
