"""A node as a process: sockets, files, signals and the clock around raftzmq.node."""

from raftzmq.server.config import ServerConfig
from raftzmq.server.server import serve

__all__ = ["ServerConfig", "serve"]
