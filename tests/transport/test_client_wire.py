"""Requests and replies keep their meaning and their bytes; anything else is a WireError that
says, where it can, which requests it is about."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any, get_args

import orjson
import pytest

from raftzmq import limits
from raftzmq.errors import InvalidRequest, WireError
from raftzmq.transport.client_wire import (
    ErrorReply,
    OperationsRequest,
    Reply,
    Request,
    Results,
    decode_reply,
    decode_request,
    encode_reply,
    encode_request,
    encode_results,
)
from raftzmq.transport.operator_wire import (
    Done,
    LogLevelRequest,
    MemberRequest,
    StatusReply,
    StatusRequest,
    StopRequest,
    TransferRequest,
)
from tests.transport.samples import REPLIES, REQUESTS

OPERATIONS, RESULTS, ERROR = REQUESTS[0], REPLIES[0], REPLIES[2]


def frame_of(message: Request | Reply, /, **changes: Any) -> bytes:
    """The frame of a message with fields changed; ... takes a field away."""
    encode: Any = encode_reply if isinstance(message, get_args(Reply)) else encode_request
    header = orjson.loads(encode(message)) | changes
    kept = {name: value for name, value in header.items() if value is not ...}
    return json.dumps(kept).encode()


def refused(frame: bytes) -> WireError:
    """How a request is refused."""
    with pytest.raises(WireError) as caught:
        decode_request(frame)
    return caught.value


def reply_refused(frame: bytes) -> str:
    """The reason why a reply is refused."""
    with pytest.raises(WireError) as caught:
        decode_reply(frame)
    return caught.value.reason


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda r: type(r).__name__)
def test_every_request_arrives_as_it_was_sent(request_: Request) -> None:
    assert decode_request(encode_request(request_)) == request_


@pytest.mark.parametrize("reply", REPLIES, ids=lambda r: type(r).__name__)
def test_every_reply_arrives_as_it_was_sent(reply: Reply) -> None:
    assert decode_reply(encode_reply(reply)) == reply


def test_every_kind_of_request_and_reply_is_listed() -> None:
    assert {type(request) for request in REQUESTS} == set(get_args(Request))
    assert {type(reply) for reply in REPLIES} == set(get_args(Reply))


@pytest.mark.parametrize(
    ("message", "frame"),
    [
        (
            OPERATIONS,
            b'{"v":1,"type":"operations","cluster":"6f1c0a5e9b7d4c21","session":12,"ack":17,"stale":false,'
            b'"ops":[[17,"put","greeting","hello"],[18,"get","greeting"]]}',
        ),
        (
            OperationsRequest(0, 0, False, [[1, "get", "k"]], "", [[1, "00-ab-cd-01"]]),
            b'{"v":1,"type":"operations","cluster":"","session":0,"ack":0,"stale":false,'
            b'"ops":[[1,"get","k"]],"traces":[[1,"00-ab-cd-01"]]}',
        ),
        (StatusRequest(1), b'{"v":1,"type":"status","id":1}'),
        (StopRequest(1), b'{"v":1,"type":"stop","id":1}'),
        (TransferRequest(1, "raft-2"), b'{"v":1,"type":"transfer","id":1,"to":"raft-2"}'),
        (
            MemberRequest(1, "add", "raft-3"),
            b'{"v":1,"type":"member","id":1,"action":"add","name":"raft-3"}',
        ),
        (
            LogLevelRequest(1, "DEBUG"),
            b'{"v":1,"type":"log_level","id":1,"level":"DEBUG"}',
        ),
        (
            RESULTS,
            b'{"v":1,"type":"results","cluster":"6f1c0a5e9b7d4c21","node":"raft-0","term":3,"leader":"raft-0",'
            b'"results":[[17,"ok",4711,null],[18,"ok",4711,["hello",4711]]],'
            b'"entries":[[240,1],[241,1]]}',
        ),
        (
            ErrorReply([17, 18], "not_leader", "no", "raft-1", 3, "raft-0", "raft-0.raft:6001"),
            b'{"v":1,"type":"error","ids":[17,18],"code":"not_leader","message":"no",'
            b'"node":"raft-1","term":3,"leader":"raft-0","address":"raft-0.raft:6001"}',
        ),
        (StatusReply(1, {"term": 3}), b'{"v":1,"type":"status","id":1,"status":{"term":3}}'),
        (Done(1, "stopping"), b'{"v":1,"type":"done","id":1,"message":"stopping"}'),
    ],
)
def test_the_bytes_of_the_protocol_do_not_drift(message: Request | Reply, frame: bytes) -> None:
    encode: Any = encode_reply if isinstance(message, get_args(Reply)) else encode_request
    assert encode(message) == frame


def test_the_client_side_does_not_load_zmq() -> None:
    script = "import sys, raftzmq.transport.client_wire; sys.exit('zmq' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)


@pytest.mark.parametrize(
    "frame", [b"", b"\xff", b"[]", b"1", b"{", b'{"v":1,"a":Infinity}', b"[" * 100_000]
)
def test_what_is_not_a_json_object_is_refused(frame: bytes) -> None:
    assert (refused(frame).reason, refused(frame).ids) == ("json", None)
    assert reply_refused(frame) == "json"


def test_an_oversize_frame_is_refused_before_it_is_parsed() -> None:
    frame = encode_request(OPERATIONS)
    padded = frame + b" " * (limits.FRAME_BYTES - len(frame))
    assert decode_request(padded) == OPERATIONS
    assert refused(padded + b" ").reason == "oversize"
    assert reply_refused(b" " * (limits.FRAME_BYTES + 1)) == "oversize"


def test_another_version_is_refused_with_the_ids_and_its_own_code() -> None:
    for version in (0, 2, 2**60):
        error = refused(frame_of(OPERATIONS, v=version))
        assert (error.code, error.ids) == ("unsupported_version", [17, 18])
        assert "1" in str(error)
        error = refused(frame_of(StopRequest(9), v=version))
        assert (error.code, error.ids) == ("unsupported_version", [9])
        assert reply_refused(frame_of(RESULTS, v=version)) == "unsupported_version"
        assert reply_refused(frame_of(Done(1, ""), v=version)) == "unsupported_version"


def test_a_later_versions_unknown_forms_still_get_the_versions_answer() -> None:
    assert refused(b'{"v":2,"type":"watch","id":4}').code == "unsupported_version"
    assert refused(b'{"v":2,"type":"watch","id":4}').ids == [4]
    assert refused(b'{"v":2,"type":"operations","ops":{"5":"put"}}').code == "unsupported_version"
    assert refused(b'{"v":2,"type":"operations","ops":[{"id":5}]}').code == "unsupported_version"


@pytest.mark.parametrize("version", [..., None, True, 1.0, "1", [1], 2**64])
def test_a_version_of_a_wrong_type_is_malformed(version: Any) -> None:
    error = refused(frame_of(OPERATIONS, v=version))
    assert (error.reason, error.code, error.ids) == ("form", "malformed", [17, 18])
    assert reply_refused(frame_of(RESULTS, v=version)) == "form"


@pytest.mark.parametrize("word", [..., None, 1, [], {}, "", "Operations", "results"])
def test_an_unknown_request_type_is_refused_with_its_id(word: Any) -> None:
    error = refused(frame_of(StatusRequest(7), type=word))
    assert (error.reason, error.code, error.ids) == ("type", "malformed", [7])


@pytest.mark.parametrize("word", [..., None, 1, [], {}, "", "operations"])
def test_an_unknown_reply_type_is_refused(word: Any) -> None:
    assert reply_refused(frame_of(Done(7, ""), type=word)) == "type"


BAD_COUNTS: list[Any] = [..., None, True, -1, 1.0, "1", 2**53, 2**64, 10**40, [], {}]


@pytest.mark.parametrize("wrong", BAD_COUNTS)
def test_numbers_of_a_request_are_checked(wrong: Any) -> None:
    for field in ("session", "ack"):
        if (field, wrong) == ("session", 2**53):
            continue  # a session's number has 64 bits
        error = refused(frame_of(OPERATIONS, **{field: wrong}))
        assert (error.reason, error.ids) == ("form", [17, 18])
    for request in REQUESTS:
        if not isinstance(request, OperationsRequest):
            error = refused(frame_of(request, id=wrong))
            assert (error.reason, error.ids) == ("form", None)


@pytest.mark.parametrize("wrong", [None, 0, True, [], {}, "not hex", "x" * 1000])
def test_the_cluster_of_a_session_is_an_id(wrong: Any) -> None:
    assert refused(frame_of(OPERATIONS, cluster=wrong)).reason == "form"
    assert reply_refused(frame_of(RESULTS, cluster=wrong)) == "form"


@pytest.mark.parametrize("wrong", [..., None, 0, 1, "false", []])
def test_stale_is_true_or_false(wrong: Any) -> None:
    assert refused(frame_of(OPERATIONS, stale=wrong)).reason == "form"


@pytest.mark.parametrize(
    ("ops", "ids"),
    [
        (..., None),
        (None, None),
        ({}, None),
        ("put", None),
        ([None], None),
        ([{"0": 1, "1": "put"}], None),
        (["xy"], None),
        ([[]], None),
        ([[17]], [17]),
        ([[17, "put"], [18]], [17, 18]),
        ([[17, "put"], []], None),
        ([[17, 5]], [17]),
        ([[17, None]], [17]),
        ([[17, ["put"]]], [17]),
        ([[True, "put"]], None),
        ([["17", "put"]], None),
        ([[17.0, "put"]], None),
        ([[-1, "put"]], None),
        ([[2**53, "put"]], None),
        ([[2**64, "put"]], None),
    ],
)
def test_an_operation_of_the_wrong_shape_is_refused(ops: Any, ids: list[int] | None) -> None:
    error = refused(frame_of(OPERATIONS, ops=ops))
    assert (error.reason, error.code, error.ids) == ("form", "malformed", ids)


def test_too_many_operations_are_refused() -> None:
    ops = [[serial, "get", "k"] for serial in range(limits.OPERATIONS_PER_MESSAGE)]
    assert isinstance(decode_request(frame_of(OPERATIONS, ops=ops)), OperationsRequest)
    error = refused(frame_of(OPERATIONS, ops=[*ops, [9, "get", "k"]]))
    assert (error.reason, error.ids) == ("form", None)


def nested(levels: int) -> Any:
    value: Any = 1
    for level in range(levels):
        value = [value] if level % 2 else {"a": value}
    return value


def test_deep_arguments_are_refused_with_the_ids() -> None:
    most = limits.JSON_DEPTH - 3  # the message, the list of operations, the operation
    flat = [[serial, "get", "[[[[{{{{"] for serial in range(100)]
    fine = [*flat, [100, "put", "k", nested(most)]]
    deep = [*flat, [100, "put", "k", nested(most + 1)]]
    assert isinstance(decode_request(frame_of(OPERATIONS, ops=fine)), OperationsRequest)
    error = refused(frame_of(OPERATIONS, ops=deep))
    assert (error.reason, error.ids) == ("depth", list(range(101)))
    assert refused(frame_of(OPERATIONS, extra=nested(32))).reason == "depth"
    error = refused(frame_of(StatusRequest(3), extra=nested(32)))
    assert (error.reason, error.ids) == ("depth", [3])
    assert reply_refused(frame_of(RESULTS, results=[[1, "ok", 1, nested(30)]])) == "depth"
    assert reply_refused(frame_of(StatusReply(1, {}), status=nested(32))) == "depth"


TRANSFER, ADD = TransferRequest(8, None), MemberRequest(8, "add", "raft-3")


def with_each(message: Request | Reply, field: str, *values: Any) -> list[bytes]:
    """The message's frame with each of the values in a field."""
    return [frame_of(message, **{field: value}) for value in values]


