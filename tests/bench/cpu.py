"""CPU time that an operation takes in each process of a local cluster, client included.

    raftzmq local up --dir DIR --base-port 9000
    python -m tests.bench.cpu --dir DIR [--op put --outstanding 1 64 256 1000 --seconds 4]

A rate says as much about the other work of the machine as about this program; the processor time
per operation hardly changes with it, so that two versions can be compared while others build. Two
cores that do nothing else can do at most 2,000,000 / (the sum of a line) operations a second.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

TICKS = os.sysconf("SC_CLK_TCK")
PROGRAM = str(Path(sys.executable).with_name("raftzmq"))


def cpu_s(pid: int) -> float:
    """User and system time of a process and all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def nodes(directory: Path) -> list[dict[str, Any]]:
    """Status of each node of the cluster, the leader first."""
    command = [PROGRAM, "local", "status", "--dir", str(directory), "-w", "json"]
    found: list[dict[str, Any]] = json.loads(subprocess.check_output(command))
    return sorted(found, key=lambda node: node["role"] != "leader")


def bench(endpoints: str, arguments: list[str]) -> tuple[dict[str, Any], float]:
    """Run the benchmark; return what it says, and the processor time of its processes."""
    command = [PROGRAM, "client", "--endpoints", endpoints, "bench", "-w", "json", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        document = json.loads(process.stdout.read())
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    return document, usage.ru_utime + usage.ru_stime


def measured(
    members: list[dict[str, Any]], endpoints: str, arguments: list[str], seconds: float
) -> tuple[dict[str, Any], list[float]]:
    """Run the benchmark; return what it says, then its operations and each process's seconds."""
    before = [cpu_s(node["pid"]) for node in members]
    document, client_s = bench(endpoints, [*arguments, "--seconds", str(seconds)])
    spent = [cpu_s(node["pid"]) - s for node, s in zip(members, before, strict=True)]
    return document, [document["ops_per_s"] * seconds, *spent, client_s]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--op", nargs="+", default=["put", "get"])
    parser.add_argument("--outstanding", type=int, nargs="+", default=[1, 64, 256, 1000])
    parser.add_argument("--seconds", type=float, default=4)
    given, rest = parser.parse_known_args()
    members = nodes(given.dir)
    addresses = {m["name"]: m["address"].rpartition(":") for m in members[0]["members"]}
    endpoints = ",".join(f"{host}:{int(port) + 1}" for host, _, port in addresses.values())
    heads = [f"{n['node']} {n['role'][:6]}" for n in members] + ["client", "sum"]
    print("microseconds of processor per operation".ljust(40), *(f"{h:>14}" for h in heads))
    for op in given.op:
        for outstanding in given.outstanding:
            arguments = ["--op", op, "--outstanding", str(outstanding), *rest]
            # The start of the client, and the keys it writes first, are in both and cancel out.
            _, short = measured(members, endpoints, arguments, 0.1)
            said, long = measured(members, endpoints, arguments, given.seconds)
            count, *spent = (b - a for a, b in zip(short, long, strict=True))
            costs = [1e6 * s / count for s in [*spent, sum(spent)]]
            line = f"{op} {outstanding}: {said['ops_per_s']:,.0f}/s, p50 {said['p50_ms']} ms"
            print(line.ljust(40), *(f"{c:14.1f}" for c in costs), flush=True)


if __name__ == "__main__":
    main()
