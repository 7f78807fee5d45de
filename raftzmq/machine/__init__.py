"""The replicated state machine: pure, deterministic, driven by committed log entries."""

from raftzmq.machine.machine import Machine
from raftzmq.machine.sessions import Result
from raftzmq.machine.validation import READS, WRITES, validate_read, validate_write

__all__ = ["READS", "WRITES", "Machine", "Result", "validate_read", "validate_write"]
