"""What of leases, queues and fences reaches the log, and what is refused before it."""

from __future__ import annotations

from typing import Any

import pytest

from raftzmq import limits
from raftzmq.errors import InvalidRequest
from raftzmq.machine import Machine, validate_read, validate_write

NAME = "n" * limits.KEY_BYTES
MAX = limits.INDEX_MAX
DAY = limits.LEASE_TTL_MAX_MS
YEARS = limits.KEY_TTL_MAX_MS
PERMITS = limits.PERMITS
PUT = ["put", "k", "v"]
LOCK = ["lock", "q", 5, 1, 0]
SEMAPHORE = ["semaphore", "q", 5, 2, 3]

GOOD_WRITES: list[list[Any]] = [
    [1, "lease_grant", 500],
    [1, "lease_grant", DAY],
    [1, "lease_keep", 1],
    [1, "lease_revoke", MAX],
    [1, "put_leased", "k", {"b64": ""}, 1],
    [1, "put_ttl", "k", "v", 500],
    [1, "put_if", "k", "v", None, None],
    [1, "put_if", "k", {"b64": ""}, 0, "keep"],
    [1, "put_if", "k", "v", 0, ["lease", 3]],
    [1, "put_ttl", "k", "v", YEARS],
    [1, "put_if", "k", "v", 0, ["ttl", YEARS]],
    [1, "txn", [], [["put_if", "k", "v", None, ["ttl", 500]]], [["put_if", "k", "", None, "keep"]]],
    [1, "fenced", [["q", 1]], ["put_if", "k", "v", 0, ["ttl", 500]]],
    [1, "incr", "k", 1, None],
    [1, "incr", "k", MAX, ["lease", 3]],
    [1, "txn", [], [["incr", "k", -MAX, ["ttl", YEARS]]], []],
    [1, "fenced", [["q", 1]], ["incr", "k", 0, None]],
    [1, "acquire", *LOCK, True, None],
    [1, "acquire", "election", NAME, MAX, 1, 0, False, "a" * 1022],
    [1, "acquire", *SEMAPHORE, True, ""],
    [1, "acquire", "semaphore", "q", 5, PERMITS, 0, True, None],
    [1, "acquire", "counter", "q", 5, 1, PERMITS, True, None],
    [1, "release", "lock", "q", 1],
    [1, "cancel", "counter", "q", 1],
    [1, "signal", "q", PERMITS],
    [1, "resize", "q", PERMITS],
    [1, "forget", "semaphore", "q"],
    [1, "forget", "counter", "q"],
    [1, "proclaim", "q", 1, None],
    [1, "proclaim", NAME, MAX, "a" * 1022],
    [1, "fenced", [["q", 1]], PUT],
    [1, "fenced", [["q", 1]] * 16, ["delete", "k"]],
    [1, "fenced", [["q", 1]], ["delete_prefix", ""]],
    [1, "fenced", [["q", 1]], ["cas", "k", "v", 0]],
    [1, "fenced", [["q", 1]], ["put_leased", "k", "v", 3]],
    [1, "fenced", [["q", 1]], ["put_ttl", "k", "v", 500]],
    [1, "fenced", [["q", 1]], ["txn", [], [PUT] * 128, []]],
]

GOOD_READS: list[list[Any]] = [
    [1, "lease", 1],
    [1, "leases", 0, 10_000],
    [1, "describe", "lock", "q"],
    [1, "queues", "election", "", 1],
    [1, "await", "counter", "q", 1, 0],
    [1, "await", "lock", "q", MAX, limits.AWAIT_MS],
    [1, "observe", "q", 0, 0],
    [1, "proclaimed", "q", 0, None, 0],
    [1, "proclaimed", "q", MAX, "me:1", limits.AWAIT_MS],
]

