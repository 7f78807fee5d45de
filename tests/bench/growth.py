"""What becomes of a cluster as its work grows: keys, nodes, time. For raftzmq alone.

    python -m tests.bench.growth [--keys 1000000] [--seconds 4] [--full-load 600] [--memory 600]
                                 [-o RESULTS.json] [PART…]

Parts, all if none is named:

    keys        put rate with few keys and with many, memory of a node, time from start to serving
    snapshots   p99 of puts as ever, while snapshots are written, while one is sent to a follower
    nodes       put rate of five nodes beside that of three
    idle        processor time of a node that nobody asks for anything
    load        changes of leader in so many seconds of full load (--full-load)
    memory      memory of each node over so many seconds of writes (--memory)

Every rate is of puts of 100 bytes, 256 outstanding, in a closed loop, made in this process. Each
part begins with a new cluster of `raftzmq node` processes with all settings as by default.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from raftzmq import Client
from raftzmq.client.direct import DirectClients
from raftzmq.client.operations.keys import put
from raftzmq_cli.client.bench_loop import calm_collector
from tests.bench.cpu import cpu_s
from tests.bench.machine import describe
from tests.system.processes import Cluster, NodeProcess, wait_for

OUTSTANDING = 256
VALUE = "x" * 100
FEW_KEYS = 10_000
TIMEOUT_S = 30.0
PATIENCE_S = 120.0
IDLE_S = 10.0
WINDOW_S = 0.5
"""p99 is of windows of this length, so that each is either during a snapshot or not."""


def tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


class Writer:
    """Writes keys in turn, as many at a time as OUTSTANDING says."""

    def __init__(self, cluster: Cluster, keys: int) -> None:
        self._clients = DirectClients(1, cluster.endpoints)
        self._names = cycle(f"key-{number:012}" for number in range(keys))
        self.errors: list[str] = []

    def close(self) -> None:
        self._clients.close()

    @calm_collector()
    def write(
        self, *, count: int | None = None, until: Callable[[float], bool] | None = None
    ) -> tuple[float, list[float]]:
        """Write `count` keys, or until a function of the seconds that have passed says so. Returns
        the rate per second and the latencies in milliseconds."""
        client = self._clients.members[0]
        latencies_ms: list[float] = []
        began = now = time.perf_counter()
        begun = in_flight = 0
        more = True
        while more or in_flight:
            while more and in_flight < OUTSTANDING and (count is None or begun < count):
                work = put(next(self._names), VALUE)
                client.submit(work, TIMEOUT_S).waiter = now
                begun += 1
                in_flight += 1
            finished = self._clients.wait()
            now = time.perf_counter()
            in_flight -= len(finished)
            for call in finished:
                if call.error is None:
                    latencies_ms.append((now - call.waiter) * 1000)
                else:
                    self.errors.append(str(call.error))
            more = begun < count if count is not None else not (until and until(now - began))
        return len(latencies_ms) / (now - began), latencies_ms

    def for_seconds(self, seconds: float) -> tuple[float, list[float]]:
        return self.write(until=lambda passed_s: passed_s >= seconds)


def p99(latencies_ms: list[float]) -> float:
    """The latency that one in a hundred exceeds."""
    return round(sorted(latencies_ms)[int(len(latencies_ms) * 0.99)], 1)


def metrics(node: NodeProcess) -> dict[str, float]:
    """The figures of a node, by name and labels."""
    with urlopen(f"http://127.0.0.1:{node.port + 2}/metrics", timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    pairs = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return {name: float(value) for name, _, value in pairs}


def snapshots(node: NodeProcess, action: str) -> float:
    """How many snapshots a node has taken, received or sent."""
    return metrics(node)[f'raftzmq_snapshots_total{{action="{action}"}}']


def rss_mb(node: NodeProcess) -> int:
    """Memory of a node's process, in megabytes."""
    fields = Path(f"/proc/{node.pid}/status").read_text().split("VmRSS:")[1]
    return round(int(fields.split()[0]) * 1024 / 1e6)


def leader_changes(cluster: Cluster) -> int:
    """How many terms any node knows to have had a leader."""
    return max(int(metrics(node)["raftzmq_leader_changes_total"]) for node in cluster.running)


@contextmanager
def cluster_of(size: int = 3) -> Iterator[Cluster]:
    """A new cluster that takes writes."""
    with tempfile.TemporaryDirectory() as directory, Cluster(Path(directory), size) as cluster:
        yield cluster.start()


def keys(plan: argparse.Namespace) -> dict[str, Any]:
    found: dict[str, Any] = {"keys": plan.keys}
    with cluster_of() as cluster:
        with closing(Writer(cluster, FEW_KEYS)) as writer:
            writer.write(count=FEW_KEYS)
            found["few_keys_per_s"] = round(writer.for_seconds(plan.seconds)[0])
        with closing(Writer(cluster, plan.keys)) as writer:
            tell(f"writing {plan.keys:,} keys ...")
            found["filling_per_s"] = round(writer.write(count=plan.keys)[0])
            found["many_keys_per_s"] = round(writer.for_seconds(plan.seconds)[0])
        found["ratio"] = round(found["many_keys_per_s"] / found["few_keys_per_s"], 2)
        cluster.wait_until_ready()
        found["memory_mb"] = max(map(rss_mb, cluster.nodes))
        for node in cluster.nodes:
            node.terminate()
        for node in cluster.nodes:
            node.wait()
        began = time.perf_counter()
        for node in cluster.nodes:
            node.start()
        with Client(cluster.endpoints) as client:
            assert client.get(f"key-{plan.keys - 1:012}", timeout=PATIENCE_S) is not None
        found["start_all_s"] = round(time.perf_counter() - began, 1)
        cluster.wait_until_ready()
        [follower, _] = cluster.followers()
        follower.terminate()
        follower.wait()
        began = time.perf_counter()
        follower.start()
        wait_for("the node serves", follower.status, PATIENCE_S)
        found["start_one_s"] = round(time.perf_counter() - began, 1)
        cluster.wait_until_ready()
        found["memory_after_start_mb"] = max(map(rss_mb, cluster.nodes))
    return found


