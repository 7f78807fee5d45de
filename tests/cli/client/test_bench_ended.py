"""A benchmark that is ended before its time leaves no keys behind, and none of its processes. It
does not wait for a process that has ended."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import typer

from raftzmq_cli.client.bench_loop import stopped_by_signals
from raftzmq_cli.common import exits
from tests.amounts import sample
from tests.cli.conftest import PROGRAM, LocalCluster, Program, environment

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PREFIX = "raftzmq-bench/"
PATIENCE_S = 60


@pytest.fixture(autouse=True)
def nothing_left(raftzmq: Program) -> Iterator[None]:
    """What one test leaves would be taken for the keys of the next."""
    yield
    raftzmq("client", "delete", "--prefix", PREFIX)


def keys_there(raftzmq: Program) -> bool:
    return raftzmq("client", "get", "--prefix", PREFIX, "--limit", "1").out != ""


def wait_until(holds: Callable[[], object]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline_s


def children(bench: subprocess.Popen[bytes]) -> list[int]:
    """The processes that it measures with."""
    shown = subprocess.run(
        ["ps", "-A", "-ww", "-o", "pid=,ppid=,args="], stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    rows = [line.split(None, 2) for line in shown.splitlines()]
    return [int(row[0]) for row in rows if row[1] == str(bench.pid) and "spawn_main" in row[2]]


@contextmanager
def running(cluster: LocalCluster, processes: str) -> Iterator[subprocess.Popen[bytes]]:
    """A bench without end, in a process group of its own, as a shell starts it at a terminal."""
    words = ["client", "bench", "--endpoints", cluster.endpoints, "--seconds", "600"]
    with subprocess.Popen(
        [*PROGRAM, *words, "--processes", processes],
        env=environment(),
        stderr=subprocess.PIPE,
        process_group=0,
    ) as bench:
        try:
            yield bench
        finally:
            bench.kill()


@pytest.mark.parametrize(
    ("number", "processes"), sample([(n, p) for n in SIGNALS for p in ("1", "2")], 2)
)
def test_a_bench_that_is_ended_removes_its_keys(
    raftzmq: Program, shared_cluster: LocalCluster, number: signal.Signals, processes: str
) -> None:
    with running(shared_cluster, processes) as bench:
        wait_until(lambda: keys_there(raftzmq))
        bench.send_signal(number)
        _, said = bench.communicate(timeout=PATIENCE_S)
    assert bench.returncode == 128 + number
    assert said == b""
    assert not keys_there(raftzmq)


@pytest.mark.parametrize("began", sample([True, False], 1), ids=["measuring", "starting"])
def test_a_signal_of_the_terminal_reaches_all_processes_and_ends_them_in_silence(
    raftzmq: Program, shared_cluster: LocalCluster, *, began: bool
) -> None:
    with running(shared_cluster, "2") as bench:
        wait_until(lambda: keys_there(raftzmq) if began else children(bench))
        os.killpg(bench.pid, signal.SIGINT)
        _, said = bench.communicate(timeout=PATIENCE_S)
    assert (bench.returncode, said) == (128 + signal.SIGINT, b"")
    assert not keys_there(raftzmq)


@pytest.mark.parametrize(
    ("which", "began"), sample([(0, False), (-1, False), (0, True), (-1, True)], 1)
)
def test_a_bench_does_not_wait_for_a_process_that_was_killed(
    raftzmq: Program, shared_cluster: LocalCluster, which: int, *, began: bool
) -> None:
    with running(shared_cluster, "2") as bench:
        wait_until(lambda: len(children(bench)) == 2 and (keys_there(raftzmq) or not began))
        os.kill(children(bench)[which], signal.SIGKILL)
        _, said = bench.communicate(timeout=PATIENCE_S)
    assert bench.returncode == exits.UNAVAILABLE
    assert b"was killed" in said
    assert not keys_there(raftzmq)


def test_the_processes_of_a_bench_that_is_killed_end(
    raftzmq: Program, shared_cluster: LocalCluster
) -> None:
    with running(shared_cluster, "2") as bench:
        wait_until(lambda: keys_there(raftzmq))
        bench.kill()
        bench.communicate(timeout=PATIENCE_S)  # until nobody has its stderr any more


def test_a_signal_that_comes_in_a_finalizer_is_not_lost() -> None:
    class Finalized:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(typer.Exit) as ended, stopped_by_signals() as stop:
        Finalized()
    assert stop.asked
    assert ended.value.exit_code == 128 + signal.SIGTERM
