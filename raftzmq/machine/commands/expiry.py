"""What ends by itself once its replicated time has come: leases, keys and sessions.

Time that merely passes ends nothing. A leader that finds something due proposes `expire`.
"""

from __future__ import annotations

from typing import Final

from raftzmq import limits
from raftzmq.machine.commands.leases import end_leases
from raftzmq.machine.commands.operation import Command
from raftzmq.machine.commands.outcomes import Outcome
from raftzmq.machine.state import State
from raftzmq.machine.tables.places import Lease


def expire(state: State, _number: int) -> Outcome:
    """`expire`: end what has passed its time; how much that was.

    Beyond limits.EXPIRE_AT_ONCE nothing more is begun: the next such command goes on.
    """
    now_ms = state.time_ms
    keys = state.keys
    leases = state.leases
    count = state.sessions.expire(now_ms)
    ended: list[Lease] = []
    work = 0
    while work < limits.EXPIRE_AT_ONCE and (lease := leases.ended(now_ms)) is not None:
        del leases.table[lease.number]
        ended.append(lease)
        work += 1 + len(lease.places) + len(keys.bonds.keys_of(lease.number))
    end_leases(state, ended)
    count += len(ended)
    while work < limits.EXPIRE_AT_ONCE and (key := keys.bonds.ended(now_ms)) is not None:
        keys.remove(key, state.revision)
        count += 1
        work += 1
    state.work += 2 * count
    return "ok", count


def expiry_due(state: State, time_ms: int) -> bool:
    """Tell whether `expire`, stamped `time_ms`, would end anything."""
    return (
        state.leases.ended(time_ms) is not None
        or state.keys.bonds.ended(time_ms) is not None
        or state.sessions.expiry_due(time_ms)
    )


def next_expiry_ms(state: State) -> int | None:
    """Return a replicated time before which `expire` would end nothing; None: there is nothing
    that could end."""
    ends_ms = (
        state.leases.next_end_ms,
        state.keys.bonds.next_end_ms,
        state.sessions.next_expiry_ms,
    )
    return min((end_ms for end_ms in ends_ms if end_ms is not None), default=None)


COMMANDS: Final = (Command(name="expire", arguments={}, run=expire, internal=True),)
