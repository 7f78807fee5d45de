"""A whole node without a clock, a disk or a network: see node.py, and DESIGN.md beside it."""

from raftzmq.node.node import Node, NodeSettings
from raftzmq.node.outside import Outbox, StoreLike

__all__ = ["Node", "NodeSettings", "Outbox", "StoreLike"]