@pytest.mark.parametrize(
    "frame",
    [
        *with_each(TRANSFER, "to", 1, [], "", "raft", "RAFT-1"),
        *with_each(ADD, "action", ..., None, [], "list"),
        *with_each(ADD, "name", ..., None, [], "raft-x"),
    ],
)
def test_a_wrong_name_or_action_is_answered_as_invalid(frame: bytes) -> None:
    error = refused(frame)
    assert (error.code, error.ids) == ("invalid", [8])


@pytest.mark.parametrize(
    "frame",
    [
        *with_each(RESULTS, "term", *BAD_COUNTS),
        *with_each(RESULTS, "node", ..., None, 1, "", "raft"),
        *with_each(RESULTS, "leader", 1, [], "", "raft"),
        *with_each(RESULTS, "results", ..., None, {}, "x", [None], [{}], ["ok"], [[]]),
        *with_each(RESULTS, "results", [[1, "ok", 1]], [[1, "ok", 1, None, None]]),
        *with_each(RESULTS, "entries", None, {}, 1, [[240]], [[240, 1]], [[240, 3]], [[240, 2, 1]]),
        *with_each(RESULTS, "entries", [[-1, 2]], [[240, True]], [[240, 2], [241, 0]], [240, 2]),
        *(frame_of(RESULTS, results=[[bad, "ok", 1, 1]]) for bad in BAD_COUNTS[1:]),
        *(frame_of(RESULTS, results=[[1, "ok", bad, 1]]) for bad in BAD_COUNTS[1:]),
        *with_each(RESULTS, "results", [[1, None, 1, 1]], [[1, 1, 1, 1]], [[1, [], 1, 1]]),
        *with_each(ERROR, "ids", 1, "1", [None], [True], [-1], [2**64]),
        *with_each(ERROR, "code", ..., None, 1, []),
        *with_each(ERROR, "message", ..., None, 1, []),
        *with_each(ERROR, "address", 1, "", "raft-0", "a;b:6000"),
        *with_each(Done(1, ""), "id", *BAD_COUNTS),
        *with_each(Done(1, ""), "message", ..., None, 1),
        *with_each(StatusReply(1, {}), "id", *BAD_COUNTS),
        *with_each(StatusReply(1, {}), "status", ..., None, [], "ok"),
    ],
)
def test_a_malformed_reply_is_refused(frame: bytes) -> None:
    assert reply_refused(frame) == "form"


