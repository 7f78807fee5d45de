"""Messages between nodes keep their meaning and their bytes; anything else is a WireError."""

from __future__ import annotations

import json
from dataclasses import MISSING, fields, replace
from typing import Any

import orjson
import pytest
from hypothesis import given

from raftzmq import limits
from raftzmq.core.entry import NOOP
from raftzmq.core.messages import AppendEntries, Heartbeat, Message, SnapshotChunk, VoteRequest
from raftzmq.errors import WireError
from raftzmq.lines import encode_entry
from raftzmq.transport.peer_wire import (
    Envelope,
    decode_peer,
    encode_hello,
    encode_message,
    encode_welcome,
    join_lines,
)
from raftzmq.versions import Spoken
from tests.transport.samples import (
    ALICE,
    APPEND,
    BOB,
    CHUNK,
    CLUSTER,
    ENTRIES,
    HELLO,
    MESSAGE_CLASSES,
    WELCOME,
    peer_messages,
    sample,
)

HEARTBEAT = Heartbeat(ALICE, BOB, 3, 4, 9)


def header_of(frames: list[bytes], **changes: Any) -> bytes:
    """The header of the frames with fields changed; ... takes a field away."""
    header = orjson.loads(frames[0])
    header.update({name.rstrip("_"): value for name, value in changes.items()})
    kept = {name: value for name, value in header.items() if value is not ...}
    return json.dumps(kept).encode()  # the standard library's, for it writes huge numbers


def refusal(*frames: bytes) -> str:
    """The reason why the frames are refused."""
    with pytest.raises(WireError) as caught:
        decode_peer(frames)
    assert caught.value.code in {"malformed", "unsupported_version"}
    return caught.value.reason


@pytest.mark.parametrize("cls", MESSAGE_CLASSES)
def test_every_message_class_arrives_as_it_was_sent(cls: type[Message]) -> None:
    message = sample(cls)
    assert decode_peer(encode_message(message, CLUSTER)) == Envelope(CLUSTER, message)


def test_every_message_class_is_listed() -> None:
    names = {cls.__name__ for cls in Message.__subclasses__()}
    assert {cls.__name__ for cls in MESSAGE_CLASSES} == names
    assert len(names) == 13


@given(peer_messages())
def test_any_message_arrives_as_it_was_sent(message: Message) -> None:
    assert decode_peer(encode_message(message, CLUSTER)) == Envelope(CLUSTER, message)


def test_hello_and_welcome_arrive_as_they_were_sent() -> None:
    assert decode_peer(encode_hello(HELLO)) == HELLO
    assert decode_peer(encode_welcome(WELCOME)) == WELCOME


def test_entries_travel_as_the_very_bytes_of_their_lines() -> None:
    frames = encode_message(APPEND, CLUSTER)
    assert frames[1] == b"".join(entry.line for entry in ENTRIES)
    envelope = decode_peer(frames)
    assert isinstance(envelope, Envelope)
    assert isinstance(envelope.message, AppendEntries)
    assert [entry.line for entry in envelope.message.entries] == [e.line for e in ENTRIES]


def test_the_bytes_of_the_protocol_do_not_drift() -> None:
    vote = VoteRequest(ALICE, BOB, 3, 9, 2, False)
    who = b'"from":["raft-0","1b9e000000000001"],"to":["raft-1","77aa000000000002"]'
    assert encode_message(vote, CLUSTER) == [
        b'{"v":1,"type":"vote_request","cluster":"6f1c0a5e9b7d4c21",' + who + b',"term":3,'
        b'"last_index":9,"last_term":2,"transfer":false}'
    ]
    assert encode_message(AppendEntries(ALICE, BOB, 3, 4, 2, 4, 9, ENTRIES[:1]), CLUSTER) == [
        b'{"v":1,"type":"append_entries","cluster":"6f1c0a5e9b7d4c21",' + who + b',"term":3,'
        b'"prev_index":4,"prev_term":2,"commit_index":4,"round":9}',
        b'e46401d3 [5,2,1000,"noop",null]\n',
    ]
    assert encode_message(SnapshotChunk(ALICE, BOB, 3, 4, 2, 0, b"\x00", True), CLUSTER) == [
        b'{"v":1,"type":"snapshot_chunk","cluster":"6f1c0a5e9b7d4c21",' + who + b',"term":3,'
        b'"snapshot_index":4,"snapshot_term":2,"offset":0,"done":true}',
        b"\x00",
    ]
    assert encode_hello(HELLO) == [
        b'{"v":1,"type":"hello","cluster":"","from":["raft-1","77aa000000000002"],'
        b'"address":"raft-1.raft-service:6000","nonce":"00c0ffee00c0ffee"}'
    ]
    assert encode_welcome(WELCOME) == [
        b'{"v":1,"type":"welcome","cluster":"6f1c0a5e9b7d4c21","from":["raft-0",'
        b'"1b9e000000000001"],"address":"127.0.0.1:6000","to":["raft-1","77aa000000000002"],'
        b'"nonce":"00c0ffee00c0ffee","term":3,"leader":"raft-0",'
        b'"members":[["raft-0","1b9e000000000001","raft-0.raft:6000"],'
        b'["raft-1","77aa000000000002","10.0.0.7:6000"]],"reason":"wait for raft-2"}'
    ]


