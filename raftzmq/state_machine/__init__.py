"""A state machine of one's own, beside the keys: a class whose methods every node runs.

    from raftzmq.state_machine import StateMachine, query, replicated

    class Counter(StateMachine):
        def __init__(self) -> None:
            self.count = 0

        @replicated
        def add(self, amount: int) -> int:
            self.count += amount
            return self.count

Nodes are started with `--machine PACKAGE.MODULE:Counter`, and clients call
`db.call(Counter.add, 1)`. docs/state-machines.md says what a method may do.
"""

from typing import TYPE_CHECKING, Any

from raftzmq.state_machine.errors import MethodFailed, Rejected

if TYPE_CHECKING:
    from raftzmq.state_machine.definition import StateMachine, query, replicated

__all__ = ["MethodFailed", "Rejected", "StateMachine", "query", "replicated"]


def __getattr__(name: str) -> Any:
    """Clients know the errors, and most know no state machine: that is imported when it is used."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from raftzmq.state_machine import definition

    value = globals()[name] = getattr(definition, name)
    return value
