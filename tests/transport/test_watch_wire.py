"""The frames of watches, and what is refused of them."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest

from raftzmq import limits
from raftzmq.errors import WireError
from raftzmq.transport.client_wire import (
    Reply,
    Request,
    decode_reply,
    decode_request,
    encode_reply,
    encode_request,
)
from raftzmq.transport.watch_wire import (
    Events,
    UnwatchRequest,
    Watching,
    WatchLost,
    WatchRequest,
    encode_events,
)
from tests.transport.samples import CLUSTER

WATCH = WatchRequest(7, "jobs/", True, 4712, False, CLUSTER)
EVENTS = Events(
    7, 4711, 4713, [[4712, "jobs/1", "new", None], [4713, "jobs/1", None, {"b64": "aGVsbG8="}]]
)


def changed(frame: bytes, **changes: Any) -> bytes:
    """The frame with fields changed; ... takes a field away."""
    header = orjson.loads(frame) | changes
    return json.dumps({k: v for k, v in header.items() if v is not ...}).encode()


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (
            WATCH,
            '{"v":1,"type":"watch","id":7,"cluster":"6f1c0a5e9b7d4c21","key":"jobs/",'
            '"prefix":true,"from":4712,"prev":false}',
        ),
        (UnwatchRequest(7), '{"v":1,"type":"unwatch","id":7}'),
    ],
)
def test_requests_are_as_the_protocol_says(message: Request, text: str) -> None:
    assert encode_request(message).decode() == text
    assert decode_request(text.encode()) == message


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (
            Watching(7, 4711, "raft-1", CLUSTER),
            '{"v":1,"type":"watching","id":7,"after":4711,"node":"raft-1",'
            '"cluster":"6f1c0a5e9b7d4c21"}',
        ),
        (
            EVENTS,
            '{"v":1,"type":"events","id":7,"after":4711,"skip":0,"through":4713,"events":'
            '[[4712,"jobs/1","new",null],[4713,"jobs/1",null,{"b64":"aGVsbG8="}]]}',
        ),
        (
            WatchLost(7, "compacted", "read anew", 4700),
            '{"v":1,"type":"watch_lost","id":7,"code":"compacted","message":"read anew",'
            '"from":4700}',
        ),
    ],
)
def test_replies_are_as_the_protocol_says(message: Reply, text: str) -> None:
    assert encode_reply(message).decode() == text
    assert decode_reply(text.encode()) == message


def test_events_encoded_once_go_into_any_message() -> None:
    events, size = encode_events(list(EVENTS.events))
    assert encode_reply(Events(7, 4711, 4713, events)) == encode_reply(EVENTS)
    assert encode_reply(Events(8, 4711, 4713, events)) == encode_reply(EVENTS).replace(
        b"7", b"8", 1
    )
    assert size == len(orjson.dumps(EVENTS.events))


@pytest.mark.parametrize(
    "changes",
    [
        {"key": ...},
        {"key": 5},
        {"key": "", "prefix": False},
        {"key": "é" * (limits.KEY_BYTES // 2 + 1)},
        {"prefix": 1},
        {"prefix": ...},
        {"prev": None},
        {"from": 0},
        {"from": -1},
        {"from": True},
        {"from": 2**53},
        {"from": "4712"},
    ],
)
def test_a_watch_for_nothing_that_can_be_watched_is_invalid(changes: dict[str, Any]) -> None:
    with pytest.raises(WireError) as caught:
        decode_request(changed(encode_request(WATCH), **changes))
    assert (caught.value.code, caught.value.ids) == ("invalid", [7])


@pytest.mark.parametrize(
    "changes", [{"id": ...}, {"id": -1}, {"id": 1.0}, {"cluster": 7}, {"cluster": "a b"}]
)
def test_a_watch_of_another_form_is_malformed(changes: dict[str, Any]) -> None:
    with pytest.raises(WireError) as caught:
        decode_request(changed(encode_request(WATCH), **changes))
    assert caught.value.code == "malformed"


def test_a_watch_begins_now_and_anywhere_if_it_does_not_say() -> None:
    frame = changed(encode_request(WATCH), **{"from": ..., "cluster": ...})
    assert decode_request(frame) == WatchRequest(7, "jobs/", True, None, False)


GOOD = [4712, "k", "v", None]


@pytest.mark.parametrize(
    "changes",
    [
        {"after": 4714},
        {"after": ...},
        {"skip": -1},
        {"through": "4713"},
        {"events": None},
        {"events": [GOOD[:3]]},
        {"events": [GOOD, "four"]},
        {"events": [[4711, "k", "v", None]]},
        {"events": [[4713, "k", "v", None], GOOD]},
        {"events": [[True, "k", "v", None]]},
        {"events": [[2**53, "k", "v", None]]},
        {"events": [[4712, 5, "v", None]]},
        {"events": [[4712, "k", 5, None]]},
        {"events": [[4712, "k", "v", ["v"]]]},
        {"events": [[4714, "k", "v", None], [4715, "k", "v", None]]},
    ],
)
def test_events_that_no_node_would_send_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(WireError) as caught:
        decode_reply(changed(encode_reply(EVENTS), **changes))
    assert caught.value.reason == "form"


def test_the_beginning_of_a_revision_that_comes_in_pieces_is_taken() -> None:
    events = [GOOD, [4714, "a", "v", None], [4714, "b", "v", None]]
    message = decode_reply(changed(encode_reply(EVENTS), events=events))
    assert message == Events(7, 4711, 4713, events)


@pytest.mark.parametrize("changes", [{"code": 5}, {"message": None}, {"from": None}, {"id": "7"}])
def test_the_end_of_a_watch_says_why_and_where_to_go_on(changes: dict[str, Any]) -> None:
    lost = encode_reply(WatchLost(7, "slow", "too slow", 4700))
    with pytest.raises(WireError):
        decode_reply(changed(lost, **changes))
