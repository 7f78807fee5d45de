"""Who a node is: its name, and the incarnation of the data directory it runs on."""

from __future__ import annotations

from typing import NamedTuple


class NodeId(NamedTuple):
    """A node, as Raft counts it.

    `name` is the pod name (`raft-0`). `incarnation` is a random id made when the data directory
    was first used. A node that lost its directory keeps its name but has forgotten its promises,
    so Raft must treat it as somebody else: votes and acknowledgements are counted by NodeId, and
    a new incarnation is simply a node that is not a voter yet.
    """

    name: str
    incarnation: str

    def __str__(self) -> str:
        return f"{self.name}@{self.incarnation[:8]}"
