"""A system under measurement: three nodes on loopback, and how it is loaded."""

from __future__ import annotations

import json
import os
import platform
import resource
import select
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import raftzmq
from tests.bench import provision
from tests.bench.cpu import cpu_s
from tests.bench.points import COUNTS, OPS, PLAIN_OPS, Point
from tests.bench.results import Measurement, parse_line
from tests.sim.story import ROOT
from tests.system.keyed import KeyedCluster
from tests.system.ports import STEP, free_ports
from tests.system.processes import Cluster, wait_for

START_S = 60.0
SPARE_S = 90.0
"""What a load may take besides its own seconds: to start, to write its keys, to end."""


class System(ABC):
    """Used as a context: entering it starts three nodes with empty data in `directory`, leaving it
    stops all of its processes."""

    name: str
    ops: Sequence[str] = OPS

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @property
    @abstractmethod
    def version(self) -> str:
        """Its version, as a person would say it."""

    @abstractmethod
    def __enter__(self) -> System: ...

    @abstractmethod
    def __exit__(self, *_: object) -> None: ...

    @abstractmethod
    def pids(self) -> list[int]:
        """The processes of its nodes."""

    @abstractmethod
    def load(self, point: Point, seconds: float) -> tuple[str, float | None]:
        """Run the load; return its line, and the processor time that making it took."""

    def measure(self, point: Point, seconds: float, number: int) -> Measurement:
        """Measure a point once, in round `number`."""
        before = sum(map(cpu_s, self.pids()))
        line, load_cpu_s = self.load(point, seconds)
        nodes_cpu_s = sum(map(cpu_s, self.pids())) - before
        return Measurement(
            system=self.name,
            round=number,
            op=point.op,
            outstanding=point.outstanding,
            value_bytes=point.value_bytes,
            **parse_line(line, point),
            nodes_cpu_s=round(nodes_cpu_s, 2),
            load_cpu_s=None if load_cpu_s is None else round(load_cpu_s, 2),
        )


def run_load(command: list[str], seconds: float) -> tuple[str, float]:
    """Run a load generator that is a program; return its line and the processor time it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        command,
        env=clean_environment(),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        timeout=seconds + SPARE_S,
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return done.stdout, spent_s


def clean_environment() -> dict[str, str]:
    """The environment without settings that a person has made for raftzmq or etcd."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("RAFTZMQ_", "ETCD"))}


class Raftzmq(System):
    name = "raftzmq"
    client_options: Sequence[str] = ()

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.cluster: Cluster = Cluster(directory)

    @property
    def version(self) -> str:
        return f"{raftzmq.__version__}, Python {platform.python_version()}"

    def __enter__(self) -> Raftzmq:
        self.cluster.__enter__()
        try:
            self.cluster.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for node in self.cluster.nodes:
            node.kill()

    def pids(self) -> list[int]:
        return [node.pid for node in self.cluster.nodes]

    def load(self, point: Point, seconds: float) -> tuple[str, float]:
        endpoints = ",".join(self.cluster.endpoints)
        if point.op in COUNTS:
            command = [sys.executable, "-m", "tests.bench.coordinating", "--endpoints", endpoints]
            command += ["--op", point.op, "--outstanding", str(point.outstanding)]
            command += ["--size", str(point.value_bytes), "--seconds", str(seconds)]
            return run_load(command, seconds)
        command = [
            *(sys.executable, "-m", "raftzmq_cli", "client", *self.client_options),
            *("--endpoints", endpoints, "bench", "-w", "json"),
            *("--op", point.op, "--outstanding", str(point.outstanding)),
            *("--size", str(point.value_bytes), "--keys", str(point.keys)),
            *("--seconds", str(seconds)),
        ]
        return run_load(command, seconds)


class RaftzmqKeys(Raftzmq):
    """raftzmq with keys; the load is made by an admin."""

    name = "raftzmq-keys"
    ops = PLAIN_OPS

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.cluster = KeyedCluster(directory, ())
        self.client_options = ("--key", str(self.cluster.keys.file_of("admin")))


def agreed_leader(statuses: Sequence[dict[str, Any]], endpoints: Sequence[str]) -> int | None:
    """Which of etcd's endpoints leads, as all of them say; None while they do not. One that knows
    no leader leaves it out."""
    found = {one["Endpoint"]: one["Status"] for one in statuses}
    leaders = {status.get("leader") for status in found.values()}
    if len(found) < len(endpoints) or len(leaders) != 1 or None in leaders:
        return None
    for number, endpoint in enumerate(endpoints):
        if found[endpoint]["header"]["member_id"] in leaders:
            return number
    return None


