"""A node with a defect: as leader it commits, and acknowledges, what only its own disk has."""

from __future__ import annotations

from collections.abc import Callable

from raftzmq.core import replication
from raftzmq.core.progress import Progress
from raftzmq.core.raft import Raft
from tests.system import tiny

_right = replication._majority_of


def _hasty(raft: Raft, own: int, of: Callable[[Progress], int]) -> int:
    return own if own == raft.stable_index else _right(raft, own, of)


if __name__ == "__main__":
    setattr(replication, "_majority_of", _hasty)  # noqa: B010
    tiny.run()
