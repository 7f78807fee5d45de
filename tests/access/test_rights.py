"""The table of rights is total, and every operation by every right is as documented."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftzmq.access import rights
from raftzmq.access.rights import check_operation, check_request, may_read_all, may_write_all
from raftzmq.access.users import ANYBODY, User
from raftzmq.errors import Denied, Overloaded
from raftzmq.machine import READS, WRITES
from raftzmq.prefixes import prefix_end
from raftzmq.transport import client_wire
from tests.access.product import BEYOND, NAME, READ, USERS, WRITE, Known, examples

KNOWN = Known(
    own=11, others=12, anybodys=13, ended=14, own_place=15, others_place=16, own_counted=17
)


class Owners:
    """What a node knows, in a table."""

    def of_lease(self, lease: int) -> str | None:
        if lease > 1000:
            raise Overloaded("not known yet")
        return {KNOWN.own: NAME, KNOWN.others: "orders", KNOWN.anybodys: ""}.get(lease)

    def of_place(self, kind: str, name: str, token: int) -> str | None:
        return {
            ("lock", "a/k", KNOWN.own_place): NAME,
            ("counter", "a/k", KNOWN.own_counted): NAME,
            ("lock", "a/k", KNOWN.others_place): "orders",
        }.get((kind, name, token))


def why_not(user: User, operation: list[Any]) -> str | None:
    try:
        check_operation(user, operation, Owners())
    except Denied as error:
        return str(error)
    return None


def test_every_operation_has_a_right_and_every_right_an_operation() -> None:
    assert set(rights.OPERATIONS) == WRITES | READS


def test_every_other_request_has_a_right_and_every_right_a_request() -> None:
    assert set(rights.REQUESTS) == set(client_wire._REQUESTS)


def test_there_is_an_example_of_every_operation() -> None:
    assert {operation[0] for operation, _ in examples(KNOWN)} == WRITES | READS


def test_what_nobody_thought_of_is_denied() -> None:
    with pytest.raises(Denied, match="user 'billing' may not explode: nobody said who may"):
        check_operation(User(NAME, write=("",)), ["explode"], Owners())
    with pytest.raises(Denied, match="may not explode"):
        check_request(User(NAME, write=("",)), "explode")


@pytest.mark.parametrize("who", USERS)
def test_every_operation_by_every_right(who: str) -> None:
    user, has = USERS[who]
    for operation, need in examples(KNOWN):
        why = why_not(user, operation)
        assert (why is None) == (need in has), (operation, need, why)


@pytest.mark.parametrize("operation", BEYOND, ids=repr)
def test_what_reaches_beyond_the_prefix_is_denied(operation: list[Any]) -> None:
    for who in ("reads", "writes", "writes elsewhere"):
        assert why_not(USERS[who][0], operation) is not None
    assert why_not(User(NAME, write=("",)), operation) is None


@pytest.mark.parametrize(
    ("start", "end"), [("a/", "a1"), ("a/k", "a0\0"), ("a/", "a0/"), ("a/", "")]
)
def test_prefixes_that_adjoin_are_not_put_together(start: str, end: str) -> None:
    """A range over their boundary is denied, though each half of it is allowed."""
    user = User(NAME, write=("a/", "a0", "a1"))
    assert why_not(user, ["range", start, "a0", 1]) is None
    assert why_not(user, ["range", "a0", "a1", 1]) is None
    assert why_not(user, ["range", start, end, 1]) is not None


@pytest.mark.parametrize("who", USERS)
def test_many_puts_and_gets_at_once_are_told_as_one_by_one(who: str) -> None:
    user, has = USERS[who]
    assert may_write_all(user, ["a/k", "a/k", "a/k"]) == (WRITE in has)
    assert may_read_all(user, ["a/k", "a/k"]) == (READ in has)
    assert may_write_all(user, ["a/k", "zz"]) == (user.admin or "" in user.write)
    assert may_read_all(user, ["zz", "a/k"]) == (user.admin or "" in user.write)


KEYS = st.text(st.sampled_from("ab/0\0\U0010ffff\ud7ff\ue000"), max_size=4)


@given(st.lists(KEYS, min_size=1, max_size=3), KEYS, KEYS, st.lists(KEYS, max_size=20))
def test_a_range_that_is_allowed_has_no_key_that_is_not(
    prefixes: list[str], start: str, end: str, keys: list[str]
) -> None:
    user = User(NAME, read=tuple(prefixes))
    if why_not(user, ["range", start, end, 1]) is None:
        for key in keys:
            if start <= key and (not end or key < end):
                assert why_not(user, ["get", key]) is None, key


@given(KEYS, KEYS)
def test_a_prefix_is_the_range_to_its_end(prefix: str, granted: str) -> None:
    user = User(NAME, read=(granted,))
    by_range = why_not(user, ["range", prefix, prefix_end(prefix), 1])
    assert (why_not(user, ["prefix", prefix, 1]) is None) == (by_range is None)


@pytest.mark.parametrize("who", USERS)
@pytest.mark.parametrize(
    ("word", "arguments", "need"),
    [
        ("status", (), "nothing"),
        ("unwatch", (), "nothing"),
        ("scan_end", (), "nothing"),
        ("stop", (), "be an admin"),
        ("log_level", (), "be an admin"),
        ("transfer", (), "be an admin"),
        ("member", (), "be an admin"),
        ("snapshot", (), "be an admin"),
        ("snapshot_pull", (), "be an admin"),
        ("backup_note", (), "be an admin"),
        ("watch", ("a/k", False), "read a/"),
        ("scan", ("a/",), "read a/"),
        ("scan", ("a/k",), "read a/"),
        ("scan_next", ("a/",), "read a/"),
        ("watch", ("a/", True), "read a/"),
        ("watch", ("a/k", True), "read a/"),
    ],
)
def test_every_request_by_every_right(
    who: str, word: str, arguments: tuple[Any, ...], need: str
) -> None:
    user, has = USERS[who]
    if need in has:
        check_request(user, word, *arguments)
    else:
        with pytest.raises(Denied):
            check_request(user, word, *arguments)


@pytest.mark.parametrize("prefix", ["", "a", "a0"])
def test_a_scan_of_more_than_is_granted_is_denied(prefix: str) -> None:
    for word in ("scan", "scan_next"):
        with pytest.raises(Denied):
            check_request(User(NAME, write=("a/",)), word, prefix)


@pytest.mark.parametrize(("key", "prefix"), [("", True), ("a", True), ("a", False), ("a0", True)])
def test_a_watch_of_more_than_is_granted_is_denied(key: str, prefix: bool) -> None:
    """GHSA-xg4h-6gfc-h4m8: a watch from a granted key on saw every key behind it."""
    with pytest.raises(Denied):
        check_request(User(NAME, write=("a/",)), "watch", key, prefix)


def test_without_keys_anybody_may_do_everything() -> None:
    for operation, _ in examples(KNOWN):
        assert why_not(ANYBODY, operation) is None
    for word in rights.REQUESTS:
        arguments = {"watch": ("a", True), "scan": ("a",), "scan_next": ("a",)}
        check_request(ANYBODY, word, *arguments.get(word, ()))


def test_a_lease_that_is_not_known_yet_is_nobodys() -> None:
    for operation in (
        ["lease_revoke", 1001],
        ["put_leased", "a/k", "v", 1001],
        ["acquire", "lock", "a/k", 1001, 1, 0, True, None],
        ["fenced", [["a/k", 1]], ["put_leased", "a/k", "v", 1001]],
    ):
        with pytest.raises(Overloaded):
            check_operation(User(NAME, write=("a/",)), operation, Owners())


@pytest.mark.parametrize(
    ("user", "operation", "said"),
    [
        (
            User(NAME, write=("billing/",)),
            ["put", "orders/7", "secret"],
            "user 'billing' may not write 'orders/7': it may write 'billing/'",
        ),
        (
            User(NAME, read=("r/",), write=("w/",)),
            ["get", "k"],
            "user 'billing' may not read 'k': it may read 'r/', 'w/'",
        ),
        (
            User(NAME),
            ["prefix", "", 1],
            "user 'billing' may not read everything: it may read nothing",
        ),
        (
            User(NAME, read=("a", "b", "c", "d", "e", "f")),
            ["prefix", "x", 1],
            "user 'billing' may not read all that begins with 'x': it may read 'a', 'b', 'c', 'd' "
            "and 2 more",
        ),
        (
            User(NAME, read=("a",)),
            ["range", "a", "", 1],
            "user 'billing' may not read from 'a' on: it may read 'a'",
        ),
        (
            User(NAME, read=("a",)),
            ["range", "a", "c", 1],
            "user 'billing' may not read from 'a' to 'c': it may read 'a'",
        ),
        (
            User(NAME, write=("a",)),
            ["delete", "x\n" * 40],
            "user 'billing' may not write '" + "x\\n" * 20 + "'…: it may write 'a'",
        ),
        (
            User(NAME, read=("a",)),
            ["open", "5ec2e75ec2e75ec2"],
            "user 'billing' may not write anything: it may write nothing",
        ),
        (
            User(NAME, write=("a",)),
            ["lease_revoke", 12],
            "user 'billing' may not use lease 12: it was granted to another; grant one of your own",
        ),
        (
            User(NAME),
            ["leases", 0, 1],
            "user 'billing' may not list all leases: that takes an admin",
        ),
    ],
)
def test_a_denial_names_the_user_and_what_it_may_and_no_value(
    user: User, operation: list[Any], said: str
) -> None:
    assert why_not(user, operation) == said
