"""Valid inputs, made by the real encoders: every message, request and reply there is."""

from __future__ import annotations

from typing import Final

from raftzmq import limits
from raftzmq.core.entry import COMMAND, CONFIG, NOOP, Entry
from raftzmq.core.identity import NodeId
from raftzmq.core.membership import Member, Membership
from raftzmq.core.messages import AppendEntries, SnapshotChunk
from raftzmq.lines import encode_entry
from raftzmq.machine import bounded
from raftzmq.transport.client_wire import (
    OperationsRequest,
    Request,
    Results,
    encode_reply,
    encode_request,
)
from raftzmq.transport.operator_wire import MemberRequest
from raftzmq.transport.peer_wire import Hello, Welcome, encode_hello, encode_message, encode_welcome
from tests.fuzz.mangler import Parts
from tests.transport.samples import (
    ALICE,
    APPEND,
    BOB,
    CHUNK,
    CLUSTER,
    HELLO,
    MEMBERSHIP,
    MESSAGE_CLASSES,
    REPLIES,
    REQUESTS,
    WELCOME,
    sample,
)

MOST: Final = limits.INDEX_MAX

OPERATIONS: Final[list[list[object]]] = [
    [1, "open", "5ec2e75ec2e75ec2"],
    [2, "close"],
    [3, "put", "key", "value"],
    [4, "put", "ключ \U0001f511", {"b64": "aGVsbG8="}],
    [5, "cas", "key", "other", 0],
    [6, "cas", "key", {"b64": ""}, 7],
    [7, "delete", "key"],
    [8, "delete_prefix", "k"],
    [
        9,
        "txn",
        [["key", "value", "=", None], ["key", "revision", "<", 9]],
        [["put", "key", "1"], ["range", "", "", 10], ["get", "key"]],
        [["delete", "key"], ["prefix", "k", 3], ["delete_prefix", "x"]],
    ],
    [10, "get", "key"],
    [11, "range", "a", "z", 100],
    [12, "prefix", "k", 10_000],
    [13, "lease_grant", 1000],
    [14, "lease_keep", 13],
    [15, "lease_revoke", 13],
    [16, "put_leased", "key", "v", 13],
    [17, "put_ttl", "key", "v", 500],
    [18, "acquire", "lock", "l", 13, 1, 0, True, None],
    [19, "acquire", "semaphore", "s", 13, 2, 3, False, None],
    [20, "acquire", "election", "e", 13, 1, 0, True, "me:1"],
    [21, "release", "lock", "l", 18],
    [21, "cancel", "counter", "c", 18],
    [22, "signal", "c", 2],
    [23, "resize", "s", 4],
    [24, "forget", "semaphore", "s"],
    [25, "fenced", [["l", 18]], ["put", "key", "v"]],
    [26, "await", "lock", "l", 18, 100],
    [27, "observe", "e", 0, 100],
    [41, "proclaim", "e", 20, "me:2"],
    [42, "proclaimed", "e", 20, "me:1", 100],
    [28, "describe", "lock", "l"],
    [29, "queues", "lock", "", 10],
    [30, "leases", 0, 10],
    [31, "lease", 13],
    [32, "delete_first", "k", 100],
    [36, "item", "key"],
    [37, "count", "k"],
    [38, "keys", "k", "key", 10],
    [33, "put_if", "key", "v", 0, ["ttl", 500]],
    [34, "put_if", "key", "v", None, ["lease", 13]],
    [39, "call", "bank", "pay", '["a","b",5]'],
    [40, "ask", "bank", "balance", '["a"]'],
    [35, "txn", [], [["put_if", "key", "v", None, "keep"]], []],
    [39, "incr", "number", -3, ["ttl", 500]],
    [40, "txn", [], [["incr", "number", 1, None]], []],
]
"""One of each kind, as a client sends them."""

MORE_REQUESTS: Final[list[Request]] = [
    OperationsRequest(12, 3, False, OPERATIONS, CLUSTER),
    *(OperationsRequest(12, 0, False, [op], CLUSTER) for op in OPERATIONS),
    OperationsRequest(MOST, MOST, True, [[MOST, "get", "k" * 60]], "c" * 64),
    MemberRequest(MOST, "promote", "a-1"),
]


def entries(first: int, count: int) -> tuple[Entry, ...]:
    """Entries of every kind, with every operation in turn, as a leader makes them."""
    made = [encode_entry(first, 2, 1000, NOOP, None)]
    for index in range(first + 1, first + count):
        if index % 7 == 0:
            made.append(encode_entry(index, 3, 1000 + index, CONFIG, MEMBERSHIP.to_body()))
        else:
            body = (12, 1, bounded(OPERATIONS[index % len(OPERATIONS)]))
            made.append(encode_entry(index, 3, 1000 + index, COMMAND, body))
    return tuple(made)


_SOME = entries(5, 20)
_WIDE = Membership(
    tuple(Member(NodeId(f"raft-{n}", f"{n:016x}"), f"10.0.0.{n}:6000", n < 3) for n in range(5))
)

PEER: Final[list[Parts]] = [
    *(tuple(encode_message(sample(cls), CLUSTER)) for cls in MESSAGE_CLASSES),
    *(
        tuple(encode_message(message, CLUSTER))
        for message in (
            AppendEntries(ALICE, BOB, 3, 4, 2, 4, 9, _SOME),
            AppendEntries(ALICE, BOB, 3, 4, 2, 4, 9, _SOME[:1]),
            AppendEntries(BOB, ALICE, MOST, MOST, MOST, MOST, MOST, ()),
            AppendEntries(
                ALICE,
                BOB,
                1,
                0,
                0,
                0,
                0,
                (encode_entry(1, 1, 0, CONFIG, _WIDE.to_body()),),
            ),
            APPEND,
            APPEND,
            CHUNK,
            SnapshotChunk(ALICE, BOB, 3, MOST, 2, 0, b"", True),
        )
    ),
    tuple(encode_hello(HELLO)),
    tuple(encode_hello(Hello(CLUSTER, ALICE, "[::1]:6000", "0" * 16))),
    tuple(encode_welcome(WELCOME)),
    tuple(encode_welcome(Welcome("", BOB, "h:1", ALICE, "f" * 16, 0, None, (), ""))),
]
REQUEST: Final[list[Parts]] = [
    (encode_request(request),) for request in (*REQUESTS, *MORE_REQUESTS)
]
REPLY: Final[list[Parts]] = [
    *((encode_reply(reply),) for reply in REPLIES),
    (
        encode_reply(
            Results(
                "raft-0",
                3,
                "raft-0",
                [
                    [1, "ok", 5, 5],
                    [3, "ok", 6, None],
                    [5, "compare_failed", 6, ["value", 6]],
                    [9, "ok", 8, [True, [None, [[["key", "1", 8]], False], ["1", 8]]]],
                    [10, "ok", 8, [{"b64": "aGVsbG8="}, 8]],
                    [11, "ok", 8, [[["a", "1", 2], ["b", "2", 3]], True]],
                    [12, "invalid", 0, {"message": "put: the key must not be empty"}],
                ],
                CLUSTER,
            )
        ),
    ),
]
