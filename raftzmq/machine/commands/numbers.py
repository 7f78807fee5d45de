"""The command on keys that hold a number."""

from __future__ import annotations

from typing import Any, Final

from raftzmq import limits
from raftzmq.machine.commands.checks import check_integer, check_key
from raftzmq.machine.commands.key_ends import KEEP, LEASE, check_new_end, end_of, put_ending
from raftzmq.machine.commands.keys import the_key
from raftzmq.machine.commands.leases import lease_expired
from raftzmq.machine.commands.operation import Command
from raftzmq.machine.commands.outcomes import Outcome, refused
from raftzmq.machine.state import State
from raftzmq.machine.values import expect_integers, expect_text, integer_of


def incr(state: State, key: str, by: int, end: Any) -> Outcome:
    """`incr key by end`: add to the number that a key holds: the sum. A key that is absent counts
    as 0 and ends as `end` says (key_ends.py); one that is there goes on to end as it did."""
    expect_integers(by)
    kind, number = end_of(end)
    item = state.keys.items.get(expect_text(key))
    if kind == LEASE and number not in state.leases.table:
        return lease_expired(number)
    held = 0 if item is None else integer_of(item[0])
    if held is None:
        return _refused(key, "does not hold a decimal integer")
    total = held + by
    if abs(total) > limits.NUMBER_MAX:
        return _refused(key, f"would be {total}, the limit is {limits.NUMBER_MAX} up and down")
    put_ending(state, key, str(total), kind if item is None else KEEP, number)
    return "ok", total


def _refused(key: str, why: str) -> Outcome:
    return refused("invalid", f"incr: {key[:40]!r} {why}; nothing was changed")


def _check_by(by: Any, what: str) -> None:
    check_integer(by, what, -limits.NUMBER_MAX, limits.NUMBER_MAX)


COMMANDS: Final = (
    Command(
        name="incr",
        arguments={"key": check_key, "by": _check_by, "end": check_new_end},
        run=incr,
        fenced=True,
        adds=True,
        touches=the_key,
    ),
)
