"""What each operation and each request needs, and whether a user has it. Pure: a table and checks.

A prefix that a user may read or write is one of keys and of the names of queues (locks, semaphores,
counters, elections). What may be written may be read. A range lies within one such prefix, or it is
denied as a whole: two prefixes are not put together, and nothing is filtered out of an answer.

Admins may do everything, so callers ask `user.admin` first and nothing here for them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any, Final, Protocol

from raftzmq.access.users import User
from raftzmq.errors import Denied
from raftzmq.prefixes import prefix_end

SHOWN: Final = 40
SHOWN_PREFIXES: Final = 4
"""The most characters of a key, and the most prefixes, that a message shows."""


class Owners(Protocol):
    """Who was granted the leases and has the places of the cluster, as far as a node knows it."""

    def of_lease(self, lease: int) -> str | None:
        """Return the name of its user, "" for anybody's; None if it has ended. Raises Overloaded
        while that cannot be known yet."""

    def of_place(self, kind: str, name: str, token: int) -> str | None:
        """Return the name of the user whose lease the place in a queue is under; None if there is
        no such place."""


@dataclass(frozen=True, slots=True)
class Rights:
    """The rights of one user who is no admin. Each method raises Denied if they lack that right."""

    user: User
    owners: Owners

    def read(self, key: str) -> None:
        """Read one key or queue."""
        if not key.startswith(self.user.readable):
            raise self._denied("read", _shown(key))

    def read_all(self, prefix: str) -> None:
        """Read whatever begins with a prefix."""
        if not prefix.startswith(self.user.readable):
            raise self._denied("read", _all_of(prefix))

    def read_range(self, start: str, end: str) -> None:
        """Read what there is from `start` on and before `end`; "" is no end."""
        if not any(_is_within(start, end, prefix) for prefix in self.user.readable):
            until = f"to {_shown(end)}" if end else "on"
            raise self._denied("read", f"from {_shown(start)} {until}")

    def write(self, key: str) -> None:
        """Write one key or queue."""
        if not key.startswith(self.user.write):
            raise self._denied("write", _shown(key))

    def write_all(self, prefix: str) -> None:
        """Write whatever begins with a prefix."""
        if not prefix.startswith(self.user.write):
            raise self._denied("write", _all_of(prefix))

    def write_something(self) -> None:
        """Write anything at all: what takes room in the cluster is for those who do."""
        if not self.user.write:
            raise self._denied("write", "anything")

    def own(self, lease: int) -> None:
        """Use a lease. One that has ended is nobody's: that it has is for the cluster to say."""
        if self.owners.of_lease(lease) not in (None, self.user.name):
            raise Denied(
                f"user {self.user.name!r} may not use lease {lease}: it was granted to another; "
                "grant one of your own"
            )

    def give_up(self, kind: str, name: str, token: int) -> None:
        """Give up a place. One's own may be given up without the right to the queue, which one had
        when one took it: nobody is kept waiting behind it."""
        if self.owners.of_place(kind, name, token) != self.user.name:
            self.write(name)

    def admin(self, what: str) -> None:
        """Do what only admins may."""
        raise Denied(f"user {self.user.name!r} may not {what}: that takes an admin")

    def anything(self) -> None:
        """Do what every user may."""

    def _denied(self, verb: str, what: str) -> Denied:
        user = self.user
        prefixes = user.write if verb == "write" else user.readable
        return Denied(f"user {user.name!r} may not {verb} {what}: it may {verb} {_list(prefixes)}")


def _fenced(may: Rights, fences: Iterable[tuple[str, int]], operation: Sequence[Any]) -> None:
    for name, _ in fences:
        may.read(name)  # the answer tells whether somebody holds it
    _check(may, operation)


def _txn(may: Rights, compares: Iterable[Any], *branches: Iterable[Sequence[Any]]) -> None:
    for key, *_ in compares:
        may.read(key)  # the answer tells whether it held
    for branch in branches:  # both: which one is executed is known only when it is
        for operation in branch:
            _check(may, operation)


def _put_leased(may: Rights, key: str, lease: int) -> None:
    may.write(key)
    may.own(lease)  # whoever ends it deletes the key


def _put_ending(may: Rights, key: str, end: Any) -> None:
    may.write(key)
    if isinstance(end, list) and end[0] == "lease":
        may.own(end[1])


def _acquire(may: Rights, name: str, lease: int) -> None:
    may.write(name)
    may.own(lease)


def _release(may: Rights, kind: str, name: str, token: int) -> None:
    if kind == "counter":
        may.write(name)  # it takes for good what was only set aside
    else:
        may.give_up(kind, name, token)


