"""Whatever bytes arrive: a message that means the same when sent on, or a WireError."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from zlib import crc32

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raftzmq.core.messages import AppendEntries
from raftzmq.errors import WireError
from raftzmq.transport.client_wire import (
    decode_reply,
    decode_request,
    encode_reply,
    encode_request,
)
from raftzmq.transport.peer_wire import (
    Envelope,
    Hello,
    Welcome,
    decode_peer,
    encode_hello,
    encode_message,
    encode_welcome,
)
from tests.amounts import amount
from tests.transport.samples import (
    APPEND,
    CLUSTER,
    HELLO,
    MESSAGE_CLASSES,
    REPLIES,
    REQUESTS,
    WELCOME,
    appends,
    json_values,
    sample,
)

PEER_FRAMES = [
    *(encode_message(sample(cls), CLUSTER) for cls in MESSAGE_CLASSES),
    encode_hello(HELLO),
    encode_welcome(WELCOME),
]
REQUEST_FRAMES = [encode_request(request) for request in REQUESTS]
REPLY_FRAMES = [encode_reply(reply) for reply in REPLIES]

more = settings(max_examples=amount(100, 300), deadline=None)


def take_as_peer(frames: Sequence[bytes]) -> None:
    try:
        message = decode_peer(frames)
    except WireError:
        return
    match message:
        case Hello():
            again = encode_hello(message)
        case Welcome():
            again = encode_welcome(message)
        case Envelope(cluster, inner):
            again = encode_message(inner, cluster)
    assert decode_peer(again) == message


def take_as_request(frame: bytes) -> None:
    try:
        request = decode_request(frame)
    except WireError:
        return
    assert decode_request(encode_request(request)) == request


def take_as_reply(frame: bytes) -> None:
    try:
        reply = decode_reply(frame)
    except WireError:
        return
    assert decode_reply(encode_reply(reply)) == reply


def damaged(frame: bytes) -> st.SearchStrategy[bytes]:
    """The frame with a piece of it replaced."""

    def cut(at: int, length: int, piece: bytes) -> bytes:
        return frame[:at] + piece + frame[at + length :]

    pieces = st.binary(max_size=4) | st.sampled_from(
        [b"[", b"{", b'"', b",", b"null", b"NaN", b"1e400", b"99999999999999999999", b"\\ud800"]
    )
    return st.builds(cut, st.integers(0, len(frame)), st.integers(0, 8), pieces)


@st.composite
def altered(draw: st.DrawFn, frame: bytes) -> bytes:
    """The frame with one value anywhere in its JSON replaced by some other value."""
    top = orjson.loads(frame)
    value: Any = top
    while True:
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        key = draw(st.sampled_from(keys))
        inner = value[key]
        if not (isinstance(inner, dict | list) and inner) or draw(st.booleans()):
            value[key] = draw(json_values)
            break
        value = inner
    try:
        return orjson.dumps(top)
    except TypeError:  # a surrogate or a number of more than 64 bits
        return frame


@more
@given(st.lists(st.binary(max_size=200), max_size=4))
def test_random_bytes(frames: list[bytes]) -> None:
    take_as_peer(frames)
    for frame in frames:
        take_as_request(frame)
        take_as_reply(frame)


@more
@given(json_values, st.binary(max_size=20))
def test_random_json(value: Any, body: bytes) -> None:
    try:
        frame = orjson.dumps(value)
    except TypeError:
        return
    take_as_peer([frame])
    take_as_peer([frame, body])
    take_as_request(frame)
    take_as_reply(frame)


@more
@given(st.data())
def test_a_peers_message_with_one_value_altered(data: st.DataObject) -> None:
    frames = data.draw(st.sampled_from(PEER_FRAMES))
    take_as_peer([data.draw(altered(frames[0])), *frames[1:]])


@more
@given(st.data())
def test_a_peers_message_with_bytes_damaged(data: st.DataObject) -> None:
    frames = list(data.draw(st.sampled_from(PEER_FRAMES)))
    at = data.draw(st.integers(0, len(frames) - 1))
    frames[at] = data.draw(damaged(frames[at]))
    take_as_peer(frames)


@more
@given(st.data())
def test_entries_altered_under_a_right_checksum(data: st.DataObject) -> None:
    header, body = encode_message(APPEND, CLUSTER)
    lines = body.splitlines(keepends=True)
    at = data.draw(st.integers(0, len(lines) - 1))
    text = lines[at][9:-1]
    text = data.draw(altered(text) | damaged(text)).replace(b"\n", b" ")
    lines[at] = b"%08x %b\n" % (crc32(text), text)
    take_as_peer([header, b"".join(lines)])


@more
@given(appends(), st.data())
def test_an_append_whose_lines_are_shuffled_or_lost(
    message: AppendEntries, data: st.DataObject
) -> None:
    frames = encode_message(message, CLUSTER)
    lines = [entry.line for entry in message.entries]
    shuffled = data.draw(st.permutations(lines))[: data.draw(st.integers(0, len(lines)))]
    if shuffled == lines[: len(shuffled)]:
        take_as_peer([frames[0], *([b"".join(shuffled)] if shuffled else [])])
    else:
        with pytest.raises(WireError):
            decode_peer([frames[0], b"".join(shuffled)])


@more
@given(st.data())
def test_a_request_altered_or_damaged(data: st.DataObject) -> None:
    frame = data.draw(st.sampled_from(REQUEST_FRAMES))
    take_as_request(data.draw(altered(frame) | damaged(frame)))


@more
@given(st.data())
def test_a_reply_altered_or_damaged(data: st.DataObject) -> None:
    frame = data.draw(st.sampled_from(REPLY_FRAMES))
    take_as_reply(data.draw(altered(frame) | damaged(frame)))
