"""Messages as frames: what is sent is what arrives, and whatever else arrives is refused."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raftzmq import limits
from raftzmq.errors import InvalidRequest, WireError
from raftzmq.views import messages as m
from raftzmq.views.view import View
from raftzmq.views.wire import decode, encode
from tests.views.test_service import SERVICE, A, B, C

ID = "a" * 16
VIEW = View(SERVICE, ID, 3, A, B)
ENTRIES = (
    m.Entry(5, 0, [0, "open", "5ec2e75ec2e75ec2"]),
    m.Entry(6, 2**64 - 1, [1, "append", "k", {"b64": "/w=="}]),
)
SAMPLES: tuple[m.Message, ...] = (
    m.Ping(1, A, "", "", None, False, 0),
    m.Ping(2, A, ID, ID, VIEW, True, 7),
    m.Pong(2, ID, VIEW, "", False),
    m.Pong(2, ID, None, "waits", True),
    m.ViewRequest(1),
    m.ViewReply(1, VIEW, ""),
    m.StatusRequest(1),
    m.StatusReply(1, {"view": 3}),
    m.Request(4, SERVICE, 3, 1, [1, "put", "k", "v"]),
    m.Reply(4, "ok", 9, ["v", 9], 3),
    m.Reply(None, "malformed", 0, {"message": "no"}, 0),
    m.Forward(SERVICE, 3, A, 1, 2, ENTRIES),
    m.Ack(SERVICE, 3, B, 1, 3),
    m.Chunk(SERVICE, 3, A, 0, True, (["machine", 1, 0, 0],)),
    m.ChunkAck(SERVICE, 3, B, 1),
    m.OldView(SERVICE, 4, C),
)


@pytest.mark.parametrize("message", SAMPLES, ids=lambda message: type(message).__name__)
def test_what_is_sent_is_what_arrives(message: m.Message) -> None:
    assert decode(encode(message)) == message


def test_every_message_has_a_sample() -> None:
    assert {type(sample) for sample in SAMPLES} == set(m.Message.__args__)


def changed(message: m.Message, **fields: Any) -> bytes:
    return orjson.dumps({**orjson.loads(encode(message)), **fields})


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b"", "json"),
        (b"[]", "json"),
        (b"x" * (limits.FRAME_BYTES + 1), "oversize"),
        (b'{"v":1,"type":"ping","a":' + b"[" * 40 + b"]" * 40 + b"}", "depth"),
        (b'{"v":2,"type":"status_request","id":1}', "unsupported_version"),
        (b'{"v":1,"type":"shout","id":1}', "type"),
        (b'{"v":1,"type":["ping"],"id":1}', "type"),
        (changed(SAMPLES[0], serial=-1), "form"),
        (changed(SAMPLES[0], serial=True), "form"),
        (changed(SAMPLES[0], server=["A", ID, "a:1"]), "form"),
        (changed(SAMPLES[0], server=["a", "short", "a:1"]), "form"),
        (changed(SAMPLES[0], server=["a", ID, "a:1;tcp://*:2"]), "form"),
        (changed(SAMPLES[0], view={"number": 0}), "form"),
        (changed(SAMPLES[0], synced=1), "form"),
        (changed(SAMPLES[11], entries=[[1, 1, [1, "put", "k"]]]), "entries"),
        (changed(SAMPLES[11], entries=[[1, 1]]), "form"),
        (changed(SAMPLES[11], entries=[[1, 1, [0, "open", "5ec2e75ec2e75ec2"]]] * 5000), "form"),
        (changed(SAMPLES[13], records={}), "form"),
    ],
)
def test_whatever_is_wrong_is_refused_with_a_reason(frame: bytes, reason: str) -> None:
    with pytest.raises(WireError) as caught:
        decode(frame)
    assert caught.value.reason == reason


def test_a_refusal_names_the_request_it_is_about() -> None:
    with pytest.raises(WireError) as caught:
        decode(changed(SAMPLES[8], session="one"))
    assert caught.value.ids == [4]


def test_what_json_cannot_hold_is_not_sent() -> None:
    with pytest.raises(InvalidRequest, match="cannot be sent"):
        encode(m.Request(1, "", 0, 1, [1, "put", "k", "\ud800"]))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(max_examples=150)
@given(st.sampled_from(SAMPLES), st.integers(0, 20), json_values)
def test_any_field_may_be_anything(message: m.Message, place: int, value: object) -> None:
    """Whatever comes is understood, and then means the same when sent on; or it is refused."""
    header = orjson.loads(encode(message))
    names = sorted(header)
    header[names[place % len(names)]] = value
    try:
        frame = orjson.dumps(header)
    except orjson.JSONEncodeError:  # an integer beyond 64 bits
        return
    try:
        understood = decode(frame)
    except WireError:
        return
    assert decode(encode(understood)) == understood


@settings(max_examples=100)
@given(st.binary(max_size=200))
def test_any_bytes_are_refused(frame: bytes) -> None:
    with pytest.raises(WireError):
        decode(frame)
