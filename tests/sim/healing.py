"""The second phase: the faults stop, a majority heals, and everything must become well."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

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


def heal(world: World, within_ms: int) -> None:
    """Stop the faults, heal a majority and nobody else, and hold it to its promises."""
    world.network.heal()
    world.network.calm(world.options, perfect=True)
    for client in world.clients.values():
        client.idle = True
    chosen = _majority(world)
    world.story.tell("world", f"is calm; these live on: {', '.join(sorted(chosen))}")
    for process in world.processes.values():
        _repair(process)
        if process.name not in chosen:
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
    if not world.run_until(deadline_ms, lambda: _converged(world)):
        raise Violation(f"no agreement within {within_ms} ms of calm:\n{_state(world)}")
    everybody = chosen == set(world.processes)
    if everybody and not world.run_until(world.now_ms + within_ms, lambda: _scaled(world)):
        wanted = world.scale.replicas
        raise Violation(f"not {wanted} voters within {within_ms} ms of calm:\n{_state(world)}")
    world.counts["ms to converge"] += world.now_ms - start_ms
    _watched(world, chosen, world.now_ms + within_ms)
    for process in _members(world):
        assert process.node is not None
        world.rules.compare_state(process.name, process.node.machine)


def _repair(process: SimProcess) -> None:
    process.files.capacity = None
    process.files.fail_next_sync = False
    process.cut_in = None
    process.sync_ms = (0, 0)
    process.busy_until_ms = 0
    if process.up:
        process.wake()


def _majority(world: World) -> set[str]:
    """The names of a random majority, if there is a choice: of every membership that may be in
    force, or be so soon, without those that have lost their memory."""
    memberships = world.rules.memberships()
    everybody = set(world.processes)
    if not memberships or any(m.forming for m in memberships) or world.faults.may_be_removing():
        return everybody
    for membership in list(memberships):
        for learner in membership.learners:
            memberships.append(membership.promoted(learner.name))
    able = [p.identity for p in world.processes.values() if not (p.rejoin or p.damaged or p.stale)]
    pool = [node for node in able if node is not None]
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
        raise Violation(
            f"calm, and yet no write of {', '.join(sorted(waiting)) or 'nobody'} was done, and "
            f"{sum(client.waiting for client in pending)} calls wait:\n{_state(world)}"
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
    for process in world.processes.values():
        node = process.node
        if node is not None and node.raft.role is Role.LEADER and node.raft.term_committed:
            return node
    return None


def _members(world: World) -> list[SimProcess]:
    """The members that are alive."""
    leader = _leader(world)
    ids = leader.raft.memberships.ids if leader is not None else frozenset()
    return [process for process in world.processes.values() if process.id in ids]


def _converged(world: World) -> bool:
    leader = _leader(world)
    if leader is None:
        return False
    last = leader.raft.log.last_index
    for process in _members(world):
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
