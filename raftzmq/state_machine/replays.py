"""The same calls in several processes, whose hashes differ: for the tests of a state machine.

from raftzmq.state_machine.replays import replay

replay("bank:Bank", [("deposit", ["ann", 100]), ("deposit", ["ann", 5])])
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from typing import Any, Final

from raftzmq.state_machine.checks import CheckedHost, NotDeterministic
from raftzmq.state_machine.loading import load

SEEDS: Final = ("1", "2", "3")
"""For PYTHONHASHSEED: with each of them sets of text have another order."""


def replay(place: str, calls: Iterable[tuple[str, Sequence[Any]]]) -> list[Any]:
    """Run the calls of a class, `[(method, arguments)…]`, from its first state on, in processes
    whose hashes differ; return their results. Raises NotDeterministic at the first that differs.

    It finds the order of sets, and whatever else depends on PYTHONHASHSEED, and on the clock."""
    program = json.dumps([place, [[method, list(arguments)] for method, arguments in calls]])
    ran = [_replayed(program, seed) for seed in SEEDS]
    for call, first, *others in zip(json.loads(program)[1], *ran, strict=True):
        for other in others:
            if other != first:
                raise NotDeterministic(
                    f"{call[0]}({', '.join(map(json.dumps, call[1]))[:100]}) did one thing, and "
                    f"another in a process with other hashes: {str(first)[:200]}, then "
                    f"{str(other)[:200]}"
                )
    return [result for _, result, _ in ran[0]]


def _replayed(program: str, seed: str) -> list[Any]:
    done = subprocess.run(
        [sys.executable, "-m", "raftzmq.state_machine.replays"],
        input=program,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    if done.returncode:
        raise NotDeterministic(done.stderr.strip().rpartition("\n")[2])
    found: list[Any] = json.loads(done.stdout)
    return found


def _main() -> None:
    place, calls = json.load(sys.stdin)
    host = CheckedHost(load(place))
    _, _, text = host.first(host.version)
    ran = []
    for count, (method, arguments) in enumerate(calls, 1):
        code, body, after = host.call(
            text or "", host.version, method, json.dumps(arguments), 1000 * count, count
        )
        text = text if after is None else after
        ran.append([code, body, text])
    json.dump(ran, sys.stdout)


if __name__ == "__main__":
    _main()
