"""What a call of a user's state machine costs a node, by the size of the state. Processor alone: no
cluster, no log.

    python -m tests.bench.calls
"""

from __future__ import annotations

import time
from typing import Final

import orjson

from raftzmq.state_machine import StateMachine, replicated
from raftzmq.state_machine.host import Host

ROWS: Final = (0, 100, 1_000, 60_000)
SECONDS: Final = 1.0


class Rows(StateMachine):
    """Numbers by name."""

    def __init__(self) -> None:
        self.rows: dict[str, int] = {}

    @replicated
    def add(self, name: str) -> int:
        self.rows[name] = self.rows.get(name, 0) + 1
        return self.rows[name]


def call_s(state: str) -> float:
    """Seconds that one call takes, at best."""
    host, best = Host(Rows), float("inf")
    until = time.perf_counter() + SECONDS
    while time.perf_counter() < until:
        began = time.perf_counter()
        code, _, _ = host.call(state, 1, "add", '["a"]', 0, 1)
        best = min(best, time.perf_counter() - began)
        assert code == "ok"
    return best


def main() -> None:
    for rows in ROWS:
        state = orjson.dumps({"rows": {f"k{number:08}": number for number in range(rows)}}).decode()
        print(f"state of {len(state):>9,} bytes: {call_s(state) * 1e6:>9,.0f} us a call")


if __name__ == "__main__":
    main()
