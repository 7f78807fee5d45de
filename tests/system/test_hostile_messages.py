"""Whatever arrives at the ports, nothing happens but a typed answer where there is one to give."""

from __future__ import annotations

import json
import random
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from raftzmq import Client
from tests.system.processes import STEADY, Cluster
from tests.system.raw import NoAnswer, Raw

pytestmark = pytest.mark.system

FLOOD = 40_000
DEEP = b"[" * 100 + b"]" * 100


def operations(*ops: Any, session: Any = 0, **changes: Any) -> bytes:
    message = {"v": 1, "type": "operations", "session": session, "ack": 0, "stale": False}
    return json.dumps({**message, "ops": ops, **changes}).encode()


BAD_REQUESTS = {
    "not JSON": (b"\x00\xff garbage", "malformed"),
    "an empty frame": (b"", "malformed"),
    "not an object": (b"[1,2]", "malformed"),
    "too deep": (operations([1, "put", "k", 0]).replace(b"0]]", DEEP + b"]]"), "malformed"),
    "NaN": (operations([1, "put", "k", 0]).replace(b"0]]", b"NaN]]"), "malformed"),
    "an unknown type": (b'{"v":1,"type":"explode","id":1}', "malformed"),
    "another version": (operations([1, "get", "k"], v=2), "unsupported_version"),
    "no operations": (b'{"v":1,"type":"operations"}', "malformed"),
    "an unknown operation": (operations([1, "explode", "k"]), "invalid"),
    "too few arguments": (operations([1, "put", "k"]), "invalid"),
    "a value of a wrong type": (operations([1, "put", "k", 5]), "invalid"),
    "a key of a wrong type": (operations([1, "put", True, "v"]), "invalid"),
    "an empty key": (operations([1, "put", "", "v"]), "invalid"),
    "a key over its limit": (operations([1, "put", "k" * 4097, "v"]), "invalid"),
    "a value over its limit": (operations([1, "put", "k", "v" * (2**20 + 1)]), "invalid"),
    "a session nobody opened": (operations([1, "put", "k", "v"], session=7), "session_expired"),
}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One for all tests here, for none of them disturbs it."""
    with Cluster(tmp_path_factory.mktemp("cluster"), arguments=STEADY) as three:
        try:
            yield three.start()
        finally:
            three.show()


@contextmanager
def undisturbed(cluster: Cluster) -> Iterator[None]:
    """Whatever is done within: the same processes, leader and term, and writes as before."""
    before = [node.status() for node in cluster.nodes]
    pids = [node.pid for node in cluster.nodes]
    yield
    assert [node.pid for node in cluster.running] == pids
    with Client(cluster.endpoints) as client:
        client.put("after", "all")
        assert client.get("after") is not None
    after = [node.status() for node in cluster.nodes]
    for old, new in zip(before, after, strict=True):
        assert old
        assert new
        assert (old["term"], old["leader"]) == (new["term"], new["leader"])


def test_bad_requests_get_a_typed_answer_and_leave_no_trace(cluster: Cluster) -> None:
    leader = cluster.leader()
    held = leader.everything()
    wrong = {}
    with undisturbed(cluster), Raw(leader.endpoint) as raw:
        for what, (frame, code) in BAD_REQUESTS.items():
            raw.send(frame)
            answer = raw.receive()
            codes = {r[1] for r in answer["results"]} if "results" in answer else {answer["code"]}
            if codes != {code}:
                wrong[what] = answer
        assert not wrong
        assert leader.everything() == held


def test_messages_of_several_or_huge_frames_are_dropped(cluster: Cluster) -> None:
    leader = cluster.leader()
    huge = b" " * (9 * 1024 * 1024)
    with undisturbed(cluster):
        for address in (leader.address, leader.endpoint):
            for frames in ([b"1"] * 3, [b"x"] * 1000, [huge], [b"{}", huge], [b"", b"{}"]):
                with Raw(address) as raw:
                    raw.send(*frames)
                    with suppress(NoAnswer):
                        assert raw.receive(timeout_s=0.2)["code"] == "malformed"


def test_messages_of_strangers_reach_no_vote(cluster: Cluster) -> None:
    leader = cluster.leader()
    status = leader.status()
    assert status
    vote = {
        "v": 1,
        "type": "vote_request",
        "cluster": "another",
        "from": ["raft-1", "0123456789abcdef"],
        "to": [leader.name, status["incarnation"]],
        "term": 2**40,
        "last_index": 2**40,
        "last_term": 2**40,
        "transfer": True,
    }
    own = status["cluster"]
    messages = [
        vote,
        {**vote, "cluster": own, "to": [leader.name, "0" * 16]},
        {**vote, "cluster": own, "term": 2**60},
        {**vote, "cluster": own, "term": True},
        {**vote, "cluster": own, "term": -1},
        {**vote, "cluster": own, "v": 2},
        {**vote, "cluster": own, "type": "no_such_type"},
        {**vote, "cluster": own, "from": "raft-1"},
        {"v": 1, "type": "append_entries", "cluster": own},
        {"v": 1, "type": "hello", "cluster": 5},
    ]
    with undisturbed(cluster), Raw(leader.address) as raw:
        for message in messages:
            raw.send(json.dumps(message).encode())
        with pytest.raises(NoAnswer):
            raw.receive(timeout_s=0.5)


def test_bytes_that_are_not_zeromq_are_dropped(cluster: Cluster) -> None:
    noise = random.Random(5)
    with undisturbed(cluster):
        for node in cluster.nodes:
            for port in (node.port, node.port + 1):
                for data in (b"GET / HTTP/1.1\r\n\r\n", noise.randbytes(5000), b"\xff" * 64, b""):
                    with (
                        socket.create_connection(("127.0.0.1", port)) as connection,
                        suppress(OSError),
                    ):
                        connection.sendall(data)


def test_a_hundred_silent_connections_leave_room_for_others(cluster: Cluster) -> None:
    leader = cluster.leader()
    silent = [
        socket.create_connection(("127.0.0.1", port))
        for port in (leader.port, leader.port + 1)
        for _ in range(50)
    ]
    try:
        with undisturbed(cluster):
            pass
    finally:
        for connection in silent:
            connection.close()


@pytest.mark.proof
def test_a_flood_of_writes_is_answered_to_the_last_one(cluster: Cluster) -> None:
    """More than a session may have outstanding: each is done or refused, none is forgotten."""
    leader = cluster.leader()
    codes: Counter[str] = Counter()
    with undisturbed(cluster), Raw(leader.endpoint) as raw:
        session = raw.open_session()
        for first in range(1, FLOOD, 4000):
            ops = [[serial, "put", "flood", "x"] for serial in range(first, first + 4000)]
            raw.send(operations(*ops, session=session, cluster=raw.cluster_id()))
        while codes.total() < FLOOD:
            answer = raw.receive()
            if answer["type"] == "error":
                codes[answer["code"]] += len(answer["ids"])
            else:
                codes.update(result[1] for result in answer["results"])
    assert codes.total() == FLOOD
    assert codes.keys() == {"ok", "overloaded"}, codes
