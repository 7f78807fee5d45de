"""Every operation by every right: examples that touch one key, and users by what they may do to it.

What an example needs is said here once more, in words, and not taken from the table that is tested.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from raftzmq.access.users import User

Operation = list[Any]

NOTHING = "nothing"  # every user may do it
READ = "read a/"
WRITE = "write a/"
SOMETHING = "write something"
ADMIN = "be an admin"

NAME: Final = "billing"
"""The name of every user here, to whom the own lease belongs; others' leases are of others."""

USERS: Final[dict[str, tuple[User, frozenset[str]]]] = {
    "none": (User(NAME), frozenset({NOTHING})),
    "reads": (User(NAME, read=("a/",)), frozenset({NOTHING, READ})),
    "reads elsewhere": (User(NAME, read=("b/", "A/")), frozenset({NOTHING})),
    "writes": (User(NAME, write=("a/",)), frozenset({NOTHING, READ, WRITE, SOMETHING})),
    "writes elsewhere": (User(NAME, write=("b/",)), frozenset({NOTHING, SOMETHING})),
    "reads here, writes elsewhere": (
        User(NAME, read=("a/",), write=("b/",)),
        frozenset({NOTHING, READ, SOMETHING}),
    ),
    "writes just before": (User(NAME, write=("a.",)), frozenset({NOTHING, SOMETHING})),
    "writes just behind": (User(NAME, write=("a0",)), frozenset({NOTHING, SOMETHING})),
    "writes a part": (User(NAME, write=("a/k/", "a/kk")), frozenset({NOTHING, SOMETHING})),
    "writes around it": (
        User(NAME, write=tuple(f"a/{chr(code)}" for code in range(128) if chr(code) not in "kl")),
        frozenset({NOTHING, SOMETHING}),
    ),
    "writes more": (User(NAME, write=("a",)), frozenset({NOTHING, READ, WRITE, SOMETHING})),
    "writes all": (User(NAME, write=("",)), frozenset({NOTHING, READ, WRITE, SOMETHING})),
    "admin": (User(NAME, admin=True), frozenset({NOTHING, READ, WRITE, SOMETHING, ADMIN})),
}
"""What may be done, and by whom. Everything is done to the key, or to all, under "a/"."""


@dataclass(frozen=True, slots=True)
class Known:
    """Numbers that examples speak of: leases, and places in the lock and the counter a/k."""

    own: int
    others: int
    anybodys: int
    ended: int
    own_place: int
    others_place: int
    own_counted: int


def examples(known: Known) -> Iterator[tuple[Operation, str]]:
    """Yield operations `[name, …arguments]`, and the one right that each needs."""
    yield ["open", "5ec2e75ec2e75ec2"], SOMETHING
    yield ["close"], NOTHING
    yield from _of_keys(known)
    yield from _of_queues(known)
    yield from _of_several(known)
    yield ["call", "a", "k", "[]"], WRITE
    yield ["ask", "a", "k", "[]"], READ
    yield ["lease_grant", 1000], SOMETHING
    yield ["leases", 0, 10], ADMIN
    for number, need in _leases(known):
        yield ["lease_keep", number], need
        yield ["lease", number], need
    for number, need in ((known.others, ADMIN), (known.anybodys, ADMIN), (known.ended, NOTHING)):
        yield ["lease_revoke", number], need


def _leases(known: Known) -> list[tuple[int, str]]:
    return [
        (known.own, NOTHING),
        (known.ended, NOTHING),
        (known.others, ADMIN),
        (known.anybodys, ADMIN),
    ]


def _of_keys(known: Known) -> Iterator[tuple[Operation, str]]:
    yield ["put", "a/k", "v"], WRITE
    yield ["cas", "a/k", "v", 0], WRITE
    yield ["delete", "a/k"], WRITE
    yield ["delete_prefix", "a/"], WRITE
    yield ["delete_prefix", "a/k"], WRITE
    yield ["delete_first", "a/", 1], WRITE
    yield ["put_ttl", "a/k", "v", 1000], WRITE
    for number, need in _leases(known):
        yield ["put_leased", "a/k", "v", number], WRITE if need == NOTHING else need
        bound = ["put_if", "a/k", "v", None, ["lease", number]]
        yield bound, WRITE if need == NOTHING else need
        yield ["txn", [], [bound], []], WRITE if need == NOTHING else need
        yield ["incr", "a/k", 1, ["lease", number]], WRITE if need == NOTHING else need
    for new in (None, ["ttl", 1000]):
        yield ["incr", "a/k", 1, new], WRITE
        yield ["txn", [], [], [["incr", "a/k", 1, new]]], WRITE
    for end in (None, "keep", ["ttl", 1000]):
        yield ["put_if", "a/k", "v", 0, end], WRITE
    yield ["get", "a/k"], READ
    yield ["item", "a/k"], READ
    yield ["count", "a/"], READ
    yield ["keys", "a/", "", 1], READ
    yield ["prefix", "a/", 1], READ
    yield ["prefix", "a/k", 1], READ
    yield from ((["range", start, end, 1], READ) for start, end in _WITHIN)