OPERATIONS: Final[Mapping[str, Callable[..., None]]] = {
    # sessions
    "open": lambda may, _secret: may.write_something(),
    "close": lambda may: may.anything(),
    # keys
    "put": lambda may, key, _value: may.write(key),
    "cas": lambda may, key, _value, _revision: may.write(key),
    "delete": lambda may, key: may.write(key),
    "delete_prefix": lambda may, prefix: may.write_all(prefix),
    "delete_first": lambda may, prefix, _limit: may.write_all(prefix),
    "put_ttl": lambda may, key, _value, _ttl_ms: may.write(key),
    "put_leased": lambda may, key, _value, lease: _put_leased(may, key, lease),
    "put_if": lambda may, key, _value, _revision, end: _put_ending(may, key, end),
    "incr": lambda may, key, _by, end: _put_ending(may, key, end),
    "get": lambda may, key: may.read(key),
    "item": lambda may, key: may.read(key),
    "count": lambda may, prefix: may.read_all(prefix),
    "keys": lambda may, prefix, _after, _limit: may.read_all(prefix),
    "range": lambda may, start, end, _limit: may.read_range(start, end),
    "prefix": lambda may, prefix, _limit: may.read_all(prefix),
    # several at once
    "txn": _txn,
    "fenced": _fenced,
    # leases
    "lease_grant": lambda may, _ttl_ms: may.write_something(),
    "lease_keep": lambda may, lease: may.own(lease),
    "lease_revoke": lambda may, lease: may.own(lease),
    "lease": lambda may, lease: may.own(lease),
    "leases": lambda may, _after, _limit: may.admin("list all leases"),
    # a state machine of the users' own: its methods are named as keys would be
    "call": lambda may, name, method, _arguments: may.write(f"{name}/{method}"),
    "ask": lambda may, name, method, _arguments: may.read(f"{name}/{method}"),
    # queues
    "acquire": lambda may, _kind, name, lease, *_rest: _acquire(may, name, lease),
    "release": _release,
    "cancel": lambda may, kind, name, token: may.give_up(kind, name, token),
    "signal": lambda may, name, _permits: may.write(name),
    "resize": lambda may, name, _capacity: may.write(name),
    "proclaim": lambda may, name, _token, _value: may.write(name),
    "forget": lambda may, _kind, name: may.write(name),
    "describe": lambda may, _kind, name: may.read(name),
    "queues": lambda may, _kind, prefix, _limit: may.read_all(prefix),
    "await": lambda may, _kind, name, _token, _hold_ms: may.read(name),
    "observe": lambda may, name, _token, _hold_ms: may.read(name),
    "proclaimed": lambda may, name, _token, _value, _hold_ms: may.read(name),
}
"""What every operation needs, of its arguments as in PROTOCOL.md. There is no other: what is
missing here is a defect, and denied."""

REQUESTS: Final[Mapping[str, Callable[..., None]]] = {
    "status": lambda may: may.anything(),
    "stop": lambda may: may.admin("stop a node"),
    "transfer": lambda may: may.admin("hand over leadership"),
    "upgrade": lambda may: may.admin("change the cluster version"),
    "member": lambda may: may.admin("change the membership"),
    "log_level": lambda may: may.admin("change what a node logs"),
    "watch": lambda may, key, prefix: may.read_all(key) if prefix else may.read(key),
    "unwatch": lambda may: may.anything(),
    "scan": lambda may, prefix: may.read_all(prefix),
    "scan_next": lambda may, prefix: may.read_all(prefix),
    "scan_end": lambda may: may.anything(),
    "snapshot": lambda may: may.admin("take a snapshot"),
    "snapshot_pull": lambda may: may.admin("take a snapshot"),
    "backup_note": lambda may: may.admin("note a backup"),
}
"""What the other requests need. The values before a change, too, are for whoever may read the
key."""


def check_operation(user: User, operation: Sequence[Any], owners: Owners) -> None:
    """Raises Denied if the user may not do a validated operation `[name, …arguments]`, and what
    `owners` raises."""
    if not user.admin:
        _check(Rights(user, owners), operation)


def check_request(user: User, word: str, *arguments: Any) -> None:
    """Raises Denied if the user may not ask for what is no operation. `word` is the type of the
    request on the wire; a watch has its key, and whether that is a prefix, as arguments; a scan its
    prefix."""
    if not user.admin:
        _row(REQUESTS, word, user)(Rights(user, NOBODY), *arguments)


def may_write_all(user: User, keys: Iterable[str]) -> bool:
    """Whether the user may write each of the keys. A hot path: no statement for each."""
    return user.admin or all(map(str.startswith, keys, repeat(user.write)))


def may_read_all(user: User, keys: Iterable[str]) -> bool:
    """Whether the user may read each of the keys. A hot path, too."""
    return user.admin or all(map(str.startswith, keys, repeat(user.readable)))


def _check(may: Rights, operation: Sequence[Any]) -> None:
    _row(OPERATIONS, operation[0], may.user)(may, *operation[1:])


def _row(table: Mapping[str, Callable[..., None]], name: str, user: User) -> Callable[..., None]:
    row = table.get(name)
    if row is None:
        raise Denied(f"user {user.name!r} may not {name}: nobody said who may")
    return row


class _Nobody:
    """Of requests that name neither leases nor places."""

    def of_lease(self, _lease: int) -> str | None:
        return None

    def of_place(self, _kind: str, _name: str, _token: int) -> str | None:
        return None


NOBODY: Final[Owners] = _Nobody()


def _is_within(start: str, end: str, prefix: str) -> bool:
    """Whether all keys from `start` on and before `end` begin with `prefix`."""
    last = prefix_end(prefix)
    return start.startswith(prefix) and (not last or "" != end <= last)


def _shown(key: str) -> str:
    return f"{key[:SHOWN]!r}" + ("…" if len(key) > SHOWN else "")


def _all_of(prefix: str) -> str:
    return f"all that begins with {_shown(prefix)}" if prefix else "everything"


def _list(prefixes: Sequence[str]) -> str:
    if not prefixes:
        return "nothing"
    shown = ", ".join(map(_shown, prefixes[:SHOWN_PREFIXES]))
    more = len(prefixes) - SHOWN_PREFIXES
    return f"{shown} and {more} more" if more > 0 else shown
