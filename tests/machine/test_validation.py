"""What reaches the log, and what is refused before it, with a line that helps."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest

from raftzmq import limits
from raftzmq.errors import InvalidRequest
from raftzmq.machine import READS, WRITES, Machine, validate_read, validate_write
from tests.machine import test_coordination_validation as coordination
from tests.machine import test_programs as programs

KEY = "k" * limits.KEY_BYTES
VALUE = "v" * limits.VALUE_BYTES
LONGEST_BYTES = {"b64": b64encode(bytes(limits.VALUE_BYTES)).decode()}
MAX = limits.INDEX_MAX
PUT = ["put", "k", "v"]

GOOD_WRITES: list[list[Any]] = [
    [0, "open", "5ec2e75ec2e75ec2"],
    [1, "close"],
    [MAX, "put", "k", "v"],
    [1, "put", KEY, VALUE],
    [1, "put", "é" * (limits.KEY_BYTES // 2), "é" * (limits.VALUE_BYTES // 2)],
    [1, "put", "\U0010ffff" * (limits.KEY_BYTES // 4), ""],
    [1, "put", "k", {"b64": ""}],
    [1, "put", "k", LONGEST_BYTES],
    [1, "put", "\x00\n ", "\x00"],
    [1, "cas", "k", "v", 0],
    [1, "cas", "k", "v", MAX],
    [1, "delete", "k"],
    [1, "delete_prefix", ""],
    [1, "delete_prefix", KEY],
    [1, "delete_first", "", 1],
    [1, "delete_first", KEY, limits.REMOVALS_PER_ENTRY],
    [1, "txn", [], [], []],
    [1, "txn", [["k", "value", "=", None]], [PUT], [["get", "k"]]],
    [1, "txn", [["k", "value", "!=", {"b64": "AA=="}]], [["delete", "k"]], [["delete_prefix", ""]]],
    [1, "txn", [["k", "revision", "<", 1]], [["range", "", "", 1]], [["prefix", "", 10_000]]],
    [1, "txn", [["k", "revision", ">", 0]] * 128, [PUT] * 128, [PUT] * 128],
    [1, "txn", [], [["put", "k", VALUE]] * 5, []],
    [1, "txn", [], [["put", "k", LONGEST_BYTES]] * 4, []],
]

GOOD_READS: list[list[Any]] = [
    [0, "get", "k"],
    [1, "get", KEY],
    [1, "range", "", "", 1],
    [1, "range", KEY, KEY, 10_000],
    [1, "range", "b", "a", 1],
    [1, "prefix", "", 1],
    [1, "item", "k"],
    [1, "count", ""],
    [1, "keys", "", "", 1],
    [1, "keys", KEY, KEY, 10_000],
    [1, "prefix", KEY, 10_000],
]

BAD_WRITES: list[tuple[Any, str]] = [
    (None, "is a list"),
    ({}, "is a list"),
    ("put", "is a list"),
    ([], "is a list"),
    ([1], "is a list"),
    ((1, "open"), "is a list"),
    ([True, "put", "k", "v"], "integer .* not the boolean true"),
    ([-1, "put", "k", "v"], "integer .* not the number -1"),
    ([1.0, "put", "k", "v"], "integer .* not the number 1.0"),
    ([float("nan"), "put", "k", "v"], "integer .* not the number nan"),
    ([None, "put", "k", "v"], "integer .* not null"),
    (["1", "put", "k", "v"], "integer .* not a string"),
    ([MAX + 1, "put", "k", "v"], "integer from 0 to 9007199254740991"),
    ([1, "expire"], "unknown write 'expire'"),
    ([1, "lock", "k"], "unknown write 'lock'; there are open, close, put"),
    ([1, "await", "lock", "q", 1, 0], "await is a read, not a write"),
    ([1, "PUT", "k", "v"], "unknown write 'PUT'"),
    ([1, "x" * 9999], "unknown write 'xxxx"),
    ([1, "a\nb"], r"unknown write 'a\\nb'"),
    ([1, None], "unknown write null"),
    ([1, ["put"], "k", "v"], "unknown write a list"),
    ([1, "get", "k"], "get is a read, not a write"),
    ([1, "open"], "open takes secret; 0 given"),
    ([1, "open", 1], "open: the secret must be 16 hexadecimal digits"),
    ([1, "open", "5EC2E75EC2E75EC2"], "open: the secret must be 16 hexadecimal digits"),
    ([1, "put"], "put takes key, value; 0 given"),
    ([1, "put", "k"], "put takes key, value; 1 given"),
    ([1, "put", "k", "v", 1], "put takes key, value; 3 given"),
    ([1, "put", "", "v"], "put: the key must not be empty"),
    ([1, "put", 5, "v"], "put: the key must be a string, not the number 5"),
    ([1, "put", None, "v"], "put: the key must be a string, not null"),
    ([1, "put", True, "v"], "put: the key must be a string, not the boolean true"),
    ([1, "put", ["k"], "v"], "put: the key must be a string, not a list"),
    ([1, "put", {"b64": "AA=="}, "v"], "put: the key must be a string, not an object"),
    ([1, "put", KEY + "k", "v"], "put: the key has 4097 bytes, the limit is 4096"),
    ([1, "put", "é" * 2049, "v"], "put: the key has 4098 bytes"),
    ([1, "put", "\ud800", "v"], "put: the key has a lone surrogate"),
    ([1, "put", "k", "\udfff"], "put: the value has a lone surrogate"),
    ([1, "put", "k", VALUE + "v"], "put: the value has 1048577 bytes, the limit is 1048576"),
    ([1, "put", "k", "é" * 524_289], "put: the value has 1048578 bytes"),
    ([1, "put", "k", None], "put: the value must be a string, .* not null"),
    ([1, "put", "k", 1], "put: the value must be a string, .* not the number 1"),
    ([1, "put", "k", float("nan")], "put: the value must be a string"),
    ([1, "put", "k", False], "put: the value must be a string, .* not the boolean false"),
    ([1, "put", "k", ["v"]], "put: the value must be a string"),
    ([1, "put", "k", b"v"], "put: the value must be a string, .* not bytes"),
    ([1, "put", "k", {}], "put: bytes as the value are written"),
    ([1, "put", "k", {"b64": 1}], "put: bytes as the value are written"),
    ([1, "put", "k", {"b64": None}], "put: bytes as the value are written"),
    ([1, "put", "k", {"hex": "00"}], "put: bytes as the value are written"),
    ([1, "put", "k", {"b64": "AA==", "x": 1}], "put: bytes as the value are written"),
    ([1, "put", "k", {"b64": "A"}], "put: the value is not canonical base64"),
    ([1, "put", "k", {"b64": "AA"}], "canonical"),
    ([1, "put", "k", {"b64": "AA="}], "canonical"),
    ([1, "put", "k", {"b64": "AB=="}], "canonical"),  # bits that no byte holds
    ([1, "put", "k", {"b64": "AAB="}], "canonical"),
    ([1, "put", "k", {"b64": "AA==\n"}], "canonical"),
    ([1, "put", "k", {"b64": " AA=="}], "canonical"),
    ([1, "put", "k", {"b64": "AA==AA=="}], "canonical"),
    ([1, "put", "k", {"b64": "-_8="}], "canonical"),
    ([1, "put", "k", {"b64": "é==="}], "canonical"),
    ([1, "put", "k", {"b64": "\ud800"}], "canonical"),
    ([1, "put", "k", {"b64": b64encode(bytes(1_048_577)).decode()}], "has 1048577 bytes"),
    ([1, "put", "k", {"b64": "A" * 8_000_000}], "has 6000000 bytes"),
    ([1, "cas", "k", "v", True], "cas: the revision must be an integer"),
    ([1, "cas", "k", "v", -1], "cas: the revision must be"),
    ([1, "cas", "k", "v", MAX + 1], "cas: the revision must be"),
    ([1, "cas", "k", "v", 1.0], "cas: the revision must be"),
    ([1, "cas", "k", "v", None], "cas: the revision must be .* not null"),
    ([1, "cas", "", "v", 1], "cas: the key must not be empty"),
    ([1, "cas", "k", 3, 1], "cas: the value must be"),
    ([1, "delete", ""], "delete: the key must not be empty"),
    ([1, "delete_prefix", None], "delete_prefix: the prefix must be a string"),
    ([1, "delete_prefix", KEY + "k"], "delete_prefix: the prefix has 4097 bytes"),
    ([1, "delete_prefix", "k", 5], "delete_prefix takes prefix; 2 given"),
    ([1, "delete_first", "k"], "delete_first takes prefix, limit; 1 given"),
    ([1, "delete_first", "k", 0], "the limit must be an integer from 1 to 2048, not the number 0"),
    ([1, "delete_first", "k", 2049], "the limit must be an integer from 1 to 2048"),
    ([1, "txn", [], []], "txn takes compares, then, else; 2 given"),
    ([1, "txn", {}, [], []], "txn: compares must be a list, not an object"),
    ([1, "txn", [], None, []], "txn: then must be a list, not null"),
    ([1, "txn", [], [], "x"], "txn: else must be a list, not a string"),
    ([1, "txn", [["k", "revision", "=", 1]] * 129, [], []], "compares has 129 members, .* 128"),
    ([1, "txn", [], [PUT] * 129, []], "txn: then has 129 members"),
    ([1, "txn", [], [], [PUT] * 129], "txn: else has 129 members"),
    ([1, "txn", ["k"], [], []], r"txn: compares\[0\]: a compare is a list"),
    ([1, "txn", [["k", "value", "="]], [], []], r"compares\[0\]: a compare is a list"),
    ([1, "txn", [["", "value", "=", "v"]], [], []], r"compares\[0\]: the key must not be empty"),
    ([1, "txn", [["k", "lease", "=", 1]], [], []], "field must be value or revision, not 'lease'"),
    ([1, "txn", [["k", ["value"], "=", 1]], [], []], "field must be .* not a list"),
    ([1, "txn", [["k", "value", "==", "v"]], [], []], "operator must be =, !=, < or >, not '=='"),
    ([1, "txn", [["k", "value", None, "v"]], [], []], "operator must be .* not null"),
    ([1, "txn", [["k", "value", "<", "v"]], [], []], "a value is compared by = or !=, not <"),
    ([1, "txn", [["k", "value", ">", "v"]], [], []], "a value is compared by = or !=, not >"),
    ([1, "txn", [["k", "value", "=", 1]], [], []], r"compares\[0\]: the operand must be a string"),
    ([1, "txn", [["k", "value", "=", {"b64": "A"}]], [], []], "the operand is not canonical"),
    ([1, "txn", [["k", "revision", "=", True]], [], []], "the revision must be an integer"),
    ([1, "txn", [["k", "revision", "=", None]], [], []], "the revision must be .* not null"),
    ([1, "txn", [], [PUT, "put"], []], r"txn: then\[1\]: an operation in a branch is a list"),
    ([1, "txn", [], [[]], []], r"then\[0\]: an operation in a branch is a list"),
    ([1, "txn", [], [[["put"], "k", "v"]], []], "unknown operation in a branch a list"),
    ([1, "txn", [], [], [["txn", [], [], []]]], r"else\[0\]: unknown operation in a branch 'txn'"),
    ([1, "txn", [], [["cas", "k", "v", 1]], []], "unknown operation in a branch 'cas'; there are"),
    ([1, "txn", [], [["open"]], []], "unknown operation in a branch 'open'"),
    ([1, "txn", [], [["put_leased", "k", "v", 1]], []], "unknown operation in a branch 'put_lea"),
    ([1, "txn", [], [["lease", 1]], []], "unknown operation in a branch 'lease'"),
    ([1, "txn", [], [["put", "k"]], []], r"then\[0\]: put takes key, value; 1 given"),
    ([1, "txn", [], [["put", "k", 1]], []], r"txn: then\[0\]: put: the value must be"),
    ([1, "txn", [], [["range", "", "", 0]], []], r"then\[0\]: range: the limit must be"),
    ([1, "txn", [], [["put", "k", VALUE]] * 6, []], "its keys and values take 629.* bytes"),
    (
        [1, "txn", [["k", "value", "=", VALUE]] * 3, [["put", "k", VALUE]] * 3, []],
        "bytes, the limit",
    ),
    ([1, "txn", [], [["put", "k", "\x01" * limits.VALUE_BYTES]], []], "bytes, the limit"),
]

BAD_READS: list[tuple[Any, str]] = [
    (None, "is a list"),
    ([True, "get", "k"], "not the boolean true"),
    ([1, "put", "k", "v"], "put is a write, not a read"),
    ([1, "watch", "k"], "unknown read 'watch'; there are get, range, prefix"),
    ([1, "get"], "get takes key; 0 given"),
    ([1, "get", ""], "get: the key must not be empty"),
    ([1, "get", KEY + "k"], "get: the key has 4097 bytes"),
    ([1, "get", "\udc00"], "get: the key has a lone surrogate"),
    ([1, "range", "", ""], "range takes start, end, limit; 2 given"),
    ([1, "range", None, "", 1], "range: the start must be a string"),
    ([1, "range", "", 9, 1], "range: the end must be a string"),
    ([1, "range", "", KEY + "k", 1], "range: the end has 4097 bytes"),
    ([1, "range", "", "", 0], "limit must be an integer from 1 to 10000, not the number 0"),
    ([1, "range", "", "", 10_001], "limit must be an integer from 1 to 10000"),
    ([1, "range", "", "", -1], "limit must be"),
    ([1, "range", "", "", True], "limit must be .* not the boolean true"),
    ([1, "range", "", "", 1.5], "limit must be .* not the number 1.5"),
    ([1, "prefix", "", None], "limit must be .* not null"),
    ([1, "item", ""], "item: the key must not be empty"),
    ([1, "count", None], "count: the prefix must be a string"),
    ([1, "keys", "", "", 0], "keys: the limit must be an integer from 1"),
    ([1, "keys", "", 7, 1], "keys: the after must be a string"),
    ([1, "prefix", 1, 1], "prefix: the prefix must be a string"),
]


@pytest.mark.parametrize("op", GOOD_WRITES)
def test_a_good_write_passes_and_can_be_applied(op: list[Any]) -> None:
    validate_write(op)
    machine = Machine()
    machine.apply(1, 0, [0, 0, [0, "open"]])
    assert machine.apply(2, 0, [1, op[0], op])[0] in ("ok", "compare_failed")


@pytest.mark.parametrize("op", GOOD_READS)
def test_a_good_read_passes_and_can_be_answered(op: list[Any]) -> None:
    validate_read(op)
    assert Machine().read(op)[0] == "ok"


@pytest.mark.parametrize(("op", "problem"), BAD_WRITES)
def test_a_bad_write_is_refused_in_one_line(op: Any, problem: str) -> None:
    with pytest.raises(InvalidRequest, match=problem) as refused:
        validate_write(op)
    assert len(str(refused.value)) < 270  # it names every write that there is
    assert str(refused.value).isprintable()


@pytest.mark.parametrize(("op", "problem"), BAD_READS)
def test_a_bad_read_is_refused_in_one_line(op: Any, problem: str) -> None:
    with pytest.raises(InvalidRequest, match=problem) as refused:
        validate_read(op)
    assert len(str(refused.value)) < 260
    assert str(refused.value).isprintable()


def test_a_number_too_long_to_be_printed_is_refused_too() -> None:
    with pytest.raises(InvalidRequest, match="far beyond all bounds"):
        validate_write([10**5000, "put", "k", "v"])
    with pytest.raises(InvalidRequest, match="far beyond all bounds"):
        validate_write([1, "cas", "k", "v", -(10**5000)])


def test_the_names_are_those_of_the_protocol() -> None:
    keys = {"open", "close", "put", "cas", "delete", "delete_prefix", "delete_first", "txn"}
    leases = {"lease_grant", "lease_keep", "lease_revoke", "put_leased", "put_ttl", "put_if"}
    numbers = {"incr"}
    queues = {"acquire", "release", "cancel", "signal", "resize", "forget", "fenced"}
    queues |= {"proclaim"}
    assert keys | leases | numbers | queues | {"call"} == WRITES
    reads = {"item", "count", "keys", "lease", "leases", "describe", "queues", "await", "observe"}
    reads |= {"proclaimed"}
    assert {"get", "range", "prefix", "ask"} | reads == READS


def test_the_tables_hold_good_and_bad_for_every_name() -> None:
    others = {op[1] for op in coordination.GOOD_WRITES}
    others |= {op[1] for op in programs.GOOD}
    assert ({op[1] for op in GOOD_WRITES} | others) - READS == WRITES
    others |= {op[1] for op in coordination.GOOD_READS}
    assert ({op[1] for op in GOOD_READS} | others) - WRITES == READS
    for good, bad in (
        (coordination.GOOD_WRITES, coordination.BAD_WRITES),
        (coordination.GOOD_READS, coordination.BAD_READS),
    ):
        assert {op[1] for op in good} == {op[1] for op, _ in bad}
