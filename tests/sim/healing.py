"""The second phase: the faults stop, a majority heals, and everything must become well.

Of the others one may live on with a disk that is full, or slow, and it may lead. What the majority
owes it owes all the same, and soon without that leader.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from raftzmq import limits
from raftzmq.core.identity import NodeId
from raftzmq.core.membership import Membership
from raftzmq.core.quorum import majority
from raftzmq.core.role import Role
from raftzmq.naming import parse_pod_name
from tests.sim.coordinators import Coordinator
from tests.sim.history import OK, Op
from tests.sim.ledger import is_empty
from tests.sim.process import SimProcess, WatchedNode
from tests.sim.story import Violation

if TYPE_CHECKING:
    from tests.sim.clients import SimClient
    from tests.sim.world import World

WRITE_S: Final = 5.0

SICK: Final = 2 / 3
"""Share of the worlds in which a node lives on whose disk is full, or slow."""

SLOW_MS: Final = (limits.SLOW_SAVE_MS, limits.SLOW_SAVE_MS * 3 // 2)
"""How long a sync takes on a slow disk."""


def heal(world: World, within_ms: int) -> None:
    """Stop the faults, heal a majority and nobody else, and hold it to its promises."""
    world.builds.end()
    world.network.heal()
    world.network.calm(world.options, perfect=True)
    for client in world.clients.values():
        client.idle = True
    sick = _sick(world)
    chosen = _majority(world, without=sick)
    world.story.tell("world", f"is calm; these live on: {', '.join(sorted(chosen))}")
    for process in world.processes.values():
        _repair(process)
        if process is sick and process.name not in chosen:
            _sicken(process)
        elif process.name not in chosen:
            if process.up:
                process.crash("goes down for good", kill=True)
            process.stay_down()
        elif not process.up:
            process.start()
    deadline_ms = world.now_ms + within_ms
    start_ms = world.now_ms
    if not world.run_until(deadline_ms, lambda: _leader(world) is not None):
        raise Violation(f"nobody was elected within {within_ms} ms of calm:\n{_state(world)}")
    world.counts["ms to elect"] += world.now_ms - start_ms
    # A removal that was asked for is carried out first: nobody is to wait for one who has left.
    world.run_until(
        deadline_ms, lambda: not world.faults.may_be_removing() and _leader(world) is not None
    )
    start_ms = world.now_ms
    deadline_ms = start_ms + within_ms
    _write(world, chosen, deadline_ms)
    _end_coordination(world, chosen, deadline_ms)
    if not world.run_until(deadline_ms, lambda: _converged(world, chosen)):
        raise Violation(f"no agreement within {within_ms} ms of calm:\n{_state(world)}")
    everybody = chosen == set(world.processes)
    if everybody and not world.run_until(world.now_ms + within_ms, lambda: _scaled(world)):
        wanted = world.scale.replicas
        raise Violation(f"not {wanted} voters within {within_ms} ms of calm:\n{_state(world)}")
    world.counts["ms to converge"] += world.now_ms - start_ms
    _watched(world, chosen, world.now_ms + within_ms)
    for process in _members(world, chosen):
        assert process.node is not None
        world.rules.compare_state(process.name, process.node.machine)
    if sick is not None and sick.name not in chosen:
        _relieved(world, sick, within_ms)


def _repair(process: SimProcess) -> None:
    process.files.capacity = None
    process.files.fail_next_sync = False
    process.cut_in = None
    process.sync_ms = (0, 0)
    process.busy_until_ms = 0
    if process.up:
        process.wake()


def _sick(world: World) -> SimProcess | None:
    """In many worlds one node that runs, the leader if there is one, more often than
    not: its disk is not to be repaired."""
    if world.options.alone or world.random.random() >= SICK:
        return None
    up = [process for process in world.processes.values() if process.up]
    leader = _leader(world)
    if leader is not None and world.random.random() < 0.7:
        return leader.process
    return world.random.choice(up) if up else None


def _sicken(process: SimProcess) -> None:
    if process.world.random.random() < 0.7:
        process.files.capacity = process.files.used()
        process.tell("lives on with a full disk")
    else:
        process.sync_ms = SLOW_MS
        process.tell("lives on with a slow disk")
    process.world.counts["lived on with a sick disk"] += 1


def _relieved(world: World, sick: SimProcess, within_ms: int) -> None:
    """A leader whose disk is the only bad one leads no more, when it had enough to save."""
    client = world.add_client(idle=True)
    done: list[Op] = []
    for wanted in range(1, limits.SLOW_SAVES + 2):
        client.write(world.history.keys[0], WRITE_S, done.append)
        world.run_until(world.now_ms + within_ms, partial(_has, done, wanted))
    if not world.run_until(world.now_ms + within_ms, lambda: _leader_name(world) != sick.name):
        raise Violation(f"the leader {sick.name} has the only bad disk:\n{_state(world)}")


def _has(done: list[Op], count: int) -> bool:
    return len(done) >= count


def _leader_name(world: World) -> str | None:
    leader = _leader(world)
    return None if leader is None else leader.name


def _majority(world: World, *, without: SimProcess | None) -> set[str]:
    """The names of a random majority, if there is a choice: of every membership that may be in
    force, or be so soon, without those that have lost their memory, and without one more."""
    memberships = world.rules.memberships()
    everybody = set(world.processes)
    if not memberships or any(m.forming for m in memberships) or world.faults.may_be_removing():
        return everybody
    for membership in list(memberships):
        for learner in membership.learners:
            memberships.append(membership.promoted(learner.name))
    processes = world.processes.values()
    able = [p for p in processes if not (p.rejoin or p.damaged or p.stale or p is without)]
    pool = [p.identity for p in able if p.identity is not None]
    world.random.shuffle(pool)
    # Not always the fewest: with one node more, a majority may do well without somebody who is
    # alive and shut out.
    for size in range(world.random.randint(1, len(pool)) if pool else 1, len(pool) + 1):
        if _suffices(set(pool[:size]), memberships):
            return {node.name for node in pool[:size]}
    return everybody


def _suffices(nodes: set[NodeId], memberships: list[Membership]) -> bool:
    return all(len(m.voters & nodes) >= majority(len(m.voters)) for m in memberships)


def _connected(world: World, chosen: set[str]) -> list[SimClient]:
    """The clients that know a member that lives."""
    leader = _leader(world)
    assert leader is not None
    members = {member.id.name for member in leader.raft.membership} & chosen
    found = []
    for client in world.clients.values():
        known = client.session.endpoints.configured
        alive = any(world.by_client_address[e].name in members for e in known)
        if alive and not (client.dead or client.operator):
            found.append(client)
    return found


def _write(world: World, chosen: set[str], deadline_ms: int) -> None:
    """Every client that knows a member that lives gets a write done; and a new one does."""
    clients = [*_connected(world, chosen), world.add_client(idle=True)]
    waiting = {client.name for client in clients}

    def begin(client: SimClient) -> None:
        def done(op: Op) -> None:
            if op.outcome == OK:
                waiting.discard(client.name)
            else:
                world.at(100, lambda: begin(client))

        client.write(world.history.keys[0], WRITE_S, done)

    for client in clients:
        begin(client)
    pending = [client for client in world.clients.values() if not client.dead]

    def answered() -> bool:
        return not waiting and not any(client.waiting for client in pending)

    if not world.run_until(deadline_ms, answered):
        leader = _leader(world)
        full = leader is not None and leader.disk_full and leader.name not in chosen
        raise Violation(
            f"calm, and yet no write of {', '.join(sorted(waiting)) or 'nobody'} was done, and "
            f"{sum(client.waiting for client in pending)} calls wait"
            f"{', and the leader has the only full disk' * full}:\n{_state(world)}"
        )


def _end_coordination(world: World, chosen: set[str], deadline_ms: int) -> None:
    """All claims are given up, the leases of those who cannot say so end: nothing is left."""
    if world.ledger is None:
        return
    for client in world.coordinators():
        client.finish()

    def empty() -> bool:
        leader = _leader(world)
        return leader is not None and is_empty(leader.machine)

    world.run_until(deadline_ms, empty)
    leader = _leader(world)
    if leader is None:
        raise Violation(f"calm, and nobody leads:\n{_state(world)}")
    world.ledger.check_empty(leader.machine)


def _watched(world: World, chosen: set[str], deadline_ms: int) -> None:
    """Every watcher that knows a member that lives gets all there is."""
    clients = [one for one in _connected(world, chosen) if isinstance(one, Coordinator)]
    leader = _leader(world)
    assert leader is not None
    revision = leader.machine.revision

    def told() -> bool:
        return all(client.caught_up(revision) for client in clients)

    if not world.run_until(deadline_ms, told):
        lagging = "; ".join(c.lagging() for c in clients if not c.caught_up(revision))
        raise Violation(f"calm, and not all was told up to {revision}: {lagging}\n{_state(world)}")


def _scaled(world: World) -> bool:
    """Whether the members are those that were wanted, as far as there are such nodes."""
    leader, replicas = _leader(world), world.scale.replicas
    if leader is None or not replicas:
        return True
    wanted = {name for name in world.processes if parse_pod_name(name).ordinal < replicas}
    membership = leader.raft.membership
    return {node.name for node in membership.voters} == wanted and not membership.learners


def _leader(world: World) -> WatchedNode | None:
    nodes = [process.node for process in world.processes.values() if process.node is not None]
    leaders = [node for node in nodes if node.raft.role is Role.LEADER]
    newest = max(leaders, key=lambda node: node.raft.term, default=None)
    return newest if newest is not None and newest.raft.term_committed else None


def _members(world: World, chosen: set[str]) -> list[SimProcess]:
    """The members among those that were healed."""
    leader = _leader(world)
    ids = leader.raft.memberships.ids if leader is not None else frozenset()
    return [p for p in world.processes.values() if p.id in ids and p.name in chosen]


def _converged(world: World, chosen: set[str]) -> bool:
    leader = _leader(world)
    if leader is None:
        return False
    last = leader.raft.log.last_index
    for process in _members(world, chosen):
        assert process.node is not None
        raft = process.node.raft
        if not raft.applied_index == raft.commit_index == raft.log.last_index == last:
            return False
        if raft.term != leader.raft.term:
            return False
    return True


def _state(world: World) -> str:
    lines = []
    for process in world.processes.values():
        node = process.node
        if node is None:
            lines.append(f"  {process.name} is down")
            continue
        raft = node.raft
        voters = ", ".join(sorted(map(str, raft.memberships.voters)))
        lines.append(
            f"  {raft.id} is {node.role} in term {raft.term}, follows {raft.leader}, log "
            f"{raft.log.first_index} to {raft.log.last_index}, committed to {raft.commit_index}, "
            f"applied to {raft.applied_index}, voters {voters}; waits: {node.joining.waiting}"
        )
    return "\n".join(lines)
