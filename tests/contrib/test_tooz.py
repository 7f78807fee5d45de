"""tooz: locks, groups and leaders."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tooz import ToozError, coordination

from raftzmq import Client, NotHeld, Unavailable
from raftzmq.contrib.tooz import RaftzmqDriver
from tests.contrib import suites
from tests.contrib.rivals import Inside, Rivals
from tests.system.processes import wait_for

pytestmark = pytest.mark.system

Start = Callable[..., RaftzmqDriver]

QUICK = "executor=sync"
"""tooz's other executor takes a second to end."""


def started(endpoints: str, member: bytes, **options: Any) -> RaftzmqDriver:
    url = f"raftzmq://{endpoints}?{QUICK}"
    coordinator = coordination.get_coordinator(url, member, **options)
    assert isinstance(coordinator, RaftzmqDriver)
    coordinator.start()
    return coordinator


@pytest.fixture
def start(client: Client, endpoints: str) -> Iterator[Start]:
    made: list[RaftzmqDriver] = []

    def start(member: bytes = b"one", **options: Any) -> RaftzmqDriver:
        made.append(started(endpoints, member, **options))
        return made[-1]

    yield start
    for coordinator in made:
        if coordinator.is_started:
            coordinator.stop()


# -- groups ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [b"plain", b"a/b", b"a/", b"/", b"%2F", bytes(range(256))])
def test_names_of_groups_and_members_are_any_bytes(start: Start, name: bytes) -> None:
    one = start(name)
    one.create_group(name).get()
    one.join_group(name, {"name": name.hex()}).get()
    assert one.get_groups().get() == [name]
    assert one.get_members_with_capabilities(name).get() == {name: {"name": name.hex()}}


