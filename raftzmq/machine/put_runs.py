"""Puts of one session that follow one another, executed together.

A loaded log is mostly that, and a call for all of them costs a third of a call for each: this is
the hot path of every node. It has no rules of its own. What it does is what executing the puts
one after the other would do, and whatever could make a difference (a retry, another command, an
odd form, a session that is full or unknown, a key that is bound to a lease) makes it decline.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, repeat
from typing import Any

from raftzmq import limits
from raftzmq.machine.state import State
from raftzmq.machine.tables.sessions import Result, Session


def execute_puts(state: State, number: Any, ack: Any, ops: list[Any]) -> list[Result] | None:
    """Execute operations of a session if they are puts of text, none of them done before; return
    the result of each. None: nothing was done, they have to be executed one by one."""
    try:
        serials, names, keys, values = zip(*ops, strict=True)
    except (TypeError, ValueError):
        return None
    count = len(ops)
    if not (
        type(number) is type(ack) is int
        and names.count("put") == count
        and set(map(type, serials)) == {int}
        and set(map(type, chain(keys, values))) == {str}
    ):
        return None
    session = state.sessions.table.get(number)
    if session is None or not _are_new(session, ack, serials) or state.keys.are_bound(keys):
        return None
    if ack > session.ack:
        session.acknowledge(ack)
    session.used_ms = state.time_ms
    revisions = range(state.revision + 1, state.revision + count + 1)
    state.revision += count
    state.keys.put_all(keys, values, revisions)
    results: list[Result] = list(zip(repeat("ok"), revisions, repeat(None), strict=False))
    session.results.update(zip(serials, results, strict=True))
    state.sessions.weigh(session)
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
