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

from raftzmq.state_machine.definition import StateMachine, query, replicated
from raftzmq.state_machine.errors import MethodFailed, Rejected

__all__ = ["MethodFailed", "Rejected", "StateMachine", "query", "replicated"]
