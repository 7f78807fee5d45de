"""A counter: the shortest state machine of one's own.

raftzmq node raft-0 --machine counter:Counter ...
"""

from raftzmq.state_machine import StateMachine, query, replicated


class Counter(StateMachine):
    def __init__(self) -> None:
        self.count = 0

    @replicated
    def add(self, amount: int = 1) -> int:
        self.count += amount
        return self.count

    @query
    def value(self) -> int:
        return self.count