def test_a_group_is_not_deleted_under_a_member_who_joins(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = start(b"one"), start(b"two")
    one.create_group(b"group").get()
    scan = one.client.scan

    def scan_then_join(*args: Any, **options: Any) -> Any:
        monkeypatch.undo()
        found = list(scan(*args, **options))
        two.join_group(b"group").get()
        return nullcontext(found)

    monkeypatch.setattr(one.client, "scan", scan_then_join)
    with pytest.raises(coordination.GroupNotEmpty):
        one.delete_group(b"group").get()
    assert one.get_members(b"group").get() == {b"two"}


def test_what_a_member_has_ends_when_it_does_not_beat(start: Start) -> None:
    one, two = start(b"one"), start(b"two", timeout=0.5)
    one.create_group(b"group").get()
    two.join_group(b"group").get()
    left: list[bytes] = []
    one.watch_leave_group(b"group", lambda event: left.append(event.member_id))
    two.watch_elected_as_leader(b"group", lambda event: None)
    two.run_watchers()
    assert one.get_leader(b"group").get() == b"two"
    wait_for("it is seen to leave", lambda: bool(one.run_watchers() and left))
    assert (left, one.get_leader(b"group").get()) == ([b"two"], None)
    two.heartbeat()  # it has a lease again, and nothing else
    assert one.get_members(b"group").get() == set()
    two.run_watchers()
    assert one.get_leader(b"group").get() == b"two"
    two.join_group(b"group").get()
    assert one.get_members(b"group").get() == {b"two"}


def test_leadership_lost_while_it_is_won_is_stood_for_anew(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = start(b"one")
    one.watch_elected_as_leader(b"group", lambda event: None)
    acquire = one.client.acquire

    def acquire_then_stall(*args: Any, **options: Any) -> int:
        monkeypatch.undo()
        token = acquire(*args, **options)
        one.client.lease_revoke(one._lease)
        one.heartbeat()  # as another thread does
        return token

    monkeypatch.setattr(one.client, "acquire", acquire_then_stall)
    one.run_watchers()
    assert one.get_leader(b"group").get() is None
    one.run_watchers()
    assert one.get_leader(b"group").get() == b"one"


def test_who_could_not_stand_down_may_do_it_again(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = start(b"one")
    one.watch_elected_as_leader(b"group", lambda event: None)
    one.run_watchers()

    def out_of_reach(*args: Any) -> None:
        monkeypatch.undo()
        raise Unavailable("of a test")

    monkeypatch.setattr(one.client, "release", out_of_reach)
    with pytest.raises(coordination.ToozConnectionError):
        one.stand_down_group_leader(b"group")
    assert one.stand_down_group_leader(b"group")
    assert one.get_leader(b"group").get() is None
    assert not one.stand_down_group_leader(b"group")


def test_who_beats_stays(start: Start) -> None:
    one, two = start(b"one"), start(b"two", timeout=1)
    one.create_group(b"group").get()
    two.join_group(b"group").get()
    assert two.heartbeat() == pytest.approx(1 / 3)
    two.heart.start()
    wait_for("some beats", lambda: two.heart.beats > 10)  # more than the timeout
    assert one.get_members(b"group").get() == {b"two"}
    two.stop()
    assert one.get_members(b"group").get() == set()


def test_joining_late_takes_a_new_lease(start: Start) -> None:
    one = start(b"one", membership_timeout=0.5)
    one.create_group(b"group").get()
    wait_for("its lease has ended", lambda: not list(one.client.leases()) or None)
    one.join_group(b"group").get()
    assert one.get_members(b"group").get() == {b"one"}


# -- locks ----------------------------------------------------------------------------------------


def test_a_lock_says_whose_it_is_and_leaves_nothing_behind(start: Start, client: Client) -> None:
    lock = start(b"one").get_lock(b"nightly")
    with pytest.raises(NotHeld):
        print(lock.token)
    with lock:
        queue = client.describe("semaphore", "tooz/locks/nightly")
        assert queue is not None
        assert [(p.value, p.token) for p in queue.holders] == [("one", lock.token)]
        assert lock.acquired
        assert lock.is_still_owner()
    assert not lock.acquired
    assert not lock.is_still_owner()
    assert client.describe("semaphore", "tooz/locks/nightly") is None


def test_a_lock_needs_no_heartbeat_and_knows_when_it_is_lost(start: Start, client: Client) -> None:
    one = start(b"one", timeout=0.5)
    lock, other = one.get_lock(b"nightly"), start(b"two").get_lock(b"nightly")
    assert lock.acquire()
    assert not other.acquire(timeout=1)
    queue = client.describe("semaphore", "tooz/locks/nightly")
    assert queue is not None
    client.lease_revoke(queue.holders[0].lease)
    assert other.acquire(timeout=30)
    assert not lock.is_still_owner()
    assert not lock.release()
    assert other.is_still_owner()
    assert other.release()


def test_those_who_share_keep_out_who_does_not(start: Start) -> None:
    locks = [start(name).get_lock(b"data") for name in (b"one", b"two", b"three")]
    assert locks[0].acquire(shared=True)
    assert locks[1].acquire(shared=True, blocking=False)
    assert not locks[2].acquire(blocking=False)
    assert not locks[2].acquire(blocking=0.2)
    with ThreadPoolExecutor(1) as pool:
        third = pool.submit(locks[2].acquire)
        assert locks[0].release()
        assert not third.done()
        assert locks[1].release()
        assert third.result(30)
    assert locks[2].release()


# -- errors ---------------------------------------------------------------------------------------


def test_without_a_cluster_it_does_not_start_and_leaves_no_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threads = threading.active_count()
    coordinator = coordination.get_coordinator("raftzmq://127.0.0.1:1", b"one")
    impatient = partial(Client, timeout=0.2)
    monkeypatch.setattr("raftzmq.contrib.tooz.Client", impatient)
    with pytest.raises(coordination.ToozConnectionError):
        coordinator.start()
    assert not coordinator.is_started
    with pytest.raises(ToozError, match="not started"):
        coordinator.get_lock(b"lock")
    assert threading.active_count() <= threads + 1  # of tooz's executor


@pytest.mark.parametrize(
    ("url", "member", "said"),
    [
        ("raftzmq://host:1?timeout=soon", b"one", "seconds"),
        ("raftzmq://host:1?lock_timeout=soon", b"one", "seconds"),
        ("raftzmq://host:1?namespace=", b"one", None),  # as if it were not there
        ("raftzmq://host:1", b"", "empty"),
    ],
)
def test_wrong_options_are_told_when_it_is_made(url: str, member: bytes, said: str | None) -> None:
    if said is None:
        assert coordination.get_coordinator(url, member)
        return
    with pytest.raises(ToozError, match=said):
        coordination.get_coordinator(url, member)


def test_a_timeout_out_of_bounds_is_told_at_the_start(endpoints: str) -> None:
    with pytest.raises(ToozError):
        started(endpoints, b"one", timeout=-1)


# -- holders that are killed ----------------------------------------------------------------------


def hold(endpoints: str, inside: Inside) -> None:
    """A rival: it holds a lock."""
    lock = started(endpoints, b"%d" % time.monotonic_ns(), timeout=1).get_lock(b"rivals")
    while True:
        with lock:
            inside()


def lead(endpoints: str, inside: Inside) -> None:
    """A rival: it leads."""
    coordinator = started(endpoints, b"%d" % time.monotonic_ns(), timeout=1)
    coordinator.heart.start()
    coordinator.watch_elected_as_leader(b"rivals", lambda event: inside())
    while True:
        coordinator.run_watchers()
        coordinator.stand_down_group_leader(b"rivals")


@pytest.mark.proof
@pytest.mark.parametrize("rival", [hold, lead])
def test_no_two_hold_or_lead_though_holders_are_killed(
    client: Client, endpoints: str, tmp_path: Path, rival: Callable[..., None]
) -> None:
    with Rivals(f"{__name__}:{rival.__name__}", endpoints, tmp_path) as rivals:
        for _ in range(4):
            rivals.kill_holder()
        rivals.check()


# -- tooz's own tests -----------------------------------------------------------------------------

PLUGIN = """
import sys
from unittest import mock

# The suite imports drivers of other servers, to leave tests out for them: their libraries are not
# here, and nothing of them is used.
for name in ("Etcd3", "IPC", "Memcached", "Redis"):
    module = "etcd3gw" if name == "Etcd3" else name.lower()
    driver = {f"{name}Driver": type(name, (), {})}
    sys.modules[f"tooz.drivers.{module}"] = mock.NonCallableMock(**driver)
"""

SUITE = ("tooz.tests.test_coordination", "tooz.tests.test_partitioner")


@pytest.mark.proof
def test_the_suite_of_tooz(client: Client, endpoints: str, tmp_path: Path) -> None:
    tmp_path.joinpath("sitecustomize.py").write_text(PLUGIN)  # for the processes that it starts too
    options = (
        "-p",
        "no:cacheprovider",
        "-W",
        "default",
        "-rs",
        "-k",
        "not FileTest and not IPCTest and not ZakeTest",
    )
    said = suites.run(
        ["-m", "pytest", "-q", *options, "--pyargs", *SUITE],
        tmp_path,
        TOOZ_TEST_URL=f"raftzmq://{endpoints}?{QUICK}",
        PYTHONPATH=str(tmp_path),
    )
    # One asks for a backend by name.
    skipped = re.findall(r"SKIPPED \[(\d+)\] .*: (.*)", said)
    assert [(count, why[:30]) for count, why in skipped] == [
        ("1", "This test only works with coor")
    ]
    assert int(re.findall(r"(\d+) passed", said)[0]) >= 80