BAD_WRITES: list[tuple[list[Any], str]] = [
    ([1, "lease_grant", 499], "ttl_ms must be an integer from 500 to 86400000, not the number 499"),
    ([1, "lease_grant", DAY + 1], "ttl_ms must be an integer from 500 to 86400000"),
    ([1, "lease_grant", 1000.0], "ttl_ms must be .* not the number 1000.0"),
    ([1, "lease_grant", "10s"], "ttl_ms must be .* not a string"),
    ([1, "lease_grant"], "lease_grant takes ttl_ms; 0 given"),
    ([1, "lease_keep", 0], "the lease must be an integer from 1 to"),
    ([1, "lease_keep", None], "the lease must be .* not null"),
    ([1, "lease_revoke", True], "the lease must be .* not the boolean true"),
    ([1, "lease_revoke", MAX + 1], "the lease must be"),
    ([1, "put_leased", "", "v", 1], "put_leased: the key must not be empty"),
    ([1, "put_leased", "k", 1, 1], "the value must be a string"),
    ([1, "put_leased", "k", "v", "1"], "the lease must be .* not a string"),
    ([1, "put_ttl", "", "v", 500], "put_ttl: the key must not be empty"),
    ([1, "put_ttl", "k", None, 500], "the value must be a string"),
    ([1, "put_ttl", "k", "v", 0], "ttl_ms must be"),
    ([1, "put_if", "", "v", 0, None], "put_if: the key must not be empty"),
    ([1, "put_if", "k", 1, 0, None], "the value must be a string"),
    ([1, "put_if", "k", "v", -1, None], "the revision must be an integer from 0"),
    ([1, "put_if", "k", "v", "0", None], "the revision must be an integer from 0"),
    ([1, "put_if", "k", "v", True, None], "the revision must be an integer from 0"),
    ([1, "put_if", "k", "v", 0, "stay"], "the end must be null"),
    ([1, "put_if", "k", "v", 0, True], "the end must be null"),
    ([1, "put_if", "k", "v", 0, {}], "the end must be null"),
    ([1, "put_if", "k", "v", 0, []], "the end must be null"),
    ([1, "put_if", "k", "v", 0, [[], 1]], "the end must be null"),
    ([1, "put_if", "k", "v", 0, ["ttl", 500, 1]], "the end must be null"),
    ([1, "put_if", "k", "v", 0, ["ttl", 499]], "the ttl must be an integer from 500"),
    ([1, "put_if", "k", "v", 0, ["ttl", YEARS + 1]], "an integer from 500 to 316224000000"),
    ([1, "put_ttl", "k", "v", YEARS + 1], "an integer from 500 to 316224000000"),
    ([1, "put_if", "k", "v", 0, ["lease", 0]], "the lease must be an integer from 1"),
    ([1, "incr", "", 1, None], "incr: the key must not be empty"),
    ([1, "incr", "k", MAX + 1, None], f"the by must be an integer from -{MAX} to {MAX}"),
    ([1, "incr", "k", -MAX - 1, None], "the by must be an integer from -"),
    ([1, "incr", "k", 1.0, None], "the by must be an integer from -"),
    ([1, "incr", "k", "1", None], "the by must be an integer from -"),
    ([1, "incr", "k", True, None], "the by must be an integer from -"),
    ([1, "incr", "k", None, None], "the by must be an integer from -"),
    ([1, "incr", "k", 1, "keep"], r'the end must be null, \["lease", N\] or'),
    ([1, "incr", "k", 1, ["ttl", 499]], "the ttl must be an integer from 500"),
    ([1, "incr", "k", 1], "incr takes key, by, end; 2 given"),
    ([1, "put_if", "k", "v", 0], "put_if takes key, value, revision, end; 3 given"),
    ([1, "txn", [], [["put_if", "k", "v", 0, None]], []], "revision must be null in a branch"),
    ([1, "acquire", "mutex", "q", 5, 1, 0, True, None], "the kind must be lock, sem.* not 'mutex'"),
    ([1, "acquire", ["lock"], "q", 5, 1, 0, True, None], "the kind must be .* not a list"),
    ([1, "acquire", None, "q", 5, 1, 0, True, None], "the kind must be .* not null"),
    ([1, "acquire", "lock", "", 5, 1, 0, True, None], "the name must not be empty"),
    ([1, "acquire", "lock", NAME + "n", 5, 1, 0, True, None], "the name has 4097 bytes"),
    ([1, "acquire", "lock", 7, 5, 1, 0, True, None], "the name must be a string"),
    ([1, "acquire", "lock", "\ud800", 5, 1, 0, True, None], "the name has a lone surrogate"),
    ([1, "acquire", "lock", "q", 0, 1, 0, True, None], "the lease must be"),
    ([1, "acquire", "lock", "q", 5, 2, 0, True, None], "there is one lock: permits must be 1, and"),
    ([1, "acquire", "election", "q", 5, 1, 1, True, None], "there is one election: permits"),
    ([1, "acquire", "semaphore", "q", 5, 0, 3, True, None], "permits must be an integer from 1 to"),
    ([1, "acquire", "semaphore", "q", 5, -1, 3, True, None], "permits must be .* number -1"),
    ([1, "acquire", "semaphore", "q", 5, PERMITS + 1, 0, True, None], "permits must be"),
    ([1, "acquire", "semaphore", "q", 5, 1, -1, True, None], "capacity must be an integer from 0"),
    ([1, "acquire", "semaphore", "q", 5, 1, PERMITS + 1, True, None], "capacity must be"),
    ([1, "acquire", "semaphore", "q", 5, 1, True, True, None], "capacity must be .* boolean true"),
    ([1, "acquire", *LOCK, 1, None], "wait must be true or false, not the number 1"),
    ([1, "acquire", *LOCK, None, None], "wait must be true or false, not null"),
    ([1, "acquire", *LOCK, True, 1], "the value must be a string or null, not the number 1"),
    ([1, "acquire", *LOCK, True, {"b64": ""}], "the value must be a string or null, not an object"),
    ([1, "acquire", *LOCK, True, "a" * 1023], "the value takes 1025 bytes, the limit is 1024"),
    ([1, "acquire", *LOCK, True, "\x00" * 200], "the value takes 1202 bytes"),
    ([1, "acquire", *LOCK, True, "\ud800"], "the value has a lone surrogate"),
    ([1, "acquire", *LOCK, True], "acquire takes kind, name, lease, .*; 6 given"),
    ([1, "release", "lock", "q", 0], "the token must be an integer from 1 to"),
    ([1, "release", "lock", "q", "5"], "the token must be .* not a string"),
    ([1, "release", "lock", "q", None], "the token must be .* not null"),
    ([1, "release", "lock", "q", 5.0], "the token must be .* not the number 5.0"),
    ([1, "cancel", "counter", "q", 0], "the token must be an integer from 1 to"),
    ([1, "cancel", "Counter", "q", 5], "the kind must be .* not 'Counter'"),
    ([1, "cancel", "counter", "", 5], "the name must not be empty"),
    ([1, "release", "Lock", "q", 5], "the kind must be .* not 'Lock'"),
    ([1, "release", "lock", "", 5], "the name must not be empty"),
    ([1, "signal", "q", 0], "permits must be an integer from 1 to 1000000, not the number 0"),
    ([1, "signal", "q", PERMITS + 1], "permits must be"),
    ([1, "signal", "", 1], "the name must not be empty"),
    ([1, "resize", "q", 0], "the capacity must be an integer from 1 to 1000000"),
    ([1, "resize", "", 1], "the name must not be empty"),
    ([1, "forget", "lock", "q"], "the kind must be semaphore or counter, not 'lock'"),
    ([1, "forget", "semaphore", ""], "the name must not be empty"),
    ([1, "proclaim", "", 1, "v"], "the name must not be empty"),
    ([1, "proclaim", "q", 0, "v"], "the token must be an integer from 1 to"),
    ([1, "proclaim", "q", 1, 5], "the value must be a string or null, not the number 5"),
    ([1, "proclaim", "q", 1, "a" * 1023], "the value takes 1025 bytes, the limit is 1024"),
    ([1, "proclaim", "q", 1], "proclaim takes name, token, value; 2 given"),
    ([1, "fenced", [["q", 1]], ["proclaim", "q", 1, "v"]], "unknown .* a fence 'proclaim'"),
    ([1, "fenced", None, PUT], "fences must be a list, not null"),
    ([1, "fenced", [], PUT], "there must be 1 to 16 fences, not 0"),
    ([1, "fenced", [["q", 1]] * 17, PUT], "there must be 1 to 16 fences, not 17"),
    ([1, "fenced", ["q"], PUT], r"fences\[0\]: a fence is a list: \[name, token\]"),
    ([1, "fenced", [["q", 1], ["q"]], PUT], r"fences\[1\]: a fence is a list"),
    ([1, "fenced", [["q", "1"]], PUT], r"fences\[0\]: the token must be .* not a string"),
    ([1, "fenced", [["", 1]], PUT], r"fences\[0\]: the name must not be empty"),
    ([1, "fenced", [["q", 1]], "put"], r"an operation behind a fence is a list: \[name"),
    ([1, "fenced", [["q", 1]], []], "an operation behind a fence is a list"),
    ([1, "fenced", [["q", 1]], [["put"], "k", "v"]], "unknown operation behind a fence a list"),
    ([1, "fenced", [["q", 1]], ["get", "k"]], "unknown operation behind a fence 'get'"),
    ([1, "fenced", [["q", 1]], ["fenced", [["q", 1]], PUT]], "unknown .* a fence 'fenced'"),
    ([1, "fenced", [["q", 1]], ["acquire", *LOCK, True, None]], "unknown .* a fence 'acquire'"),
    ([1, "fenced", [["q", 1]], ["put", "k"]], "fenced: put takes key, value; 1 given"),
    ([1, "fenced", [["q", 1]], ["put", "", "v"]], "fenced: put: the key must not be empty"),
    ([1, "fenced", [["q", 1]], ["txn", [], [["put", "k"]], []]], r"fenced: txn: then\[0\]: put"),
]

