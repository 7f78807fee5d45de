"""A store at its quota: what is refused and what is still taken, and by whom."""

from __future__ import annotations

from typing import Any

import pytest

from raftzmq.machine import memory
from raftzmq.node.state import HISTORY_SHARE, LOG_SHARE
from raftzmq.storage import StorageConfig
from raftzmq.transport.client_wire import ErrorReply, OperationsRequest, Results
from raftzmq.transport.operator_wire import StatusReply, StatusRequest
from tests.node.world import World

QUOTA = 100_000
VALUE = "v" * 10_000


class Store:
    """Three nodes with a quota, and a session that writes."""

    def __init__(self, quota: int | None = QUOTA) -> None:
        self.world = World(3, quota_bytes=quota)
        self.leader = self.world.formed()
        self.session = self.world.session(self.leader.name)

    def write(self, *op: Any) -> list[Any]:
        return self.world.operate(self.leader.name, *op, session=self.session)

    def fill(self) -> int:
        """Write until no more is taken; return how many keys there are."""
        count = 0
        while self.write("put", f"k{count:03}", VALUE)[1] == "ok":
            count += 1
        return count

    def send(self, ops: list[list[Any]]) -> dict[int, str]:
        """Send operations in one message; return the code of each by its serial."""
        first = self.world.serial + 1
        self.world.serial += len(ops)
        sent = [[first + place, *op] for place, op in enumerate(ops)]
        codes: dict[int, str] = {}

        def hear(reply: Any) -> bool:
            if isinstance(reply, ErrorReply):
                codes.update(dict.fromkeys(reply.ids or (), reply.code))
            elif isinstance(reply, Results):
                codes.update({result[0]: result[1] for result in reply.results})
            return True

        self.world.listeners[b"many"] = hear
        request = OperationsRequest(self.session, first, False, sent, self.leader.cluster)
        self.world.ask(self.leader.name, request, b"many")
        self.world.until(lambda: len(codes) == len(ops))
        return {ident - first: code for ident, code in codes.items()}


def test_a_full_store_refuses_what_adds_and_takes_the_rest() -> None:
    store = Store()
    lease = store.write("lease_grant", 60_000)[3]
    token = store.write("acquire", "lock", "held", lease, 1, 0, True, None)[3][0]
    store.fill()
    for op in (
        ["put", "k000", "smaller"],
        ["cas", "new", "v", 0],
        ["put_ttl", "new", "v", 1000],
        ["put_leased", "new", "v", lease],
        ["put_if", "new", "v", 0, "keep"],
        ["txn", [], [["put_if", "k000", "v", None, "keep"]], []],
        ["incr", "new", 1, None],
        ["txn", [], [["incr", "new", 1, None]], []],
        ["proclaim", "held", token, "v"],
        ["lease_grant", 1000],
        ["acquire", "lock", "other", lease, 1, 0, True, None],
        ["txn", [], [["delete", "k000"], ["put", "k000", "v"]], []],
        ["fenced", [["held", token]], ["put", "k000", "v"]],
    ):
        assert store.write(*op)[1] == "store_full", op
    for op in (
        ["get", "k000"],
        ["lease_keep", lease],
        ["release", "lock", "held", token],
        ["txn", [], [["delete", "k001"]], []],
        ["lease_revoke", lease],
    ):
        assert store.write(*op)[1] == "ok", op


def test_there_is_room_again_after_a_delete() -> None:
    store = Store()
    store.fill()
    assert store.write("delete", "k000")[1:2] == ["ok"]
    assert store.write("put", "new", "v")[1] == "ok"


def test_the_state_takes_no_more_than_its_quota_and_what_was_in_flight() -> None:
    store = Store()
    ops = [["put", f"k{number:03}", VALUE] for number in range(30)]
    codes = store.send(ops)
    codes = store.send(ops)
    assert set(codes.values()) == {"store_full"}
    everybody = store.world.nodes.values()
    store.world.until(lambda: len({node.raft.applied_index for node in everybody}) == 1)
    for node in everybody:
        assert QUOTA <= node.machine.memory <= QUOTA + 30 * (len(VALUE) + memory.KEY + 4)


