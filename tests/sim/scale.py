"""The wanted number of replicas, and how each node comes to hear of it: late, or when it asks."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from raftzmq.core.membership import Membership
from raftzmq.naming import parse_pod_name

if TYPE_CHECKING:
    from tests.sim.process import SimProcess, WatchedNode
    from tests.sim.world import World

ANSWER_MS = (1, 20, 500, 3000)


class Scale:
    """What `kubectl scale` would be. None: nobody decides the number from outside."""

    def __init__(self, world: World, random: Random) -> None:
        self._world = world
        self._random = random
        self._asking: set[tuple[str, int]] = set()  # process and boot
        self.replicas: int | None = None

    def want(self, replicas: int) -> None:
        """Want that many from now on; every node hears of it sooner or later."""
        self.replicas = replicas
        for process in self._world.processes.values():
            self.ask(process)

    def look(self, process: SimProcess, node: WatchedNode) -> None:
        """Once a turn: a node that needs a fresh reading asks for one."""
        if node.scaling.needs_reading_from_ms is not None:
            self.ask(process)

    def ask(self, process: SimProcess) -> None:
        """Have the node read the number; what it gets is of a moment after it asked."""
        key = (process.name, process.boot)
        if self.replicas is None or process.node is None or key in self._asking:
            return
        self._asking.add(key)
        asked_ms = process.clock.read(self._world.now_ms)

        def answer() -> None:
            self._asking.discard(key)
            if process.node is not None and process.boot == key[1]:
                process.node.scaling.read(self.replicas, asked_ms)
                process.wake()

        self._world.at(self._random.choice(ANSWER_MS), answer)

    def surplus(self, membership: Membership) -> set[str]:
        """The names of the members that are to leave."""
        if not self.replicas:
            return set()
        names = (m.id.name for m in membership)
        return {name for name in names if parse_pod_name(name).ordinal >= self.replicas}