def snapshots_part(plan: argparse.Namespace) -> dict[str, Any]:
    found: dict[str, Any] = {"keys": plan.keys}
    with cluster_of() as cluster, closing(Writer(cluster, plan.keys)) as writer:
        tell(f"writing {plan.keys:,} keys ...")
        writer.write(count=plan.keys)
        leader = cluster.leader()
        before = leader_changes(cluster)
        windows: list[tuple[bool, list[float]]] = []
        began = time.perf_counter()
        tell("writing until the leader has written a snapshot ...")
        last = snapshots(leader, "taken")
        while time.perf_counter() - began < PATIENCE_S:
            windows.append((_is_writing(leader), writer.for_seconds(WINDOW_S)[1]))
            if snapshots(leader, "taken") > last and len(windows) > 20:
                break
        ordinary = [ms for busy, window in windows if not busy for ms in window]
        busy = [ms for busy, window in windows if busy for ms in window]
        found["p99_ms"] = p99(ordinary)
        found["p99_writing_ms"] = p99(busy) if busy else None
        follower = cluster.followers()[0]
        follower.kill()
        follower.wipe()
        follower.start()
        tell("a follower has lost its disk ...")
        sending: list[float] = []
        began = time.perf_counter()
        while time.perf_counter() - began < PATIENCE_S:
            sending += writer.for_seconds(WINDOW_S)[1]
            if (status := follower.status()) and status["role"] == "follower":
                break
        found["caught_up_s"] = round(time.perf_counter() - began, 1)
        found["p99_sending_ms"] = p99(sending)
        found["leader_changes"] = leader_changes(cluster) - before
        found["errors"] = len(writer.errors)
    return found


def _is_writing(node: NodeProcess) -> bool:
    """Whether a node has a snapshot half written."""
    return any((node.data_dir / "snapshots").glob("writing-*"))


def nodes(plan: argparse.Namespace) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for size in (3, 5):
        with cluster_of(size) as cluster, closing(Writer(cluster, FEW_KEYS)) as writer:
            writer.for_seconds(1)
            found[f"{size}_nodes_per_s"] = round(writer.for_seconds(plan.seconds)[0])
    found["ratio"] = round(found["5_nodes_per_s"] / found["3_nodes_per_s"], 2)
    return found


def idle(_: argparse.Namespace) -> dict[str, Any]:
    with cluster_of() as cluster:
        leader = cluster.leader()
        time.sleep(1)
        before = {node: cpu_s(node.pid) for node in cluster.nodes}
        time.sleep(IDLE_S)
        spent = {node: cpu_s(node.pid) - s for node, s in before.items()}
    percent = {node: round(100 * s / IDLE_S, 2) for node, s in spent.items()}
    followers = [share for node, share in percent.items() if node is not leader]
    return {"leader_percent": percent[leader], "follower_percent": max(followers)}


def load(plan: argparse.Namespace) -> dict[str, Any]:
    with cluster_of() as cluster, closing(Writer(cluster, FEW_KEYS)) as writer:
        before = leader_changes(cluster)
        tell(f"full load for {plan.full_load:g} s ...")
        rate, latencies_ms = writer.for_seconds(plan.full_load)
        return {
            "seconds": plan.full_load,
            "per_s": round(rate),
            "p99_ms": p99(latencies_ms),
            "max_ms": round(max(latencies_ms), 1),
            "leader_changes": leader_changes(cluster) - before,
            "errors": len(writer.errors),
        }


def memory(plan: argparse.Namespace) -> dict[str, Any]:
    """Memory at tenths of the time; the first are from before the first snapshots."""
    with cluster_of() as cluster, closing(Writer(cluster, FEW_KEYS)) as writer:
        rows = []
        for tenth in range(10):
            rate, _ = writer.for_seconds(plan.memory / 10)
            rows.append([rss_mb(node) for node in cluster.nodes])
            tell(f"memory {tenth + 1}/10: {rows[-1]} MB, {rate:,.0f}/s")
    return {"seconds": plan.memory, "mb": rows}


PARTS = {
    "keys": keys,
    "snapshots": snapshots_part,
    "nodes": nodes,
    "idle": idle,
    "load": load,
    "memory": memory,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--full-load", type=float, default=600)
    parser.add_argument("--memory", type=float, default=600)
    parser.add_argument("-o", "--output", type=Path)
    plan = parser.parse_args()
    if unknown := set(plan.parts) - PARTS.keys():
        parser.error(f"{', '.join(sorted(unknown))}: the parts are {', '.join(PARTS)}")
    results: dict[str, Any] = {"machine": describe(Path.cwd())}
    for name in plan.parts or PARTS:
        results[name] = PARTS[name](plan)
        print(name, json.dumps(results[name]), flush=True)
        if plan.output:
            plan.output.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
