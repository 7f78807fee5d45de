"""Arguments are checked before anything is sent, and what is sent is what a node accepts."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftzmq import limits
from raftzmq.client.operations import cluster, keys, leases, transactions
from raftzmq.client.operations.arguments import Answer, Operation
from raftzmq.client.results import CasResult, Deleted, Incremented, Item, Keys, Range, Written
from raftzmq.client.session.calls import Call
from raftzmq.client.transactions import (
    Compare,
    Delete,
    DeletePrefix,
    Get,
    GetPrefix,
    GetRange,
    Incr,
    Put,
)
from raftzmq.errors import InvalidRequest, WireError
from raftzmq.machine import Machine, validate_read, validate_write
from raftzmq.naming import endpoint_list

some_keys = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
values = texts | st.binary(max_size=20)
ranges = st.integers(1, limits.RANGE_LIMIT)
steps = st.one_of(
    st.builds(Put, some_keys, values),
    st.builds(Put, some_keys, values, st.floats(0.5, limits.KEY_TTL_MAX_MS / 1000)),
    st.builds(Put, some_keys, values, lease=st.integers(1, limits.INDEX_MAX)),
    st.builds(Put, some_keys, values, keep_end=st.just(True)),
    st.builds(Incr, some_keys, st.integers(-limits.NUMBER_MAX, limits.NUMBER_MAX)),
    st.builds(Incr, some_keys, lease=st.integers(1, limits.INDEX_MAX)),
    st.builds(Delete, some_keys),
    st.builds(DeletePrefix, texts),
    st.builds(Get, some_keys),
    st.builds(GetRange, texts, texts, ranges),
    st.builds(GetPrefix, texts, ranges),
)
compares = st.one_of(
    st.builds(
        Compare, some_keys, st.just("value"), st.sampled_from(["=", "!="]), values | st.none()
    ),
    st.builds(
        Compare,
        some_keys,
        st.just("revision"),
        st.sampled_from(["=", "!=", "<", ">"]),
        st.integers(0, limits.INDEX_MAX),
    ),
)
ends = st.sampled_from([{}, {"ttl": 60}, {"lease": 7}, {"keep_end": True}])
writes = st.one_of(
    st.builds(keys.put, some_keys, values),
    st.builds(
        lambda key, value, absent, end: keys.put(key, value, if_absent=absent, **end),
        some_keys,
        values,
        st.booleans(),
        ends,
    ),
    st.builds(lambda key, value, end: keys.cas(key, value, 7, **end), some_keys, values, ends),
    st.builds(keys.cas, some_keys, values, st.integers(0, limits.INDEX_MAX)),
    st.builds(keys.delete, some_keys),
    st.builds(keys.delete_prefix, texts),
    st.builds(keys.delete_prefix_at_once, texts),
    st.builds(
        transactions.txn,
        st.lists(compares, max_size=4),
        st.lists(steps, max_size=4),
        st.lists(steps, max_size=4),
    ),
    st.just(cluster.open_session("5ec2e75ec2e75ec2")),
    st.builds(cluster.close_session),
)


def on_the_wire(operation: Operation[Any]) -> list[Any]:
    op: list[Any] = orjson.loads(b"[1," + operation.tail)
    return op


@given(writes)
def test_every_write_that_can_be_made_is_valid_to_a_node(operation: Operation[Any]) -> None:
    assert operation.is_write
    validate_write(on_the_wire(operation))


@given(some_keys, texts, texts, ranges)
def test_every_read_that_can_be_made_is_valid_to_a_node(
    key: str, start: str, end: str, limit: int
) -> None:
    for operation in (
        keys.get(key),
        keys.get(key, details=True),
        keys.count(start),
        keys.keys_(start, end, limit),
        keys.range_(start, end, limit),
        keys.prefix(start, limit, stale=True, endpoint="a:1"),
    ):
        assert not operation.is_write
        validate_read(on_the_wire(operation))


class Store:
    """A state machine that executes operations as a node would."""

    def __init__(self) -> None:
        self.machine = Machine()
        self.machine.apply(1, 0, (0, 0, [0, "open"]))
        self.index = 1

    def do(self, operation: Operation[Any]) -> Any:
        op = on_the_wire(operation)
        if operation.is_write:
            self.index += 1
            op[0] = self.index
            code, index, body = self.machine.apply(self.index, 0, (1, self.index, op))
        else:
            code, index, body = self.machine.read(op)
        body = orjson.loads(orjson.dumps(body))
        call = Call(operation, 0, 1)
        call.answer = Answer(code == "ok", index, body, 3, "raft-0", index=index)
        return call.result()

    def get(self, key: str) -> Any:
        return self.do(keys.get(key))


@given(some_keys, values)
def test_a_value_comes_back_as_what_it_was(key: str, value: str | bytes) -> None:
    store = Store()
    store.do(keys.put(key, value))
    assert store.get(key) == Item(key, value, 2)


def test_buffers_are_stored_as_bytes() -> None:
    store = Store()
    store.do(keys.put("a", bytearray(b"x\0")))  # type: ignore[arg-type]
    assert store.get("a").value == b"x\0"


def test_a_missing_key_is_none() -> None:
    assert Store().get("k") is None


def test_compare_and_put_says_what_stood_in_the_way() -> None:
    store = Store()
    first = store.do(keys.put_if_absent("k", "one"))
    assert first == CasResult(True, 2, Item("k", "one", 2), 2, 3, "raft-0")
    second = store.do(keys.put_if_absent("k", "two"))
    assert second == CasResult(False, 2, Item("k", "one", 2), 3, 3, "raft-0")
    third = store.do(keys.cas("absent", "two", 7))
    assert third == CasResult(False, 0, None, 4, 3, "raft-0")
    fourth = store.do(keys.cas("k", b"two", 2))
    assert (fourth.succeeded, fourth.current) == (True, Item("k", b"two", 5))


def test_a_put_if_absent_says_what_stood_in_the_way() -> None:
    store = Store()
    assert store.do(keys.put("k", "one", if_absent=True)) == Written(2, 3, "raft-0", 2)
    second = store.do(keys.put("k", "two", if_absent=True, ttl=60))
    assert second == Written(3, 3, "raft-0", 2, False, Item("k", "one", 2))
    assert store.do(keys.put("l", "one", if_absent=True, ttl=60)).succeeded
    assert store.do(keys.put("l", "two", keep_end=True)).succeeded
    assert store.do(keys.cas("l", "three", 5, keep_end=True)).succeeded
    assert store.machine.next_expiry_ms == 60_000
    done = store.do(transactions.txn(then=[Put("l", "four", keep_end=True), Put("m", "", ttl=30)]))
    assert done.results == (Written(7, 3, "raft-0", 7),) * 2
    assert store.machine.next_expiry_ms == 30_000


@pytest.mark.parametrize(
    ("operation", "name"),
    [
        (keys.put("k", "v", if_absent=True), "cas"),
        (keys.put("k", "v", ttl=1), "put_ttl"),
        (keys.put("k", "v", lease=1), "put_leased"),
        (keys.put_if_absent("k", "v"), "cas"),
        (keys.put("k", "v", if_absent=True, ttl=1), "put_if"),
        (keys.put("k", "v", keep_end=True), "put_if"),
        (keys.put_if_absent("k", "v", lease=1), "put_if"),
    ],
)
def test_what_older_clusters_know_is_said_as_they_know_it(
    operation: Operation[Any], name: str
) -> None:
    assert on_the_wire(operation)[1] == name


def test_an_item_has_its_lease_and_how_long_it_stays_if_that_is_asked_for() -> None:
    store = Store()
    lease = store.do(leases.lease_grant(10))
    store.do(keys.put("leased", "v", lease=lease))
    store.do(keys.put("timed", b"v", ttl=2.5))
    store.do(keys.put("stays", "v"))
    assert store.do(keys.get("leased", details=True)) == Item("leased", "v", 3, 2, 10)
    assert store.do(keys.get("timed", details=True)) == Item("timed", b"v", 4, None, 2.5)
    assert store.do(keys.get("stays", details=True)) == Item("stays", "v", 5)
    assert store.do(keys.get("absent", details=True)) is None
    assert store.get("timed") == Item("timed", b"v", 4)


def test_keys_are_counted_and_listed_without_their_values() -> None:
    store = Store()
    for key in ("a1", "a2", "a3", "b"):
        store.do(keys.put(key, "v"))
    assert (store.do(keys.count()), store.do(keys.count("a")), store.do(keys.count("c"))) == (
        4,
        3,
        0,
    )
    assert store.do(keys.keys_("a", limit=2)) == Keys(("a1", "a2"), True, 5, 5)
    assert [*store.do(keys.keys_("a", "a2"))] == ["a3"]
    assert [*store.do(keys.keys_("a", "0"))] == ["a1", "a2", "a3"]
    assert [*store.do(keys.keys_("a", "b"))] == []


def test_a_delete_says_what_it_deleted_if_that_is_asked_for() -> None:
    store = Store()
    store.do(keys.put("k", b"v"))
    done = store.do(keys.delete("k", previous=True))
    assert (done.count, done.previous) == (1, Item("k", b"v", 2))
    again = store.do(keys.delete("k", previous=True))
    assert (again.count, again.previous) == (0, None)


def test_a_number_is_counted_up_and_down() -> None:
    store = Store()
    assert store.do(keys.incr("n")) == Incremented(1, 2, 3, "raft-0", 2)
    assert store.do(keys.incr("n", -4, ttl=60)) == Incremented(-3, 3, 3, "raft-0", 3)
    assert store.get("n") == Item("n", "-3", 3)
    assert store.machine.next_expiry_ms == limits.SESSION_TTL_MS, "it was there, and stays"
    assert store.do(keys.incr("timed", 2**53 - 1, ttl=60)).value == 2**53 - 1
    assert store.machine.next_expiry_ms == 60_000
    done = store.do(transactions.txn(then=[Incr("n", 5), Incr("m", ttl=30), Get("n")]))
    assert done.results == (
        Incremented(2, 5, 3, "raft-0", 5),
        Incremented(1, 5, 3, "raft-0", 5),
        Item("n", "2", 5),
    )
    assert store.machine.next_expiry_ms == 30_000


@pytest.mark.parametrize("body", [None, "1", 1.5, True, [1]], ids=repr)
def test_an_answer_that_is_no_number_is_none(body: Any) -> None:
    call = Call(keys.incr("n"), 0, 1)
    call.answer = Answer(True, 2, body, 3, "raft-0", index=2)
    with pytest.raises(WireError, match="not a whole number"):
        call.result()


def test_deletes_count() -> None:
    store = Store()
    for key in ("a1", "a2", "b"):
        store.do(keys.put(key, ""))
    assert store.do(keys.delete("b")) == Deleted(1, 5, 3, "raft-0", 5)
    assert store.do(keys.delete("b")).count == 0
    assert store.do(keys.delete_prefix("a")).count == 2


def test_ranges_are_in_order_and_say_whether_there_is_more() -> None:
    store = Store()
    for key in ("b", "a", "c"):
        store.do(keys.put(key, key.upper()))
    found = store.do(keys.range_("a", "c", 10))
    assert isinstance(found, Range)
    assert [item.key for item in found] == ["a", "b"]
    assert not found.more
    first = store.do(keys.prefix("", 2))
    assert (len(first), first.more) == (2, True)
    rest = store.do(keys.range_(first.items[-1].key + "\0", "", 10))
    assert [item.value for item in rest] == ["C"]


def test_a_transaction_gives_one_result_for_each_operation_of_its_branch() -> None:
    store = Store()
    work = transactions.txn(
        [Compare("k", "revision", "=", 0)],
        [Put("k", "v"), Get("k"), GetPrefix(""), GetRange("x"), Delete("k"), DeletePrefix("k")],
        [Get("k"), Get("none")],
    )
    done = store.do(work)
    assert done.succeeded
    assert done.results == (
        Written(2, 3, "raft-0", 2),
        Item("k", "v", 2),
        Range((Item("k", "v", 2),), False, 2, 2),
        Range((), False, 2, 2),
        Deleted(1, 2, 3, "raft-0", 2),
        Deleted(0, 2, 3, "raft-0", 2),
    )
    store.do(keys.put("k", "w"))
    other = store.do(work)
    assert (other.succeeded, other.results) == (False, (Item("k", "w", 3), None))


get = {"stale": False, "endpoint": None}


@pytest.mark.parametrize(
    "make",
    [
        lambda: keys.put("", "v"),
        lambda: keys.put(None, "v"),  # type: ignore[arg-type]
        lambda: keys.put(b"k", "v"),  # type: ignore[arg-type]
        lambda: keys.put("k" * (limits.KEY_BYTES + 1), "v"),
        lambda: keys.put("\N{SNOWMAN}" * (limits.KEY_BYTES // 3 + 1), "v"),
        lambda: keys.put("\ud800", "v"),
        lambda: keys.put("k", "\ud800"),
        lambda: keys.put("k", None),  # type: ignore[arg-type]
        lambda: keys.put("k", 5),  # type: ignore[arg-type]
        lambda: keys.put("k", float("nan")),  # type: ignore[arg-type]
        lambda: keys.put("k", {"b64": "eA=="}),  # type: ignore[arg-type]
        lambda: keys.put("k", "v" * (limits.VALUE_BYTES + 1)),
        lambda: keys.put("k", "é" * (limits.VALUE_BYTES // 2 + 1)),
        lambda: keys.put("k", b"v" * (limits.VALUE_BYTES + 1)),
        lambda: keys.cas("k", "v", -1),
        lambda: keys.put("k", "v", ttl=1, lease=1),
        lambda: keys.put("k", "v", ttl=1, keep_end=True),
        lambda: keys.put("k", "v", keep_end=1),  # type: ignore[arg-type]
        lambda: keys.put("k", "v", if_absent=1),  # type: ignore[arg-type]
        lambda: keys.cas("k", "v", 1, lease=1, keep_end=True),
        lambda: transactions.txn(then=[Put("k", "v", ttl=0)]),
        lambda: transactions.txn(then=[Put("k", "v", lease=0)]),
        lambda: keys.cas("k", "v", True),
        lambda: keys.cas("k", "v", 1.0),  # type: ignore[arg-type]
        lambda: keys.cas("k", "v", limits.INDEX_MAX + 1),
        lambda: keys.get("", **get),  # type: ignore[arg-type]
        lambda: keys.get("k", stale=False, endpoint="a:1"),
        lambda: keys.get("k", stale=True, endpoint="nowhere"),
        lambda: keys.range_("a", "b", 0, **get),  # type: ignore[arg-type]
        lambda: keys.range_("a", "b", limits.RANGE_LIMIT + 1, **get),  # type: ignore[arg-type]
        lambda: keys.range_("a", "b", True, **get),  # type: ignore[arg-type]
        lambda: keys.range_(None, "b", 1, **get),  # type: ignore[arg-type]
        lambda: keys.prefix("k" * 5000, 1, **get),  # type: ignore[arg-type]
        lambda: keys.delete_prefix(None),  # type: ignore[arg-type]
        lambda: transactions.txn("k", (), ()),  # type: ignore[arg-type]
        lambda: transactions.txn([("k", "value", "=", "v")], (), ()),  # type: ignore[list-item]
        lambda: transactions.txn([Compare("k", "version", "=", 0)], (), ()),
        lambda: transactions.txn([Compare("k", "value", "<", "v")], (), ()),
        lambda: transactions.txn([Compare("k", "value", "=", 5)], (), ()),
        lambda: transactions.txn([Compare("k", "revision", "==", 0)], (), ()),
        lambda: transactions.txn([Compare("k", "revision", "=", "0")], (), ()),
        lambda: transactions.txn([Compare("k", "revision", "=", None)], (), ()),
        lambda: transactions.txn((), [Get("")], ()),
        lambda: transactions.txn((), [("get", "k")], ()),  # type: ignore[list-item]
        lambda: transactions.txn((), (), [Get("k")] * (limits.TRANSACTION_OPERATIONS + 1)),
        lambda: cluster.status("nowhere"),
        lambda: cluster.stop("raft-0"),
        lambda: cluster.log_level("db:6001", "loud"),
        lambda: cluster.log_level("db:6001", 10),  # type: ignore[arg-type]
        lambda: cluster.transfer("raft"),
        lambda: cluster.transfer(5),  # type: ignore[arg-type]
        lambda: cluster.member_add("-1"),
        lambda: endpoint_list([]),
        lambda: endpoint_list(" , "),
        lambda: endpoint_list(["a:b"]),
        lambda: endpoint_list([5]),  # type: ignore[list-item]
    ],
)
def test_wrong_arguments_are_refused_on_one_line(make: Any) -> None:
    with pytest.raises(InvalidRequest) as caught:
        make()
    assert 0 < len(str(caught.value)) < 200
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), True, None, "5"])
def test_a_timeout_is_a_positive_number_of_seconds(timeout: Any) -> None:
    with pytest.raises(InvalidRequest, match="seconds"):
        Call(keys.put("k", "v", timeout=timeout), 0)
    if timeout is not None:  # which is that of the operation
        with pytest.raises(InvalidRequest, match="seconds"):
            Call(keys.put("k", "v"), 0, timeout)


def test_the_largest_key_and_value_are_accepted() -> None:
    op = on_the_wire(keys.put("k" * limits.KEY_BYTES, "v" * limits.VALUE_BYTES))
    validate_write(op)
    validate_write(on_the_wire(keys.put("k", b"\xff" * limits.VALUE_BYTES)))


def test_endpoints_may_be_a_list_or_text() -> None:
    assert endpoint_list("a:1, tcp://b:2,a:1,") == ("a:1", "b:2")
    assert endpoint_list(["[::1]:6001"]) == ("[::1]:6001",)


@pytest.mark.parametrize("body", [None, "12", -1, 2**64, 1.5, True, [12], {}], ids=repr)
def test_a_session_whose_number_is_none_is_not_opened(body: Any) -> None:
    call = Call(cluster.open_session("5ec2e75ec2e75ec2"), 0, 5)
    call.answer = Answer(True, 7, body, 3, "raft-0", "c1")
    with pytest.raises(WireError):
        call.result()
    for number in (12, 2**64 - 1):
        call.answer = Answer(True, 7, number, 3, "raft-0", "c1")
        assert call.result() == (number, "c1")
