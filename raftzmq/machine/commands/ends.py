"""How leases end: whole, in one command; or over several entries, if they have too much for one.

A lease that has more is gone at once for whoever had it. It cannot be kept, nothing can be bound to
it, and its places neither guard a write nor can be released. The `expire`s that follow take what it
has left, its places before its keys.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Final

from raftzmq import limits
from raftzmq.machine.state import State
from raftzmq.machine.tables.bonds import Bonds
from raftzmq.machine.tables.places import Lease, Place, Queue

LOOKS: Final = 16
"""So many keys that are looked at are one unit of work."""


def size_of(state: State, lease: Lease) -> int:
    """How much the end of a lease removes: itself, its places and its keys."""
    return 1 + len(lease.places) + len(state.keys.bonds.keys_of(lease.number))


def end_leases(state: State, ended: list[Lease]) -> None:
    """Give up the places of leases that are no more, and delete their keys. All places go before
    anything is granted anew, so that nothing goes to one which ends in the same moment."""
    _leave(state, [place for lease in ended for place in lease.places.values()])
    for lease in ended:
        _remove_keys(state, sorted(state.keys.bonds.keys_of(lease.number)))


def sweep(state: State, room: int) -> int:
    """Remove so many of the places and keys that ended leases have left, or all of them; return
    for how many more there is room."""
    ending = state.leases.ending
    left = (place for lease in ending.values() for place in lease.places.values())
    places = list(islice(left, room))
    _leave(state, places)
    room -= len(places)
    for lease in list(ending.values()):
        keys = state.keys.bonds.keys_of(lease.number)
        if not lease.places and len(keys) <= room:
            room -= len(keys)
            _remove_keys(state, sorted(keys))
            del ending[lease.number]
    if ending and room:
        room -= _sweep_span(state, room)
    return room


def _sweep_span(state: State, room: int) -> int:
    """Look at the keys that come next, for those of ended leases; return how many were removed.

    To sort the keys of a large lease would take as long as to remove many. So the search goes
    through all keys in their order, again and again, for as long as such a lease is there.
    """
    leases = state.leases
    bonds = state.keys.bonds
    most = limits.SWEPT_PER_REMOVAL * room
    looked_at = list(islice(state.keys.span(leases.swept, ""), most))
    state.work += len(looked_at) // LOOKS
    found = list(islice(_keys_of_ended(looked_at, bonds, leases.ending), room))
    if len(found) == room:
        leases.swept = found[-1] + "\0"
    else:
        leases.swept = looked_at[-1] + "\0" if len(looked_at) == most else ""
    _remove_keys(state, found)
    return len(found)


def _keys_of_ended(keys: list[str], bonds: Bonds, ending: dict[int, Lease]) -> Iterable[str]:
    of_key = bonds.of_key
    return (key for key in keys if (bond := of_key.get(key)) is not None and bond.lease in ending)


def _leave(state: State, places: list[Place]) -> None:
    touched: dict[Queue, None] = {}
    for place in places:
        state.queues.leave(place)
        touched[place.queue] = None
    for queue in touched:
        state.queues.advance(queue)


def _remove_keys(state: State, keys: list[str]) -> None:
    for key in keys:
        state.keys.remove(key, state.revision)