class Etcd(System):
    name = "etcd"
    scheme = "http"
    server_options: Sequence[str] = ()
    ctl_options: Sequence[str] = ()
    load_options: Sequence[str] = ()

    def __init__(self, directory: Path, programs: provision.Etcd) -> None:
        super().__init__(directory)
        self.programs = programs
        ports = free_ports(3)
        self._peers = [f"{self.scheme}://127.0.0.1:{ports + STEP * k}" for k in range(3)]
        self.endpoints = [f"127.0.0.1:{ports + STEP * k + 1}" for k in range(3)]
        self._processes: list[subprocess.Popen[bytes] | None] = [None, None, None]

    @property
    def version(self) -> str:
        said = subprocess.check_output([self.programs.server, "--version"], text=True)
        return said.partition("\n")[0].removeprefix("etcd Version: ")

    def __enter__(self) -> Etcd:
        try:
            for number in range(3):
                self.start(number)
            self.wait_until_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            if process is not None:
                process.kill()
                process.wait()

    def start(self, number: int) -> None:
        """Start a node that does not run, on the data that it has."""
        cluster = ",".join(f"e{k}={url}" for k, url in enumerate(self._peers))
        client = f"{self.scheme}://{self.endpoints[number]}"
        command = [
            *(str(self.programs.server), "--name", f"e{number}"),
            *("--data-dir", str(self.directory / f"e{number}"), "--log-level", "error"),
            *("--listen-peer-urls", self._peers[number]),
            *("--initial-advertise-peer-urls", self._peers[number]),
            *("--listen-client-urls", client, "--advertise-client-urls", client),
            *("--initial-cluster", cluster, "--initial-cluster-state", "new"),
            *self.server_options,
        ]
        with (self.directory / f"e{number}.output").open("ab") as output:
            self._processes[number] = subprocess.Popen(
                command,
                env=clean_environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def kill(self, number: int) -> None:
        process = self._processes[number]
        assert process is not None
        process.kill()
        process.wait()

    def pids(self) -> list[int]:
        return [process.pid for process in self._processes if process is not None]

    def leader(self) -> int:
        """The number of the node that leads."""
        return wait_for("etcd has a leader that all nodes follow", self._agreed_leader, START_S)

    def wait_until_ready(self) -> None:
        self.leader()

    def _agreed_leader(self) -> int | None:
        done = subprocess.run(
            [
                *(self.programs.ctl, "--endpoints", ",".join(self.endpoints)),
                *(*self.ctl_options, "endpoint", "status", "-w", "json"),
            ],
            env=clean_environment() | {"ETCDCTL_API": "3"},
            capture_output=True,
            timeout=START_S,
            check=False,
        )
        if done.returncode:
            return None
        return agreed_leader(json.loads(done.stdout), self.endpoints)

    def load(self, point: Point, seconds: float) -> tuple[str, float]:
        # What etcd is fastest with: a follower would pass on to the leader what only the leader can
        # do; and where all nodes share the cores, spreading stale reads gains nothing.
        endpoint = self.endpoints[self.leader()]
        command = [
            *(str(self.programs.load), "-endpoints", endpoint, "-op", point.op),
            *("-outstanding", str(point.outstanding), "-size", str(point.value_bytes)),
            *("-keys", str(point.keys), "-seconds", str(seconds)),
            *self.load_options,
        ]
        return run_load(command, seconds)


class EtcdTls(Etcd):
    """etcd with TLS on all its ports, with certificates that it makes for itself."""

    name = "etcd-tls"
    ops = PLAIN_OPS
    scheme = "https"
    server_options = ("--auto-tls", "--peer-auto-tls")
    ctl_options = ("--insecure-transport=false", "--insecure-skip-tls-verify")
    load_options = ("-tls",)


class Pysyncobj(System):
    name = "pysyncobj"
    ops = ("put", "get")  # a stale read is a look-up in the caller's own memory: nothing to measure

    def __init__(self, directory: Path, python: Path) -> None:
        super().__init__(directory)
        self._python = python
        ports = free_ports(3)
        self._addresses = [f"127.0.0.1:{ports + STEP * k}" for k in range(3)]
        self._processes: list[subprocess.Popen[str]] = []

    @property
    def version(self) -> str:
        program = "import importlib.metadata as m; print(m.version('pysyncobj'))"
        said = subprocess.check_output([self._python, "-c", program], text=True)
        return f"{said.strip()}, Python {platform.python_version()}"

    def __enter__(self) -> Pysyncobj:
        try:
            for number, own in enumerate(self._addresses):
                self._start(number, own)
            wait_for("PySyncObj has a leader", self._ready_leader, START_S)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                assert pipe is not None
                with suppress(BrokenPipeError):
                    pipe.close()

    def _start(self, number: int, own: str) -> None:
        others = [address for address in self._addresses if address != own]
        program = Path(__file__).with_name("pysyncobj_node.py")
        journal = self.directory / f"{number}.journal"
        with (self.directory / f"{number}.output").open("ab") as output:
            process = subprocess.Popen(
                [str(self._python), str(program), str(journal), own, *others],
                env=clean_environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                text=True,
            )
        self._processes.append(process)

    def _ready_leader(self) -> subprocess.Popen[str] | None:
        said = [json.loads(_ask(process, {"op": "status"})) for process in self._processes]
        leaders = [p for p, one in zip(self._processes, said, strict=True) if one["leads"]]
        return leaders[0] if len(leaders) == 1 and all(one["ready"] for one in said) else None

    def pids(self) -> list[int]:
        return [process.pid for process in self._processes]

    def load(self, point: Point, seconds: float) -> tuple[str, None]:
        # Asked again each time: an overloaded leader may have lost its place.
        leader = wait_for("PySyncObj has a leader", self._ready_leader, START_S)
        command = asdict(point) | {"keys": point.keys, "seconds": seconds}
        return _ask(leader, command, seconds + SPARE_S), None


def _ask(process: subprocess.Popen[str], command: dict[str, Any], limit_s: float = START_S) -> str:
    """Send a node a command and return its line."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(command) + "\n")
    process.stdin.flush()
    readable, _, _ = select.select([process.stdout], [], [], limit_s)
    if not readable:
        raise TimeoutError(f"a node of PySyncObj did not answer within {limit_s:g} s")
    return process.stdout.readline()
