"""Who is told of which changes of keys, when, and from where (PROTOCOL.md, "Watches")."""

from raftzmq.node.watches.watches import Watches

__all__ = ["Watches"]
