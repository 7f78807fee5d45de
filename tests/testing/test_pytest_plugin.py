"""The fixtures for pytest, in the tests of a small application."""

from __future__ import annotations

import tomllib

import pytest

from tests.containers.engine import ROOT

pytest_plugins = ["pytester"]

PLUGIN = ("-p", "no:raftzmq", "-p", "raftzmq.testing.pytest_plugin", "-p", "no:cacheprovider")
"""By its name, whether this environment has the entry point yet or not."""

APPLICATION = """
    import pytest

    SEEN = []

    @pytest.fixture(scope="session", autouse=True)
    def seed(raftzmq_cluster):
        raftzmq_cluster.client().put("of all tests", "v")

    def test_fake(raftzmq_fake):
        raftzmq_fake.client().put("k", "v", ttl=5)
        raftzmq_fake.advance(6)
        assert raftzmq_fake.client().get("k") is None

    @pytest.mark.parametrize("number", [1, 2])
    def test_a_prefix_of_its_own(raftzmq_client, raftzmq_prefix, number):
        SEEN.append(raftzmq_prefix)
        assert len(set(SEEN)) == number
        assert raftzmq_client.put(raftzmq_prefix + "k", "v", if_absent=True).succeeded
        assert raftzmq_client.semaphore(raftzmq_prefix + "s", 2).wait()
        raftzmq_client.put("elsewhere", "v")
        assert raftzmq_client.semaphore("elsewhere", 2).wait()

    def test_nothing_is_left_but_what_was_there_before(raftzmq_client):
        assert [item.key for item in raftzmq_client.range()] == ["of all tests"]
        assert raftzmq_client.queues("semaphore").items == ()
        assert raftzmq_client.queues("counter").items == ()

    def test_that_leaves_a_node_dead(raftzmq_cluster):
        raftzmq_cluster.kill("raft-0")

    def test_that_needs_all_nodes(raftzmq_cluster, raftzmq_client):
        assert raftzmq_cluster.running == ("raft-0",)
        assert raftzmq_client.put("k", "v").succeeded

    def test_that_fails(raftzmq_client):
        assert not "reached"
"""

COROUTINES = """
    import pytest

    @pytest.fixture
    def anyio_backend():
        return "asyncio"

    {mark}
    async def test_a_coroutine(raftzmq_async_client, raftzmq_client, raftzmq_prefix):
        async with raftzmq_async_client as db:
            await db.put(raftzmq_prefix + "k", "v")
        assert raftzmq_client.count(raftzmq_prefix) == 1

    @pytest.mark.anyio
    async def test_a_coroutine_of_anyio(raftzmq_async_client, raftzmq_client):
        assert raftzmq_client.count() == 0
        async with raftzmq_async_client as db:
            assert await db.count() == 0
"""

WORKERS = """
    import os
    from pathlib import Path

    def test_a_cluster_of_its_own(raftzmq_cluster, raftzmq_client):
        assert raftzmq_client.count() == 0
        raftzmq_client.put(os.environ["PYTEST_XDIST_WORKER"], "v")
        (endpoint,) = raftzmq_cluster.endpoints
        Path(endpoint.replace(":", "-")).touch()
"""

COSTS_NOTHING = """
    import sys

    def test_nothing_is_loaded():
        loaded = [name for name in sys.modules if name.startswith(("raftzmq.", "zmq", "orjson"))]
        assert loaded == ["raftzmq.testing", "raftzmq.testing.pytest_plugin"], loaded
"""


@pytest.mark.system
def test_an_application_uses_them(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(APPLICATION)
    pytester.makeini("[pytest]\nraftzmq_nodes = 1\n")
    result = pytester.runpytest_subprocess(*PLUGIN, "-p", "no:xdist")
    result.assert_outcomes(passed=6, failed=1)
    result.stdout.fnmatch_lines(["*- logs of raftzmq_cluster -*", "-- raft-0: *", "*is leader*"])


@pytest.mark.system
def test_each_worker_has_a_cluster_of_its_own(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(WORKERS)
    pytester.makeini("[pytest]\nraftzmq_nodes = 1\n")
    result = pytester.runpytest_subprocess(*PLUGIN, "-n", "2", "--dist", "each")
    result.assert_outcomes(passed=2)
    assert len([*pytester.path.glob("127.0.0.1-*")]) == 2


@pytest.mark.system
@pytest.mark.parametrize(
    ("mode", "mark"),
    [
        ("strict", "@pytest.mark.asyncio"),
        pytest.param("auto", "", marks=pytest.mark.proof),
    ],
)
def test_coroutines_use_them_with_whatever_runs_these(
    pytester: pytest.Pytester, mode: str, mark: str
) -> None:
    pytest.importorskip("pytest_asyncio")
    pytester.makepyfile(COROUTINES.format(mark=mark))
    pytester.makeini(f"[pytest]\nraftzmq_nodes = 1\nasyncio_mode = {mode}\n")
    result = pytester.runpytest_subprocess(*PLUGIN, "-p", "no:xdist")
    result.assert_outcomes(passed=2)


def test_tests_that_use_none_load_nothing(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(COSTS_NOTHING)
    pytester.runpytest_subprocess(*PLUGIN).assert_outcomes(passed=1)


def test_the_package_has_them() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {"raftzmq": "raftzmq.testing.pytest_plugin"}
