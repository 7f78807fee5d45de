"""Operations of leases and queues: a node accepts what is made, and what it would not is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftzmq import Client, limits
from raftzmq.client.handles.lease import held_lease
from raftzmq.client.operations import arguments, cluster, fences, keys, leases, queues
from raftzmq.client.operations.arguments import Answer, Operation
from raftzmq.client.operations.queues import COUNTER, ELECTION, KINDS, LOCK, SEMAPHORE
from raftzmq.client.session.calls import Call
from raftzmq.errors import InvalidRequest, NotHeld, WireError
from raftzmq.machine import Machine, validate_read, validate_write

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
values = names | st.binary(max_size=20)
numbers = st.integers(1, limits.INDEX_MAX)
counts = st.integers(1, limits.PERMITS)
ttls = st.floats(limits.LEASE_TTL_MIN_MS / 1000, limits.LEASE_TTL_MAX_MS / 1000)
plain = st.one_of(
    st.builds(keys.put, names, values),
    st.builds(keys.delete, names),
    st.builds(keys.put, names, values, lease=numbers),
    st.builds(keys.put, names, values, ttl=ttls),
)
writes = plain | st.one_of(
    st.builds(leases.lease_grant, ttls),
    st.builds(leases.lease_keep, numbers),
    st.builds(leases.lease_revoke, numbers),
    st.builds(queues.acquire, st.sampled_from([LOCK, ELECTION]), names, numbers),
    st.builds(
        queues.acquire,
        st.just(COUNTER),
        names,
        numbers,
        permits=counts,
        capacity=counts,
        wait=st.booleans(),
        value=st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=300),
    ),
    st.builds(queues.release, st.sampled_from(KINDS), names, numbers),
    st.builds(queues.cancel, st.sampled_from(KINDS), names, numbers),
    st.builds(queues.signal, names, counts),
    st.builds(queues.resize, names, counts),
    st.builds(queues.forget, st.sampled_from([SEMAPHORE, COUNTER]), names),
    st.builds(fences.fenced, st.lists(st.tuples(names, numbers), max_size=16), plain),
)
reads = st.one_of(
    st.builds(leases.lease_info, numbers),
    st.builds(leases.leases, st.integers(0, limits.INDEX_MAX), st.integers(1, 10_000)),
    st.builds(queues.describe, st.sampled_from(KINDS), names),
    st.builds(queues.queues, st.sampled_from(KINDS), names, st.integers(1, 10_000)),
    st.builds(queues.await_place, st.sampled_from(KINDS), names, numbers),
    st.builds(queues.observe, names, st.integers(0, limits.INDEX_MAX)),
)


def on_the_wire(operation: Operation[Any]) -> list[Any]:
    op: list[Any] = orjson.loads(b"[1," + operation.tail)
    return op


@given(writes)
def test_every_write_that_can_be_made_is_valid_to_a_node(operation: Operation[Any]) -> None:
    assert operation.is_write
    validate_write(on_the_wire(operation))


@given(reads)
def test_every_read_that_can_be_made_is_valid_to_a_node(operation: Operation[Any]) -> None:
    assert not operation.is_write
    validate_read(on_the_wire(operation))


WRONG: list[Callable[[], Any]] = [
    lambda: leases.lease_grant(0.4),
    lambda: leases.lease_grant(24 * 3600 + 1),
    lambda: leases.lease_grant(float("nan")),
    lambda: leases.lease_grant(True),
    lambda: leases.lease_keep(0),
    lambda: leases.lease_revoke("7"),  # type: ignore[arg-type]
    lambda: queues.acquire("mutex", "n", 1),
    lambda: queues.acquire(LOCK, "", 1),
    lambda: queues.acquire(LOCK, "n" * 4097, 1),
    lambda: queues.acquire(LOCK, "n", 1, permits=2),
    lambda: queues.acquire(ELECTION, "n", 1, capacity=1),
    lambda: queues.acquire(SEMAPHORE, "n", 1, permits=0),
    lambda: queues.acquire(SEMAPHORE, "n", 1, permits=4, capacity=3),
    lambda: queues.acquire(SEMAPHORE, "n", 1, permits=1, capacity=1_000_001),
    lambda: queues.acquire(SEMAPHORE, "n", 1, permits=True),
    lambda: queues.acquire(ELECTION, "n", 1, value=7),  # type: ignore[arg-type]
    lambda: queues.acquire(ELECTION, "n", 1, value="\x01" * 200),
    lambda: queues.release(LOCK, "n", 0),
    lambda: queues.release(LOCK, "n", 2**53),
    lambda: queues.signal("n", 0),
    lambda: queues.resize("n", 0),
    lambda: queues.forget(LOCK, "n"),
    lambda: queues.queues(LOCK, "", 0),
    lambda: queues.observe("n", -1),
    lambda: fences.fenced([("n", 1)] * 17, keys.put("k", "v")),
    lambda: fences.fenced([("n", 0)], keys.put("k", "v")),
    lambda: keys.put("k", "v", ttl=5, lease=7),
    lambda: keys.put("k", "v", fence="n"),  # type: ignore[arg-type]
    lambda: keys.put("k", "v", fence=[]),
    lambda: arguments.timeout_ms(-1),
    lambda: arguments.timeout_ms(float("inf")),
    lambda: held_lease(0),
]


@pytest.mark.parametrize("make", WRONG)
def test_what_a_node_would_refuse_is_refused_before_it_is_sent(make: Callable[[], Any]) -> None:
    with pytest.raises(InvalidRequest):
        make()


@pytest.mark.parametrize(
    ("operation", "bodies"),
    [
        (leases.lease_grant(5), [None, "x", -1, True]),
        (queues.acquire(LOCK, "n", 1), [None, 7, [1], ["x", True]]),
        (leases.lease_info(1), [[1], [1, 2, 3], 7]),
        (leases.leases(0, 10), [None, [[[1, 2]], False]]),
        (queues.describe(LOCK, "n"), [7, {}, {"capacity": 1}]),
        (queues.queues(LOCK, "", 10), [None, [[["n"]], False]]),
        (queues.observe("n", 0), [7, [1], [1, 2, 3]]),
    ],
)
def test_an_answer_of_another_shape_is_an_error_of_the_wire(
    operation: Operation[Any], bodies: list[Any]
) -> None:
    for body in bodies:
        call = Call(operation, 0, 1)
        call.answer = Answer(True, 1, body, 1, "raft-0")
        with pytest.raises(WireError):
            call.result()


def test_what_the_state_machine_answers_is_understood() -> None:
    machine = Machine()
    index = 0

    def ask(operation: Operation[Any]) -> Any:
        nonlocal index
        op = on_the_wire(operation)
        if operation.is_write:
            index += 1
            op[0] = index
            code, revision, body = machine.apply(index, 1000, (session, 0, op))
        else:
            code, revision, body = machine.read(op)
        assert code == "ok", body
        return operation.decode(Answer(True, revision, body, 1, "raft-0"))

    session = 0
    session, _ = ask(cluster.open_session("5ec2e75ec2e75ec2"))
    lease = ask(leases.lease_grant(5))
    token, held = ask(queues.acquire(ELECTION, "e", lease, value="me"))
    assert held
    waiting, held = ask(queues.acquire(ELECTION, "e", lease))
    assert not held
    queue = ask(queues.describe(ELECTION, "e"))
    assert [(p.token, p.lease, p.permits, p.value) for p in queue.holders] == [
        (token, lease, 1, "me")
    ]
    assert [place.token for place in queue.waiters] == [waiting]
    assert (queue.capacity, queue.free, queue.held, queue.waiting) == (1, 0, 1, 1)
    assert [s.name for s in ask(queues.queues(ELECTION, "", 10))] == ["e"]
    assert ask(queues.await_place(ELECTION, "e", token)) is True
    assert ask(queues.await_place(ELECTION, "e", waiting)) is False
    leader = ask(queues.observe("e", 0))
    assert (leader.term, leader.value) == (token, "me")
    assert ask(queues.observe("e", token)) is False
    ask(keys.put("k", "v", lease=lease))
    ask(keys.put("k2", "v", lease=lease, fence=[("e", token)]))
    info = ask(leases.lease_info(lease))
    assert (info.id, info.ttl, info.remaining, info.keys, info.places) == (lease, 5.0, 5.0, 2, 2)
    assert list(ask(leases.leases(0, 10))) == [info]
    assert ask(leases.lease_keep(lease)) == 5.0
    assert ask(queues.signal("c", 4)) == 4
    assert ask(queues.observe("other", 9)) is None


def test_a_claim_that_is_not_held_is_no_fence() -> None:
    claim = Client().lock("n", ttl=5)
    with pytest.raises(NotHeld):
        fences.guarded(keys.put("k", "v"), claim)
    with pytest.raises(NotHeld):
        fences.guarded(keys.put("k", "v"), [("m", 1), claim])
