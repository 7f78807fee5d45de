"""One node of a PySyncObj cluster, driven by lines of JSON: a child of `python -m tests.bench`.

    pysyncobj_node.py JOURNAL OWN_ADDRESS OTHER_ADDRESS...

Runs in a virtual environment of its own, which has PySyncObj and not raftzmq. PySyncObj has no
protocol for clients: whoever writes is a node. So the load comes from within the leader, without a
network between client and leader. It reads from its own memory; the one read that is linearizable
is an operation in its log, and that is what "get" does here.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from array import array
from itertools import cycle
from queue import SimpleQueue
from threading import Thread
from typing import Any

IDLE_S = 0.05
PATIENCE_S = 30.0

# How the leader sends what it has, by whether more than one operation is in flight: each operation
# at once, or what has gathered in so many seconds. The defaults (gather for 0.1 s) would give 10
# operations a second with one in flight; of what was tried, these are the fastest at every point.
ALONE = {"appendEntriesUseBatch": False, "appendEntriesPeriod": 0.1}
TOGETHER = {"appendEntriesUseBatch": True, "appendEntriesPeriod": 0.0005}

# By name, because nothing but the benchmark depends on it.
pysyncobj: Any = importlib.import_module("pysyncobj")
batteries: Any = importlib.import_module("pysyncobj.batteries")


class Driver:
    def __init__(self, journal: str, own: str, others: list[str]) -> None:
        self.settings = pysyncobj.SyncObjConf(
            autoTick=False,
            journalFile=journal,
            # By default it forks every 5,000 entries to write all of its data. Without, it is
            # faster, and its journal only grows.
            logCompactionMinTime=3600,
            logCompactionMinEntries=1_000_000_000,
            **ALONE,
        )
        self.data = batteries.ReplDict()
        self.node = pysyncobj.SyncObj(own, others, self.settings, consumers=[self.data])

    def configure(self, settings: dict[str, Any]) -> None:
        for name, value in settings.items():
            setattr(self.settings, name, value)

    def status(self) -> dict[str, Any]:
        said = self.node.getStatus()
        leads = said["leader"] is not None and said["leader"] == said["self"]
        return {"leads": leads, "ready": self.node.isReady()}

    def run(self, command: dict[str, Any]) -> dict[str, Any]:
        """A closed loop of operations; the fields that every load generator here returns."""
        value = "x" * command["value_bytes"]
        names = [f"raftzmq-bench/{k:06}" for k in range(command["keys"])]
        if command["op"] == "get":
            self.loop("put", names, value, 256, None)
        found = self.loop(command["op"], names, value, command["outstanding"], command["seconds"])
        return {name: command[name] for name in ("op", "outstanding", "value_bytes")} | found

    def loop(
        self, op: str, names: list[str], value: str, outstanding: int, seconds: float | None
    ) -> dict[str, Any]:
        """Keep `outstanding` operations in flight for `seconds`; None: until each key had one."""
        self.configure(TOGETHER if outstanding > 1 else ALONE)
        latencies_ns: array[int] = array("Q")
        keys = cycle(names) if seconds is not None else iter(names)
        in_flight = errors = 0
        started_ns = time.perf_counter_ns()
        end_ns = started_ns + int((PATIENCE_S if seconds is None else seconds) * 1e9)
        last_ns = end_ns + int(PATIENCE_S * 1e9)

        def start() -> None:
            nonlocal in_flight
            now = time.perf_counter_ns()
            key = next(keys, None) if now < end_ns else None
            if key is None:
                return
            in_flight += 1

            def done(_: Any, failure: int) -> None:
                nonlocal in_flight, errors
                in_flight -= 1
                if failure:
                    errors += 1
                else:
                    latencies_ns.append(time.perf_counter_ns() - now)
                start()

            if op == "put":
                self.data.set(key, value, callback=done)
            else:
                self.data.setdefault(key, value, callback=done)

        for _ in range(outstanding):
            start()
        while in_flight and time.perf_counter_ns() < last_ns:
            self.node.doTick(self.settings.appendEntriesPeriod)
        elapsed_s = (time.perf_counter_ns() - started_ns) / 1e9
        self.configure(ALONE)
        return figures(sorted(latencies_ns), errors + in_flight, elapsed_s)


def figures(ordered_ns: list[int], errors: int, elapsed_s: float) -> dict[str, Any]:
    def percentile_ms(share: float) -> float | None:
        if not ordered_ns:
            return None
        rank = max(-int(-share * len(ordered_ns) // 1), 1)
        return round(ordered_ns[rank - 1] / 1e6, 3)

    return {
        "ops_per_s": round(len(ordered_ns) / elapsed_s, 1),
        "p50_ms": percentile_ms(0.5),
        "p99_ms": percentile_ms(0.99),
        "p999_ms": percentile_ms(0.999),
        "max_ms": percentile_ms(1.0),
        "errors": errors,
    }


def main() -> None:
    journal, own, *others = sys.argv[1:]
    driver = Driver(journal, own, others)
    commands: SimpleQueue[str] = SimpleQueue()

    def read() -> None:
        for line in sys.stdin:
            commands.put(line)
        os._exit(0)  # whoever started this is gone, or closed the pipe to say so

    Thread(target=read, daemon=True).start()
    while True:
        driver.node.doTick(IDLE_S)
        if not commands.empty():
            command = json.loads(commands.get())
            said = driver.status() if command["op"] == "status" else driver.run(command)
            print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main()
