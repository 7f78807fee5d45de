"""The forms of what coordinates: leases, queues and their places, fences."""

from __future__ import annotations

from typing import Any, Final

from raftzmq import limits
from raftzmq.errors import InvalidRequest
from raftzmq.machine.forms import (
    Form,
    check_bound,
    check_integer,
    check_key,
    check_limit,
    check_revision,
    check_value,
    kind_of,
    shown,
)
from raftzmq.machine.queues import KINDS, SIZED
from raftzmq.machine.values import text_size


def check_fences(fences: Any) -> None:
    """Check the guards of a fenced write: `[[name, token]…]`."""
    if type(fences) is not list:
        raise InvalidRequest(f"fences must be a list, not {kind_of(fences)}")
    if not 0 < len(fences) <= limits.FENCES:
        raise InvalidRequest(f"there must be 1 to {limits.FENCES} fences, not {len(fences)}")
    for place, fence in enumerate(fences):
        if type(fence) is not list or len(fence) != 2:
            raise InvalidRequest(f"fences[{place}]: a fence is a list: [name, token]")
        try:
            check_key(fence[0], "name")
            _token(fence[1])
        except InvalidRequest as error:
            raise InvalidRequest(f"fences[{place}]: {error}") from None


def _queue(kind: Any, name: Any) -> None:
    _kind(kind, KINDS)
    check_key(name, "name")


def _kind(kind: Any, kinds: tuple[str, ...]) -> None:
    if kind not in kinds:  # a list is not hashable: words are looked for in tuples, by equality
        raise InvalidRequest(
            f"the kind must be {', '.join(kinds[:-1])} or {kinds[-1]}, not {shown(kind)}"
        )


def _lease(lease: Any) -> None:
    check_integer(lease, "lease", 1, limits.INDEX_MAX)


def _token(token: Any) -> None:
    check_integer(token, "token", 1, limits.INDEX_MAX)


def _ttl(ttl_ms: Any) -> None:
    check_integer(ttl_ms, "ttl_ms", limits.LEASE_TTL_MIN_MS, limits.LEASE_TTL_MAX_MS)


def _hold(hold_ms: Any) -> None:
    check_integer(hold_ms, "hold_ms", 0, limits.AWAIT_MS)


def _permits(permits: Any, what: str = "permits") -> None:
    check_integer(permits, what, 1, limits.PERMITS)


def _put_leased(key: Any, value: Any, lease: Any) -> None:
    check_key(key)
    check_value(value)
    _lease(lease)


def _put_ttl(key: Any, value: Any, ttl_ms: Any) -> None:
    check_key(key)
    check_value(value)
    _ttl(ttl_ms)


def _acquire(
    kind: Any, name: Any, lease: Any, permits: Any, capacity: Any, wait: Any, value: Any
) -> None:
    _queue(kind, name)
    _lease(lease)
    _permits(permits)
    check_integer(capacity, "capacity", 0, limits.PERMITS)
    if kind not in SIZED and (permits != 1 or capacity != 0):
        raise InvalidRequest(f"there is one {kind}: permits must be 1, and capacity 0")
    if type(wait) is not bool:
        raise InvalidRequest(f"wait must be true or false, not {kind_of(wait)}")
    if value is None:
        return
    if type(value) is not str:
        raise InvalidRequest(f"the value must be a string or null, not {kind_of(value)}")
    check_value(value)
    size = text_size(value)
    if size > limits.PLACE_VALUE_BYTES:
        raise InvalidRequest(
            f"the value takes {size} bytes, the limit is {limits.PLACE_VALUE_BYTES}"
        )


def _release(kind: Any, name: Any, token: Any) -> None:
    _queue(kind, name)
    _token(token)


def _signal(name: Any, permits: Any) -> None:
    check_key(name, "name")
    _permits(permits)


def _resize(name: Any, capacity: Any) -> None:
    check_key(name, "name")
    _permits(capacity, "capacity")


def _forget(kind: Any, name: Any) -> None:
    _kind(kind, SIZED)
    check_key(name, "name")


def _leases(after: Any, limit: Any) -> None:
    check_revision(after, "lease to begin after")
    check_limit(limit)


def _queues(kind: Any, prefix: Any, limit: Any) -> None:
    _kind(kind, KINDS)
    check_bound(prefix, "prefix")
    check_limit(limit)


def _await(kind: Any, name: Any, token: Any, hold_ms: Any) -> None:
    _release(kind, name, token)
    _hold(hold_ms)


def _observe(name: Any, token: Any, hold_ms: Any) -> None:
    check_key(name, "name")
    check_revision(token, "token")
    _hold(hold_ms)


COORDINATION_WRITES: Final[dict[str, Form]] = {
    "lease_grant": Form(("ttl_ms",), _ttl),
    "lease_keep": Form(("lease",), _lease),
    "lease_revoke": Form(("lease",), _lease),
    "put_leased": Form(("key", "value", "lease"), _put_leased),
    "put_ttl": Form(("key", "value", "ttl_ms"), _put_ttl),
    "acquire": Form(
        ("kind", "name", "lease", "permits", "capacity", "wait", "value"),
        _acquire,
    ),
    "release": Form(("kind", "name", "token"), _release),
    "signal": Form(("name", "permits"), _signal),
    "resize": Form(("name", "capacity"), _resize),
    "forget": Form(("kind", "name"), _forget),
}

COORDINATION_READS: Final[dict[str, Form]] = {
    "lease": Form(("lease",), _lease),
    "leases": Form(("after", "limit"), _leases),
    "describe": Form(("kind", "name"), _queue),
    "queues": Form(("kind", "prefix", "limit"), _queues),
    "await": Form(("kind", "name", "token", "hold_ms"), _await),
    "observe": Form(("name", "token", "hold_ms"), _observe),
}