BAD_READS: list[tuple[list[Any], str]] = [
    ([1, "lease", 0], "the lease must be an integer from 1 to"),
    ([1, "lease"], "lease takes lease; 0 given"),
    ([1, "leases", -1, 1], "the lease to begin after must be an integer from 0"),
    ([1, "leases", 0, 0], "the limit must be"),
    ([1, "describe", "x" * 99, "q"], "the kind must be"),
    ([1, "describe", "lock", ""], "the name must not be empty"),
    ([1, "queues", {}, "", 1], "the kind must be .* not an object"),
    ([1, "queues", "lock", None, 1], "the prefix must be a string"),
    ([1, "queues", "lock", "", 10_001], "the limit must be"),
    ([1, "await", "lock", "q", 0, 0], "the token must be an integer from 1"),
    ([1, "await", "lock", "q", 1, -1], "hold_ms must be an integer from 0 to 2000"),
    ([1, "await", "lock", "q", 1, 2001], "hold_ms must be"),
    ([1, "await", "lock", "q", 1, 0.5], "hold_ms must be"),
    ([1, "await", 1, "q", 1, 0], "the kind must be .* not the number 1"),
    ([1, "observe", "", 0, 0], "the name must not be empty"),
    ([1, "observe", "q", None, 0], "the token must be .* not null"),
    ([1, "observe", "q", 0, 2001], "hold_ms must be"),
    ([1, "proclaimed", "", 0, None, 0], "the name must not be empty"),
    ([1, "proclaimed", "q", -1, None, 0], "the token must be an integer from 0"),
    ([1, "proclaimed", "q", 0, 5, 0], "the value must be a string or null"),
    ([1, "proclaimed", "q", 0, "v", 2001], "hold_ms must be"),
]


