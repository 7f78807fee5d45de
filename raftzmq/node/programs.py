"""The state machine of users' own: when it comes into force, and which calls are let in.

The leader hears from every member which one it has, and in which version (core/messages.py,
HeartbeatReply), as it hears of cluster versions. It puts the highest version that all of them have
into force. A node that lacks it, and was not heard, stops at that entry.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from raftzmq.core.role import Role
from raftzmq.errors import Overloaded
from raftzmq.machine import Program
from raftzmq.node.state import NodeState
from raftzmq.node.upgrades import Upgrades


def offered(program: Program | None) -> tuple[int, int]:
    """What a node tells leaders of its program: 48 bits of a hash of the name, and the version."""
    if program is None:
        return 0, 0
    return int.from_bytes(sha256(program.name.encode()).digest()[:6], "big"), program.version


class Programs:
    """What a node knows of its members' programs, and its proposals as leader."""

    def __init__(self, node: NodeState, upgrades: Upgrades) -> None:
        self._node = node
        self._upgrades = upgrades
        self._proposed = (0, 0)  # the term, and the version, of the last proposal

    def tick(self) -> None:
        """LEADER: put into force what all members have."""
        node = self._node
        program, raft = node.settings.program, node.raft
        if program is None or raft.role is not Role.LEADER:
            return
        own = node.machine.state.program
        if own.version >= program.version or not self._is_settled():
            return
        version = self._common(program)
        if version > own.version and self._proposed != (raft.term, version):
            self._proposed = raft.term, version  # once: if it fails, it would fail again
            raft.propose([(0, 0, (0, "program", program.name, version))])

    def _is_settled(self) -> bool:
        """Whether this leader knows the state, and may propose more than operations."""
        node = self._node
        raft = node.raft
        return (
            self._upgrades.allows("operation program/2")
            and not raft.membership.forming
            and raft.transferring_to is None
            and not node.lacks
        )

    def _common(self, program: Program) -> int:
        """The highest version of the program that all members have; 0: one lacks it, or is not
        heard."""
        raft = self._node.raft
        number, version = offered(program)
        for member in raft.membership:
            if member.id == raft.id:
                continue
            progress = raft.progress[member.id]
            if not raft.hears(member.id) or progress.program[0] != number:
                return 0
            version = min(version, progress.program[1])
        return version

    def check(self, op: Any) -> None:
        """LEADER: check a valid `call`. Raises InvalidRequest, Unsupported, and Overloaded while
        this leader does not know the state yet."""
        raft = self._node.raft
        if raft.applied_index < raft.term_start_index:
            raise Overloaded("the state machine is not known here yet: try again")
        self._node.machine.check_callable(op)
