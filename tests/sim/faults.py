"""Everything that can go wrong, at random moments.

Raft promises nothing when a majority loses its memory. So the faults that make a node forget
(a lost, damaged or stale directory) wait until everybody remembers, and removals of members wait
for them and they for removals; all others come at any time, in any mixture.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Final

from raftzmq.client.operations import cluster
from raftzmq.client.operations.arguments import Work
from raftzmq.client.session.calls import Call
from raftzmq.core.quorum import majority
from raftzmq.core.role import Role
from tests.sim.ambushes import Ambushes
from tests.sim.clients import SimClient
from tests.sim.coordinators import Coordinator
from tests.sim.process import SimProcess, WatchedNode

if TYPE_CHECKING:
    from tests.sim.world import World

PROCESSES_MOST: Final = 9
REMOVAL_MS: Final = 16_000
"""A removal that was asked for may still be begun within this time."""


class Faults:
    """Lets faults happen to a world. `done` counts them by kind."""

    def __init__(self, world: World, random: Random) -> None:
        self._world = world
        self._random = random
        self._active = False
        self._ambushes = ambushes = Ambushes(world, random, self)
        self._removal_ms = -REMOVAL_MS
        self._kinds: dict[str, Callable[[], bool]] = {
            "crash": self._crash,
            "kill": self._kill,
            "crash while writing": self._crash_while_writing,
            "crash all": self._crash_all,
            "pause": lambda: self._pause(frozen=False),
            "freeze": lambda: self._pause(frozen=True),
            "clock": self._clock,
            "slow disk": self._slow_disk,
            "full disk": self._full_disk,
            "fsync error": self._fsync_error,
            "bit rot": self._bit_rot,
            "lost directory": self._lost_directory,
            "stale directory": self._stale_directory,
            "partition": self._partition,
            "isolate": self._isolate,
            "one way": self._one_way,
            "bridge": self._bridge,
            "ring": self._ring,
            "clog": self._clog,
            "depose": ambushes.depose,
            "late answers": lambda: ambushes.depose(late=True),
            "lost kinds": ambushes.lose_kinds,
            "lost handover": ambushes.lose_handover,
            "lost chunks": ambushes.lose_chunks,
            "heal": self._heal,
            "noise": self._noise,
            "transfer": self._transfer,
            "stop": self._stop,
            "add member": self._add_member,
            "remove member": self.remove_member,
            "scale": self._scale,
            "client dies": self._client_dies,
        }

    def begin(self) -> None:
        self._active = bool(self._world.options.faults)
        self._world.at(self._world.options.faults_from_ms, self._next)

    def last_one(self) -> None:
        """Often the last fault is an ambush: others would cover up what it leaves behind."""
        self._active = False
        if self._world.options.last_ambush:
            self._heal()
            kind = self._random.choice(["depose", "late answers", "lost handover", "lost chunks"])

            def spring() -> None:
                if self._kinds[kind]():
                    self._world.faults_done[kind] += 1

            self._world.at(3 * self._world.options.raft.election_timeout_ms, spring)

    def _next(self) -> None:
        if not self._active:
            return
        options = self._world.options
        kind = self._random.choices(list(options.faults), list(options.faults.values()))[0]
        if self._kinds[kind]():
            self._world.faults_done[kind] += 1
        delay_ms = int(self._random.expovariate(1 / options.fault_mean_ms)) + 1
        self._world.at(delay_ms, self._next)

    # -- whom -----------------------------------------------------------------------------------

    def _some(self) -> SimProcess:
        return self._random.choice(list(self._world.processes.values()))

    def _some_up(self) -> SimProcess | None:
        up = [process for process in self._world.processes.values() if process.up]
        return self._random.choice(up) if up else None

    def leader(self) -> WatchedNode | None:
        """The node that leads the latest term, if it is settled: able to commit, nothing pending
        in its membership."""
        nodes = [p.node for p in self._world.processes.values() if p.node is not None]
        leaders = [node for node in nodes if node.raft.role is Role.LEADER]
        leader = max(leaders, key=lambda node: node.raft.term, default=None)
        return leader if leader is not None and leader.membership_settled else None

    def _everybody_remembers(self, leader: WatchedNode) -> bool:
        processes = self._world.processes
        if leader.raft.membership.forming:
            return False
        for member in leader.raft.membership:
            process = processes[member.id.name]
            if process.identity != member.id or (
                process.damaged or process.stale or process.rejoin
            ):
                return False
        return True

    def _may_forget(self, process: SimProcess) -> WatchedNode | None:
        """The leader, if the cluster survives the process's loss of its memory."""
        leader = self.leader()
        if leader is None or not self._everybody_remembers(leader):
            return None
        if not self._others_know_the_cluster(process):
            return None
        voters = set(leader.raft.memberships.ids)  # learners may be voters in a moment
        if process.identity is not None:
            voters.add(process.identity)
        enough = len(voters) - 1 >= majority(len(voters)) and (
            len(leader.raft.memberships.voters - {process.identity})
            >= majority(len(leader.raft.memberships.voters))
        )
        return leader if enough and not self.may_be_removing() else None

    def _others_know_the_cluster(self, process: SimProcess) -> bool:
        """Whether the other initial members would tell a founder that there is a cluster. If it
        has none to ask, or only such as forgot it too, it forms another one."""
        world = self._world
        others = [world.processes[name] for name in world.initial if name != process.name]
        return bool(others) and all(
            other.identity is not None
            and not (other.rejoin or other.damaged)
            and (other.node is None or bool(other.node.cluster))
            for other in others
        )

    def may_be_removing(self) -> bool:
        """Whether a removal that was asked for may be under way, or begin yet."""
        if self._world.now_ms - self._removal_ms < REMOVAL_MS:
            return True
        nodes = [p.node for p in self._world.processes.values() if p.node is not None]
        return any(
            node.admin._changes or self._world.scale.surplus(node.raft.membership) for node in nodes
        )

    def _for_a_while(self, low_ms: int, high_ms: int, undo: Callable[[], None]) -> None:
        self._world.at(self._random.randint(low_ms, high_ms), undo)

    # -- processes ------------------------------------------------------------------------------

    def _crash(self) -> bool:
        process = self._some_up()
        if process is not None:
            process.crash("loses power")
        return process is not None

    def _kill(self) -> bool:
        process = self._some_up()
        if process is not None:
            process.crash("is killed", kill=True)
        return process is not None

    def _crash_while_writing(self) -> bool:
        process = self._some()
        process.cut_in = self._random.randint(0, 15)
        process.cut_kills = self._random.random() < 0.3
        return True

    def _crash_all(self) -> bool:
        self._world.story.tell("faults", "everybody goes down at once")
        kill = self._random.random() < 0.3
        for process in self._world.processes.values():
            if process.up:
                process.crash("is killed" if kill else "loses power", kill=kill)
        return True

    def _pause(self, *, frozen: bool) -> bool:
        process = self._some_up()
        if process is None:
            return False
        ms = self._random.choice([100, 500, 2000, 5000])
        process.tell(f"is {'frozen, clock and all,' if frozen else 'paused'} for {ms} ms")
        process.pause(ms, frozen=frozen)
        return True

    def _clock(self) -> bool:
        process = self._some()
        drift = self._world.options.drift or 0.01
        rate = 1 + (self._random.random() * 2 - 1) * drift
        process.tell(f"has a clock that runs at {rate:.4f}")
        process.clock.set(self._world.now_ms, rate=rate)
        return True

    # -- disks ----------------------------------------------------------------------------------

    def _slow_disk(self) -> bool:
        process = self._some()
        process.tell("has a slow disk")
        process.sync_ms = self._random.choice([(20, 80), (100, 400), (500, 1500)])

        def undo() -> None:
            process.sync_ms = self._world.options.disk_ms

        self._for_a_while(500, 5000, undo)
        return True

    def _full_disk(self) -> bool:
        process = self._some()
        if process.files.capacity is not None:
            return False
        room = self._random.choice([0, 50, 300, 2000])
        process.tell(f"has room for {room} bytes on its disk")
        process.files.capacity = process.files.used() + room

        def undo() -> None:
            process.files.capacity = None

        self._for_a_while(500, 6000, undo)
        return True

    def _fsync_error(self) -> bool:
        process = self._some_up()
        if process is not None:
            process.files.fail_next_sync = True
        return process is not None

    def _bit_rot(self) -> bool:
        process = self._some()
        if self._may_forget(process) is None:
            return False
        if process.up:
            process.crash("loses power")
        self._world.rules.forget_disk(process, keep=True)
        where = process.files.flip_a_bit(self._random)
        process.damaged = True
        process.tell(f"finds a bit flipped in {where}")
        return where is not None

    def _lost_directory(self) -> bool:
        process = self._some()
        if self._may_forget(process) is None:
            return False
        if process.up:
            process.crash("loses power")
        process.tell("loses its directory")
        self._world.rules.forget_disk(process)
        self._world.builds.lost(process)
        process.files.wipe()
        return True

    def _stale_directory(self) -> bool:
        """Copy a directory now, or put an old copy back: where nobody relies on the difference
        any more, and no election that it voted in is open. Not a copy from when it was the only
        voter: it would need nobody to lead its old cluster of one."""
        process = self._some()
        if process.backup is None or process.backup[0] != process.identity:
            node = process.node
            if node is None or process.damaged or len(node.raft.memberships.voters) < 2:
                return False
            process.tell("has its directory copied")
            process.backup = node.raft.id, process.files.image()
            return True
        leader = self._may_forget(process)
        if (
            leader is None
            or leader.raft.id == process.identity
            or not self._is_dispensable(process)
        ):
            return False
        if process.up:
            process.crash("loses power")
        self._world.rules.forget_disk(process, keep=True)
        self._world.rules.forget_promises(process.backup[0])
        process.files.restore(process.backup[1])
        process.files.kill()
        process.backup = None
        process.stale = True
        process.tell("finds an old copy of its directory in its place")
        return True

    def _is_dispensable(self, process: SimProcess) -> bool:
        """Whether every other node knows all that this one knows."""
        mine = process.durable.refresh()
        last = mine.last_index
        term = mine.term_at(last) or 0
        for other in self._world.processes.values():
            if other is process:
                continue
            theirs = other.durable.refresh()
            if (
                other.node is None
                or other.node.raft.role in (Role.CANDIDATE, Role.PRE_CANDIDATE)
                or theirs.hard_state.term < mine.hard_state.term
                or (last and not theirs.holds(last, term))
            ):
                return False
        return True

    # -- the network ----------------------------------------------------------------------------

    def _everyone(self) -> list[str]:
        return [*self._world.processes, *self._world.clients]

    def _partition(self) -> bool:
        names = self._everyone()
        side = [name for name in names if self._random.random() < 0.5]
        others = [name for name in names if name not in side]
        self._world.story.tell("network", f"is parted: {' '.join(side)} | {' '.join(others)}")
        self._world.network.cut_between(side, others)
        return bool(side and others)

    def _isolate(self) -> bool:
        """One node hears no other node; clients may still reach it."""
        process = self._some()
        leader = self.leader()
        if leader is not None and self._random.random() < 0.5:
            process = self._world.processes[leader.name]
        others = list(self._world.processes)
        if self._random.random() < 0.3:
            others = self._everyone()
        self._world.story.tell("network", f"cuts {process.name} off")
        self._world.network.cut_between([process.name], others)
        return True

    def _one_way(self) -> bool:
        names = list(self._world.processes)
        a, b = self._random.choice(names), self._random.choice(self._everyone())
        if a == b:
            return False
        if self._random.random() < 0.3:  # nobody hears a
            links = {(a, name) for name in names if name != a}
        elif self._random.random() < 0.3:  # a hears nobody
            links = {(name, a) for name in names if name != a}
        else:
            links = {(a, b)}
        self._world.story.tell(
            "network", f"loses {', '.join(f'{x} to {y}' for x, y in sorted(links))}"
        )
        self._world.network.cut |= links
        return True

    def _bridge(self) -> bool:
        """Two halves that only one node can see both of."""
        names = list(self._world.processes)
        if len(names) < 3:
            return False
        self._random.shuffle(names)
        bridge, *rest = names
        half = len(rest) // 2
        left, right = rest[:half], rest[half:]
        self._world.story.tell(
            "network", f"has {' '.join(left)} | {' '.join(right)}, {bridge} sees both"
        )
        self._world.network.cut_between(left, right)
        return True

    def _ring(self) -> bool:
        """Everyone sees two neighbours only."""
        names = list(self._world.processes)
        if len(names) < 4:
            return False
        self._random.shuffle(names)
        for place, name in enumerate(names):
            far = [
                other
                for k, other in enumerate(names)
                if (k - place) % len(names) not in (0, 1, len(names) - 1)
            ]
            self._world.network.cut_between([name], far)
        self._world.story.tell("network", f"is a ring: {' '.join(names)}")
        return True

    def _clog(self) -> bool:
        names = list(self._world.processes)
        links = [(self._random.choice(names), self._random.choice(names)) for _ in range(3)]
        for a, b in links:
            if a != b:
                self._world.network.clog(a, b)
        self._world.story.tell(
            "network", f"holds back {', '.join(f'{a} to {b}' for a, b in links)}"
        )
        self._for_a_while(200, 4000, self._world.network.unclog)
        return True

    def _heal(self) -> bool:
        self._world.story.tell("network", "heals")
        self._world.network.heal()
        return True

    def _noise(self) -> bool:
        """Bytes that are no message come to a node's two ports."""
        process = self._some()
        frames = [self._random.randbytes(self._random.randint(0, 60))]
        if self._random.random() < 0.5:
            frames = [b'{"v":1,"type":"append_entries","cluster":"","term":-1}', *frames]
        process.peer_message("nobody", process.name, frames)
        process.client_message("nobody", process.name, frames)
        return True

    # -- operators and clients ------------------------------------------------------------------

    def ask(self, what: str, work: Work, timeout: float = 10) -> None:
        """Have an operator ask the cluster for something."""
        world = self._world
        world.story.tell("operator", f"asks to {what}")
        client: SimClient = world.add_client(idle=True)

        def done(call: Call) -> None:
            answer = call.error if call.error is not None else getattr(call.answer, "message", "")
            kind = type(call.error).__name__ if call.error is not None else "done"
            world.counts[f"operator {kind}"] += 1
            world.story.tell("operator", f"asked to {what}: {kind} {answer}"[:160])
            client.die()
            del world.clients[client.name]

        client.ask(work, timeout, done)

    def _transfer(self) -> bool:
        to = self._some().name if self._random.random() < 0.5 else None
        self.ask(f"hand leadership to {to or 'anybody'}", cluster.transfer(to), 3)
        return True

    def _stop(self) -> bool:
        process = self._some()
        self.ask(f"stop {process.name}", cluster.stop(process.client_address), 3)
        return True

    def _add_member(self) -> bool:
        world, leader = self._world, self.leader()
        if leader is None:
            return False
        members = {member.id.name for member in leader.raft.membership}
        outside = [name for name in world.processes if name not in members]
        if len(world.processes) < PROCESSES_MOST and self._random.random() < 0.5:
            name = f"raft-{len(world.processes)}"
            world.add_process(name).start()
        elif outside:
            name = self._random.choice(outside)
        else:
            return False
        self.ask(f"add {name}", cluster.member_add(name))
        return True

    def remove_member(self) -> bool:
        leader = self.leader()
        if leader is None or not self._everybody_remembers(leader):
            return False
        members = [member.id.name for member in leader.raft.membership]
        if len(leader.raft.memberships.voters) < 2:
            return False
        self._removal_ms = self._world.now_ms
        name = self._random.choice(members)
        self._ambushes.silence_half(leader, name)
        self.ask(f"remove {name}", cluster.member_remove(name))
        return True

    def _scale(self) -> bool:
        leader = self.leader()
        if leader is None or not self._everybody_remembers(leader):
            return False
        world = self._world
        replicas = self._random.choice([0, *range(1, PROCESSES_MOST + 1)])
        world.story.tell("operator", f"scales to {replicas}")
        for k in range(len(world.processes), min(replicas, len(world.processes) + 2)):
            world.add_process(f"raft-{k}").start()
        self._removal_ms = world.now_ms
        world.scale.want(replicas)
        return True

    def _client_dies(self) -> bool:
        world = self._world
        busy = [client for client in world.clients.values() if not client.idle]
        if not busy:
            return False
        client = self._random.choice(busy)
        world.story.tell(client.name, "dies")
        client.die()
        if isinstance(client, Coordinator):
            world.add_coordinator()
        else:
            world.add_client(reader=client.reader)
        return True