def test_the_type_words_are_those_of_the_protocol() -> None:
    words = [orjson.loads(encode_message(sample(c), CLUSTER)[0])["type"] for c in MESSAGE_CLASSES]
    assert words == [
        "append_accepted",
        "append_entries",
        "append_rejected",
        "heartbeat",
        "heartbeat_reply",
        "log_regressed",
        "pre_vote_reply",
        "pre_vote_request",
        "snapshot_chunk",
        "snapshot_reply",
        "timeout_now",
        "vote_reply",
        "vote_request",
    ]


def test_the_same_entries_are_joined_once_and_other_entries_anew() -> None:
    joined = join_lines(ENTRIES)
    assert join_lines(ENTRIES) is joined
    assert join_lines((*ENTRIES[:2], *ENTRIES[2:])) is joined
    assert join_lines(ENTRIES[1:]) == b"".join(entry.line for entry in ENTRIES[1:])
    rewritten = (*ENTRIES[:-1], encode_entry(9, 4, 1003, NOOP, None))
    assert join_lines(rewritten).endswith(rewritten[-1].line)
    assert join_lines(ENTRIES) == joined


def test_unknown_fields_are_ignored_and_the_last_duplicate_counts() -> None:
    frames = encode_message(HEARTBEAT, CLUSTER)
    assert decode_peer([header_of(frames, later="x")]) == Envelope(CLUSTER, HEARTBEAT)
    doubled = frames[0].replace(b'"term":3', b'"term":"x","term":3')
    assert decode_peer([doubled]) == Envelope(CLUSTER, HEARTBEAT)
    doubled = frames[0].replace(b'"term":3', b'"term":3,"term":"x"')
    assert refusal(doubled) == "form"


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\x00",
        b"[]",
        b"null",
        b'"hello"',
        b"{",
        b'{"v":1}}',
        b'{"v":NaN}',
        b'{"v":"\xff"}',
        b'{"v":"\\ud800"}',
        b"[" * 100_000,
        b'{"a":' * 5000,
    ],
)
def test_what_is_not_a_json_object_is_refused(frame: bytes) -> None:
    assert refusal(frame) == "json"


def test_deep_nesting_is_refused() -> None:
    deep: Any = 1
    for _ in range(limits.JSON_DEPTH):
        deep = [deep]
    frames = encode_message(HEARTBEAT, CLUSTER)
    assert refusal(header_of(frames, extra=deep)) == "depth"
    assert decode_peer([header_of(frames, extra=deep[0])]) == Envelope(CLUSTER, HEARTBEAT)


def test_an_oversize_frame_is_refused_before_it_is_parsed() -> None:
    frames = encode_message(HEARTBEAT, CLUSTER)
    padded = frames[0] + b" " * (limits.FRAME_BYTES - len(frames[0]))
    assert decode_peer([padded]) == Envelope(CLUSTER, HEARTBEAT)
    assert refusal(padded + b" ") == "oversize"
    chunk = encode_message(CHUNK, CLUSTER)
    assert refusal(chunk[0], bytes(limits.FRAME_BYTES + 1)) == "oversize"
    assert refusal(encode_message(APPEND, CLUSTER)[0], bytes(limits.FRAME_BYTES + 1)) == "oversize"


def test_the_number_of_frames_is_checked() -> None:
    header = encode_message(HEARTBEAT, CLUSTER)[0]
    assert refusal() == "parts"
    assert refusal(header, b"") == "parts"
    assert refusal(*encode_message(CHUNK, CLUSTER), b"") == "parts"
    assert refusal(encode_message(CHUNK, CLUSTER)[0]) == "parts"
    assert refusal(encode_hello(HELLO)[0], b"") == "parts"
    assert refusal(encode_welcome(WELCOME)[0], b"") == "parts"


@pytest.mark.parametrize("version", [0, 2, -1, 2**60])
def test_another_version_is_named_as_such(version: int) -> None:
    frames = encode_message(HEARTBEAT, CLUSTER)
    assert refusal(header_of(frames, v=version)) == "unsupported_version"


