"""What the audit trail says of requests, from what came and what was answered."""

from __future__ import annotations

from typing import Any

import pytest

from raftzmq.access.users import ANYBODY, User
from raftzmq.node import audit
from raftzmq.node.audit import Audit, Record
from raftzmq.transport.client_wire import ErrorReply, OperationsRequest, Reply, Request, Results
from raftzmq.transport.operator_wire import (
    Done,
    LogLevelRequest,
    MemberRequest,
    StatusReply,
    StatusRequest,
    StopRequest,
    TransferRequest,
)
from raftzmq.transport.watch_wire import Watching, WatchLost, WatchRequest

CLIENT = b"client"
BILLING = User("billing", write=("billing/",))


@pytest.fixture
def trail() -> Audit:
    return Audit()


def ask(trail: Audit, *ops: list[Any], user: User = BILLING) -> None:
    request = OperationsRequest(3, 1, False, [[place, *op] for place, op in enumerate(ops)])
    trail.asked(CLIENT, request, user, "10.0.0.7")


def results(*found: tuple[int, str, int, Any]) -> Results:
    return Results("raft-0", 2, "raft-0", found)


def refused(code: str, *ids: int) -> ErrorReply:
    return ErrorReply(list(ids), code, "no", "raft-0", 2, None, None)


def only(trail: Audit) -> Record:
    (record,) = trail.take()
    return record


def subject(trail: Audit, *op: Any) -> tuple[str, dict[str, Any]]:
    """What is said of an operation that is done."""
    ask(trail, list(op))
    trail.answered(CLIENT, results((0, "ok", 9, [True, []] if op[0] == "txn" else None)))
    record = only(trail)
    return record.operation, record.subject


def test_a_write_is_recorded_when_it_is_answered(trail: Audit) -> None:
    ask(trail, ["put", "billing/7", "secret"])
    assert trail.take() == []
    trail.answered(CLIENT, results((0, "ok", 17, None)))
    wanted = Record("billing", "10.0.0.7", "put", {"key": "billing/7"}, 17, "ok")
    assert trail.take() == [wanted]
    assert trail.take() == []


@pytest.mark.parametrize(
    ("op", "said"),
    [
        (["cas", "k", "secret", 3], {"key": "k", "revision": 3}),
        (["put_ttl", "k", "secret", 500], {"key": "k", "ttl_ms": 500}),
        (["put_leased", "k", "secret", 7], {"key": "k", "lease": 7}),
        (["put_if", "k", "secret", 3, ["ttl", 500]], {"key": "k", "revision": 3}),
        (["incr", "k", 5, ["ttl", 500]], {"key": "k"}),
        (["delete", "k"], {"key": "k"}),
        (["delete_prefix", "k/"], {"prefix": "k/"}),
        (["delete_first", "k/", 5], {"prefix": "k/", "limit": 5}),
        (["lease_grant", 500], {"ttl_ms": 500}),
        (["lease_revoke", 7], {"lease": 7}),
        (["release", "lock", "n", 9], {"kind": "lock", "name": "n", "token": 9}),
        (["proclaim", "n", 9, "secret"], {"name": "n", "token": 9}),
        (["open"], {}),
        (
            ["acquire", "election", "n", 7, 1, 0, True, "secret"],
            {"kind": "election", "name": "n", "lease": 7, "permits": 1, "capacity": 0},
        ),
    ],
)
def test_what_it_is_about_is_said_and_no_value(
    trail: Audit, op: list[Any], said: dict[str, Any]
) -> None:
    assert subject(trail, *op) == (op[0], said)


def test_a_transaction_names_each_key_and_which_branch_was_taken(trail: Audit) -> None:
    compares = [["a", "value", "=", "secret"], ["b", "revision", ">", 3]]
    then = [["put", "c", "secret"], ["get", "d"]]
    assert subject(trail, "txn", compares, then, [["delete", "e"]]) == (
        "txn",
        {
            "compares": ["a", "b"],
            "then": [{"operation": "put", "key": "c"}, {"operation": "get", "key": "d"}],
            "else": [{"operation": "delete", "key": "e"}],
            "succeeded": True,
        },
    )


def test_a_fenced_write_is_the_write_and_its_fences(trail: Audit) -> None:
    said = {"fences": [["lock", 7]], "key": "k"}
    assert subject(trail, "fenced", [["lock", 7]], ["put", "k", "secret"]) == ("put", said)


def test_a_huge_key_is_cut_and_its_length_said(trail: Audit) -> None:
    _, said = subject(trail, "put", "k" * 4000, "v")
    assert said == {"key": "k" * 256 + "… (4000 characters)"}


def test_each_of_many_operations_has_a_record_in_their_order(trail: Audit) -> None:
    ask(trail, *[["put", f"k{number}", "v"] for number in range(512)])
    trail.answered(CLIENT, results(*[(number, "ok", number + 1, None) for number in range(512)]))
    records = trail.take()
    assert [record.subject["key"] for record in records] == [f"k{n}" for n in range(512)]
    assert [record.revision for record in records] == list(range(1, 513))


def test_reads_are_recorded_only_if_they_are_denied(trail: Audit) -> None:
    ask(trail, ["get", "a"], ["get", "b"])
    trail.answered(CLIENT, results((0, "ok", 5, ["v", 3]), (1, "denied", 0, {"message": "no"})))
    assert only(trail) == Record("billing", "10.0.0.7", "get", {"key": "b"}, 0, "denied")


