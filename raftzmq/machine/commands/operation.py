"""A row of the table of operations: everything that is to be known about one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from raftzmq.errors import InvalidRequest
from raftzmq.machine.commands.checks import shown
from raftzmq.machine.commands.outcomes import Outcome

NAME_SHOWN: Final = 24
"""The most characters of an unknown name that a message shows: no name is so long."""

Check = Callable[[Any, str], None]
"""Takes an argument and its name. Raises InvalidRequest if the argument is wrong in itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What commands and reads have in common. `run` takes the state and then the arguments."""

    name: str
    arguments: Mapping[str, Check]
    """The names of the arguments, in their order on the wire, each with its check."""
    run: Callable[..., Any]
    check_together: Callable[..., None] | None = None
    """Checks all arguments once more, where what one may be depends on another."""
    length: int = field(init=False)
    """How long the operation is on the wire: id, name and arguments."""

    checks: tuple[tuple[str, Check], ...] = field(init=False, repr=False)
    """`arguments` in the form that is quickest to go through."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "checks", tuple(self.arguments.items()))
        object.__setattr__(self, "length", len(self.arguments) + 2)

    def check(self, arguments: Sequence[Any]) -> None:
        """Check what is given as arguments. Raises InvalidRequest, in one line that names the
        operation and says what is wrong."""
        checks = self.checks
        if len(arguments) != len(checks):
            wanted = ", ".join(self.arguments) or "no arguments"
            raise InvalidRequest(f"{self.name} takes {wanted}; {len(arguments)} given")
        try:
            for (what, check), argument in zip(checks, arguments):  # noqa: B905 -- it takes time, and they are as many
                check(argument, what)
            if self.check_together is not None:
                self.check_together(*arguments)
        except InvalidRequest as error:
            raise InvalidRequest(f"{self.name}: {error}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Command(Operation):
    """A write, which goes through the log.

    `run` is executed on every node, at the same index, on the same state. It may use nothing but
    the state and its arguments. It raises nothing but UnknownEntry, before it has changed anything.
    """

    run: Callable[..., Outcome]
    fenced: bool = False
    """Whether it may stand behind a fence."""
    adds: bool = False
    """Whether it may make the state take more memory: a full store refuses it. What stands within a
    transaction or behind a fence counts by itself."""
    internal: bool = False
    """Whether only leaders propose it, and never a client."""
    bounded: bool = False
    """Whether it may have much to remove. The leader then gives it one more argument, which `run`
    takes last: how much the whole entry may remove. Older logs have none, and no bound."""
    owned: bool = False
    """Whether what it makes belongs to a user. The leader then gives it one more argument, which
    `run` takes last: that user's name. Without one it belongs to anybody, as in older logs."""
    newer: int = 0
    """How many of its last arguments older logs do not have."""
    touches: Callable[..., Iterable[str]] | None = None
    """Gives, from the state and the arguments, the keys that it may change, beside which it changes
    nothing: a transaction that is rolled back restores them. None: it may not stand within one."""

    def takes(self, count: int) -> bool:
        """Tell whether it may have so many arguments in the log."""
        most = len(self.arguments)
        return most - self.newer <= count <= most + (self.bounded or self.owned)


@dataclass(frozen=True, slots=True, kw_only=True)
class Read(Operation):
    """A read. `run` gives its body; for a read that `waits`, its outcome, or None as long as there
    is nothing to say."""

    waits: bool = False
    refuses: bool = False
    """Whether it may be refused: `run` then gives its outcome, as for one that waits."""
    in_transaction: bool = False
    """Whether it may stand within a transaction."""


def unknown_operation(kind: str, name: Any, rows: Mapping[str, Operation]) -> InvalidRequest:
    """Return the error about a name that none of the rows has."""
    if type(name) is str:
        name = name[:NAME_SHOWN]
    return InvalidRequest(f"unknown {kind} {shown(name)}; there are {', '.join(rows)}")


def check_nested(operation: Any, rows: Mapping[str, Operation], where: str) -> None:
    """Check an operation that stands inside another, `[name, …arguments]`. Raises InvalidRequest
    if it is none of the rows, or if its arguments are wrong."""
    if type(operation) is not list or not operation:
        raise InvalidRequest(f"an operation {where} is a list: [name, arguments…]")
    name = operation[0]
    row = rows.get(name) if type(name) is str else None
    if row is None:
        raise unknown_operation(f"operation {where}", name, rows)
    row.check(operation[1:])
