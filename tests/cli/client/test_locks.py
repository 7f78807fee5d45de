"""lock, elect and sem against three real nodes: who holds, with which exit code it ends."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest

from raftzmq import Client
from tests.cli.conftest import LIMIT_S, PROGRAM, LocalCluster, Program, Result, environment

pytestmark = pytest.mark.system

SAY = 'echo "$RAFTZMQ_LOCK_NAME $RAFTZMQ_LOCK_TOKEN"'


@pytest.fixture
def db(shared_cluster: LocalCluster) -> Iterator[Client]:
    with Client(shared_cluster.endpoints) as client:
        yield client


class Background:
    """The program as a process, whose COMMAND says on stdout that it runs."""

    def __init__(self, endpoints: str, *words: str) -> None:
        self.process = subprocess.Popen(
            [*PROGRAM, "client", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(RAFTZMQ_ENDPOINTS=endpoints),
        )

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def end(self) -> Result:
        out, err = self.process.communicate(timeout=LIMIT_S)
        return Result(self.process.returncode, out, err)

    def kill(self) -> None:
        self.process.kill()
        for pipe in (self.process.stdout, self.process.stderr):
            _close(pipe)
        self.process.wait()


def _close(pipe: IO[str] | None) -> None:
    if pipe is not None:
        pipe.close()


Start = Callable[..., Background]


@pytest.fixture
def start(shared_cluster: LocalCluster) -> Iterator[Start]:
    started: list[Background] = []

    def begin(*words: str) -> Background:
        started.append(Background(shared_cluster.endpoints, *words))
        return started[-1]

    yield begin
    for one in started:
        one.kill()


def described(raftzmq: Program, *words: str) -> tuple[int, int]:
    """How many hold and wait."""
    document = raftzmq("client", *words, "-w", "json").json
    assert document["held"] == len(document["holders"])
    return document["held"], document["waiting"]


def test_command_runs_with_the_lock_and_its_exit_code_is_returned(raftzmq: Program) -> None:
    tokens = []
    for code in (0, 7):
        done = raftzmq("client", "lock", "nightly", "--", "sh", "-c", f"{SAY}; exit {code}")
        assert (done.code, done.err) == (code, "")
        name, token = done.out.split()
        assert name == "nightly"
        tokens.append(int(token))
    assert 0 < tokens[0] < tokens[1]
    assert described(raftzmq, "lock", "nightly", "--describe") == (0, 0)


def test_words_behind_the_dashes_are_commands_own(raftzmq: Program) -> None:
    done = raftzmq("client", "lock", "nightly", "--", "echo", "--ttl", "-w", "json", "--", "x")
    assert done == Result(0, "--ttl -w json -- x\n", "")


def test_a_lock_that_others_hold_is_not_had_in_time(raftzmq: Program, db: Client) -> None:
    with db.lock("taken"):
        for limit in ("0", "0.2"):
            done = raftzmq("client", "lock", "taken", "--timeout", limit, "--", "echo", "ran")
            assert (done.code, done.out, done.err.count("\n")) == (3, "", 1)
            assert "COMMAND was not run" in done.err
        assert described(raftzmq, "lock", "taken", "--describe") == (1, 0)


def test_the_lock_is_free_again_when_command_cannot_be_run(raftzmq: Program) -> None:
    done = raftzmq("client", "lock", "nightly", "--", "no-such-command")
    assert (done.code, done.err.count("\n")) == (127, 1)
    assert described(raftzmq, "lock", "nightly", "--describe") == (0, 0)


def test_a_write_with_a_fence_is_done_only_while_the_token_holds(
    raftzmq: Program, db: Client
) -> None:
    writes = [
        ["put", "fenced", "1"],
        ["put", "fenced", "1", "--ttl", "60"],
        ["txn", "--then", "put fenced 2"],
        ["delete", "fenced"],
    ]
    with db.lock("fence:with:colons") as held:
        fence = f"{held.name}:{held.token}"
        for words in writes:
            assert raftzmq("client", *words, "--fence", fence).code == 0
        both = ("--fence", fence, "--fence", f"other:{held.token}")
        assert raftzmq("client", "put", "fenced", "1", *both).code == 4
    for words in writes:
        done = raftzmq("client", *words, "--fence", fence)
        assert (done.code, done.out, done.err.count("\n")) == (4, "", 1)
    assert raftzmq("client", "get", "fenced", "-w", "json").json == []


def test_a_killed_holders_command_is_ended_and_the_lock_is_anothers(
    raftzmq: Program, start: Start
) -> None:
    script = f"trap 'echo told; exit' TERM; {SAY}; while :; do sleep 0.05; done"
    holder = start("lock", "killed", "--ttl", "1", "--", "sh", "-c", script)
    token = int(holder.line().split()[1])
    holder.process.kill()
    assert holder.end().out == "told\n"  # and nobody has the pipe open any more
    done = raftzmq("client", "lock", "killed", "--", "sh", "-c", SAY)
    assert done.code == 0
    assert int(done.out.split()[1]) > token


def test_command_is_ended_when_the_lock_is_lost(raftzmq: Program, start: Start) -> None:
    script = f"trap 'echo told; exit 9' TERM; {SAY}; while :; do sleep 0.05; done"
    holder = start("lock", "paused", "--ttl", "1", "--", "sh", "-c", script)
    holder.line()
    holder.process.send_signal(signal.SIGSTOP)
    assert raftzmq("client", "lock", "paused", "--", "true").code == 0
    holder.process.send_signal(signal.SIGCONT)
    done = holder.end()
    assert (done.code, done.out) == (4, "told\n")
    assert "'paused' was lost" in done.err.splitlines()[-1]


def test_a_signal_ends_command_and_then_the_lock_is_free(raftzmq: Program, start: Start) -> None:
    script = f"trap 'exit 9' TERM; {SAY}; while :; do sleep 0.05; done"
    holder = start("lock", "ended", "--ttl", "600", "--", "sh", "-c", script)
    holder.line()
    holder.process.send_signal(signal.SIGTERM)
    assert holder.end().code == 9
    assert described(raftzmq, "lock", "ended", "--describe") == (0, 0)


def test_one_that_waits_leaves_the_line_when_it_is_ended(
    raftzmq: Program, db: Client, start: Start
) -> None:
    with db.lock("line"):
        waiter = start("lock", "line", "--ttl", "600", "--", "true")
        while described(raftzmq, "lock", "line", "--describe") != (1, 1):
            assert waiter.process.poll() is None
        waiter.process.send_signal(signal.SIGTERM)
        assert waiter.end() == Result(128 + signal.SIGTERM, "", "")
        assert described(raftzmq, "lock", "line", "--describe") == (1, 0)


def test_a_place_says_whose_it_is(raftzmq: Program, db: Client, start: Start) -> None:
    lock = ("lock", "lock", "owned")
    permit = ("semaphore", "sem", "run", "owned", "-n", "1")
    for kind, *words in (lock, permit):
        holder = start(*words, "--owner", "the report", "--", "sh", "-c", "echo runs; sleep 600")
        assert holder.line() == "runs"
        queue = db.describe(kind, "owned")
        assert queue is not None
        assert [place.value for place in queue.holders] == ["the report"]
        holder.process.send_signal(signal.SIGINT)
        assert holder.end().code == 128 + signal.SIGINT
    wait = ("client", "sem", "wait", "kept", "-n", "1", "--ttl", "600", "--owner", "the report")
    assert raftzmq(*wait).code == 0
    queue = db.describe("semaphore", "kept")
    assert queue is not None
    assert [place.value for place in queue.holders] == ["the report"]
    plain = raftzmq("client", "sem", "wait", "jobs", "--plain", "--owner", "me")
    assert (plain.code, plain.err.count("\n")) == (2, 1)


def test_a_leader_is_seen_with_its_term_and_value(raftzmq: Program, start: Start) -> None:
    script = 'echo "$RAFTZMQ_ELECTION_NAME $RAFTZMQ_ELECTION_TOKEN"; sleep 600'
    elected = start("elect", "chief", "--value", "me:1", "--", "sh", "-c", script)
    name, term = elected.line().split()
    assert name == "chief"
    words = ("client", "elect", "chief", "--observe", "--limit", "1")
    assert raftzmq(*words).out == f"{term}\tme:1\n"
    document = {"name": "chief", "term": int(term), "value": "me:1"}
    assert raftzmq(*words, "-w", "json").json == document
    elected.process.send_signal(signal.SIGINT)
    assert elected.end().code == 128 + signal.SIGINT
    assert described(raftzmq, "elect", "chief", "--describe") == (0, 0)


def test_permits_are_held_while_command_runs(raftzmq: Program, db: Client) -> None:
    script = 'echo "$RAFTZMQ_SEMAPHORE_NAME"; test "$RAFTZMQ_SEMAPHORE_TOKEN" -gt 0'
    run = ("client", "sem", "run", "api", "-n", "3", "--permits", "2")
    assert raftzmq(*run, "--", "sh", "-c", script) == Result(0, "api\n", "")
    with db.semaphore("api", count=2):
        assert raftzmq(*run, "--timeout", "0", "--", "true").code == 3
    assert raftzmq("client", "sem", "run", "api", "-n", "4", "--", "true").code == 2
    assert raftzmq("client", "sem", "run", "api", "--permits", "4", "--", "true").code == 2
    assert raftzmq("client", "sem", "run", "none", "--", "true").code == 4


def test_permits_are_waited_for_and_signalled_by_token(raftzmq: Program) -> None:
    lease = raftzmq("client", "lease", "grant", "--ttl", "600").out.strip()
    wait = ("client", "sem", "wait", "slots", "-n", "2", "-w", "json")
    first = raftzmq(*wait, "--lease", lease, "--permits", "2").json
    assert set(first) == {"name", "token", "permits", "lease", "ttl_s"}
    assert (first["lease"], first["ttl_s"]) == (int(lease), 600)
    assert raftzmq(*wait, "--ttl", "600", "--timeout", "0").code == 3
    (holder,) = raftzmq("client", "sem", "describe", "slots", "-w", "json").json["holders"]
    place = {"token": first["token"], "lease": int(lease), "permits": 2, "value": None}
    assert holder == place
    token = str(first["token"])
    assert raftzmq("client", "sem", "signal", "slots", "--token", token).code == 0
    assert raftzmq("client", "sem", "signal", "slots", "--token", token).code == 4
    second = raftzmq(*wait, "--ttl", "600").json
    assert raftzmq("client", "sem", "forget", "slots").code == 4
    assert raftzmq("client", "lease", "revoke", str(second["lease"])).code == 0
    assert raftzmq("client", "sem", "resize", "slots", "5").code == 0
    assert raftzmq("client", "queues", "sl", "-w", "json").json == [
        {"kind": "semaphore", "name": "slots", "capacity": 5, "held": 0, "waiting": 0}
    ]
    assert raftzmq("client", "sem", "forget", "slots").code == 0
    assert raftzmq("client", "sem", "describe", "slots").code == 1


def test_of_the_plain_kind_anybody_may_add_permits(raftzmq: Program) -> None:
    assert raftzmq("client", "sem", "signal", "jobs", "--plain", "--permits", "2").code == 0
    wait = ("client", "sem", "wait", "jobs", "--plain", "-w", "json")
    assert set(raftzmq(*wait, "--permits", "2").json) == {"name", "token", "permits"}
    assert raftzmq(*wait, "--timeout", "0").code == 3
    document = raftzmq("client", "sem", "describe", "jobs", "--plain", "-w", "json").json
    assert (document["kind"], document["free"]) == ("counter", 0)


def test_in_the_shell_it_is_all_there(raftzmq: Program, tmp_path: Path) -> None:
    lines = [
        "lock a -- echo with the lock",
        "lock a -- cat",
        "lock a --describe",
        "sem run b -n 1 -- echo with a permit",
        "elect c -- echo elected",
        "queues --kind semaphore b",
        "lease list",
        "put a 1 --ttl 60",
        "watch a --from 1 --limit 1",
        "lock a -- sh -c 'exit 3'",
    ]
    done = raftzmq("client", "shell", stdin="\n".join(lines).encode())
    assert (done.code, done.err) == (3, "")  # COMMAND's, with which the script ends
    for words in ("with the lock", "with a permit", "elected", "put\ta\t"):
        assert words in done.out
