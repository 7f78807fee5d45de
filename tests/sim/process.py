"""One node as a process on a machine: the real Node and Storage, and all that surrounds them.

What the server does with sockets and a poller, this does with queues and virtual time: it takes
what has arrived, ticks, has the node take its turn, and says when it wants to run again.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Final

from raftzmq.access.users import ANYBODY
from raftzmq.core.entry import Entry
from raftzmq.core.identity import NodeId
from raftzmq.core.messages import Message, SnapshotChunk
from raftzmq.core.ready import HardState, SnapshotMeta
from raftzmq.core.role import Role
from raftzmq.errors import CorruptLine, DataError, WireError
from raftzmq.naming import client_address
from raftzmq.node import Node, NodeSettings
from raftzmq.node.programs import offered
from raftzmq.storage import MemoryStorage, SnapshotWriter, Storage
from raftzmq.transport.client_wire import (
    Reply,
    Results,
    decode_request,
    encode_reply,
    encode_results,
)
from raftzmq.transport.peer_wire import (
    Envelope,
    Hello,
    Welcome,
    decode_peer,
    encode_hello,
    encode_message,
    encode_welcome,
)
from raftzmq.transport.watch_wire import Events
from raftzmq.versions import SPOKEN
from tests.sim.banking import program_of
from tests.sim.builds import check_entries, check_records
from tests.sim.disks import DATA, Durable, PowerCut, SimFiles

if TYPE_CHECKING:
    from tests.sim.world import World

PEER_BUDGET: Final = 1024
CLIENT_BUDGET: Final = 256
INBOX: Final = 4096
"""Most messages that wait for a node; more are lost, as where a queue has its bound."""

HANDOVER_MS: Final = 2000


class Clock:
    """A monotonic clock that runs at a rate of its own and begins anywhere."""

    def __init__(self, now_ms: int, base_ms: int, rate: float) -> None:
        self._start_ms, self._base_ms, self.rate = now_ms, base_ms, rate

    def read(self, now_ms: int) -> int:
        return self._base_ms + int((now_ms - self._start_ms) * self.rate)

    def when(self, local_ms: int) -> int:
        """The true time at which it will show `local_ms`."""
        now_ms = self._start_ms + math.ceil((local_ms - self._base_ms) / self.rate)
        while self.read(now_ms) < local_ms:
            now_ms += 1
        return now_ms

    def set(self, now_ms: int, *, rate: float | None = None, skip_ms: int = 0) -> None:
        """From now on run at another rate; `skip_ms` is time that it does not notice."""
        base_ms = self.read(now_ms) - skip_ms
        self._start_ms, self._base_ms, self.rate = now_ms, base_ms, rate or self.rate


class WatchedStorage(MemoryStorage):
    """The real storage; the rules see what it is asked to make durable, and when it says so."""

    process: SimProcess

    def save(self, hard_state: HardState | None, entries: Sequence[Entry] = ()) -> None:
        self.process.world.rules.saving(self.process, entries)
        super().save(hard_state, entries)

    def begin_snapshot(self, meta: SnapshotMeta, records: Iterator[list[Any]]) -> SnapshotWriter:
        self.process.world.rules.snapshot_begun(self.process, meta)
        return super().begin_snapshot(meta, records)

    def compact(self, index: int) -> bool:
        self.process.world.rules.compacting(self.process, index)
        return super().compact(index)

    def receive(self, chunk: SnapshotChunk) -> SnapshotMeta | None:
        meta = super().receive(chunk)
        if meta is not None:
            self.process.tell(f"has received the snapshot at {meta.index}")
            self.process.world.counts["snapshot received"] += 1
        return meta


class WatchedNode(Node):
    """The real node; the rules see what it applies."""

    process: SimProcess

    def _apply(self, committed: Sequence[Entry]) -> None:
        if self.settings.spoken != SPOKEN:
            check_entries(committed, self.settings.spoken)
        results: list[Any] = []
        answer = self.proposals.applied

        def applied(entries: Sequence[Entry], found: Sequence[Any]) -> None:
            results.extend(found)
            answer(entries, found)

        vars(self.proposals)["applied"] = applied
        try:
            super()._apply(committed)
        finally:
            del vars(self.proposals)["applied"]
        if done := [entry for entry in committed if entry.index <= self.machine.applied_index]:
            self.process.world.rules.applied(self.process, done, results)

    def restore_machine(self, meta: SnapshotMeta) -> None:
        if self.settings.spoken != SPOKEN:
            check_records(self.storage.snapshot_records(), self.settings.spoken)
        super().restore_machine(meta)
        self.process.world.rules.restored(self.process, meta, self.machine)


class SimProcess:
    """A machine with a disk on which a node runs, or not."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.address = f"{name}.raft-service:6000"
        self.client_address = client_address(self.address)
        self.random = Random(f"{world.seed} {name}")
        self.files = SimFiles(self._disturb)
        self.durable = Durable(self.files)
        self.identity: NodeId | None = None
        """Who its directory belongs to, also while no node runs there."""
        self.node: WatchedNode | None = None
        self.store: WatchedStorage | None = None
        self.boot = 0
        self.turn_at: int | None = None
        self.busy_until_ms = 0
        self.restart_at_ms: int | None = None
        self.rejoin = False
        """The next start sets the directory aside, as an operator would after reading why."""
        self.damaged = False
        """Its disk was hurt, in a way that it must notice at its next start if it matters."""
        self.stale = False
        """An old copy of its directory was put back: it may be told to stop."""
        self.cut_in: int | None = None
        """The power goes, or (`cut_kills`) the process dies, at that many more disk operations."""
        self.cut_kills = False
        self.sync_ms = world.options.disk_ms
        self.backup: tuple[NodeId, Any] | None = None
        """An old copy of its directory, and whose it is."""
        self._peer_frames: deque[list[bytes]] = deque()
        self._client_frames: deque[tuple[str, bytes]] = deque()
        self._stall_ms = 0
        self._stop_by_ms: int | None = None
        self._seen: tuple[object, ...] = ()
        rate = 1 + (self.random.random() * 2 - 1) * world.options.drift
        self.clock = Clock(0, self.random.randrange(1_000_000), rate)

    @property
    def up(self) -> bool:
        return self.node is not None

    @property
    def id(self) -> NodeId | None:
        return self.node.raft.id if self.node else None

    def tell(self, what: str) -> None:
        self.world.story.tell(self.name, what)

    # -- starting and ending --------------------------------------------------------------------

    def start(self) -> None:
        """Start the node; whatever keeps it from starting ends in another start, later."""
        assert self.node is None
        world = self.world
        self.boot += 1
        self.restart_at_ms = None
        self._stop_by_ms = None
        self._seen = ()
        self._stall_ms = 0
        self._peer_frames.clear()
        self._client_frames.clear()
        try:
            if self.rejoin:
                self._set_aside()
            self._open()
        except PowerCut:
            self.crash("loses power while starting", kill=self.cut_kills)
        except OSError as error:
            self.crash(f"cannot start: {error}")
        except (DataError, CorruptLine) as error:
            self._refused(error)
        else:
            self._turn_at(world.now_ms)

    def _set_aside(self) -> None:
        self.world.rules.forget_disk(self)
        self.world.builds.lost(self)
        aside = Storage.set_aside(DATA, self.files)
        self.rejoin = self.damaged = self.stale = False
        self.tell(f"starts with --rejoin: its directory is now {aside}")

    def _open(self) -> None:
        world, options = self.world, self.world.options
        store = WatchedStorage(
            self.files,
            config=options.storage,
            incarnation=lambda: f"{self.random.getrandbits(64):016x}",
        )
        store.process = self
        self.store = store
        restored = store.open(self.name)
        world.rules.opened(self, restored)
        program = program_of(world)
        settings = NodeSettings(
            name=self.name,
            address=self.address,
            initial=world.initial,
            raft=replace(options.raft, spoken=world.builds.of(self), program=offered(program)),
            program=program,
            chunk_bytes=options.chunk_bytes,
            snapshot_slice_bytes=options.slice_bytes,
            work_per_turn=10 * options.raft.max_committed_entries,  # about so many writes
        )
        node = WatchedNode.__new__(WatchedNode)
        node.process = self  # it restores its machine, which the rules watch, as it is made
        random = Random(self.random.getrandbits(64))
        node.__init__(  # type: ignore[misc]
            settings, store, restored, random, self.clock.read(world.now_ms), self._clock_s
        )
        self.node = node
        raft = node.raft
        known = f"term {raft.term}, log to {raft.log.last_index}"
        snapshot = f", snapshot at {restored.snapshot.index}" if restored.snapshot else ""
        torn = f"; {len(restored.repairs)} torn write cut" if restored.repairs else ""
        self.tell(f"starts as {raft.id} ({known}{snapshot}{torn})")
        world.counts["torn write cut"] += len(restored.repairs)
        world.rules.started(self)
        world.scale.ask(self)

    def _clock_s(self) -> float:
        """The time within a turn, which its disk makes longer."""
        return (self.world.now_ms + self._stall_ms) / 1000

    def _refused(self, error: Exception) -> None:
        """The directory cannot be used, or must not be: an operator reads why, and acts."""
        words = str(error)
        self.tell(f"refuses: {words}")
        self._down(kill=True)
        if "no space" in words:
            self.world.counts["no space to start"] += 1
        else:
            self.world.rules.refused(self, words)
            self.world.counts["refused its directory"] += 1
            self.rejoin = True
        self.restart_later()

    def crash(self, why: str, *, kill: bool = False) -> None:
        """Power is lost, or (`kill`) the process dies and what it wrote stays in the cache."""
        self.tell(why)
        self._down(kill=kill)
        self.restart_later()

    def _down(self, *, kill: bool) -> None:
        self.world.rules.ended(self)
        self.node = None
        self.store = None
        self.cut_in = None
        self.files.fail_next_sync = False
        self.boot += 1
        self.turn_at = None
        self.busy_until_ms = 0
        self._peer_frames.clear()
        self._client_frames.clear()
        if kill:
            self.files.process_died()
        else:
            self.files.lose_power(self.random)
        self.world.links_changed(self)

    def restart_later(self) -> None:
        delay_ms = self.random.choice([50, 300, 1000, 3000])
        self.restart_at_ms = self.world.now_ms + delay_ms
        boot = self.boot

        def restart() -> None:
            if self.boot == boot and self.node is None and self.restart_at_ms is not None:
                self.start()

        self.world.at(delay_ms, restart)

    def stay_down(self) -> None:
        self.restart_at_ms = None

    def pause(self, ms: int, *, frozen: bool = False) -> None:
        """Run no more for a while; `frozen`: its clock stands still as well."""
        before_ms = max(self.busy_until_ms, self.world.now_ms)
        self.busy_until_ms = max(before_ms, self.world.now_ms + ms)
        if frozen:
            self.clock.set(self.world.now_ms, skip_ms=self.busy_until_ms - before_ms)
        if self.up:
            self._turn_at(self.busy_until_ms)

    def wake(self) -> None:
        """Run at once."""
        self._turn_at(self.world.now_ms)

    # -- its turn -------------------------------------------------------------------------------

    def peer_message(self, _sender: str, _to: str, frames: list[bytes]) -> None:
        if self.node is not None and len(self._peer_frames) < INBOX:
            self._peer_frames.append(frames)
            for frame in frames:
                self.world.story.note(frame)
            self._turn_at(max(self.world.now_ms, self.busy_until_ms))

    def client_message(self, client: str, _to: str, frames: list[bytes]) -> None:
        if self.node is not None and len(self._client_frames) < INBOX:
            self._client_frames.append((client, frames[0]))
            self._turn_at(max(self.world.now_ms, self.busy_until_ms))

    def _turn_at(self, when_ms: int) -> None:
        if self.turn_at is None or when_ms < self.turn_at:
            self.turn_at = when_ms
            self.world.turn_at(self, when_ms)

    def turn(self) -> None:
        """Run once, as the server's loop does."""
        world = self.world
        self.turn_at = None
        node = self.node
        if node is None:
            return
        if world.now_ms < self.busy_until_ms:
            self._turn_at(self.busy_until_ms)
            return
        self._stall_ms = 0
        world.steps += 1
        try:
            stopped = self._run(node)
        except PowerCut:
            how = "dies" if self.cut_kills else "loses power"
            self.crash(f"{how} in the middle of writing", kill=self.cut_kills)
        except OSError as error:
            self.crash(f"stops: {error}", kill=self.random.random() < 0.5)
        except (DataError, CorruptLine) as error:
            self._refused(error)
        else:
            world.rules.check(self)
            world.hearing.check(self)
            world.stranger.check(self)
            self._tell_changes(node)
            if stopped:
                self.tell("has stopped")
                self._down(kill=True)
                self.restart_later()
                return
            self.busy_until_ms = max(self.busy_until_ms, world.now_ms + max(1, self._stall_ms))
            wake_ms = self.clock.when(node.next_deadline_ms)
            if self._peer_frames or self._client_frames:
                wake_ms = world.now_ms
            self._turn_at(max(wake_ms, self.busy_until_ms))

    def _run(self, node: WatchedNode) -> bool:
        """Receive, tick, take a turn. Returns whether it has stopped."""
        now_ms = self.clock.read(self.world.now_ms)
        node.wake(now_ms)
        peers, clients = self._peer_frames, self._client_frames
        for _ in range(min(len(peers), PEER_BUDGET)):
            self._receive(node, peers.popleft(), now_ms)
        for _ in range(min(len(clients), CLIENT_BUDGET)):
            client, frame = clients.popleft()
            try:
                request = decode_request(frame)
            except WireError as error:
                node.dropped[error.reason] += 1
                continue
            sender = self.world.clients.get(client)
            user = ANYBODY if sender is None else sender.user
            node.request(client.encode(), request, len(frame), now_ms, user)
        self.world.scale.look(self, node)
        node.tick(now_ms)
        node.turn(self)
        return node.stop_requested and self._stopping(node, now_ms)

    def _receive(self, node: WatchedNode, frames: list[bytes], now_ms: int) -> None:
        try:
            received = decode_peer(frames)
        except WireError as error:
            node.dropped[error.reason] += 1
            self.world.counts["malformed"] += 1
            return
        if isinstance(received, Envelope):
            node.receive(received)
        else:
            node.greeted(received, now_ms)

    def _stopping(self, node: WatchedNode, now_ms: int) -> bool:
        if self._stop_by_ms is None:
            self._stop_by_ms = now_ms + HANDOVER_MS
            self.tell("is stopping")
            node.stop()
            node.turn(self)
        if node.raft.role is Role.LEADER and now_ms < self._stop_by_ms:
            return False
        node.finish(self)
        return True

    def _tell_changes(self, node: WatchedNode) -> None:
        raft = node.raft
        seen = (node.role, raft.term, raft.membership, node.disk_full)
        if seen == self._seen:
            return
        before, self._seen = self._seen or (None,) * 4, seen
        if seen[:2] != before[:2]:
            self.tell(
                f"is {node.role} in term {raft.term}, log to {raft.log.last_index}, "
                f"committed to {raft.commit_index}"
            )
        if seen[2] != before[2]:
            names = ", ".join(f"{m.id}{'' if m.voter else ' (learner)'}" for m in raft.membership)
            self.tell(f"knows the members {names or 'none'}")
        if node.disk_full != bool(before[3]):
            self.tell("has a full disk" if node.disk_full else "has room on its disk again")

    # -- its disk -------------------------------------------------------------------------------

    def _disturb(self, operation: str, path: Path) -> None:
        if self.cut_in is not None:
            if self.cut_in <= 0:
                raise PowerCut
            self.cut_in -= 1
        if operation == "sync":
            low, high = self.sync_ms
            if high:
                self._stall_ms += self.random.randint(low, high)

    # -- its Outbox -----------------------------------------------------------------------------

    def send(self, address: str | None, cluster: str, message: Message) -> bool:
        self.world.rules.sending(self, message)
        if address is None:
            return False
        if type(message) in self.world.network.lost_kinds:
            return True
        return self._out(address, encode_message(message, cluster))

    def greet(self, name: str, address: str, greeting: Hello | Welcome) -> None:
        encode = encode_hello(greeting) if isinstance(greeting, Hello) else encode_welcome(greeting)
        self._out(address, encode)

    def _out(self, address: str, frames: list[bytes]) -> bool:
        world = self.world
        to = world.by_address.get(address)
        if to is None:
            return True
        if not self._stall_ms:
            return world.network.send(self.name, to.name, frames, to.peer_message)
        boot = self.boot

        def leave() -> None:
            if self.boot == boot:
                world.network.send(self.name, to.name, frames, to.peer_message)

        world.at(self._stall_ms, leave)
        return True

    def reply(self, client: bytes, reply: Reply) -> bool:
        world = self.world
        name = client.decode()
        world.rules.answering(self, name, reply)
        if isinstance(reply, Events) and world.is_deaf(name):
            return False
        frames = encode_results(reply) if isinstance(reply, Results) else [encode_reply(reply)]
        boot = self.boot

        def leave() -> None:
            to = world.clients.get(name)
            if to is not None and self.boot == boot:
                for frame in frames:
                    world.network.send(self.name, name, [frame], to.message, once=True)

        if self._stall_ms:
            world.at(self._stall_ms, leave)
        else:
            leave()
        return True
