"""What is true of every state, whatever commands led to it. Looks into the tables themselves."""

from __future__ import annotations

from raftzmq.machine import Machine, memory
from raftzmq.machine.state import State
from raftzmq.machine.tables.keys import KeyTable
from raftzmq.machine.tables.places import COUNTER, KINDS, SEMAPHORE, SIZED, Queue
from raftzmq.machine.values import body_size


def audit(machine: Machine) -> None:
    """Fail unless the machine's tables agree with one another."""
    state: State = machine.state
    leases = {**state.leases.table, **state.leases.ending}
    _audit_bonds(state.keys, set(leases))
    places = {}
    queues = 0
    for kind in KINDS:
        for name, queue in state.queues.tables[kind].items():
            assert (queue.kind, queue.name) == (kind, name)
            _audit_queue(queue)
            places.update(queue.holders)
            places.update(queue.waiters)
            queues += 1
    assert state.queues.count == queues
    assert state.queues.places == places, "the index of places is not what the queues have"
    of_leases = [place for lease in leases.values() for place in lease.places.values()]
    assert set(of_leases) == set(places.values())
    assert len(of_leases) == len(places)
    for number, lease in state.leases.table.items():
        assert lease.number == number
        assert any(at == number and end_ms <= lease.end_ms for end_ms, at in state.leases.by_end), (
            f"lease {number} would never end"
        )
    for number, lease in leases.items():
        assert lease.ended is (number in state.leases.ending)
    assert sorted(state.leases.table) == list(state.leases.table)
    assert machine.memory == memory_of_state(state), "what it says it takes is not what is there"


def memory_of_state(state: State) -> int:
    """What the state takes by memory.py, added up anew from everything that is there."""
    total = 0
    for key, (value, _, _) in state.keys.items.items():
        total += memory.KEY + memory.memory_of(key) + memory.memory_of(value)
    total += memory.BOND * len(state.keys.bonds.of_key)
    total += memory.LEASE * (len(state.leases.table) + len(state.leases.ending))
    for kind in KINDS:
        for name, queue in state.queues.tables[kind].items():
            total += memory.QUEUE + memory.memory_of(name)
            for place in (*queue.holders.values(), *queue.waiters.values()):
                total += memory.PLACE + memory.memory_of(place.value or "")
    for session in state.sessions.table.values():
        total += memory.SESSION
        for _, _, body in session.results.values():
            total += memory.RESULT + memory.REFUSAL * (type(body) is dict)
            total += body_size(body) if type(body) is list else 0
    return total


def _audit_queue(queue: Queue) -> None:
    held = sum(place.permits for place in queue.holders.values())
    if queue.kind != COUNTER:
        assert queue.free == queue.capacity - held, f"permits of {queue.name} are lost"
    assert queue.free >= 0 or queue.kind == SEMAPHORE
    assert all(place.held for place in queue.holders.values())
    assert not any(place.held for place in queue.waiters.values())
    tokens = [*queue.holders, *queue.waiters]
    assert tokens == sorted(tokens), "granted, or standing in line, out of order"
    for token, place in (*queue.holders.items(), *queue.waiters.items()):
        assert place.token == token
        assert place.queue is queue
    if queue.waiters:
        first = next(iter(queue.waiters.values()))
        assert first.permits > queue.free, "the first in line could be granted"
    if queue.kind == SEMAPHORE:
        wanted = max((place.permits for place in queue.waiters.values()), default=0)
        assert wanted <= queue.capacity, "one in line waits for what there will never be"
    if queue.kind not in SIZED:
        assert len(queue.holders) == 1, "a lock or election without a holder"


def _audit_bonds(keys: KeyTable, leases: set[int]) -> None:
    bonds = keys.bonds
    for key, (lease, end_ms) in bonds.of_key.items():
        assert key in keys.items
        assert bool(lease) is not bool(end_ms)
        if lease:
            assert lease in leases
            assert key in bonds.keys_of(lease)
        else:
            heaps = [*bonds.by_end, *bonds._outgrown]
            assert (end_ms, key) in heaps, f"{key} would never end"
    for lease, names in bonds.by_lease.items():
        assert names
        assert all(bonds.of_key[key].lease == lease for key in names)
