"""Scans: any node gives the keys with a prefix as they are at one moment, page by page."""

from __future__ import annotations

from typing import Any

import pytest

from raftzmq import limits
from raftzmq.access.users import ANYBODY, User
from raftzmq.node import scans
from raftzmq.transport.client_wire import ErrorReply
from raftzmq.transport.operator_wire import Done
from raftzmq.transport.scan_wire import ScanEnd, ScanNext, ScanPage, ScanRequest
from tests.node.test_backups import a_follower, put
from tests.node.world import CLIENT, World


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SCAN_PAGE_KEYS", 3)


@pytest.fixture
def world() -> World:
    world = World(3)
    world.formed()
    put(world, *(f"jobs/{k}" for k in range(8)), "a", "z")
    return world


def begin(
    world: World,
    name: str,
    start: int = 1,
    ident: int = 1,
    *,
    prefix: str = "jobs/",
    after: str = "",
    limit: int | None = None,
    keys_only: bool = False,
    cluster: str | None = None,
    user: User = ANYBODY,
) -> Any:
    of = world.nodes[name].cluster if cluster is None else cluster
    request = ScanRequest(ident, of, start, prefix, after, limit, keys_only)
    return world.answer(name, request, user)


def go_on(
    world: World,
    name: str,
    scan: int,
    after: str,
    limit: int | None = None,
    ident: int = 2,
    user: User = ANYBODY,
) -> Any:
    return world.answer(name, ScanNext(ident, scan, after, limit), user)


def rest(world: World, name: str, page: ScanPage) -> list[ScanPage]:
    """That page, and those behind it."""
    pages = [page]
    while not pages[-1].done:
        pages.append(go_on(world, name, page.scan, pages[-1].keys[-1]))
        assert isinstance(pages[-1], ScanPage), pages[-1]
    return pages


def keys_of(*pages: ScanPage) -> list[str]:
    return [key for page in pages for key in page.keys]


JOBS = [f"jobs/{k}" for k in range(8)]


def frozen(world: World, name: str) -> int:
    return world.nodes[name].machine.state.keys.frozen_count


def test_any_node_gives_all_that_begins_so_in_order(world: World) -> None:
    revision = put(world, "last")
    for name in world.nodes:
        pages = rest(world, name, begin(world, name, revision))
        assert keys_of(*pages) == JOBS
        assert [value for page in pages for value in page.values] == ["v"] * 8
        assert {page.node for page in pages} == {name}
        assert len(pages) == 3
        (at,) = {page.revision for page in pages}
        assert at >= revision
        assert all(page.revisions == sorted(page.revisions) for page in pages)


def test_all_pages_are_of_one_revision_under_a_writer(world: World) -> None:
    leader = world.leader()
    assert leader is not None
    first = begin(world, leader.name)
    put(world, "jobs/0", "jobs/5", "jobs/55", "jobs/9", value="later")
    session = world.session(leader.name)
    world.operate(leader.name, "delete", "jobs/6", session=session)
    pages = rest(world, leader.name, first)
    assert keys_of(*pages) == JOBS
    assert {value for page in pages for value in page.values} == {"v"}
    assert all(revision <= first.revision for page in pages for revision in page.revisions)
    again = rest(world, leader.name, begin(world, leader.name, ident=7))
    assert keys_of(*again) == sorted({*JOBS, "jobs/55", "jobs/9"} - {"jobs/6"})


def test_what_one_page_holds_is_not_kept(world: World) -> None:
    name = a_follower(world)
    page = begin(world, name, prefix="jobs/7")
    assert (page.keys, page.done) == (["jobs/7"], True)
    assert begin(world, name, ident=2, prefix="nothing").done
    assert begin(world, name, ident=3, limit=2).keys == JOBS[:2]
    assert begin(world, name, ident=4, limit=3).done
    assert (len(world.nodes[name].scans), frozen(world, name)) == (0, 0)


def test_a_limit_and_a_beginning(world: World) -> None:
    name = a_follower(world)
    page = begin(world, name, after="jobs/1", limit=4)
    assert (page.keys, page.done) == (JOBS[2:5], False)
    page = go_on(world, name, page.scan, "jobs/4", limit=1)
    assert (page.keys, page.done) == (["jobs/5"], True)
    assert keys_of(*rest(world, name, begin(world, name, ident=5, prefix=""))) == ["a", *JOBS, "z"]


def test_keys_alone_come_without_values(world: World) -> None:
    name = a_follower(world)
    pages = rest(world, name, begin(world, name, keys_only=True))
    assert keys_of(*pages) == JOBS
    assert all(page.values == page.revisions == [] for page in pages)


def test_an_answer_that_was_lost_is_given_again(world: World) -> None:
    name = a_follower(world)
    first = begin(world, name)
    assert begin(world, name) == first
    second = go_on(world, name, first.scan, "jobs/2")
    assert go_on(world, name, first.scan, "jobs/2") == second
    assert go_on(world, name, first.scan, "jobs/3").keys == JOBS[4:7], "from within a page"
    late = go_on(world, name, first.scan, "jobs/2")
    assert isinstance(late, ErrorReply)
    assert late.message == "the scan is further than 'jobs/2' already"
    assert len(world.nodes[name].scans) == 1


