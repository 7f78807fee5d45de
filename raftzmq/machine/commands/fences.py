"""The fence: a write that is executed only while tokens hold their places in queues."""

from __future__ import annotations

from typing import Any, Final

from raftzmq import limits
from raftzmq.errors import InvalidRequest, UnknownEntry
from raftzmq.machine.commands import keys, leases, numbers, queues, transactions
from raftzmq.machine.commands.checks import check_key, check_token, kind_of
from raftzmq.machine.commands.operation import Command, check_nested
from raftzmq.machine.commands.outcomes import Outcome
from raftzmq.machine.state import State
from raftzmq.machine.values import expect_text

FENCED: Final = {
    row.name: row
    for row in (
        *keys.COMMANDS,
        *transactions.COMMANDS,
        *leases.COMMANDS,
        *numbers.COMMANDS,
        *queues.COMMANDS,
    )
    if row.fenced
}
"""The commands that may stand behind a fence."""


def fenced(state: State, fences: Any, operation: Any) -> Outcome:
    """`fenced fences operation`: the operation, if each fence's token holds."""
    if type(operation) is not list or not operation or type(operation[0]) is not str:
        raise UnknownEntry("a fenced operation is in a form that this version does not know")
    name, *arguments = operation
    row = FENCED.get(name)
    if row is None or not row.takes(len(arguments)):
        raise UnknownEntry(f"fenced {name[:40]!r} with {len(arguments)} arguments")
    refusal = _refusal(state, fences)
    return row.run(state, *arguments) if refusal is None else refusal


def _refusal(state: State, fences: Any) -> Outcome | None:
    """Return the outcome of a write behind fences of which one does not hold, else None."""
    if type(fences) is not list:
        raise UnknownEntry("fences are in a form that this version does not know")
    for fence in fences:
        if type(fence) is not list or len(fence) != 2:
            raise UnknownEntry("a fence is in a form that this version does not know")
        name, token = fence
        place = queues.find_place(state.queues, token)
        if place is None or not place.held or place.queue.name != expect_text(name):
            return queues.lost_fence(name, token)
    return None


def _check_fences(fences: Any, what: str) -> None:
    """Check the guards of a fenced write: `[[name, token]…]`."""
    if type(fences) is not list:
        raise InvalidRequest(f"{what} must be a list, not {kind_of(fences)}")
    if not 0 < len(fences) <= limits.FENCES:
        raise InvalidRequest(f"there must be 1 to {limits.FENCES} fences, not {len(fences)}")
    for place, fence in enumerate(fences):
        if type(fence) is not list or len(fence) != 2:
            raise InvalidRequest(f"{what}[{place}]: a fence is a list: [name, token]")
        try:
            check_key(fence[0], "name")
            check_token(fence[1], "token")
        except InvalidRequest as error:
            raise InvalidRequest(f"{what}[{place}]: {error}") from None


def _check_operation(operation: Any, _what: str) -> None:
    check_nested(operation, FENCED, "behind a fence")


COMMANDS: Final = (
    Command(
        name="fenced",
        arguments={"fences": _check_fences, "operation": _check_operation},
        run=fenced,
    ),
)
