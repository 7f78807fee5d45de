"""Faults that choose their victims and their moment: what chance alone brings about too rarely."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Final

from raftzmq.core import messages
from raftzmq.core.messages import Message
from raftzmq.errors import Refused

if TYPE_CHECKING:
    from tests.sim.clients import SimClient
    from tests.sim.faults import Faults
    from tests.sim.process import SimProcess, WatchedNode
    from tests.sim.world import World

KINDS: Final[tuple[tuple[type[Message], ...], ...]] = (
    (messages.PreVoteRequest,),
    (messages.PreVoteReply,),
    (messages.VoteRequest,),
    (messages.VoteReply,),
    (messages.AppendEntries,),
    (messages.AppendAccepted,),
    (messages.AppendRejected,),
    (messages.Heartbeat,),
    (messages.HeartbeatReply,),
    (messages.TimeoutNow,),
    (messages.AppendEntries, messages.Heartbeat),
)
"""What is lost together, and nothing else. The last deposes leaders."""

CLIENT_PATIENCE_MS: Final = 1500
"""After so long without an answer, clients have found the next leader."""

CHUNKS: Final = (messages.SnapshotChunk, messages.SnapshotReply)


class Ambushes:
    """Each returns whether it came about. They end by themselves, after a few election timeouts."""

    def __init__(self, world: World, random: Random, faults: Faults) -> None:
        self._world = world
        self._random = random
        self._faults = faults
        self._deposing = False

    def _timeouts(self, low: float, high: float) -> int:
        """A time between so many election timeouts, in ms."""
        election_ms = self._world.options.raft.election_timeout_ms
        return int(election_ms * self._random.uniform(low, high))

    def depose(self, *, late: bool = False) -> bool:
        """Cut the leader off from the other nodes until they have another, while some clients
        still reach it, and some nobody else. It may be asleep meanwhile; `late`: it is, and then
        the answers to what it had asked before reach it, and nothing else: it still thinks that
        it leads."""
        world, random, network = self._world, self._random, self._world.network
        leader = self._faults.leader()
        if leader is None or len(world.processes) < 2 or self._deposing:
            return False
        self._deposing = True  # with several at once, too many calls would get no answer
        process = world.processes[leader.name]
        others = [name for name in world.processes if name != process.name]
        clients = [client for client in world.clients.values() if not client.idle]
        near = [client for client in clients if client.reader or random.random() < 0.4]
        far = [client for client in clients if client not in near]
        names = ", ".join(client.name for client in near)
        world.story.tell(
            "network",
            f"cuts the leader {process.name} off{', and holds back what it is told' * late}; "
            f"with it {names or 'no client'}",
        )
        if late:
            for name in others:
                network.clog(name, process.name)
            self._each_key(near, 0, self._read)
        cut: set[tuple[str, str]] = set()

        def part() -> None:
            before = set(network.cut)
            network.cut_between([client.name for client in near], others)
            network.cut_between([process.name], others)
            if random.random() < 0.7:
                network.cut_between([process.name], [client.name for client in far])
            cut.update(network.cut - before)
            if random.random() < 0.3:
                self._faults.remove_member()  # it may still think that it can
            for client in near:
                for _ in range(0 if client.reader else random.choice([0, 3, 8])):
                    client.write(random.choice(world.history.keys), 1, lambda _op: None)
            release = network.hold(process.name)
            asleep_ms = self._sleep(process) if late or random.random() < 0.3 else 0
            if late:
                self._each_key(far, asleep_ms * 3 // 4, self._write)
                self._each_key(near, asleep_ms - 20, self._read)
            world.at(asleep_ms + self._timeouts(0.05, 0.15), release)
            world.at(asleep_ms + self._timeouts(0.2, 2 if asleep_ms else 6), undo)

        def undo() -> None:
            network.cut -= cut
            self._deposing = False

        # It has to ask something whose answers come late, and be heard.
        world.at(self._timeouts(0.1, 0.5) if late else 0, part)
        return True

    def silence_half(self, leader: WatchedNode, name: str) -> None:
        """If one voter of an even number is to be removed, cut off half of them, that one too,
        while clients read: what they read waits for one answer more, until the removal makes a
        majority of those that the leader still hears."""
        network, voters = self._world.network, {v.name for v in leader.raft.memberships.voters}
        if len(voters) % 2 or name not in voters - {leader.name}:
            return
        rest = sorted(voters - {leader.name, name})
        away = [name, *self._random.sample(rest, len(voters) // 2 - 1)]
        self._world.story.tell("network", f"cuts {', '.join(away)} off")
        before = set(network.cut)
        network.cut_between(away, [other for other in self._world.processes if other not in away])
        cut = network.cut - before
        clients = [client for client in self._world.clients.values() if not client.idle]
        for in_ms in (0, self._timeouts(0.05, 0.3)):
            self._each_key(clients, in_ms, self._read)

        def undo() -> None:
            network.cut -= cut

        self._world.at(self._timeouts(0.5, 2), undo)

    def _each_key(
        self, clients: list[SimClient], in_ms: int, act: Callable[[SimClient, str], None]
    ) -> None:
        """Have one of the clients do something with each key. Only one: what many do at once, and
        get no answer to, fits into a history in too many ways to try."""
        for key in self._world.history.keys if clients else ():
            self._world.at(in_ms, partial(act, self._random.choice(clients), key))

    def _read(self, client: SimClient, key: str) -> None:
        client.read(key, 2)

    def _write(self, client: SimClient, key: str) -> None:
        client.write(key, 2, lambda _op: None)

    def _sleep(self, process: SimProcess) -> int:
        """Have it stop, clock and all; return for how long, in ms."""
        ms = self._timeouts(2, 4) + CLIENT_PATIENCE_MS
        process.tell(f"sleeps for {ms} ms, clock and all")
        process.pause(ms, frozen=True)
        return ms

    def _lose(self, kinds: tuple[type[Message], ...], ms: int) -> None:
        network = self._world.network
        names = ", ".join(kind.__name__ for kind in kinds)
        self._world.story.tell("network", f"loses every {names} for {ms} ms")
        network.lost_kinds = frozenset(kinds)

        def undo() -> None:
            network.lost_kinds = frozenset()

        self._world.at(ms, undo)

    def lose_kinds(self) -> bool:
        """Lose every message of some kind for a while."""
        self._lose(self._random.choice(KINDS), self._timeouts(1, 8))
        return True

    def lose_handover(self) -> bool:
        """Hand leadership over to one whom nobody hears: it is left behind in a later term."""
        leader = self._faults.leader()
        if leader is None:
            return False
        with suppress(Refused):
            leader.raft.transfer(None)
        self._lose((messages.VoteRequest,), self._timeouts(2, 4))
        self._world.processes[leader.name].wake()
        return True

    def lose_chunks(self) -> bool:
        """Cut a follower off until it needs a snapshot, and then lose what is sent of that."""
        world, network = self._world, self._world.network
        leader = self._faults.leader()
        others = [name for name in world.processes if leader is not None and name != leader.name]
        if not others:
            return False
        name = self._random.choice(others)
        world.story.tell("network", f"cuts {name} off until it needs a snapshot")
        before = set(network.cut)
        network.cut_between([name], [other for other in world.processes if other != name])
        cut = network.cut - before

        def undo() -> None:
            network.cut -= cut
            self._lose(CHUNKS, self._timeouts(0.5, 2))

        world.at(self._timeouts(2, 5), undo)
        return True
