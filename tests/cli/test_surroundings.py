"""Every command in whatever surroundings it may be started: users, homes, locales, terminals."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from raftzmq import Client
from raftzmq_cli.common.escaping import escaped
from raftzmq_cli.local import processes, running
from tests.amounts import sample
from tests.cli.conftest import LocalCluster, environment
from tests.cli.forked_program import Environ, ForkedProgram, Seen, forked_program
from tests.cli.hostile import is_safe
from tests.cli.test_output import READS, WRITES
from tests.cli.test_usage import commands
from tests.system.ports import free_ports

pytestmark = pytest.mark.system

NOBODY: Final = 54_321
"""A user who is in no list of users."""


@dataclass(frozen=True)
class Surroundings:
    """`locale`: variables that Python looks at when it starts; `columns`: of a terminal."""

    environ: Environ = field(default_factory=dict)
    locale: tuple[tuple[str, str], ...] = (("LC_ALL", "C.UTF-8"),)
    user: int | None = None
    columns: int | None = None


def terminal(columns: int = 80, **environ: str | None) -> Surroundings:
    return Surroundings({"TERM": "xterm", "NO_COLOR": None, **environ}, columns=columns)


SURROUNDINGS: Final = {
    "no HOME": Surroundings({"HOME": None}),
    "no entry in passwd": Surroundings({"HOME": None}, user=NOBODY),
    "no entry in passwd, a terminal": Surroundings(
        {"HOME": None, "TERM": "dumb"}, user=NOBODY, columns=80
    ),
    "read-only HOME": Surroundings({"HOME": "/proc", "TERM": "dumb"}, columns=80),
    "LANG=C": Surroundings(locale=(("LANG", "C"),)),
    "LC_ALL=C": Surroundings(locale=(("LC_ALL", "C"),)),
    "LC_ALL=POSIX": Surroundings(locale=(("LC_ALL", "POSIX"),)),
    "ASCII alone": Surroundings(
        locale=(("LC_ALL", "C"), ("PYTHONCOERCECLOCALE", "0"), ("PYTHONUTF8", "0"))
    ),
    "a strict encoding": Surroundings(locale=(("PYTHONIOENCODING", "utf-8:strict"),)),
    "bytes in the environment": Surroundings(
        dict.fromkeys(
            ("HOME", "XDG_STATE_HOME", "COLUMNS", "LINES", "USER", "TERM", "GREETING"), b"\xff"
        )
    ),
    "20 columns": terminal(20),
    "80 columns": terminal(80),
    "NO_COLOR": terminal(NO_COLOR="1"),
    "TERM=dumb": terminal(TERM="dumb"),
    "no TERM": terminal(TERM=None),
    "FORCE_COLOR, no terminal": Surroundings({"FORCE_COLOR": "1", "CLICOLOR_FORCE": "1"}),
}
ANIMATED: Final = ("20 columns", "80 columns")
"""Where a benchmark shows how far it is."""
EACH: Final = 4
"""A command is tried in so many of the surroundings, another four than the next command: all of
them would be two thousand runs, and what goes wrong does so for more than one command."""

Run = Callable[..., Seen]


def met(commands: Sequence[str]) -> list[tuple[str, str]]:
    """Each command with the surroundings that it is tried in, so that all meet as many."""
    names = list(SURROUNDINGS)
    apart = len(names) // EACH
    return [
        (names[(place + k * apart) % len(names)], command)
        for place, command in enumerate(commands)
        for k in range(EACH)
    ]


@pytest.fixture(scope="module")
def endpoints(shared_cluster: LocalCluster) -> Iterator[str]:
    """The endpoints of the session's cluster, which has no keys afterwards."""
    yield shared_cluster.endpoints
    with Client(shared_cluster.endpoints.split(",")) as db:
        db.delete_prefix("")


@pytest.fixture(scope="module")
def run_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Seen]]:
    """Run the program in surroundings of a name; one process is started for each locale."""
    loaded: dict[tuple[tuple[str, str], ...], ForkedProgram] = {}
    home = str(tmp_path_factory.mktemp("home"))
    kept = environment(HOME=home, XDG_STATE_HOME="")
    for name in list(kept):
        if name.startswith(("LC_", "PYTHON")) or name in ("LANG", "MINOMBREPOD", "FORCE_COLOR"):
            del kept[name]

    with ExitStack() as stack:

        def run(name: str, *words: str, stdin: bytes = b"", **environ: str) -> Seen:
            where = SURROUNDINGS[name]
            if where.user is not None and os.geteuid() != 0:
                pytest.skip("only root can be another user")
            if where.locale not in loaded:
                started = forked_program({**kept, **dict(where.locale)})
                loaded[where.locale] = stack.enter_context(started)
            seen = loaded[where.locale](
                *words,
                environ={**where.environ, **environ},
                user=where.user,
                columns=where.columns,
                stdin=stdin,
            )
            assert b"Traceback" not in seen.out + seen.err, seen
            return seen

        yield run


def without_layout(text: str) -> str:
    return "".join(text.split())


