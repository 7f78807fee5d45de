"""How long one writer has to wait when the leader dies, and when it is told to stop."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable

from raftzmq import Client
from tests.bench.system import Etcd, Raftzmq, clean_environment
from tests.system.load import Load

BEFORE_S = 0.7
AFTER_S = 0.3
ETCD_S = 4.0
"""How long etcd's writer writes, from its first write on: twice the longest pause and some."""

Tell = Callable[[str], None]


def raftzmq_pauses_s(system: Raftzmq, count: int, tell: Tell, *, planned: bool) -> list[float]:
    """The longest pause of a writer around each of `count` deaths of the leader: kill -9, or where
    it is planned SIGTERM, upon which a leader hands over."""
    pauses_s = []
    cluster = system.cluster
    for number in range(count):
        leader = cluster.leader()
        with Client(cluster.endpoints) as client, Load(client, writers=1) as load:
            time.sleep(BEFORE_S)
            if planned:
                leader.terminate()
                leader.wait()
            else:
                leader.kill()
            load.wait_for_progress()
            time.sleep(AFTER_S)
        if load.errors:
            raise load.errors[0]
        pauses_s.append(round(load.longest_gap_s, 4))
        what = "SIGTERM" if planned else "kill -9"
        tell(f"raftzmq  {what} {number + 1}/{count}: {pauses_s[-1]:.3f} s")
        cluster.start()
    return pauses_s


def etcd_pauses_s(system: Etcd, count: int, tell: Tell) -> list[float]:
    """The same for etcd, kill -9."""
    pauses_s = []
    for number in range(count):
        leader = system.leader()
        endpoints = ",".join(system.endpoints)
        with subprocess.Popen(
            [
                *(str(system.programs.load), "-op", "pause"),
                *("-endpoints", endpoints, "-seconds", str(ETCD_S)),
            ],
            env=clean_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # the client library tells of each failure
            text=True,
        ) as writer:
            try:
                assert writer.stdout is not None
                if writer.stdout.readline() != "ready\n":
                    raise RuntimeError("the writer for etcd did not start")
                time.sleep(BEFORE_S)
                system.kill(leader)
                pauses_s.append(round(json.loads(writer.stdout.readline())["longest_s"], 4))
            finally:
                writer.kill()
        tell(f"etcd     kill -9 {number + 1}/{count}: {pauses_s[-1]:.3f} s")
        system.start(leader)
        system.wait_until_ready()
    return pauses_s
