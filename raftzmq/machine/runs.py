"""Puts of one session that follow one another, executed together.

A loaded log is mostly that, and a call for all of them costs a third of a call for each: this is
the hot path of every node. It has no rules of its own. What it does is what executing the entries
one after the other would do, and whatever could make a difference (a retry, another command, an
odd form, a session that is full or unknown, a key that is bound to a lease) makes it decline.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, repeat
from typing import Any

from raftzmq import limits
from raftzmq.core.entry import Entry
from raftzmq.machine.sessions import Result, Session
from raftzmq.machine.state import State


def execute_puts(state: State, entries: Sequence[Entry]) -> list[Result] | None:
    """Execute entries if they are puts of text in one session, none of them done before; return
    the result of each. None: nothing was done, they have to be executed one by one."""
    indices, _, times_ms, _, bodies, _ = zip(*entries, strict=True)
    try:
        if bodies[0][:2] != bodies[-1][:2]:  # the cheapest of the questions below
            return None
        numbers, acks, operations = zip(*bodies, strict=True)
        serials, names, keys, values = zip(*operations, strict=True)
    except (TypeError, ValueError):
        return None
    first, count = indices[0], len(entries)
    if not (
        names.count("put") == count
        and set(map(type, chain(numbers, acks, serials))) == {int}
        and set(map(type, chain(keys, values))) == {str}
        and numbers.count(numbers[0]) == count
        and acks.count(acks[0]) == count
        and indices == tuple(range(first, first + count))
        and state.applied_index < first
    ):
        return None
    session = state.sessions.table.get(numbers[0])
    if session is None or not _are_new(session, acks[0], serials) or state.keys.are_bound(keys):
        return None
    if acks[0] > session.ack:
        session.acknowledge(acks[0])
    state.time_ms = session.used_ms = max(state.time_ms, *times_ms)
    state.applied_index = indices[-1]
    state.keys.put_all(keys, zip(values, indices, strict=True))
    results: list[Any] = list(zip(repeat("ok"), indices, repeat(None), strict=False))
    session.results.update(zip(serials, results, strict=True))
    return results


def _are_new(session: Session, ack: int, serials: Sequence[int]) -> bool:
    """Whether the session, once it has the `ack`, takes these serials and has results of none."""
    least = max(ack, session.ack)
    return (
        not session.full
        and min(serials) >= least
        and max(serials) - least <= limits.SESSION_OUTSTANDING
        and len(set(serials)) == len(serials)
        and session.results.keys().isdisjoint(serials)
    )
