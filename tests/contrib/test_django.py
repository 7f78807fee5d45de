"""Django's cache, sessions and locks: those of its own suite, and what is promised beyond."""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import pytest
from django.conf import settings
from django.contrib.sessions.backends.cache import SessionStore
from django.core.cache import caches
from django.core.exceptions import ImproperlyConfigured

from raftzmq import Client, InvalidRequest, Refused
from raftzmq.contrib.django import RaftzmqCache
from tests.amounts import amount
from tests.contrib import suites
from tests.contrib.rivals import Inside, Rivals

pytestmark = pytest.mark.system

BACKEND: Final = "raftzmq.contrib.django.RaftzmqCache"


@pytest.fixture
def cache(client: Client, endpoints: str) -> RaftzmqCache:
    return RaftzmqCache(endpoints, {})


@pytest.fixture(scope="module", autouse=True)
def project(endpoints: str) -> Iterator[None]:
    """A Django project whose cache is this one."""
    settings.configure(
        CACHES={"default": {"BACKEND": BACKEND, "LOCATION": endpoints}},
        SECRET_KEY="of a test",
        USE_TZ=True,
    )
    yield
    caches["default"].client.close()


def test_what_is_set_is_got_under_its_name(cache: RaftzmqCache, client: Client) -> None:
    for value in ("text", 7, 2**80, True, None, 1.5, b"\0", {"a": [1]}):
        cache.set("k", value)
        assert (cache.get("k", "default"), type(cache.get("k"))) == (value, type(value))
    cache.set("n", 7)
    item = client.get("django/:1:n")
    assert item is not None
    assert item.value == "7"  # as people read it
    client.put("django/:1:n", "words of somebody else")
    assert cache.get("n") == "words of somebody else"
    assert cache.get("nothing", "default") == "default"


def test_the_end_of_a_key(cache: RaftzmqCache, client: Client) -> None:
    def remaining() -> float | None:
        item = client.get("django/:1:k", details=True)
        return item.remaining if item else -1

    def about(seconds: float) -> object:
        return pytest.approx(seconds, abs=60)

    cache.set("k", 1)
    assert remaining() == about(300)  # Django's default
    cache.set("k", 1, timeout=None)
    assert remaining() is None
    cache.set("k", 1, timeout=3650 * 86_400)
    assert remaining() == about(3650 * 86_400)
    assert cache.incr("k") == 2
    assert remaining() == about(3650 * 86_400)  # as it was
    assert cache.touch("k", 1000)
    assert remaining() == about(1000)
    assert cache.touch("k", None)
    assert remaining() is None
    cache.set("k", 1, timeout=0)
    assert remaining() == -1
    assert not cache.touch("k")
    assert cache.add("k", 1, timeout=0)  # it would have been
    assert remaining() == -1
    with pytest.raises(InvalidRequest, match="time to live"):
        cache.set("k", 1, timeout=10**9)


def test_many_keys_at_a_time(cache: RaftzmqCache, client: Client) -> None:
    data: dict[str, Any] = {f"k{n}": n for n in range(300)}
    assert cache.set_many(data) == []
    assert cache.get_many([*data, "nothing"]) == data
    cache.delete_many([*data][:200])
    assert len(cache.get_many(data)) == 100
    large = {f"large{n}": "x" * 900_000 for n in range(10)}  # more than fits a transaction
    cache.set_many(large)
    assert cache.get_many(large) == large
    client.put("another's", "stays")
    cache.clear()
    assert (cache.get_many([*data, *large]), client.count()) == ({}, 1)


def test_each_increment_and_each_add_counts_once(cache: RaftzmqCache) -> None:
    cache.set("n", 0)
    with ThreadPoolExecutor(8) as pool:
        sums = list(pool.map(lambda _: cache.incr("n"), range(80)))
        won = list(pool.map(lambda _: cache.add("once", 1), range(20)))
    assert (sorted(sums), sum(won)) == ([*range(1, 81)], 1)


def test_versions_and_namespaces_are_apart(cache: RaftzmqCache, endpoints: str) -> None:
    other = RaftzmqCache(endpoints, {"OPTIONS": {"namespace": "other/"}})
    assert other.client is cache.client  # one for all threads and caches of a process
    cache.set("k", 1)
    cache.set("k", 2, version=2)
    other.set("k", 3)
    assert cache.incr_version("k", 2) == 3
    other.clear()
    assert [cache.get("k", version=n) for n in (1, 2, 3)] == [None, 2, 1]


class Json:
    def dumps(self, value: object) -> bytes:
        return json.dumps(value).encode()

    def loads(self, data: bytes) -> Any:
        return json.loads(data)


def test_another_serializer(client: Client, endpoints: str) -> None:
    cache = RaftzmqCache(endpoints, {"OPTIONS": {"serializer": f"{__name__}.Json"}})
    cache.set("k", ["text"])
    item = client.get("django/:1:k")
    assert item is not None
    assert (item.value, cache.get("k")) == (b'["text"]', ["text"])