@pytest.mark.parametrize(("name", "command"), sample(met(["", *commands()]), 8))
def test_help_and_wrong_usage_are_the_same_everywhere(
    name: str, command: str, run_in: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    from raftzmq_cli.main import run

    words = command.split()
    run([*words, "--help"])
    usual = capfd.readouterr().out
    shown = run_in(name, *words, "--help")
    assert shown.code == 0
    assert shown.said == ""
    assert is_safe(shown.text)
    assert without_layout(shown.text) == without_layout(usual), "nothing is cut off"
    if command == "up":
        return  # what it does not know is for the commands that it runs
    wrong = run_in(name, *words, "--\udcff")
    told = wrong.said or wrong.text
    assert wrong.code == 2
    assert told.count("\n") == 1, "one line"
    assert r"--\xff" in told or "NAME-ORDINAL" in told
    assert is_safe(told)


@pytest.mark.parametrize(("name", "command"), sample(met([*READS, *WRITES]), 8))
def test_every_command_does_its_work_everywhere(
    name: str, command: str, run_in: Run, endpoints: str
) -> None:
    line = (READS | WRITES)[command]
    with Client(endpoints.split(",")) as db:
        revision = db.put("a", "grün").revision
        line = line.replace("--from 1", f"--from {revision}")
        if "sem" in line:
            db.resize(line.split()[2], 4)
            db.signal(line.split()[2])
        line = line.format(lease=db.lease_grant(60) if "{lease}" in line else None)
        environ = {"RAFTZMQ_ENDPOINTS": endpoints}
        for output in ("simple", "table", "json"):
            words = ["client", "-w", output, *shlex.split(line)]
            if output != "simple" and ("keep" in line or "sem" in line or "revoke" in line):
                continue  # not twice
            seen = run_in(name, *words, stdin=b"get a\nexit\n", **environ)
            # What ails this machine just now is not what is asked here.
            assert seen.code == 0 or (command == "doctor" and seen.code == 1), seen
            if command == "bench" and name in ANIMATED:
                assert b"\x1b[" in seen.out, "a bar"
            else:
                assert is_safe(seen.text)
                assert is_safe(seen.said)
            if command in ("get", "scan", "watch", "dump", "export", "shell"):
                assert "grün" in seen.text


@pytest.mark.parametrize("name", sample(list(SURROUNDINGS), 2))
def test_what_needs_no_cluster_ends_as_everywhere(name: str, run_in: Run) -> None:
    for line, code, lines in (
        ("--version", 0, 1),
        ("node raft-x", 2, 1),
        ("client get a --endpoints nowhere", 2, 1),
        ("client get a -w json --endpoints \udcff", 2, 1),
        ("client put a @/no/\udcff", 2, 1),
        ("client lock \udcff -- true", 2, 1),
        ("client txn --then 'put \udcff 1'", 2, 1),
        ("nonsense\udcff", 2, 1),
    ):
        seen = run_in(name, *shlex.split(line))
        told = seen.text + seen.said
        assert (seen.code, told.count("\n")) == (code, lines), (line, seen)
        assert is_safe(told)
    for verb, code in (("status", 3), ("down", 0)):
        seen = run_in(name, "local", verb, "--dir", "/no/\udcff")
        assert seen.code == code
        assert is_safe(seen.text + seen.said)
        assert r"/no/\xff" in seen.text + seen.said


@pytest.mark.parametrize(
    "name", ["no entry in passwd, a terminal", "read-only HOME", "80 columns", "TERM=dumb"]
)
def test_the_shell_keeps_its_history_where_it_can(
    name: str, run_in: Run, endpoints: str, tmp_path: Path
) -> None:
    environ = {"RAFTZMQ_ENDPOINTS": endpoints}
    if name == "80 columns":
        environ["XDG_STATE_HOME"] = str(tmp_path)
    seen = run_in(name, "client", "shell", stdin=b"put k there\nget k\nexit\n", **environ)
    assert seen.code == 0
    assert seen.text.splitlines()[-2] == "raftzmq> there"
    assert (tmp_path / "raftzmq" / "history").exists() is (name == "80 columns")


def test_completion_is_installed_for_nobody_without_a_home(run_in: Run) -> None:
    seen = run_in("no entry in passwd", "--install-completion", "bash")
    assert seen.code == 2
    assert seen.said == "raftzmq: this user has no home directory: set HOME\n"


def test_whatever_others_have_in_their_directories_harms_nobody(
    run_in: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "node.pid").write_bytes(b"\xff")
    with subprocess.Popen(["sleep", "60"], cwd=tmp_path) as other:
        try:
            assert run_in("LC_ALL=C", "local", "status", "--dir", "/no/where").code == 3
        finally:
            other.kill()
    theirs = processes.LocalCluster(Path("/tmp/a\nb\x1b[31m"), 3, 6000)
    monkeypatch.setattr(running, "clusters", lambda: [theirs])
    (line,) = running.elsewhere([])
    assert line == escaped(line)


@pytest.mark.proof
def test_a_cluster_is_started_and_stopped_in_poor_surroundings(run_in: Run, tmp_path: Path) -> None:
    where = ["--dir", str(tmp_path / "ä")]
    for name in ("no HOME", "LC_ALL=C", "TERM=dumb"):
        up = ["--nodes", "1", "--base-port", str(free_ports()), "--wait", "200"]
        assert run_in(name, "local", "up", *where, *up).code == 0
        assert run_in(name, "local", "status", *where).code == 0
        assert run_in(name, "local", "down", *where, "--purge").code == 0
