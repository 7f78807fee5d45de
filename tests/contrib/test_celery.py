"""Celery's beat with failover, and exclusive tasks."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from celery.signals import task_retry

from raftzmq import Client, Fenced, InvalidRequest, LeaseExpired, NotAcquired, NotHeld
from raftzmq.contrib.celery import Scheduler, exclusive, held_lock
from tests.amounts import amount
from tests.contrib import suites
from tests.contrib.rivals import Inside, Rivals
from tests.sim.story import ROOT
from tests.system.processes import wait_for

pytestmark = pytest.mark.system


@pytest.fixture
def app(client: Client, endpoints: str) -> Iterator[Celery]:
    with Celery("tested", broker="memory://", set_as_current=True) as app:
        app.conf.raftzmq_endpoints = endpoints
        app.conf.beat_schedule = {
            "job": {"task": "job", "schedule": timedelta(hours=1)},
        }
        yield app


class Sending(Scheduler):
    """Notes what it would send."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.sent: list[str] = []
        super().__init__(*args, **kwargs)

    def send_task(self, name: str, *args: Any, **options: Any) -> Any:
        self.sent.append(name)
        return self.app.AsyncResult("1")


def stored(client: Client) -> Any:
    item = client.get("celery/beat/job")
    return item and json.loads(item.value)


def make_due(scheduler: Scheduler) -> None:
    """As if it had run long ago; the state in the cluster says the same."""
    entry = scheduler.schedule["job"]
    entry.last_run_at -= timedelta(hours=2)
    scheduler._note(entry)
    scheduler._heap = None


# -- beat -----------------------------------------------------------------------------------------


def test_a_run_is_noted_and_the_next_beat_goes_on_from_there(app: Celery, client: Client) -> None:
    one, two = Sending(app), Sending(app)
    assert one.tick() > 0  # not due yet
    _, count = stored(client)
    assert count == 0
    make_due(one)
    assert one.tick() == 0
    assert (one.sent, stored(client)[1]) == (["job"], 1)
    one.close()
    assert two.tick() > 0  # it is not due again
    entry = two.schedule["job"]
    assert (entry.total_run_count, entry.last_run_at.isoformat()) == (1, stored(client)[0])
    two.close()


