"""A simulated world that is recorded. That changes nothing in it: its digest is the same."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Final

from raftzmq.core.messages import Message
from raftzmq.errors import WireError
from raftzmq.page.recording import Recorder
from raftzmq.transport.peer_wire import Envelope, decode_peer
from tests.sim.history import OK, Op
from tests.sim.network import Deliver, Network
from tests.sim.options import Options
from tests.sim.process import SimProcess
from tests.sim.story import Story
from tests.sim.world import World

PAUSE_MS: Final = 100
"""A node that will not run for so long stands still."""

KNOWN_OTHERWISE: Final = re.compile(
    r"is [a-z-]+ in term|knows the members|starts as|has received the snapshot|takes a snapshot"
)
"""What a process tells and the recording has in words of its own."""

ENDS: Final = ("is killed", "loses power", "goes down", "dies", "has stopped", "stops", "refuses")
"""How the words begin in which a process tells that it runs no more."""


def describe(body: Any) -> str:
    """What commands do: the operations in them, such as `put k0 v; delete k1`."""
    if body is None:
        return ""
    found = list(_operations(body))
    return "; ".join(found) if found else str(body)


def _operations(body: Any) -> Iterator[str]:
    """Those of a client are somewhere inside, each [serial, name, argument, …]."""
    if not isinstance(body, list | tuple):
        return
    match body:
        case [int(), str(name), *arguments]:
            yield " ".join([name, *map(str, arguments)])
        case _:
            for one in body:
                yield from _operations(one)


class RecordedNetwork(Network):
    """Tells the recorder what becomes of each message between nodes."""

    world: RecordedWorld
    carried = 0

    def send(
        self, sender: str, to: str, frames: list[bytes], deliver: Deliver, *, once: bool = False
    ) -> bool:
        message = self._message(sender, to, frames)
        if message is None:
            return super().send(sender, to, frames, deliver, once=once)
        recorder, world = self.world.recorder, self.world
        self.world.look(world.processes[sender])
        number = recorder.sent(world.now_ms, sender, to, message)

        def arrive(*given: Any) -> None:
            if world.processes[to].up:
                recorder.arrived(world.now_ms, number)
            else:
                recorder.lost(world.now_ms, number, f"{to} is down")
            deliver(*given)

        before = self.carried
        held = (sender, to) in self.clogged
        queued = super().send(sender, to, frames, arrive, once=once)
        if not queued or (not held and self.carried == before):
            why = "the link is cut" if (sender, to) in self.cut else "the network loses it"
            recorder.lost(world.now_ms, number, why)
        return queued

    def _carry(self, sender: str, to: str, frames: list[bytes], deliver: Deliver) -> None:
        self.carried += 1
        super()._carry(sender, to, frames, deliver)

    def _message(self, sender: str, to: str, frames: list[bytes]) -> Message | None:
        if sender not in self.world.processes or to not in self.world.processes:
            return None
        try:
            received = decode_peer(frames)
        except WireError:
            return None
        return received.message if isinstance(received, Envelope) else None


class RecordedStory(Story):
    """What is told is recorded too, where it is not a change that the recording has anyway."""

    world: RecordedWorld

    def tell(self, who: str, what: str) -> None:
        super().tell(who, what)
        self.world.told(who, what)


class RecordedWorld(World):
    """Plays as the world of the same options does, and has a `recorder`."""

    network_kind = RecordedNetwork

    def __init__(self, seed: int, seconds: float, options: Options | None = None) -> None:
        self._reasons: dict[str, str] = {}
        self._pending: list[tuple[Op, int]] = []
        self._ops = 0
        self._faults: Counter[str] = Counter()
        self._told = False
        super().__init__(seed, seconds, options=options)
        assert isinstance(self.network, RecordedNetwork)
        self.network.world = self
        story = RecordedStory()
        story.world = self
        self.story = story
        self.recorder = Recorder(
            f"The world of seed {seed}",
            _about(self.options),
            source="world",
            name=str(seed),
            describe=describe,
        )

    def happen(self, what: Callable[[], None]) -> None:
        self._told = False
        super().happen(what)
        for process in self.processes.values():
            self.look(process)
        self._faults_look()
        self._operations_look()
        self.recorder.links(self.now_ms, self._cut())

    def begin(self) -> None:
        super().begin()
        for process in self.processes.values():
            self.look(process)

    def look(self, process: SimProcess) -> None:
        """Take down what has changed on a node."""
        if process.node is None:
            self.recorder.down(self.now_ms, process.name, self._reasons.pop(process.name, None))
            return
        paused = process.busy_until_ms - self.now_ms > PAUSE_MS
        self.recorder.look(self.now_ms, process.name, process.node.raft, paused=paused)

    def told(self, who: str, what: str) -> None:
        """Somebody has told something."""
        self._told = True
        if who in self.processes:
            if KNOWN_OTHERWISE.match(what):
                return
            if self.processes[who].up and what.startswith(ENDS):
                self._reasons[who] = what  # it comes with the change
                return
            self.recorder.add(self.now_ms, "fault", f"{who} {what}")
        elif who in ("network", "faults"):
            self.recorder.add(self.now_ms, "fault", f"{who}: {what}")
        elif who == "operator":
            self.recorder.add(self.now_ms, "membership", f"the operator {what}")
        elif who in self.clients:
            self.recorder.add(self.now_ms, "client", f"{who} {what}")
        elif not what.startswith("of seed"):
            self.recorder.add(self.now_ms, "note", f"The world {what}.")

    def _faults_look(self) -> None:
        if self.faults_done != self._faults:
            kinds = ", ".join(self.faults_done - self._faults)
            self._faults = self.faults_done.copy()
            if not self._told:
                self.recorder.add(self.now_ms, "fault", f"a fault: {kinds}")

    def _operations_look(self) -> None:
        for op in self.history.ops[self._ops :]:
            words = " ".join(map(str, [op.name, *op.arguments]))
            self._pending.append((op, self.recorder.asked(self.now_ms, op.client, words)))
        self._ops = len(self.history.ops)
        waiting = []
        for op, number in self._pending:
            if op.told is None:
                waiting.append((op, number))
            else:
                self.recorder.answered(self.now_ms, number, op.client, _answer(op))
        self._pending = waiting

    def _cut(self) -> list[tuple[str, str]]:
        names = self.processes
        return [link for link in self.network.cut if link[0] in names and link[1] in names]


def _about(options: Options) -> str:
    faults = ", ".join(options.faults) or "none"
    nodes = "1 node" if options.size == 1 else f"{options.size} nodes"
    known = f"{nodes} and {options.clients} clients for {options.seconds:g} s; faults: {faults}."
    return known if options.alone else f"{options}."


def _answer(op: Op) -> str:
    if op.outcome != OK:
        return f"{op.name}: {op.outcome} {op.error}".strip()
    refused = "" if op.compared else "no, "
    body = "done" if op.body is None and op.is_write and op.compared else op.body
    return f"{op.name}: {refused}{body}, at {op.index}"
