"""Fills a machine with one kind of thing, and prints what it counts and what the process takes.

python -m tests.machine.memory_program KIND COUNT
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

from raftzmq.core.entry import COMMANDS
from raftzmq.lines import decode_entry, encode_entry
from raftzmq.machine import Machine

AT_ONCE = 256
LEASES = 1000


class Filler:
    """A machine, and entries for it that come as from a log, decoded."""

    def __init__(self) -> None:
        self.machine = Machine()
        self.index = 0
        self.serial = 0
        self.session = self.open()

    def apply(self, session: int, ack: int, ops: Sequence[Any]) -> list[Any]:
        self.index += 1
        line = encode_entry(self.index, 1, 1, COMMANDS, [[session, ack, ops]]).line
        (results,) = self.machine.apply_all([decode_entry(line)])
        assert {code for code, _, _ in results} <= {"ok", "lease_expired"}
        return [body for _, _, body in results]

    def open(self) -> int:
        (number,) = self.apply(0, 0, [[0, "open"]])
        return int(number)

    def write(self, make: Callable[[], list[Any]], count: int) -> list[Any]:
        """Have operations executed whose results are acknowledged at once."""
        bodies: list[Any] = []
        while count > 0:
            ops = [[self.serial + n, *make()] for n in range(min(AT_ONCE, count))]
            bodies += self.apply(self.session, self.serial, ops)
            self.serial += len(ops)
            count -= len(ops)
        return bodies

    def keep(self, op: list[Any], count: int) -> None:
        """Have results kept: nobody acknowledges them."""
        for _ in range(0, count, LEASES):
            session = self.open()
            self.apply(session, 0, [[serial, *op] for serial in range(LEASES)])


def resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def fill(filler: Filler, kind: str, count: int, leases: Sequence[int]) -> None:
    random = Random(1)

    def name() -> str:
        return f"{random.getrandbits(64):016x}"

    makers: dict[str, Callable[[], list[Any]]] = {
        "small": lambda: ["put", name(), "v"],
        "texts": lambda: ["put", name(), "v" * 1000],
        "large": lambda: ["put", name(), "v" * 1_000_000],
        "umlauts": lambda: ["put", name(), "äöü" * 100],
        "bytes": lambda: ["put", name(), {"b64": "AAAA" * 30}],
        "ends": lambda: ["put_ttl", name(), "v", 1000 + random.randrange(10**6)],
        "leased": lambda: ["put_leased", name(), "v", random.choice(leases)],
        "leases": lambda: ["lease_grant", 1000 + random.randrange(10**6)],
        "places": lambda: ["acquire", "lock", "one", random.choice(leases), 1, 0, True, None],
        "queues": lambda: ["acquire", "lock", name(), random.choice(leases), 1, 0, True, None],
        "semaphores": lambda: ["resize", name(), 5],
    }
    kept: dict[str, list[Any]] = {
        "results": ["put", "k", "v"],
        "refusals": ["lease_keep", 999_999_999],
        "lists": ["txn", [], [["delete", "k"]], []],
    }
    if kind in kept:
        filler.keep(kept[kind], count)
    else:
        filler.write(makers[kind], count)


def main(kind: str, count: int) -> None:
    filler = Filler()
    leases = filler.write(lambda: ["lease_grant", 1000], LEASES)
    gc.collect()
    counted, taken = filler.machine.memory, resident()
    fill(filler, kind, count, leases)
    gc.collect()
    print(filler.machine.memory - counted, resident() - taken)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
