"""The replicated state machine: pure, deterministic, driven by committed log entries."""

from raftzmq.machine.additions import adds
from raftzmq.machine.bounds import bounded, owned
from raftzmq.machine.commands.reads import UNDECIDED
from raftzmq.machine.forms import version_of
from raftzmq.machine.machine import Machine
from raftzmq.machine.tables.program import Program
from raftzmq.machine.tables.sessions import Result
from raftzmq.machine.validation import (
    READS,
    WRITES,
    are_plain_gets,
    are_plain_puts,
    arguments_of,
    validate_read,
    validate_write,
)

__all__ = [
    "READS",
    "UNDECIDED",
    "WRITES",
    "Machine",
    "Program",
    "Result",
    "adds",
    "are_plain_gets",
    "are_plain_puts",
    "arguments_of",
    "bounded",
    "owned",
    "validate_read",
    "validate_write",
    "version_of",
]
