"""examples/postgres_fence.py, with a real PostgreSQL server and holders that stand still."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.cli.conftest import LIMIT_S, LocalCluster, environment
from tests.cli.postgres import postgres, programs
from tests.cli.test_examples import EXAMPLES

EXAMPLE = EXAMPLES / "postgres_fence.py"
FENCE = " AND token <= %(token)s"

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def dsn() -> Iterator[str]:
    where = programs()
    if where is None:
        pytest.skip("there is no PostgreSQL: install Debian's package postgresql")
    with postgres(where) as dsn, psycopg.connect(dsn, autocommit=True) as database:
        (table,) = re.findall(r"CREATE TABLE .*", EXAMPLE.read_text())
        database.execute(table)
        yield dsn


class Stock:
    """One item, and the processes that restock it. Used as a context, it leaves none behind."""

    def __init__(self, program: Path, cluster: LocalCluster, dsn: str, item: str) -> None:
        self._words = [sys.executable, str(program), dsn, item]
        self._environment = environment(RAFTZMQ_ENDPOINTS=cluster.endpoints)
        self._item = item
        self._database = psycopg.connect(dsn, autocommit=True)
        self._database.execute("INSERT INTO stock (item, count) VALUES (%s, 100)", [item])
        self._processes: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Stock:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.kill()
            process.communicate()
        self._database.close()

    def begin(self) -> tuple[subprocess.Popen[str], int]:
        """One that has read what is on stock, and its token."""
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            self._words, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=self._environment
        )
        self._processes.append(process)
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.fullmatch(r"100 on stock, under token (\d+)\n", line)
        assert found, (line, process.poll() and process.communicate()[1])
        return process, int(found[1])

    def end(self, process: subprocess.Popen[str], delivery: int) -> tuple[int, str, str]:
        """How one ends that is given this delivery."""
        out, err = process.communicate(f"{delivery}\n", timeout=LIMIT_S)
        return process.returncode, out, err

    @property
    def count(self) -> int:
        row = self._database.execute(
            "SELECT count FROM stock WHERE item = %s", [self._item]
        ).fetchone()
        assert row is not None
        return int(row[0])


def without_fence(directory: Path) -> Path:
    """The same program, but for the fence."""
    text = EXAMPLE.read_text()
    assert text.count(FENCE) == 2
    program = directory / "unfenced.py"
    program.write_text(text.replace(FENCE, ""))
    return program


@pytest.mark.parametrize("fenced", [True, False])
def test_who_stood_still_beyond_the_lock_writes_nothing(
    shared_cluster: LocalCluster, dsn: str, tmp_path: Path, fenced: bool
) -> None:
    program = EXAMPLE if fenced else without_fence(tmp_path)
    with Stock(program, shared_cluster, dsn, f"nails-{fenced}") as stock:
        first, before = stock.begin()
        first.send_signal(signal.SIGSTOP)
        second, after = stock.begin()  # once the lock of the first has ended
        assert after > before
        assert stock.end(second, 3) == (0, "103 on stock now\n", "")
        first.send_signal(signal.SIGCONT)
        code, _, err = stock.end(first, 5)
        assert code == 1
        if fenced:
            assert f"refused under token {before}, nothing was written" in err
            assert stock.count == 103
        else:  # the three are lost, and its lock's loss is told when it is too late
            assert "LeaseExpired" in err
            assert stock.count == 105


def test_nor_while_the_next_holder_is_still_at_work(shared_cluster: LocalCluster, dsn: str) -> None:
    with Stock(EXAMPLE, shared_cluster, dsn, "screws") as stock:
        first, before = stock.begin()
        first.send_signal(signal.SIGSTOP)
        second, _ = stock.begin()
        first.send_signal(signal.SIGCONT)
        code, _, err = stock.end(first, 5)
        assert (code, stock.count) == (1, 100)
        assert f"refused under token {before}, nothing was written" in err
        assert stock.end(second, 3) == (0, "103 on stock now\n", "")