BAD_COUNTS: list[Any] = [..., None, True, False, -1, 1.0, "1", 2**53, 2**64, 10**30, [1], {}]
BAD_VERSIONS: list[Any] = [..., None, True, 1.0, "1", 2**64, [1], {}]
BAD_FLAGS: list[Any] = [..., None, 0, 1, "true", []]
BAD_NODES: list[Any] = [
    ...,
    None,
    "raft-0",
    [],
    ["raft-0"],
    ["raft-0", "1b9e000000000001", 1],
    ["raft-0", 1],
    [0, "1b9e000000000001"],
    [["raft-0"], "1b9e000000000001"],
    ["raft", "1b9e000000000001"],
    ["Raft-0", "1b9e000000000001"],
    ["raft-01", "1b9e000000000001"],
    ["-0", "1b9e000000000001"],
    ["raft-0\n", "1b9e000000000001"],
    ["../raft-0", "1b9e000000000001"],
    ["r" * 300 + "-0", "1b9e000000000001"],
    ["raft-0", "1B9E000000000001"],
    ["raft-0", "1b9e00000000001"],
    ["raft-0", "1b9e000000000001\n"],
    {"name": "raft-0", "incarnation": "1b9e000000000001"},
]
BAD_WORDS: list[Any] = [..., None, 1, [], {}, "", "appendEntries", "Message", "message"]
BAD_CLUSTERS: list[Any] = [..., None, 1, [], "a b", "\x00", "x" * 65, "../x"]
BAD_VALUES: dict[str, list[Any]] = {
    "v": BAD_VERSIONS,
    "type": BAD_WORDS,
    "cluster": BAD_CLUSTERS,
    "from": BAD_NODES,
    "to": BAD_NODES,
}
BAD_ADDRESSES: list[Any] = [
    ...,
    None,
    1,
    "",
    "raft-0",
    "raft-0:",
    ":6000",
    "raft-0:0",
    "raft-0:65536",
    "raft-0:-1",
    "raft-0:6000x",
    "raft-0:6000\n",
    "raft-0:²",
    "tcp://raft-0:6000",
    "10.0.0.1;10.0.0.2:6000",
    "a b:6000",
    "h" * 400 + ":6000",
    "h:" + "1" * 5000,
]


@pytest.mark.parametrize("cls", MESSAGE_CLASSES)
def test_every_field_of_every_message_is_checked(cls: type[Message]) -> None:
    message = sample(cls)
    frames = encode_message(message, CLUSTER)
    newer = {field.name for field in fields(cls) if field.default is not MISSING}
    for name, value in orjson.loads(frames[0]).items():
        bad = BAD_FLAGS if isinstance(value, bool) else BAD_COUNTS
        for wrong in BAD_VALUES.get(name, bad):
            if wrong is ... and name in newer:
                continue  # older builds do not send it
            changed = header_of(frames, **{name: wrong})
            reason = refusal(changed, *frames[1:])
            assert reason in {"form", "type", "entries"}, (name, wrong, reason)


@pytest.mark.parametrize("cls", MESSAGE_CLASSES)
def test_of_an_older_build_the_newer_fields_are_what_they_are_by_default(
    cls: type[Message],
) -> None:
    message = sample(cls)
    frames = encode_message(message, CLUSTER)
    newer = {field.name: field.default for field in fields(cls) if field.default is not MISSING}
    older = header_of(frames, **dict.fromkeys(newer, ...))
    expected = replace(message, **newer)
    assert decode_peer([older, *frames[1:]]) == Envelope(CLUSTER, expected)
    assert newer.keys().isdisjoint(orjson.loads(encode_message(expected, CLUSTER)[0]))


@pytest.mark.parametrize("cls", MESSAGE_CLASSES)
def test_fields_of_newer_builds_are_passed_over(cls: type[Message]) -> None:
    message = sample(cls)
    frames = encode_message(message, CLUSTER)
    newer = header_of(frames, of_tomorrow={"a": [1]})
    assert decode_peer([newer, *frames[1:]]) == Envelope(CLUSTER, message)


def test_greetings_of_newer_and_older_builds_are_read() -> None:
    speaks = replace(HELLO, spoken=Spoken(1, 3))
    knows = replace(WELCOME, version=2)
    assert decode_peer([header_of(encode_hello(speaks), more=1)]) == speaks
    assert decode_peer([header_of(encode_welcome(knows), more=1)]) == knows
    assert decode_peer([header_of(encode_hello(speaks), spoken=...)]) == HELLO
    assert decode_peer([header_of(encode_welcome(knows), version=...)]) == WELCOME


@pytest.mark.parametrize("spoken", [None, 1, [], [1], [1, 2, 3], [1, -1], ["1", 2], [1, True]])
def test_what_no_build_speaks_is_refused(spoken: Any) -> None:
    assert refusal(header_of(encode_hello(HELLO), spoken=spoken)) == "form"


@pytest.mark.parametrize("address", BAD_ADDRESSES)
def test_an_address_that_is_none_is_refused(address: Any) -> None:
    assert refusal(header_of(encode_hello(HELLO), address=address)) == "form"
    assert refusal(header_of(encode_welcome(WELCOME), address=address)) == "form"


@pytest.mark.parametrize(
    "changes",
    [
        *({"from_": node} for node in BAD_NODES),
        *({"to": node} for node in BAD_NODES),
        *({"cluster": cluster} for cluster in BAD_CLUSTERS),
        {"leader": "nobody"},
        {"leader": 0},
        {"members": None},
        {"members": "raft-0"},
        {"members": ["raft-0", None]},
        {"members": ["raft"]},
        {"members": ["raft-0"] * 1025},
        {"reason": None},
        {"reason": "x" * 1025},
    ],
)
def test_a_malformed_welcome_is_refused(changes: dict[str, Any]) -> None:
    assert refusal(header_of(encode_welcome(WELCOME), **changes)) == "form"
