"""Both clients, over real sockets, with nodes that misbehave: the same tests for either."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from raftzmq import (
    Compare,
    Deleted,
    DiskFull,
    Get,
    InvalidRequest,
    Item,
    OutcomeUnknown,
    Overloaded,
    Put,
    Unavailable,
    Written,
    limits,
)
from raftzmq.client.session.calls import Call
from raftzmq.client.session.flight import MESSAGES_IN_FLIGHT
from raftzmq.client.session.session import Session
from tests.client.conftest import Connect, given_time, until
from tests.client.fake_cluster import (
    ANSWER_TWICE,
    DIE,
    GARBAGE,
    IGNORE,
    LOSE_ANSWER,
    SERVE,
    FakeCluster,
    Refuse,
)
from tests.client.fake_cluster import OutcomeUnknown as SayUnknown


def test_every_operation_gives_its_result(connect: Connect, cluster: FakeCluster) -> None:
    db = connect(cluster.endpoints)
    assert db.get("greeting") is None
    written = db.put("greeting", "hello", timeout=2)
    assert written == Written(written.index, 1, "raft-0", written.index)
    assert db.get("greeting") == Item("greeting", "hello", written.revision)
    assert db.get("greeting").value == "hello"
    assert not db.cas("greeting", b"bytes", 999).succeeded
    assert db.cas("greeting", b"bytes", written.revision).succeeded
    assert db.get("greeting").value == b"bytes"
    assert not db.put_if_absent("greeting", "again").succeeded
    assert db.put_if_absent("other", "new").succeeded
    assert [item.key for item in db.range()] == ["greeting", "other"]
    assert [item.key for item in db.range("h", "p", 10)] == ["other"]
    assert [item.key for item in db.prefix("gre").items] == ["greeting"]
    done = db.txn(
        compares=[Compare("other", "value", "=", "new")],
        then=[Put("third", "x"), Get("third")],
        otherwise=[Get("other")],
    )
    assert done.succeeded
    assert done.results[1].value == "x"
    deleted = db.delete("other")
    assert deleted == Deleted(1, deleted.index, 1, "raft-0", deleted.revision)
    assert db.delete_prefix("").count == 2


def test_a_large_prefix_is_deleted_in_steps(
    connect: Connect, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "REMOVALS_PER_ENTRY", 2)
    db = connect(cluster.endpoints)
    for number in range(5):
        db.put(f"k{number}", "v")
    db.put("other", "v")
    cluster.executed.clear()
    deleted = db.delete_prefix("k")
    steps = [op[1:] for op in cluster.executed]
    assert steps == [["delete_first", "k", 2]] * 3
    assert deleted == Deleted(5, deleted.index, 1, "raft-0", deleted.revision)
    assert [item.key for item in db.range()] == ["other"]


@pytest.mark.parametrize("at", [0, 1])
def test_a_step_that_fails_says_what_was_deleted_before(
    connect: Connect, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    monkeypatch.setattr(limits, "REMOVALS_PER_ENTRY", 2)
    db = connect(cluster.endpoints)
    for number in range(5):
        db.put(f"k{number}", "v")
    said = r"^2 keys are deleted; then: " if at else r"^(?!2 keys)"
    cluster.script(cluster.nodes[0], *[SERVE] * at, Refuse("disk_full"))
    with pytest.raises(DiskFull, match=said):
        db.delete_prefix("k")
    cluster.script(cluster.nodes[0], *[SERVE] * at, *[IGNORE] * 1000)
    with pytest.raises(OutcomeUnknown, match=said):
        db.delete_prefix("k", timeout=0.5)


def test_nodes_are_asked_and_told(connect: Connect, cluster: FakeCluster) -> None:
    db = connect(cluster.endpoints)
    cluster.lead(cluster.nodes[2])
    assert db.status(cluster.nodes[1].endpoint)["node"] == "raft-1"
    assert db.status()["node"] in {"raft-0", "raft-1", "raft-2"}
    assert db.transfer("raft-1") == "raft-2 did TransferRequest"
    assert db.member_add("raft-3") == "raft-2 did MemberRequest"
    assert db.member_promote("raft-3") == "raft-2 did MemberRequest"
    assert db.member_remove("raft-3") == "raft-2 did MemberRequest"
    assert db.stop(cluster.nodes[1].endpoint) == "raft-1 did StopRequest"


def test_the_status_of_all_names_those_that_do_not_answer(
    connect: Connect, cluster: FakeCluster
) -> None:
    db = connect(cluster.endpoints)
    cluster.kill(cluster.nodes[1])
    cluster.always(cluster.nodes[2], IGNORE)
    statuses = given_time(
        lambda timeout_s: db.statuses(timeout=timeout_s),
        lambda found: found[0].status is not None and "no answer" in found[2].error,
    )
    assert [status.endpoint for status in statuses] == cluster.endpoints
    assert statuses[0].status["role"] == "leader"
    assert statuses[0].error is None
    assert statuses[1].status is None
    assert "no connection" in statuses[1].error
    assert "no answer" in statuses[2].error


def test_a_stale_read_may_ask_one_node(connect: Connect, cluster: FakeCluster) -> None:
    db = connect(cluster.endpoints)
    db.put("k", "v")
    asked = cluster.nodes[2]
    assert db.get("k", stale=True, endpoint=asked.endpoint).value == "v"
    assert len(db.prefix("", stale=True, endpoint=asked.endpoint)) == 1
    assert len(db.range(stale=True, endpoint=asked.endpoint)) == 1
    assert len(asked.requests) == 3
    cluster.lead(None)
    assert db.get("k", stale=True).value == "v"


def test_the_leader_is_followed(connect: Connect, cluster: FakeCluster) -> None:
    cluster.lead(cluster.nodes[2])
    db = connect(cluster.endpoints)
    assert db.put("k", "v").leader == "raft-2"
    cluster.lead(cluster.nodes[1])
    assert db.put("k", "v").leader == "raft-1"
    assert db.get("k").value == "v"


def test_one_endpoint_is_enough_to_find_the_leader(connect: Connect, cluster: FakeCluster) -> None:
    cluster.lead(cluster.nodes[2])
    db = connect(cluster.endpoints[:1])
    assert db.put("k", "v").leader == "raft-2"
    assert db.transfer() == "raft-2 did TransferRequest"


@pytest.mark.parametrize(
    "fault", [IGNORE, LOSE_ANSWER, ANSWER_TWICE, GARBAGE, SayUnknown()], ids=str
)
def test_a_write_is_done_once_whatever_is_lost(
    connect: Connect, cluster: FakeCluster, fault: Any, impatience: None
) -> None:
    db = connect(cluster.endpoints)
    db.put("first", "")
    cluster.script(cluster.nodes[0], fault)
    written = db.put("k", "v")
    assert cluster.times_executed("put", "k") == 1
    assert db.get("k").revision == written.revision
    serials = {op[0] for op in cluster.operations("put") if op[2] == "k"}
    assert len(serials) == 1


@pytest.mark.parametrize(
    "fault", [IGNORE, LOSE_ANSWER, ANSWER_TWICE, GARBAGE, SayUnknown()], ids=str
)
def test_a_number_is_added_once_whatever_is_lost(
    connect: Connect, cluster: FakeCluster, fault: Any, impatience: None
) -> None:
    db = connect(cluster.endpoints)
    assert db.incr("n", 5).value == 5
    cluster.script(cluster.nodes[0], fault)
    assert db.incr("n").value == 6
    assert db.get("n").value == "6"
    assert {op[0] for op in cluster.operations("incr") if op[3] == 1} == {
        max(op[0] for op in cluster.operations("incr"))
    }, "a retry has the serial of the first try"


def test_many_writes_with_many_losses_are_each_done_once(
    connect: Connect, cluster: FakeCluster, impatience: None
) -> None:
    db = connect(cluster.endpoints)
    db.put("first", "")
    cluster.script(cluster.nodes[0], LOSE_ANSWER, SayUnknown(), IGNORE, SayUnknown())
    with ThreadPoolExecutor(8) as pool:
        written = list(pool.map(lambda i: db.put(f"k{i}", "v"), range(40)))
    assert len({one.index for one in written}) == 40
    assert all(cluster.times_executed("put", f"k{i}") == 1 for i in range(40))


def test_a_leader_that_dies_is_replaced_by_the_next(connect: Connect, cluster: FakeCluster) -> None:
    db = connect(cluster.endpoints)
    db.put("k", "0")
    cluster.lead(cluster.nodes[1])
    cluster.lead(cluster.nodes[0])
    cluster.script(cluster.nodes[0], DIE)
    with ThreadPoolExecutor(1) as pool:
        write = pool.submit(db.put, "k", "1")
        until(lambda: cluster.nodes[0].socket is None)
        cluster.lead(cluster.nodes[1])
        assert write.result().leader == "raft-1"
    assert cluster.times_executed("put", "k") == 2


def test_a_node_that_is_down_at_the_start_is_passed_over(
    connect: Connect, cluster: FakeCluster
) -> None:
    cluster.kill(cluster.nodes[0])
    cluster.lead(cluster.nodes[2])
    db = connect(cluster.endpoints)
    assert db.put("k", "v").leader == "raft-2"


def test_a_cluster_that_comes_back_is_found_again(connect: Connect, cluster: FakeCluster) -> None:
    db = connect(cluster.endpoints)
    db.put("k", "v")
    for node in cluster.nodes:
        cluster.kill(node)
    with pytest.raises(Unavailable):
        db.get("k", timeout=0.3)
    for node in cluster.nodes:
        cluster.revive(node)
    assert db.get("k").value == "v"


def test_a_hint_that_leads_nowhere_is_survived(connect: Connect, cluster: FakeCluster) -> None:
    cluster.lead(cluster.nodes[1])
    cluster.always(cluster.nodes[0], Refuse("not_leader", "127.0.0.1:1"))
    cluster.always(cluster.nodes[2], Refuse("not_leader", "127.0.0.1:1"))
    db = connect(cluster.endpoints)
    assert db.put("k", "v").leader == "raft-1"


@pytest.mark.parametrize("code", ["overloaded", "forming", "not_leader", "refused"])
def test_a_passing_refusal_is_waited_out(connect: Connect, cluster: FakeCluster, code: str) -> None:
    db = connect(cluster.endpoints)
    cluster.script(cluster.nodes[0], *[Refuse(code)] * 4)
    assert db.put("k", "v").index
    assert cluster.times_executed("put", "k") == 1


def test_an_expired_session_is_replaced_unnoticed(connect: Connect, cluster: FakeCluster) -> None:
    db = connect(cluster.endpoints)
    db.put("k", "1")
    cluster.forget_sessions()
    db.put("k", "2")
    assert db.get("k").value == "2"
    assert len(cluster.operations("open")) == 2


def test_nobody_there_is_unavailable_and_says_who_was_asked(
    connect: Connect, cluster: FakeCluster
) -> None:
    for node in cluster.nodes[1:]:
        cluster.kill(node)
    cluster.lead(None)
    cluster.always(cluster.nodes[0], Refuse("forming"))
    db = connect(cluster.endpoints)
    said = [f"{cluster.endpoints[0]}: forming"]
    said += [f"{endpoint}: no connection" for endpoint in cluster.endpoints[1:]]

    def refused(timeout_s: float) -> str:
        began = time.monotonic()
        with pytest.raises(Unavailable) as caught:
            db.put("k", "v", timeout=timeout_s)
        assert timeout_s - 0.1 < time.monotonic() - began < timeout_s + 30
        return str(caught.value)

    text = given_time(refused, lambda text: all(words in text for words in said))
    assert [words for words in said if words not in text] == []


def test_a_write_without_an_answer_is_never_called_failed(
    connect: Connect, cluster: FakeCluster
) -> None:
    db = connect(cluster.endpoints[:1])
    db.put("first", "")
    cluster.always(cluster.nodes[0], LOSE_ANSWER)

    def write(timeout_s: float) -> str:
        with pytest.raises((OutcomeUnknown, Unavailable)) as caught:
            db.put("k", "v", timeout=timeout_s)
        assert caught.type is OutcomeUnknown or not cluster.times_executed("put", "k")
        return str(caught.value)

    sent = "may have been done"
    assert sent in given_time(write, lambda text: sent in text)
    with pytest.raises(Unavailable):
        db.get("k", timeout=0.2)
    until(lambda: cluster.times_executed("put", "k"))
    assert cluster.times_executed("put", "k") == 1


def test_refusals_have_their_types(connect: Connect, cluster: FakeCluster) -> None:
    db = connect(cluster.endpoints)
    db.put("first", "")
    cluster.always(cluster.nodes[0], Refuse("disk_full"))
    with pytest.raises(DiskFull):
        db.put("k", "v")
    cluster.always(cluster.nodes[0], Refuse("overloaded"))

    def refusal(timeout_s: float) -> type[BaseException]:
        with pytest.raises((Overloaded, Unavailable)) as caught:
            db.put("k", "v", timeout=timeout_s)
        return caught.type

    assert given_time(refusal, lambda kind: kind is Overloaded) is Overloaded


def test_wrong_arguments_are_refused_before_anything_is_sent(
    connect: Connect, cluster: FakeCluster
) -> None:
    db = connect(cluster.endpoints)
    calls: list[Callable[[], object]] = [
        lambda: db.put("", "v"),
        lambda: db.put("k", 5),
        lambda: db.get("k", timeout=0),
        lambda: db.get("k", endpoint=cluster.endpoints[0]),
        lambda: db.range(limit=0),
        lambda: db.member_add("raft"),
        lambda: db.status("raft-0"),
    ]
    for call in calls:
        with pytest.raises(InvalidRequest):
            call()
    assert not any(node.requests for node in cluster.nodes)


def test_many_calls_at_once_travel_in_few_messages(
    connect: Connect, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = connect(cluster.endpoints)
    db.put("first", "")
    before = len(cluster.nodes[0].requests)
    submitted = []
    submit = Session.submit

    def noted(session: Session, call: Call, now_ms: int) -> None:
        submit(session, call, now_ms)
        submitted.append(call)

    monkeypatch.setattr(Session, "submit", noted)
    with ThreadPoolExecutor(64) as pool:
        with cluster.held():
            writes = [pool.submit(db.put, f"k{i}", "v") for i in range(64)]
            until(lambda: len(submitted) == 64)
        for write in writes:
            assert write.result()
    assert len(cluster.nodes[0].requests) - before <= MESSAGES_IN_FLIGHT + 2


def test_large_values_go_there_and_back(connect: Connect, cluster: FakeCluster) -> None:
    db = connect(cluster.endpoints)
    value = bytes(range(256)) * 4096
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda i: db.put(f"k{i}", value), range(6)))
    assert db.get("k5").value == value


def test_closing_tells_the_cluster_to_forget_the_session(
    connect: Connect, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("raftzmq.client.blocking_shell.CLOSE_S", 60.0)
    monkeypatch.setattr("raftzmq.client.aio_shell.CLOSE_S", 60.0)
    db = connect(cluster.endpoints)
    db.put("k", "v")
    assert cluster.machine.session_count == 1
    db.close()
    assert cluster.machine.session_count == 0


def test_closing_twice_or_unused_is_harmless_and_ends_the_use(
    connect: Connect, cluster: FakeCluster
) -> None:
    unused = connect(cluster.endpoints)
    unused.close()
    db = connect(cluster.endpoints)
    db.put("k", "v")
    db.close()
    db.close()
    for client in (unused, db):
        with pytest.raises(Unavailable, match="closed"):
            client.get("k")


def test_closing_ends_although_no_node_is_there(connect: Connect, cluster: FakeCluster) -> None:
    db = connect(cluster.endpoints)
    db.put("k", "v")
    for node in cluster.nodes:
        cluster.kill(node)
    began = time.monotonic()
    db.close()
    assert time.monotonic() - began < 30


def test_closing_fails_the_calls_that_wait(connect: Connect, cluster: FakeCluster) -> None:
    db = connect(cluster.endpoints)
    db.put("first", "")
    for node in cluster.nodes:
        cluster.always(node, IGNORE)
    with ThreadPoolExecutor(2) as pool:
        write, read = pool.submit(db.put, "k", "v"), pool.submit(db.get, "k")
        until(lambda: len(cluster.operations("put")) > 1 and cluster.operations("get"))
        db.close()
        with pytest.raises(OutcomeUnknown, match="closed"):
            write.result()
        with pytest.raises(Unavailable, match="closed"):
            read.result()