def test_the_end_frees_what_the_node_keeps(world: World) -> None:
    name = a_follower(world)
    scan = begin(world, name).scan
    assert frozen(world, name) == 1
    assert isinstance(world.answer(name, ScanEnd(3, scan)), Done)
    assert (len(world.nodes[name].scans), frozen(world, name)) == (0, 0)
    assert isinstance(world.answer(name, ScanEnd(4, scan)), Done), "it may be said again"
    refused = go_on(world, name, scan, "jobs/2")
    assert refused.code == "invalid"
    assert "holds no such scan any more" in refused.message


def test_one_that_nobody_reads_on_is_forgotten(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "SCAN_UNUSED_MS", 1000)
    name = a_follower(world)
    scan = begin(world, name).scan
    world.run(0.8)
    assert go_on(world, name, scan, "jobs/2").keys == JOBS[3:6]
    world.run(0.8)
    assert go_on(world, name, scan, "jobs/5").done
    assert len(world.nodes[name].scans) == 1, "the last answer may be lost"
    world.run(1.1)
    assert (len(world.nodes[name].scans), frozen(world, name)) == (0, 0)
    assert isinstance(go_on(world, name, scan, "jobs/5"), ErrorReply)


def test_a_node_holds_only_so_many(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SCANS", 2)
    name = a_follower(world)
    held = [begin(world, name, ident=ident).scan for ident in (11, 12)]
    refused = begin(world, name, ident=13)
    assert (refused.code, refused.ids) == ("overloaded", [13])
    assert "holds 2 scans that are not read to their end" in refused.message
    assert begin(world, name, ident=14, limit=3).done, "what is not held is not counted"
    world.answer(name, ScanEnd(15, held[0]))
    assert begin(world, name, ident=13).keys == JOBS[:3]


def test_what_is_written_over_is_kept_up_to_a_bound(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "SCAN_KEPT_BYTES", 4500)
    leader = world.leader()
    assert leader is not None
    most = begin(world, leader.name, ident=1)
    least = begin(world, leader.name, ident=2, after="jobs/3")
    for value in "wxy":
        put(world, *JOBS, value=value)
    assert len(leader.scans) == 2, "what they hold already is not kept again"
    other = begin(world, leader.name, ident=3)
    put(world, *JOBS, value="z")
    refused = go_on(world, leader.name, most.scan, "jobs/2")
    assert refused.code == "invalid"
    assert "what was written over meanwhile" in refused.message
    assert [page.values for page in rest(world, leader.name, least)] == [["v"] * 3, ["v"]]
    assert [*rest(world, leader.name, other)[-1].values] == ["y"] * 2


def test_a_node_that_lags_waits_and_then_says_so(world: World) -> None:
    name = a_follower(world)
    far = world.nodes[name].machine.revision + 1_000
    refused = begin(world, name, far)
    assert (refused.code, "lags behind" in refused.message) == ("overloaded", True)
    world.cut.add(name)
    revision = put(world, "jobs/new")
    waiting = ScanRequest(9, "", revision, "jobs/n", "", None, False)
    world.nodes[name].request(CLIENT, waiting, 0, world.clock(name))
    world.cut.clear()
    world.run(1)
    (page,) = [r for r in world.replies[name] if isinstance(r, ScanPage) and r.id == 9]
    assert page.keys == ["jobs/new"]


def test_another_cluster_is_refused(world: World) -> None:
    name = a_follower(world)
    assert begin(world, name, cluster="0" * 16).code == "invalid"
    assert begin(world, name, cluster="", ident=2).keys == JOBS[:3]


def test_only_so_many_wait(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SCANS_WAITING", 0)
    assert begin(world, a_follower(world)).code == "overloaded"


def test_a_turn_makes_only_so_many_pages(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scans, "PAGES_PER_TURN", 2)
    name = a_follower(world)
    node = world.nodes[name]
    for ident in range(20, 25):
        request = ScanRequest(ident, "", 1, "jobs/", "", None, False)
        node.request(CLIENT, request, 0, world.clock(name))
    assert node.next_deadline_ms <= world.clock(name)
    before = len(world.replies[name])
    seen = []
    for _ in range(3):
        world.step()
        seen.append(len([r for r in world.replies[name][before:] if isinstance(r, ScanPage)]))
    assert seen == [2, 4, 5]


def test_who_may_read_the_prefix_may_scan_it(world: World) -> None:
    name = a_follower(world)
    jobs = User("worker", read=("jobs/",), write=())
    page = begin(world, name, user=jobs)
    assert page.keys == JOBS[:3]
    for prefix in ("", "job", "a"):
        refused = begin(world, name, ident=5, prefix=prefix, user=jobs)
        assert refused.code == "denied"
    other = User("other", read=("a",), write=())
    stolen = go_on(world, name, page.scan, "jobs/2", ident=6, user=other)
    assert stolen.code == "denied", "not even by somebody who knows the number"
    assert go_on(world, name, page.scan, "jobs/2", ident=7, user=jobs).keys == JOBS[3:6]