def test_what_is_in_flight_counts_and_is_to_be_tried_again() -> None:
    store = Store()
    answers: list[Any] = []

    def hear(reply: Any) -> bool:
        answers.append(reply)
        return True

    store.world.listeners[b"first"] = lambda _reply: True
    store.world.listeners[b"second"] = hear
    for client, number in ((b"first", 100), (b"second", 101)):
        op = [number, "put", f"k{number}", "v" * QUOTA]
        request = OperationsRequest(store.session, 100, False, [op], store.leader.cluster)
        store.world.ask(store.leader.name, request, client)
    store.world.run(1)
    (reply,) = answers
    assert isinstance(reply, ErrorReply)
    assert reply.code == "overloaded"
    assert "what is left of the store" in reply.message


def test_of_one_message_only_what_adds_is_refused() -> None:
    store = Store()
    count = store.fill()
    codes = store.send(
        [["put", "a", "v"], ["delete", "k000"], ["get", "k001"], ["put", "b", "v"], ["delete", "x"]]
    )
    assert codes == {0: "store_full", 1: "ok", 2: "ok", 3: "store_full", 4: "ok"}
    assert len(store.leader.machine) == count - 1


def test_a_client_without_a_session_can_open_one_and_delete() -> None:
    store = Store()
    store.fill()
    store.session = store.world.session(store.leader.name)
    assert store.write("delete", "k000")[1] == "ok"


def test_a_write_that_was_done_is_told_so_when_it_is_sent_again() -> None:
    store = Store()
    store.fill()
    serial = store.world.serial - 1  # of the last that was taken
    op = [serial, "put", "again", VALUE]
    request = OperationsRequest(store.session, 0, False, [op], store.leader.cluster)
    answer = store.world.answer(store.leader.name, request)
    assert isinstance(answer, Results)
    assert answer.results[0][1] == "ok"
    assert "again" not in store.leader.machine.state.keys.items


def test_what_ends_by_itself_ends() -> None:
    store = Store()
    assert store.write("put_ttl", "ends", "v", 1000)[1] == "ok"
    store.fill()
    store.world.run(3)
    assert store.write("get", "ends")[3] is None


def test_status_says_how_much_there_is_and_may_be() -> None:
    store = Store()
    store.fill()
    for node in store.world.nodes.values():
        answer = store.world.answer(node.name, StatusRequest(1))
        assert isinstance(answer, StatusReply)
        status = answer.status
        assert status["store_bytes"] == node.machine.memory >= QUOTA
        assert (status["quota_bytes"], status["store_full"]) == (QUOTA, True)
        assert status["healthy"]


def test_without_a_quota_everything_is_taken() -> None:
    store = Store(quota=None)
    assert set(store.send([["put", f"k{n}", VALUE] for n in range(30)]).values()) == {"ok"}
    answer = store.world.answer(store.leader.name, StatusRequest(1))
    assert isinstance(answer, StatusReply)
    assert (answer.status["quota_bytes"], answer.status["store_full"]) == (None, False)


def test_beside_a_small_store_the_history_of_changes_is_small() -> None:
    store = Store()
    for number in range(60):
        assert store.write("put", "one", "v" * 1000 + str(number))[1] == "ok"
    history = store.leader.watches.history
    assert len(history.changes) * 1000 < QUOTA // HISTORY_SHARE * 1.2


def test_the_refusal_says_what_to_do() -> None:
    store = Store()
    store.fill()
    code, _, body = store.write("put", "k", "v")[1:]
    assert code == "store_full"
    assert "delete something, or start every node with a larger --quota" in str(body)


@pytest.mark.parametrize("quota", [1, memory.SESSION])
def test_a_store_that_was_always_full_can_still_be_asked(quota: int) -> None:
    store = Store(quota=quota)
    assert store.write("put", "k", "v")[1] == "store_full"
    assert store.write("get", "k")[3] is None


def test_the_log_in_memory_stays_a_part_of_the_quota_though_snapshots_are_large() -> None:
    """A slice a turn would take 130 turns for the snapshot, in which as much log would come."""
    quota, value = 5_000_000, "v" * 20_000
    config = StorageConfig(log_memory_bytes=quota // LOG_SHARE, keep_entries=1)
    world = World(1, storage=config, quota_bytes=quota)
    leader = world.formed()
    session = world.session(leader.name)
    most = 0
    for number in range(700):
        key = f"k{number % 240:03}"
        assert world.operate(leader.name, "put", key, value, session=session)[1] == "ok"
        most = max(most, sum(len(entry.line) for entry in leader.raft.log.entries))
    assert leader.machine.memory > 0.9 * quota
    assert leader.counts.snapshots_taken > 10
    assert most < quota // 4