@pytest.mark.parametrize("op", GOOD_WRITES)
def test_a_good_write_passes_and_can_be_applied(op: list[Any]) -> None:
    validate_write(op)
    machine = Machine()
    machine.apply(1, 0, [0, 0, [0, "open"]])
    code, *_ = machine.apply(2, 0, [1, op[0], op])
    there_is_nothing = {"lease_expired", "not_held", "not_found", "fenced"}
    assert code == "ok" or code in there_is_nothing


@pytest.mark.parametrize("op", GOOD_READS)
def test_a_good_read_passes_and_can_be_answered(op: list[Any]) -> None:
    validate_read(op)
    assert Machine().read(op)[0] == ("not_held" if op[1] == "await" else "ok")


@pytest.mark.parametrize(("op", "problem"), BAD_WRITES)
def test_a_bad_write_is_refused_in_one_line(op: list[Any], problem: str) -> None:
    with pytest.raises(InvalidRequest, match=problem) as refused:
        validate_write(op)
    assert len(str(refused.value)) < 260
    assert str(refused.value).isprintable()


@pytest.mark.parametrize(("op", "problem"), BAD_READS)
def test_a_bad_read_is_refused_in_one_line(op: list[Any], problem: str) -> None:
    with pytest.raises(InvalidRequest, match=problem) as refused:
        validate_read(op)
    assert len(str(refused.value)) < 200
    assert str(refused.value).isprintable()
