"""A benchmark that is ended before its time leaves no keys behind."""

from __future__ import annotations

import signal
import subprocess
import time

import pytest

from tests.cli.conftest import PROGRAM, LocalCluster, Program, environment

PREFIX = "raftzmq-bench/"


def keys_there(raftzmq: Program) -> bool:
    return raftzmq("client", "get", "--prefix", PREFIX, "--limit", "1").out != ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_bench_that_is_ended_removes_its_keys(
    raftzmq: Program, shared_cluster: LocalCluster, number: signal.Signals, processes: str
) -> None:
    words = ["client", "bench", "--endpoints", shared_cluster.endpoints, "--seconds", "600"]
    with subprocess.Popen(
        [*PROGRAM, *words, "--processes", processes], env=environment(), stderr=subprocess.PIPE
    ) as bench:
        try:
            deadline_s = time.monotonic() + 60
            while not keys_there(raftzmq):
                assert time.monotonic() < deadline_s
            bench.send_signal(number)
            _, said = bench.communicate(timeout=60)
        finally:
            bench.kill()
    assert bench.returncode == 128 + number
    if processes == "1":  # a process that is ended while Python starts in it may complain
        assert said == b""
    assert not keys_there(raftzmq)
