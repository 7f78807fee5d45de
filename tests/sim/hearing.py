"""Who says that its leader hears it is heard by it, or says otherwise soon.

A node that hears its leader knows only from the leader that its own messages arrive. If it did not
say so, it would count as one that a majority can do with.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from raftzmq.core.role import Role
from tests.sim.process import SimProcess
from tests.sim.story import Violation

if TYPE_CHECKING:
    from tests.sim.world import World


class Hearing:
    """Holds running nodes to it. Raises Violation."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._since_ms: dict[str, int] = {}  # since when a node is wrong about its leader

    def check(self, process: SimProcess) -> None:
        """A node has taken its turn."""
        now_ms = self._world.now_ms
        if not self._is_wrong(process):
            self._since_ms.pop(process.name, None)
            return
        since_ms = self._since_ms.setdefault(process.name, now_ms)
        if now_ms - since_ms > self._patience_ms:
            assert process.node is not None
            raise Violation(
                f"{process.name} says that {process.node.raft.leader} hears it, which has not "
                f"heard it for {now_ms - since_ms} ms"
            )

    @property
    def _patience_ms(self) -> int:
        """A heartbeat of before may be on its way, and lead a follower for two timeouts more."""
        options = self._world.options
        return 10 * options.delay_ms[1] + 6 * options.raft.election_timeout_ms

    def _is_wrong(self, process: SimProcess) -> bool:
        node = process.node
        if node is None or node.raft.role is not Role.FOLLOWER or node.raft.unheard:
            return False
        raft, known = node.raft, node.raft.leader
        leader = _running(self._world.processes, known.name if known is not None else "")
        if leader is None or leader.node is None or leader.node.raft.term != raft.term:
            return False
        if {(leader.name, process.name)} & self._world.network.clogged.keys():
            return False  # what is held up says what was so once
        progress = leader.node.raft.progress.get(raft.id)
        timeout_ms = leader.node.raft.config.election_timeout_ms
        return progress is not None and progress.is_silent(leader.node.raft.now_ms, timeout_ms)


def _running(processes: Mapping[str, SimProcess], name: str) -> SimProcess | None:
    process = processes.get(name)
    return process if process is not None and process.up else None