@pytest.mark.parametrize("code", ["compare_failed", "fenced", "busy", "invalid", "store_full"])
def test_a_write_that_is_refused_is_recorded_with_the_code(trail: Audit, code: str) -> None:
    ask(trail, ["put", "a", "v"])
    trail.answered(CLIENT, refused(code, 0))
    assert only(trail).outcome == code


def test_an_outcome_that_nobody_knows_is_said_so(trail: Audit) -> None:
    ask(trail, ["put", "a", "v"], ["put", "b", "v"])
    trail.answered(CLIENT, refused("outcome_unknown", 0, 1))
    assert [(r.subject["key"], r.outcome, r.revision) for r in trail.take()] == [
        ("a", "outcome_unknown", 0),
        ("b", "outcome_unknown", 0),
    ]


@pytest.mark.parametrize("code", sorted(audit.SENT_AGAIN))
def test_what_is_sent_again_by_itself_is_recorded_then(trail: Audit, code: str) -> None:
    ask(trail, ["put", "a", "v"])
    trail.answered(CLIENT, refused(code, 0))
    assert trail.take() == []


@pytest.mark.parametrize(
    ("request_", "reply", "said"),
    [
        (StopRequest(4), Done(4, "stopping"), ("stop", {}, "ok")),
        (TransferRequest(4, "raft-2"), Done(4, "."), ("transfer", {"name": "raft-2"}, "ok")),
        (TransferRequest(4, None), refused("refused", 4), ("transfer", {}, "refused")),
        (
            MemberRequest(4, "remove", "raft-2"),
            Done(4, "."),
            ("member_remove", {"name": "raft-2"}, "ok"),
        ),
        (
            LogLevelRequest(4, "DEBUG"),
            Done(4, "."),
            ("log_level", {"level": "DEBUG"}, "ok"),
        ),
        (StopRequest(4), refused("denied", 4), ("stop", {}, "denied")),
        (StatusRequest(4), refused("denied", 4), ("status", {}, "denied")),
        (
            WatchRequest(4, "pay/", True, None, False),
            WatchLost(4, "denied", "no", 1),
            ("watch", {"prefix": "pay/"}, "denied"),
        ),
    ],
)
def test_what_operators_ask_and_what_is_denied(
    trail: Audit, request_: Request, reply: Reply, said: tuple[str, dict[str, Any], str]
) -> None:
    trail.asked(CLIENT, request_, ANYBODY, "")
    trail.answered(CLIENT, reply)
    record = only(trail)
    assert (record.operation, record.subject, record.outcome) == said


@pytest.mark.parametrize(
    ("request_", "reply"),
    [
        (StatusRequest(4), StatusReply(4, {})),
        (WatchRequest(4, "k", False, None, False), Watching(4, 1, "raft-0", "c")),
        (WatchRequest(4, "k", False, None, False), WatchLost(4, "compacted", "no", 1)),
    ],
)
def test_what_changes_nothing_is_not_recorded(
    trail: Audit, request_: Request, reply: Reply
) -> None:
    trail.asked(CLIENT, request_, ANYBODY, "")
    trail.answered(CLIENT, reply)
    assert trail.take() == []
    assert not trail._asked


NONSENSE: list[list[Any]] = [
    ["put"],
    ["put", {"key": 1}, 2],
    ["put", ["k"] * 9, "v", "more"],
    ["txn", 1, {"a": 2}, [[], [1], ["put"], ["nonsense", {}], "x"]],
    ["txn", [[], 5, [{}]], [["txn", [], [], []]], []],
    ["fenced", 3, ["put", {}]],
    ["fenced", [1, ["n"], [{}, None]], ["fenced", [], ["fenced"]]],
    ["fenced", [["n", 1]], 7],
    ["nonsense" * 1000, "k"],
]


@pytest.mark.parametrize("op", NONSENSE)
def test_of_what_is_no_operation_only_what_can_be_said_is_said(trail: Audit, op: list[Any]) -> None:
    ask(trail, op)
    trail.answered(CLIENT, refused("denied", 0))
    record = only(trail)
    assert len(str(record)) < 2000
    assert "secret" not in str(record)


def test_an_answer_to_nobody_is_no_record(trail: Audit) -> None:
    trail.answered(CLIENT, results((0, "ok", 17, None)))
    trail.answered(CLIENT, ErrorReply(None, "malformed", "no", "raft-0", 2, None, None))
    assert trail.take() == []


def test_what_is_never_answered_does_not_stay_for_ever(
    trail: Audit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "ASKED_MOST", 3)
    ask(trail, *[["put", f"k{number}", "v"] for number in range(5)])
    trail.answered(CLIENT, results(*[(number, "ok", 1, None) for number in range(5)]))
    assert [record.subject["key"] for record in trail.take()] == ["k2", "k3", "k4"]


@pytest.mark.parametrize("name", ["stop", "watch", "status", "transfer", "member_remove"])
def test_an_operation_by_the_name_of_a_request_is_not_taken_for_one(
    trail: Audit, name: str
) -> None:
    ask(trail, [name], [name, "raft-2"])
    trail.answered(CLIENT, refused("invalid", 0, 1))
    assert trail.take() == []