@pytest.mark.parametrize(
    "options", [{"namespce": "a/"}, {"namespace": ""}, {"namespace": 7}], ids=str
)
def test_a_wrong_setting_is_told_at_once(options: dict[str, Any], endpoints: str) -> None:
    with pytest.raises(ImproperlyConfigured):
        RaftzmqCache(endpoints, {"OPTIONS": options})


def test_a_lock_by_its_name(cache: RaftzmqCache, client: Client) -> None:
    with cache.lock("nightly", ttl=10) as lock:
        assert client.describe("lock", "django/nightly") is not None
        with pytest.raises(Refused):
            cache.lock("nightly", timeout=0).acquire()
        client.put("report", "done", fence=lock)


def test_sessions(client: Client) -> None:
    session = SessionStore()
    session["user"] = 7
    session.create()
    assert SessionStore(session.session_key)["user"] == 7
    item = client.get(f"django/:1:{session.cache_key}", details=True)
    assert item is not None
    assert item.remaining == pytest.approx(14 * 86_400, abs=60)
    session.flush()
    assert SessionStore(session.session_key).load() == {}
    assert client.count("django/") == 0


def test_the_asynchronous_methods(client: Client) -> None:
    async def use() -> Any:
        cache = caches["default"]
        await cache.aset("k", 1)
        return await cache.aincr("k"), await cache.aget_many(["k"])

    assert asyncio.run(use()) == (2, {"k": 2})


def test_a_child_that_is_forked_has_its_own_connection(cache: RaftzmqCache) -> None:
    cache.set("k", 1)
    pid = os.fork()
    if pid == 0:
        os._exit(cache.incr("k"))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 2
    assert cache.get("k") == 2


def hold_the_lock(endpoints: str, inside: Inside) -> None:
    """A rival."""
    with RaftzmqCache(endpoints, {}).lock("nightly", ttl=1):
        inside()


def test_no_two_hold_a_lock_though_holders_are_killed(endpoints: str, tmp_path: Path) -> None:
    with Rivals(f"{__name__}:hold_the_lock", endpoints, tmp_path) as rivals:
        for _ in range(amount(1, 5)):
            rivals.kill_holder()
        rivals.check()


def add_the_next(endpoints: str, inside: Inside) -> None:
    """A rival: each number is for one of them."""
    cache = RaftzmqCache(endpoints, {})
    for number in range(10_000):
        if cache.add(f"number/{number}", os.getpid(), timeout=3600):
            inside(str(number))
            time.sleep(0)


@pytest.mark.proof
def test_each_key_is_added_by_one_though_those_who_add_are_killed(
    client: Client, endpoints: str, tmp_path: Path
) -> None:
    with Rivals(f"{__name__}:add_the_next", endpoints, tmp_path) as rivals:
        for _ in range(5):
            rivals.kill_holder()
        numbers = [number for number, _, _ in rivals.runs()]
    assert len(numbers) > 5
    assert len({*numbers}) == len(numbers)


# -- Django's own suite ---------------------------------------------------------------------------

SETTINGS = """
import os

CACHES = {
    "default": {
        "BACKEND": "raftzmq.contrib.django.RaftzmqCache",
        "LOCATION": os.environ["ENDPOINTS"],
    }
}
DATABASES = {name: {"ENGINE": "django.db.backends.sqlite3"} for name in ("default", "other")}
SECRET_KEY = "of a test"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
USE_TZ = False
"""

# As its RedisCacheTests: nothing is thrown out to make room, so there is no MAX_ENTRIES.
CACHE_TESTS = """
from cache.tests import BaseCacheTests, caches_setting_for_tests
from django.conf import settings
from django.test import TestCase, override_settings

caches = caches_setting_for_tests(
    base=settings.CACHES["default"], exclude={"cull", "zero_cull"}
)

@override_settings(CACHES=caches)
class RaftzmqCacheTests(BaseCacheTests, TestCase):
    pass
"""

SESSION_TESTS = ("CacheSessionTests", "CacheDBSessionTests", "SessionMiddlewareTests")


@pytest.mark.proof
def test_the_suite_of_django(client: Client, endpoints: str, tmp_path: Path) -> None:
    tests = suites.source_of("django", tmp_path) / "tests"
    tests.joinpath("raftzmq_settings.py").write_text(SETTINGS)
    tests.joinpath("cache", "tests_raftzmq.py").write_text(CACHE_TESTS)
    said = suites.run(
        [
            "runtests.py",
            "--settings=raftzmq_settings",
            "--parallel=1",
            "cache.tests_raftzmq",
            *(f"sessions_tests.tests.{name}" for name in SESSION_TESTS),
        ],
        tests,
        ENDPOINTS=endpoints,
    )
    assert int(re.findall(r"Ran (\d+) tests", said)[0]) > 200