_WITHIN: Final = [("a/", "a0"), ("a/k", "a/l"), ("a/", "a/k"), ("a/k", "a0"), ("a/l", "a/b")]


def _of_queues(known: Known) -> Iterator[tuple[Operation, str]]:
    for kind in ("lock", "semaphore", "counter", "election"):
        capacity = 3 if kind in ("semaphore", "counter") else 0
        for number, need in _leases(known):
            acquire = ["acquire", kind, "a/k", number, 1, capacity, True, None]
            yield acquire, WRITE if need == NOTHING else need
        yield ["release", kind, "a/k", known.others_place], WRITE
        yield ["cancel", kind, "a/k", known.others_place], WRITE
        yield ["describe", kind, "a/k"], READ
        yield ["queues", kind, "a/", 1], READ
        yield ["await", kind, "a/k", known.others_place, 0], READ
    yield ["release", "lock", "a/k-other", known.own_place], WRITE
    yield ["release", "counter", "a/k", known.own_counted], WRITE
    yield ["cancel", "counter", "a/k", known.own_counted], NOTHING
    yield ["release", "lock", "a/k", known.own_place], NOTHING
    yield ["observe", "a/k", 0, 0], READ
    yield ["proclaimed", "a/k", 0, None, 0], READ
    yield ["proclaim", "a/k", known.others_place, "v"], WRITE
    yield ["signal", "a/k", 1], WRITE
    yield ["resize", "a/k", 3], WRITE
    yield ["forget", "semaphore", "a/k"], WRITE


def _of_several(known: Known) -> Iterator[tuple[Operation, str]]:
    put, get = ["put", "a/k", "v"], ["get", "a/k"]
    yield ["txn", [], [], []], NOTHING
    for field, operator, operand in (("value", "=", "v"), ("revision", "<", 7)):
        yield ["txn", [["a/k", field, operator, operand]], [], []], READ
    inner: list[tuple[Operation, str]] = [
        (put, WRITE),
        (["delete", "a/k"], WRITE),
        (["delete_prefix", "a/"], WRITE),
        (get, READ),
        (["prefix", "a/", 1], READ),
        (["range", "a/", "a0", 1], READ),
    ]
    for operation, need in inner:
        yield ["txn", [], [operation], []], need
        yield ["txn", [], [], [operation]], need
    yield ["txn", [], [get], [put]], WRITE
    fence = ["a/k", known.others_place]
    yield ["fenced", [fence], put], WRITE
    yield ["fenced", [fence], ["txn", [], [], [put]]], WRITE
    yield ["fenced", [fence], ["txn", [], [], []]], READ
    for number, need in _leases(known):
        leased = ["put_leased", "a/k", "v", number]
        yield ["fenced", [fence], leased], WRITE if need == NOTHING else need


BEYOND: Final[list[Operation]] = [
    ["prefix", "", 1],
    ["prefix", "a", 1],
    ["item", "a"],
    ["count", ""],
    ["count", "a"],
    ["keys", "", "a/", 1],
    ["keys", "a", "a/", 1],
    ["range", "", "", 1],
    ["range", "", "a0", 1],
    ["range", "a", "a0", 1],
    ["range", "a.", "a/k", 1],
    ["range", "a/", "", 1],
    ["range", "a/k", "", 1],
    ["range", "a/", "a0\0", 1],
    ["range", "a/k", "a1", 1],
    ["range", "a/k", "b/k", 1],
    ["range", "a0", "a0", 1],
    ["txn", [], [["range", "a/", "a0\0", 1]], []],
    ["txn", [], [["prefix", "a", 1]], []],
    ["queues", "lock", "", 1],
    ["queues", "lock", "a", 1],
    ["delete_prefix", ""],
    ["delete_prefix", "a"],
    ["delete_first", "a", 1],
    ["txn", [["a", "revision", "=", 0]], [], []],
    ["fenced", [["a", 1]], ["put", "a/k", "v"]],
    ["fenced", [["a/k", 1], ["b/k", 1]], ["put", "a/k", "v"]],
    ["get", "a"],
    ["put", "a", "v"],
    ["put", "a0", "v"],
    ["get", "A/k"],
]
"""Operations that reach beyond "a/": whoever may write just that may do none of them."""
