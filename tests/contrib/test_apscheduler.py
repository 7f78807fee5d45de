"""A job of APScheduler that several schedulers have, and one runs."""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.schedulers.blocking import BlockingScheduler

from raftzmq import Client, InvalidRequest, OutcomeUnknown
from raftzmq.contrib.apscheduler import RaftzmqExecutor
from tests.amounts import amount
from tests.contrib import suites
from tests.contrib.rivals import Inside, Rivals
from tests.sim.story import ROOT
from tests.system.processes import wait_for

pytestmark = pytest.mark.system

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def executor(client: Client, endpoints: str) -> RaftzmqExecutor:
    return RaftzmqExecutor(endpoints)


def test_a_time_is_claimed_by_one(executor: RaftzmqExecutor, client: Client) -> None:
    assert executor.claim("report", START)
    assert not executor.claim("report", START)
    there = START.astimezone(timezone(timedelta(hours=5)))
    assert not executor.claim("report", there)  # the same time, on another clock
    assert executor.claim("other", START)
    assert executor.claim("report", START + timedelta(seconds=1))
    (item, *_) = client.prefix("apscheduler/report/")
    found = client.get(item.key, details=True)
    assert found is not None
    assert found.remaining == pytest.approx(86_400, abs=60)


@pytest.mark.parametrize("was_written", [True, False])
def test_a_claim_of_unknown_outcome_is_settled(
    executor: RaftzmqExecutor, monkeypatch: pytest.MonkeyPatch, was_written: bool
) -> None:
    put, tries = executor.client.put, []

    def unsure(*args: Any, **options: Any) -> Any:
        tries.append(args)
        if len(tries) > 1 or was_written:
            written = put(*args, **options)
        if len(tries) == 1:
            raise OutcomeUnknown("of a test")
        return written

    monkeypatch.setattr(executor.client, "put", unsure)
    assert executor.claim("report", START)
    assert not executor.claim("report", START)


def test_two_schedulers_run_a_job_once(client: Client, endpoints: str) -> None:
    runs: list[int] = []
    soon = datetime.now(UTC) + timedelta(seconds=0.3)
    schedulers = [
        BackgroundScheduler(executors={"default": RaftzmqExecutor(endpoints)}) for _ in range(2)
    ]
    events: list[int] = []
    for scheduler in schedulers:
        for number in range(5):
            options = {"id": f"job-{number}", "misfire_grace_time": 60}
            scheduler.add_job(runs.append, "date", [number], run_date=soon, **options)
        scheduler.add_listener(lambda event: events.append(event.code))
        scheduler.start()
    wait_for("all are run", lambda: len(runs) >= 5)
    for scheduler in schedulers:
        scheduler.shutdown()
    assert sorted(runs) == [0, 1, 2, 3, 4]


def test_a_namespace_is_text(endpoints: str) -> None:
    with pytest.raises(InvalidRequest, match="namespace"):
        RaftzmqExecutor(endpoints, namespace="")


class Noting(RaftzmqExecutor):
    """Is inside when it has claimed a time."""

    inside: Inside

    def claim(self, job_id: str, run_time: datetime) -> bool:
        mine = super().claim(job_id, run_time)
        if mine:
            self.inside(run_time.isoformat())
        return mine


def schedule(endpoints: str, inside: Inside) -> None:
    """A rival."""
    executor = Noting(endpoints)
    executor.inside = inside
    scheduler = BlockingScheduler(executors={"default": executor})
    scheduler.add_job(
        time.time, "interval", seconds=0.2, start_date=START, id="often", max_instances=9
    )
    scheduler.start()


@pytest.mark.proof
def test_no_time_is_run_twice_though_schedulers_are_killed(
    client: Client, endpoints: str, tmp_path: Path
) -> None:
    with Rivals(f"{__name__}:schedule", endpoints, tmp_path) as rivals:
        for _ in range(amount(2, 6)):
            rivals.kill_holder()
        counts = Counter(when for when, _, _ in rivals.runs())
    assert len(counts) > rivals.kills
    assert [when for when, count in counts.items() if count > 1] == []


# -- APScheduler's own tests of executors and schedulers -------------------------------------------

PLUGIN = """
import os
import uuid

from apscheduler.executors import pool

from raftzmq import contrib
from raftzmq.contrib import apscheduler


class OwnNames(apscheduler.RaftzmqExecutor):
    # Tests have jobs and times alike, so each executor is the only one of its namespace.
    def __init__(self, max_workers=10):
        endpoints, namespace = os.environ["ENDPOINTS"], f"suite/{uuid.uuid4()}/"
        super().__init__(endpoints, namespace=namespace, max_workers=max_workers)


pool.ThreadPoolExecutor = OwnNames
# The suite replaces it there.
apscheduler.run_job = lambda *arguments: pool.run_job(*arguments)


def pytest_sessionfinish():
    while contrib._clients:
        contrib._clients.popitem()[1].close()
"""

# The first submits one time of a job twice, and wants two runs: that is what this executor is
# against. The others are of executors of other kinds, or of libraries that are not here.
EXCEPTIONS = ("test_max_instances", "test_broken_pool", "processpool", "Qt", "Twisted", "Gevent")


@pytest.mark.proof
def test_the_suite_of_apscheduler(client: Client, endpoints: str, tmp_path: Path) -> None:
    source = suites.source_of("apscheduler", tmp_path)
    needs = suites.installed(["pytz", "tornado"], tmp_path / "needs")
    source.joinpath("raftzmq_executor.py").write_text(PLUGIN)
    conftest = source / "tests" / "conftest.py"
    patient = conftest.read_text().replace('"misfire_grace_time": 1,', '"misfire_grace_time": 60,')
    conftest.write_text(patient)  # machines may be slow
    options = (
        "-p",
        "raftzmq_executor",
        "-p",
        "no:cacheprovider",
        "-o",
        "addopts=",
        "-W",
        "default",
    )
    files = ("tests/test_executors.py", "tests/test_schedulers.py")
    without = ["-k", " and ".join(f"not {name}" for name in EXCEPTIONS)]
    said = suites.run(
        ["-m", "pytest", "-q", *options, *files, *without],
        source,
        ENDPOINTS=endpoints,
        PYTHONPATH=os.pathsep.join([str(needs), str(ROOT)]),
    )
    assert int(re.findall(r"(\d+) passed", said)[0]) > 190
    claims = client.count("suite/")
    assert claims > 5, "its jobs were claimed"