def test_while_one_beat_sends_no_other_does(
    app: Celery, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = Sending(app), Sending(app)
    one.tick()
    make_due(one)
    monkeypatch.setattr("raftzmq.contrib.celery.WAIT_S", 0.01)
    assert two.tick() == 0
    assert not two.sent
    one.close()
    wait_for("the other sends", lambda: two.tick() == 0 and bool(two.sent))
    assert two.sent == ["job"]
    two.close()


def test_a_beat_that_has_lost_its_lock_neither_notes_nor_sends(app: Celery, client: Client) -> None:
    one = Sending(app)
    one.tick()
    make_due(one)
    before = stored(client)
    token = one.lock.token
    client.release("lock", "celery/beat", token)  # it does not know yet
    with client.lock("celery/beat"):
        assert one.tick() == 1.0
        assert (one.sent, stored(client)) == ([], before)
        with pytest.raises(Fenced):
            client.put("celery/beat/job", "late", fence=("celery/beat", token))
    wait_for("it has the lock anew, and sends", lambda: one.tick() == 0 and bool(one.sent))
    one.close()


def test_nothing_is_asked_of_the_cluster_before_the_first_tick() -> None:
    app = Celery("elsewhere", broker="memory://", set_as_current=False)
    app.conf.raftzmq_endpoints = "127.0.0.1:1"
    scheduler = Scheduler(app, lazy=True)
    assert "beat" in scheduler.info
    scheduler.close()


class Beats:
    """Processes of `celery beat`. Used as a context, it leaves none behind."""

    def __init__(self, endpoints: str, directory: Path, namespace: str) -> None:
        self.queue = directory / "queue"
        self.queue.mkdir()
        self._output = directory / "output"
        self._environment = {
            **os.environ,
            "RAFTZMQ_TEST_ENDPOINTS": endpoints,
            "RAFTZMQ_TEST_QUEUE": str(self.queue),
            "RAFTZMQ_TEST_NAMESPACE": namespace,
        }
        self.processes: dict[int, subprocess.Popen[bytes]] = {}

    def start(self) -> int:
        words = [sys.executable, "-m", "celery", "-A", "tests.contrib.beats", "beat"]
        with self._output.open("ab") as output:
            process = subprocess.Popen(
                [*words, "--pidfile=", "-l", "info"],
                cwd=ROOT,
                env=self._environment,
                stdout=output,
                stderr=output,
            )
        self.processes[process.pid] = process
        return process.pid

    def end(self, pid: int, number: signal.Signals) -> None:
        self.processes[pid].send_signal(number)
        self.processes.pop(pid).wait(60)

    def __enter__(self) -> Beats:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait()
        if kind is not None:
            print(self._output.read_text()[-6000:])

    def sent(self) -> list[tuple[str, int]]:
        """Entry and number of each message, as the broker has it."""
        found = []
        for path in self.queue.glob("*.msg"):
            with suppress(json.JSONDecodeError):  # it is being written, or its beat died in that
                message = json.loads(path.read_text())
                args, _, _ = json.loads(base64.b64decode(message["body"]))
                found.append((args[0], args[1]))
        return found

    def wait_for_more(self, count: int) -> None:
        before = len(self.sent())
        wait_for("some more are sent", lambda: len(self.sent()) >= before + count)


@pytest.mark.proof
def test_each_run_is_sent_once_while_beats_are_killed(
    client: Client, endpoints: str, tmp_path: Path
) -> None:
    kills = amount(3, 8)

    def sender() -> int | None:
        queue = client.describe("lock", "killed/beat")
        return int((queue.holders[0].value or "").rpartition(":")[2]) if queue else None

    with Beats(endpoints, tmp_path, "killed/") as beats:
        for _ in range(2):
            beats.start()
        for kill in range(kills):
            pid = wait_for("another sends", lambda: (s := sender()) in beats.processes and s)
            beats.wait_for_more(3)
            beats.end(pid, signal.SIGTERM if kill % 4 == 3 else signal.SIGKILL)
            beats.start()
        beats.wait_for_more(6)
    counts = Counter(beats.sent())
    assert [run for run, count in counts.items() if count > 1] == []
    noted = {
        item.key.rpartition("/")[2]: json.loads(item.value)[1]
        for item in client.prefix("killed/beat/")
    }
    missing = {
        (name, number) for name, count in noted.items() for number in range(count)
    } - counts.keys()
    # Noted and not sent: at most the run that a beat died in, here with all of its entries.
    assert len(missing) <= kills
    print(f"{sum(counts.values())} sent, {len(missing)} left out in {kills} kills")


# -- exclusive tasks ------------------------------------------------------------------------------


def test_a_task_runs_alone_with_its_arguments(app: Celery, client: Client) -> None:
    runs = []

    @app.task  # type: ignore[untyped-decorator]
    @exclusive()
    def work(number: int, name: str = "a") -> str:
        runs.append(number)
        client.put("result", name, fence=held_lock())
        again = work(number), work(number, "b")  # the same, and another
        return f"{name} {again if name == 'a' else ''}"

    @app.task  # type: ignore[untyped-decorator]
    @exclusive("work-{number}")
    def named(number: int) -> bool:
        return client.describe("lock", f"celery/work-{number}") is not None

    assert work(7) == "a (None, 'b ')"
    assert (runs, named(number=3)) == ([7, 7], True)
    with pytest.raises(TypeError):
        work.apply_async(())  # Celery checks calls by the function's own parameters
    with pytest.raises(NotHeld):
        held_lock()


def test_a_task_that_does_not_get_its_lock_is_tried_again(app: Celery, client: Client) -> None:
    @app.task  # type: ignore[untyped-decorator]
    @exclusive("one", otherwise="retry", countdown=30)
    def work() -> int:
        return 1

    with client.lock("celery/one"):
        with pytest.raises(NotAcquired):
            work()
        tries: list[Any] = []

        def note(reason: Any, **_: Any) -> None:
            tries.append(reason.when)

        task_retry.connect(note)
        result = work.apply()  # with its retries, at once
        assert isinstance(result.result, NotAcquired)
        assert tries == [30] * work.max_retries
    wait_for("it is free", lambda: client.describe("lock", "celery/one") is None)
    assert work() == 1


def test_a_task_that_loses_its_lock_fails(app: Celery, client: Client) -> None:
    @app.task  # type: ignore[untyped-decorator]
    @exclusive("lost", ttl=0.5)
    def work() -> None:
        lock = held_lock()
        queue = client.describe("lock", "celery/lost")
        assert queue is not None
        client.lease_revoke(queue.holders[0].lease)
        wait_for("it is told", lambda: not lock.held)

    with pytest.raises(LeaseExpired):
        work()


def test_a_wrong_placeholder_is_told_when_the_task_is_made() -> None:
    with pytest.raises(InvalidRequest, match="nobody"):
        exclusive("work-{nobody}")(lambda number: None)
    with pytest.raises(InvalidRequest, match="skip or retry"):
        exclusive(otherwise="wait")  # type: ignore[arg-type]


def work_alone(endpoints: str, inside: Inside) -> None:
    """A rival."""
    app = Celery("rival", set_as_current=True)
    app.conf.raftzmq_endpoints = endpoints
    exclusive("rival", wait=60, ttl=1)(inside.__call__)()


@pytest.mark.proof
def test_no_two_run_though_workers_are_killed(endpoints: str, tmp_path: Path) -> None:
    with Rivals(f"{__name__}:work_alone", endpoints, tmp_path) as rivals:
        for _ in range(4):
            rivals.kill_holder()
        rivals.check()


# -- Celery's own tests of beat -------------------------------------------------------------------

PLUGIN = """
import os
import uuid

import pytest
from celery import beat

from raftzmq import contrib
from raftzmq.contrib.celery import Scheduler


class OwnLock(Scheduler):
    # A test has several schedulers that all send, so each is the only one of its namespace.
    def __init__(self, app, *args, **kwargs):
        app.conf.raftzmq_endpoints = os.environ["ENDPOINTS"]
        app.conf.raftzmq_namespace = f"suite/{uuid.uuid4()}/"
        super().__init__(app, *args, **kwargs)
        if not kwargs.get("lazy"):
            self._lead()  # for the tests that arrange the heap


beat.Scheduler = OwnLock


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown():
    # The suite asks that no thread is left.
    while contrib._clients:
        contrib._clients.popitem()[1].close()
"""

# It asks whether a PersistentScheduler is a beat.Scheduler, which is another class here.
EXCEPTION = "t/unit/app/test_beat.py::test_Service::test_start"


@pytest.mark.proof
def test_the_suite_of_celerys_beat(client: Client, endpoints: str, tmp_path: Path) -> None:
    source = suites.source_of("celery", tmp_path)
    source.joinpath("raftzmq_beat.py").write_text(PLUGIN)
    options = ("-p", "raftzmq_beat", "-p", "no:cacheprovider", "-o", "addopts=", "-W", "default")
    said = suites.run(
        ["-m", "pytest", "-q", *options, "t/unit/app/test_beat.py", "--deselect", EXCEPTION],
        source,
        ENDPOINTS=endpoints,
    )
    assert int(re.findall(r"(\d+) passed", said)[0]) > 150
