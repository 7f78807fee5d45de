"""Whatever a caller passes where a number or a function belongs, the answer is InvalidRequest."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest

from raftzmq import AsyncClient, Client, InvalidRequest, limits
from raftzmq.client.operations import keys, leases
from raftzmq.client.operations.arguments import LONGEST_TIMEOUT_S, call_ms, milliseconds, timeout_ms

NUMBERS: tuple[Any, ...] = (
    "1",
    True,
    None,
    -1,
    float("nan"),
    float("inf"),
    [],
    {},
    b"",
    1j,
    -(10**5000),
)
NO_TIMEOUTS = tuple(number for number in NUMBERS if number is not None)  # None: however long
NO_TIMES_TO_LIVE = (*NUMBERS, 0, 10**400, 10**5000, 1e308)
GIVEN: dict[str, Any] = {
    "key": "k",
    "value": "v",
    "prefix": "p",
    "revision": 1,
    "kind": "semaphore",
    "name": "n",
    "token": 1,
    "lease": 1,
    "permits": 1,
    "parties": 2,
    "endpoint": "a:1",
    "ttl": 5,
    "level": "debug",
}

Attempt = Callable[[Any, Any], Any]
"""What is tried: of a client, with one wrong value."""


def with_wrong(name: str, argument: str) -> Attempt:
    """The method of that name, everything right but one argument."""

    def attempt(client: Any, wrong: Any) -> Any:
        method = getattr(client, name)
        parameters = inspect.signature(method).parameters
        needed = {
            k: "raft-1" if name.startswith("member") else GIVEN[k]
            for k, parameter in parameters.items()
            if parameter.default is parameter.empty
        }
        return method(**{**needed, argument: wrong})

    return attempt


def with_argument(argument: str) -> list[str]:
    found = inspect.getmembers(Client, inspect.isfunction)
    return [
        name
        for name, method in found
        if not name.startswith("_") and argument in inspect.signature(method).parameters
    ]


NO_PREFIXES: tuple[Any, ...] = (False, True, 0, 5, [], b"", "\ud800")
COUNTS = (0, -1, True, "1", 10**400, 10**5000)
NO_FLAGS: tuple[Any, ...] = (0, 1, None, "", "yes", [])
NO_TTLS = tuple(number for number in NO_TIMES_TO_LIVE if number is not None)  # None: it stays
PUTS = ("put", "cas", "put_if_absent", "incr")
HANDLES = ("lock", "semaphore", "election", "rwlock")
CASES: dict[str, tuple[Attempt, tuple[Any, ...]]] = {
    **{
        f"{name} {argument}": (with_wrong(name, argument), wrongs)
        for argument, wrongs in (("timeout", NUMBERS), ("ttl", NO_TIMES_TO_LIVE))
        for name in with_argument(argument)
        if name not in (*HANDLES, "acquire", "scan")
        if (name, argument) not in product(PUTS, ["ttl"])
    },
    **{f"{name} timeout": (with_wrong(name, "timeout"), NO_TIMEOUTS) for name in HANDLES},
    **{f"{name} ttl": (with_wrong(name, "ttl"), NO_TIMES_TO_LIVE) for name in HANDLES},
    **{
        f"{name} on_lost": (with_wrong(name, "on_lost"), (5, "f", []))
        for name in (*HANDLES, "lease")
    },
    **{
        f"{name} cancel_on_loss": (with_wrong(name, "cancel_on_loss"), NO_FLAGS) for name in HANDLES
    },
    **{f"{name} owner": (with_wrong(name, "owner"), (5, b"", [])) for name in HANDLES[:2]},
    "lease timeout": (with_wrong("lease", "timeout"), NO_TIMEOUTS),
    **{f"{name} ttl": (with_wrong(name, "ttl"), NO_TTLS) for name in PUTS},
    **{f"{name} lease": (with_wrong(name, "lease"), COUNTS) for name in PUTS},
    **{f"{name} keep_end": (with_wrong(name, "keep_end"), NO_FLAGS) for name in ("put", "cas")},
    "incr by": (
        lambda c, wrong: c.incr("n", wrong),
        (2**53, -(2**53), True, None, "1", 1.0, 10**400, 10**5000),
    ),
    "put if_absent": (with_wrong("put", "if_absent"), NO_FLAGS),
    "acquire timeout": (lambda c, wrong: c.acquire("lock", "l", 1, timeout=wrong), NO_TIMEOUTS),
    "lock.acquire": (lambda c, wrong: c.lock("l").acquire(timeout=wrong), NO_TIMEOUTS),
    "election.campaign": (lambda c, wrong: c.election("l").campaign(timeout=wrong), NO_TIMEOUTS),
    "semaphore.wait": (lambda c, wrong: c.semaphore("l").wait(timeout=wrong), NO_TIMEOUTS),
    "describe": (lambda c, wrong: c.lock("l").describe(timeout=wrong), NUMBERS),
    "watch.open": (lambda c, wrong: c.watch("k").open(timeout=wrong), NO_TIMEOUTS),
    "watch.next": (lambda c, wrong: c.watch("k").next(timeout=wrong), NO_TIMEOUTS),
    "watch.batch": (lambda c, wrong: c.watch("k").batch(timeout=wrong), NO_TIMEOUTS),
    "watch prefix": (lambda c, wrong: c.watch(prefix=wrong), NO_PREFIXES),
    "watch key": (lambda c, wrong: c.watch(wrong), (*NO_PREFIXES, "")),
    "mirror prefix": (lambda c, wrong: c.mirror(wrong), (*NO_PREFIXES, None)),
    "mirror on_change": (lambda c, wrong: c.mirror("p", on_change=wrong), (5, "f", [])),
    "watch start": (
        lambda c, wrong: c.watch("k", start=wrong),
        (0, -1, True, "1", 10**400, 10**5000),
    ),
    "scan timeout": (with_wrong("scan", "timeout"), NO_TIMEOUTS),  # None: the client's
    "scan limit": (lambda c, wrong: c.scan(limit=wrong), COUNTS),
    "scan endpoint": (lambda c, wrong: c.scan(endpoint=wrong), ("", "a", 5, [])),
    "scan after": (lambda c, wrong: c.scan(after=wrong), (5, None, b"", [])),
    "scan keys_only": (lambda c, wrong: c.scan(keys_only=wrong), NO_FLAGS),
    "scan stale": (lambda c, wrong: c.scan(stale=wrong), NO_FLAGS),
    "range limit": (lambda c, wrong: c.range(limit=wrong), COUNTS),
    "cas revision": (lambda c, wrong: c.cas("k", "v", wrong), (-1, True, "1", 10**400, 10**5000)),
    "lease number": (lambda c, wrong: c.lease_keep(wrong), COUNTS),
    "token": (lambda c, wrong: c.release("lock", "l", wrong), (0, -1, True, 10**400, 10**5000)),
    "permits": (lambda c, wrong: c.signal("c", wrong), COUNTS),
    "backup revision": (lambda c, wrong: c.note_backup(wrong, 1), COUNTS[1:]),
    "backup time": (lambda c, wrong: c.note_backup(1, wrong), COUNTS[1:]),
    "log level": (lambda c, wrong: c.log_level("a:1", wrong), ("", "loud", 5, None, [], b"debug")),
    "log level endpoint": (lambda c, wrong: c.log_level(wrong, "debug"), ("", "a", 5, None, [])),
    "snapshot endpoint": (lambda c, wrong: c.snapshot(endpoint=wrong), ("", "a", 5, [])),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_a_wrong_argument_is_an_invalid_request(kind: type[Any], case: str) -> None:
    attempt, wrongs = CASES[case]

    async def tried(wrong: object) -> None:
        client = kind("127.0.0.1:9")
        try:
            result = attempt(client, wrong)
            if inspect.isawaitable(result):
                await result
        finally:
            closing = client.close()
            if inspect.isawaitable(closing):
                await closing

    for wrong in wrongs:
        with pytest.raises(InvalidRequest):
            asyncio.run(asyncio.wait_for(tried(wrong), 20))


def test_a_timeout_of_any_size_is_a_week_at_most() -> None:
    for long in (10**400, 10**5000, 1e308, LONGEST_TIMEOUT_S + 1):
        assert call_ms(long) == timeout_ms(long) == LONGEST_TIMEOUT_S * 1000
    assert milliseconds(10) == 10_000


def test_a_key_lives_for_ten_years_at_most_and_a_lease_for_a_day() -> None:
    day_s, years_s = limits.LEASE_TTL_MAX_MS / 1000, limits.KEY_TTL_MAX_MS / 1000
    assert milliseconds(day_s) == limits.LEASE_TTL_MAX_MS
    assert keys.put("k", "v", ttl=years_s).tail.endswith(b",316224000000]")
    for ask in (
        lambda: leases.lease_grant(day_s + 1),
        lambda: keys.put("k", "v", ttl=years_s + 1),
        lambda: keys.cas("k", "v", 1, ttl=years_s + 1),
    ):
        with pytest.raises(InvalidRequest, match=r"a time to live is 0\.5 to"):
            ask()
