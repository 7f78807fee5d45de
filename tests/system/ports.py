"""Free ports of loopback for the tests of this project: those of raftzmq.testing."""

from raftzmq.testing.ports import STEP, free_ports

__all__ = ["STEP", "free_ports"]