@pytest.mark.parametrize("value", ["\ud800", 2**70, object(), {1: 2}, b"bytes"])
def test_what_json_cannot_hold_is_the_callers_fault(value: Any) -> None:
    with pytest.raises(InvalidRequest):
        encode_request(OperationsRequest(1, 1, False, [[1, "put", "k", value]]))


def test_results_longer_than_a_frame_travel_in_several_messages() -> None:
    body = "x" * (limits.FRAME_BYTES // 3)
    results = [[serial, "ok", serial, [body, serial]] for serial in range(7)]
    entries = [[11, 2], [12, 3], [13, 2]]
    frames = encode_results(Results("raft-0", 3, None, results, entries=entries))
    assert all(len(frame) <= limits.FRAME_BYTES for frame in frames)
    assert len(frames) == 4
    arrived = [decode_reply(frame) for frame in frames]
    assert [r for reply in arrived if isinstance(reply, Results) for r in reply.results] == results
    indices = [
        index
        for reply in arrived
        if isinstance(reply, Results)
        for index, count in reply.entries
        for _ in range(count)
    ]
    assert indices == [11, 11, 12, 12, 12, 13, 13]
    assert encode_results(Results("raft-0", 3, None, [])) == [
        encode_reply(Results("raft-0", 3, None, []))
    ]


def test_a_result_too_long_for_any_frame_does_not_claim_that_nothing_was_done() -> None:
    long = [2, "ok", 9, "x" * limits.FRAME_BYTES]
    frames = encode_results(Results("raft-0", 3, None, [[1, "ok", 8, None], long]))
    arrived = [decode_reply(frame) for frame in frames]
    results = [r for reply in arrived if isinstance(reply, Results) for r in reply.results]
    assert [result[:3] for result in results] == [[1, "ok", 8], [2, "outcome_unknown", 9]]
