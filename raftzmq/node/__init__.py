"""A whole node without a clock, a disk or a network: see node.py, and DESIGN.md beside it."""

from raftzmq.node.interfaces import Outbox, StoreLike
from raftzmq.node.node import Node
from raftzmq.node.state import NodeSettings

__all__ = ["Node", "NodeSettings", "Outbox", "StoreLike"]
