"""What a client does by itself is never refused, and never waits behind what its callers do."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from raftzmq.client.session.leases import HeldLease
from raftzmq.client.session.serials import WINDOW
from tests.client.conversation import Conversation, Sent
from tests.client.coordinating import TTL_MS, Coordinating

MEGABYTE = "v" * 1_000_000


@pytest.fixture
def c() -> Coordinating:
    return Coordinating()


def crowd(c: Conversation, calls: int = 300, value: str = MEGABYTE) -> list[Sent]:
    """So many puts that wait at once; what leaves is not answered."""
    for n in range(calls):
        c.put(f"k{n}", value, timeout=60)
    return c.turn()


def ops_of(sent: list[Sent], name: str) -> list[list[Any]]:
    return [op for message in sent for op in message.ops if op[1] == name]


def test_a_lease_is_kept_alive_while_megabytes_wait(c: Coordinating) -> None:
    lease = c.granted()
    crowd(c)
    for sent in c.later(TTL_MS // 3):
        assert sent.names in (["put"], ["lease_keep"])
        if sent.names == ["lease_keep"]:
            c.ok(sent, TTL_MS)
    c.now_ms = lease.deadline_ms - 1
    assert lease.deadline_ms > 1_000_000 + TTL_MS
    assert lease.alive(c.now_ms)


def test_a_lease_is_kept_alive_while_the_leader_has_no_room_for_puts(c: Coordinating) -> None:
    c.granted()
    crowd(c, 5, "v")
    kept_ms = []
    for _ in range(TTL_MS // 30):
        for sent in c.later(10):
            if sent.names == ["lease_keep"]:
                kept_ms.append(c.now_ms)
                c.ok(sent, TTL_MS)
            else:
                c.refuse(sent, "overloaded")
    assert kept_ms
    assert kept_ms[0] <= 1_000_000 + TTL_MS // 3 + 20


def test_a_lease_is_kept_alive_while_all_serials_of_callers_are_taken(c: Coordinating) -> None:
    c.granted()
    crowd(c, WINDOW + 100, "v")
    assert ops_of(c.later(TTL_MS // 3 + 10), "lease_keep")


def test_a_place_is_given_up_although_the_client_takes_no_more_calls() -> None:
    c = Coordinating()
    lease = c.granted()
    place = c.place(lease)
    c.ok(c.one(), [71, True])
    c.session._calls._calls_most = 3
    crowd(c, 10, "v")
    assert [call.error is None for call in c.session.take_finished()] == [False] * 7
    c.give_up(place)
    assert [op[2:] for op in ops_of(c.turn(), "release")] == [["lock", "l", 71]]


def test_a_lease_ends_although_the_client_takes_no_more_calls(c: Coordinating) -> None:
    lease = c.granted()
    c.session._calls._calls_most = 3
    crowd(c, 10, "v")
    c.give_up(lease)
    assert ops_of(c.turn(), "lease_revoke")


def test_what_waits_in_line_goes_on_waiting_although_no_more_calls_are_taken(
    c: Coordinating,
) -> None:
    lease = c.granted()
    place = c.place(lease)
    c.session._calls._calls_most = 1
    acquiring = c.one()
    crowd(c, 10, "v")
    c.ok(acquiring, [71, False])
    assert ops_of(c.turn(), "await")
    assert not place.done


def steps_of(leases: int) -> int:
    """How many functions are called while so many leases are granted and kept for a time."""
    c = Coordinating()
    steps = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal steps
        steps += event == "call"

    held = [HeldLease(TTL_MS, timeout_s=60) for _ in range(leases)]
    sys.setprofile(count)
    try:
        for lease in held:
            c.session.begin(lease, c.now_ms)
        for _ in range(TTL_MS // 30):
            for sent in c.later(10):
                answers = [
                    c.index + n if op[1] == "lease_grant" else TTL_MS
                    for n, op in enumerate(sent.ops)
                ]
                c.index += len(answers)
                c.results(
                    sent.endpoint,
                    *([i, "ok", c.index, body] for i, body in zip(sent.ids, answers, strict=True)),
                )
    finally:
        sys.setprofile(None)
    assert all(lease.alive(c.now_ms) for lease in held)
    return steps


def test_ten_times_the_leases_take_ten_times_the_work() -> None:
    few, many = steps_of(100), steps_of(1000)
    assert many < 12 * few
