"""What the commands say and return when nodes are stopped, killed or paused."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from raftzmq_cli.local import ports
from raftzmq_cli.local.processes import command_line
from tests.amounts import amount
from tests.cli.conftest import (
    LIMIT_S,
    PROGRAM,
    STEADY,
    LocalCluster,
    Program,
    Result,
    environment,
    execute,
)
from tests.system.ports import free_ports

pytestmark = pytest.mark.system


def leader_and_others(raftzmq: Program) -> tuple[str, list[str]]:
    nodes = raftzmq("client", "status", "-w", "json").json
    leader = next(node["node"] for node in nodes if node["role"] == "leader")
    return leader, [node["node"] for node in nodes if node["node"] != leader]


def wait_until(condition: Callable[[], bool], limit_s: float = 60) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "this did not come true in time"
        time.sleep(0.05)


def until_code(code: int, attempt: Callable[[], Result]) -> Result:
    """What the attempt gave that ended so: a slow node may be taken for a silent one before."""
    deadline = time.monotonic() + 60
    while True:
        result = attempt()
        if result.code == code:
            return result
        assert time.monotonic() < deadline, result


@pytest.mark.proof
def test_a_node_that_is_still_stopping_is_started_again_too(
    cluster: LocalCluster, raftzmq: Program
) -> None:
    leader, _ = leader_and_others(raftzmq)
    cluster.signal(leader, signal.SIGSTOP)  # it is there when `up` looks, and gone soon after
    with subprocess.Popen(
        [*PROGRAM, *cluster.up_arguments],
        stdout=subprocess.PIPE,
        text=True,
        env=environment(**STEADY),
    ) as again:
        assert again.stdout is not None
        assert "running already" in again.stdout.readline()
        cluster.signal(leader, signal.SIGKILL)
        out, _ = again.communicate(timeout=LIMIT_S)
    assert again.returncode == 0, out
    assert f"{leader} was stopping: starting it again" in out


def test_a_stop_is_always_answered(cluster: LocalCluster, raftzmq: Program) -> None:
    for _ in range(amount(1, 3)):
        pid = cluster.pids()["raft-0"]
        stopped = raftzmq("client", "stop", "raft-0")
        assert (stopped.code, stopped.err) == (0, "")
        assert cluster.up().code == 0
        assert cluster.pids()["raft-0"] != pid, "it answered for a last moment, and counted as up"


def test_a_stopped_node_is_missed_and_started_again(
    cluster: LocalCluster, raftzmq: Program
) -> None:
    leader, _ = leader_and_others(raftzmq)
    pids = cluster.pids()
    assert raftzmq("client", "stop", leader).code == 0
    wait_until(lambda: not command_line(pids[leader]))
    assert raftzmq("client", "put", "still", "there").code == 0
    status = until_code(1, cluster.status)
    missed = next(node for node in status.json if node["node"] == leader)
    assert (missed["pid"], missed["healthy"]) == (None, False)
    assert missed["error"]
    again = cluster.up()
    assert again.code == 0
    assert again.lines[0].startswith(f"starting {leader} of a local cluster of 3 nodes")
    assert raftzmq("client", "get", "still").out == "there\n"


def test_a_killed_leader_is_replaced_and_comes_back(
    cluster: LocalCluster, raftzmq: Program
) -> None:
    leader, _ = leader_and_others(raftzmq)
    raftzmq("client", "put", "before", "the kill")
    cluster.signal(leader, signal.SIGKILL)
    after = raftzmq("client", "put", "after", "the kill", "-w", "json")
    assert after.code == 0
    assert after.json["leader"] != leader
    assert raftzmq("client", "get", "before").out == "the kill\n"


def test_without_a_majority_nothing_is_claimed(cluster: LocalCluster, raftzmq: Program) -> None:
    leader, others = leader_and_others(raftzmq)
    raftzmq("client", "put", "a", "1")
    for name in others:
        cluster.signal(name, signal.SIGSTOP)
    try:
        write = raftzmq("client", "put", "a", "2", "--timeout", "1.5")
        read = raftzmq("client", "get", "a", "--timeout", "1.5")
        stale = raftzmq("client", "dump", cluster.endpoint(leader), "-w", "json")
        status = until_code(1, lambda: raftzmq("client", "status", "--timeout", "1", "-w", "json"))
    finally:
        for name in others:
            cluster.signal(name, signal.SIGCONT)
    assert (write.code, write.out) == (3, "")
    assert "unknown" in write.err or "no leader" in write.err.lower()
    assert "failed" not in write.err
    assert (read.code, read.out) == (3, "")
    assert stale.code == 0
    assert any(item["key"] == "a" for item in stale.json)
    assert status.code == 1
    assert [node["healthy"] for node in status.json if node["node"] in others] == [False, False]


def test_a_write_that_was_sent_and_not_answered_has_an_unknown_outcome(
    cluster: LocalCluster, raftzmq: Program, tmp_path: Path
) -> None:
    """The session is open before the followers pause, so that the write itself is in flight."""
    _, others = leader_and_others(raftzmq)
    shell = subprocess.Popen(
        [*PROGRAM, "client", "shell"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(RAFTZMQ_ENDPOINTS=cluster.endpoints),
    )
    try:
        assert shell.stdin is not None
        assert shell.stdout is not None
        shell.stdin.write("put a 1\n")
        shell.stdin.flush()
        assert shell.stdout.readline().startswith("index ")
        for name in others:
            cluster.signal(name, signal.SIGSTOP)
        out, err = shell.communicate("put a 2 --timeout 8\n", timeout=LIMIT_S)
    finally:
        for name in others:
            cluster.signal(name, signal.SIGCONT)
        shell.kill()
    assert out == ""
    assert "unknown" in err
    assert "failed" not in err


def test_up_changes_nothing_where_all_is_up(shared_cluster: LocalCluster) -> None:
    before = shared_cluster.pids()
    again = shared_cluster.up()
    assert again.code == 0
    assert "running already" in again.lines[0]
    assert shared_cluster.pids() == before


def test_up_ends_with_the_leader_three_commands_and_how_to_stop_it(
    shared_cluster: LocalCluster,
) -> None:
    lines = shared_cluster.up().lines
    assert any("leader raft-" in line for line in lines)
    assert f"  export RAFTZMQ_ENDPOINTS={shared_cluster.endpoints}" in lines
    for line, words in zip(
        lines[-4:],
        (
            "client put greeting hello",
            "client get greeting",
            "client status",
            f"local down --dir {shared_cluster.directory}",
        ),
        strict=True,
    ):
        assert line.endswith(words)


def test_local_status_has_the_process_ids(shared_cluster: LocalCluster) -> None:
    status = until_code(0, shared_cluster.status)
    assert {node["node"]: node["pid"] for node in status.json} == shared_cluster.pids()


@pytest.mark.proof
def test_data_outlives_down_and_goes_with_purge(tmp_path: Path) -> None:
    cluster = LocalCluster(tmp_path / "one", free_ports())
    try:
        assert cluster.up("--nodes", "1").code == 0
        environ = {"RAFTZMQ_ENDPOINTS": cluster.endpoints.split(",")[0]}
        assert execute(["client", "put", "kept", "value"], **environ).code == 0
        down = cluster.down()
        assert down.code == 0
        assert "stopped" in down.lines[0]
        assert "--purge" in down.lines[-1]
        assert execute(["local", "status", "--dir", str(cluster.directory)]).code == 3
        assert cluster.up().code == 0
        assert execute(["client", "get", "kept"], **environ).out == "value\n"
    finally:
        cluster.down("--purge")
    assert not cluster.directory.exists()


def test_a_taken_port_is_told_before_anything_is_started(tmp_path: Path) -> None:
    cluster = LocalCluster(tmp_path / "one", free_ports())
    with socket.create_server(("127.0.0.1", cluster.base_port)):
        up = cluster.up("--nodes", "1")
    assert (up.code, up.out) == (1, "")
    assert up.err.startswith(f"raftzmq: port {cluster.base_port} is taken; nothing was started: ")
    assert cluster.pids() == {}
    assert list(tmp_path.rglob("node.log")) == []
    assert list(tmp_path.rglob("cluster.json")) == []


def test_a_port_that_was_taken_since_is_told_from_the_nodes_log(
    tmp_path: Path, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = LocalCluster(tmp_path / "one", free_ports())
    monkeypatch.setattr(ports, "require_free", lambda *_, **__: None)
    with socket.create_server(("127.0.0.1", cluster.base_port)):
        up = program(*cluster.up_arguments, "--nodes", "1")
    cluster.down("--purge")
    assert up.code == 1
    assert up.lines[0].startswith("starting a local cluster of 1 node,")
    assert "raft-0 ended at once" in up.err
    assert str(cluster.base_port) in up.err.partition("node.log:")[2]


def test_an_interruption_ends_with_130_and_no_traceback(nobody: str) -> None:
    process = subprocess.Popen(
        [*PROGRAM, "client", "--endpoints", nobody, "--timeout", "60", "shell", "--keep-going"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("nonsense\n")
        process.stdin.flush()
        assert process.stderr is not None
        process.stderr.readline()  # it runs, and waits for the next line
        deadline = time.monotonic() + LIMIT_S
        while process.poll() is None and time.monotonic() < deadline:
            process.send_signal(signal.SIGINT)  # the first may only end what the shell still does
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.5)
        err = process.stderr.read()
    assert process.returncode == 130
    assert "Traceback" not in err


def ended(module: Path, text: str, *words: str) -> tuple[int, str]:
    """The exit code and stderr of a command that is interrupted where a module of its PYTHONPATH
    prints a line and waits for more on stdin."""
    module.write_text(text)
    with subprocess.Popen(
        [*PROGRAM, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(PYTHONPATH=str(module.parent)),
    ) as process:
        assert process.stdout is not None
        while (line := process.stdout.readline()) != "here\n":
            assert line, process.stderr
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=LIMIT_S)
    return process.returncode, err


def test_an_interruption_while_the_program_is_loaded_ends_with_130(tmp_path: Path) -> None:
    waits = "import os\nos.write(1, b'here\\n')\nos.read(0, 1)\n"
    assert ended(tmp_path / "typer.py", waits, "--version") == (130, "")


@pytest.mark.parametrize(("words", "code"), [(["--version"], 0), (["nonsense"], 2)])
def test_an_interruption_after_the_command_leaves_its_exit_code(
    tmp_path: Path, words: list[str], code: int
) -> None:
    """Python does not hear signals any more when it takes its modules down."""
    late = (
        "import os, sys\n"
        "class Late:\n"
        "    def __del__(self, write=os.write, read=os.read):\n"
        "        write(1, b'here\\n')\n"
        "        read(0, 1)\n"
        "sys.late = Late()\n"
    )
    assert ended(tmp_path / "sitecustomize.py", late, *words)[0] == code


def test_an_interrupted_wait_ends_at_once(nobody: str) -> None:
    process = subprocess.Popen(
        [*PROGRAM, "client", "--endpoints", nobody, "--timeout", "600", "check"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(PYTHONUNBUFFERED="1"),
    )
    with process:
        wait_until(lambda: len(list(Path(f"/proc/{process.pid}/task").iterdir())) > 1)
        started = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=LIMIT_S)
    assert time.monotonic() - started < 200
    assert process.returncode == 130
    assert "Traceback" not in err


def test_a_reader_that_goes_away_is_no_error(
    shared_cluster: LocalCluster, raftzmq: Program
) -> None:
    raftzmq("client", "put", "long", "x" * 100_000)
    process = subprocess.Popen(
        [*PROGRAM, "client", "get", "--prefix", ""],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(RAFTZMQ_ENDPOINTS=shared_cluster.endpoints),
    )
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        err = process.stderr.read()
        process.wait(timeout=LIMIT_S)
    assert err == b""
    assert process.returncode == 141


def test_reading_does_not_load_what_it_does_not_need(shared_cluster: LocalCluster) -> None:
    program = (
        "import sys; from raftzmq_cli.main import run; run(['client', 'get', 'a']); "
        "print(sorted({'pydantic', 'rich', 'asyncio', 'readline'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [PROGRAM[0], "-c", program],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        env=environment(RAFTZMQ_ENDPOINTS=shared_cluster.endpoints),
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_shell_completion_completes_commands() -> None:
    done = execute(
        [],
        _RAFTZMQ_COMPLETE="complete_bash",
        COMP_WORDS="raftzmq client st",
        COMP_CWORD="2",
    )
    assert done.out.split() == ["status", "stop"]
