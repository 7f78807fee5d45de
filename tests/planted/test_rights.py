"""Bugs planted in the rights of users: each is caught, and for its own reason."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

import pytest

from raftzmq.access import rights
from raftzmq.access.users import ANYBODY, User, Users
from raftzmq.machine import Machine
from raftzmq.node import clients
from raftzmq.node.access import Access
from raftzmq.node.watches import watches
from raftzmq.node.watches.groups import Subject
from raftzmq.prefixes import prefix_end
from raftzmq.transport.client_wire import OperationsRequest
from tests.access.product import BEYOND, NAME, USERS, examples
from tests.node.test_rights import OTHER, WRITER, Cluster, Watched, grant_and_guess


def by_every_right() -> None:
    """Each example is denied exactly to those who lack what it needs."""
    for who, (user, has) in USERS.items():
        cluster = Cluster()
        for operation, need in examples(cluster.known()):
            code, _ = cluster.do(*operation, user=user)
            assert (code == "denied") == (need not in has), f"{who}: {operation} is {code}"
            if operation[0] == "close":
                cluster.session = cluster.world.session(cluster.leader.name)


def beyond_the_prefix() -> None:
    """What reaches beyond the prefix that was granted is denied."""
    cluster = Cluster()
    for operation in BEYOND:
        code, _ = cluster.do(*operation, user=WRITER)
        assert code == "denied", f"{operation} is {code}"


def of_many_alike() -> None:
    """Of puts of several keys the wrong one is denied, wherever it stands."""
    cluster = Cluster()
    for keys in (["a/1", "b/1"], ["b/1", "a/1"]):
        world, leader = cluster.world, cluster.leader
        ops = [[70 + place, "put", key, "v"] for place, key in enumerate(keys)]
        request = OperationsRequest(cluster.session, 0, False, ops, leader.cluster)
        world.ask(leader.name, request, user=WRITER)
        world.run(0.5)
        written = [record[1] for record in cluster.contents() if record[0] == "key"]
        assert "b/1" not in written, f"of {keys} were written {written}"


def watched_by_others() -> None:
    """A watch with and without the values before is denied, or ends with the right."""
    for previous in (False, True):
        watched = Watched()
        watcher = watched.watch(WRITER, "b/", previous=previous)
        assert watcher.lost is not None, f"watched, with the values before: {previous}"
        watcher = watched.watch(WRITER, "a/", previous=previous)
        watched.node.users_changed(Users([replace(WRITER, write=("b/",))]))
        watched.cluster.done("put", "a/k", "v")
        assert not watcher.events, "watched without the right"


def guessed_leases() -> None:
    """A lease's number that is guessed before it is given is of no use."""
    cluster = Cluster()
    code = grant_and_guess(cluster, cluster.leader.machine.revision + 1)
    assert code == "overloaded", f"somebody else's lease was revoked: {code}"


Plant = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True, slots=True)
class Defect:
    """`probe` passes without it, and fails with it, with words that match `told`."""

    title: str
    plant: Plant
    probe: Callable[[], None]
    told: str


def row(name: str, check: Callable[..., None]) -> Plant:
    return lambda patch: patch.setitem(rights.OPERATIONS, name, check)


def check_the_first_branch(may: rights.Rights, compares: Any, then: Any, _otherwise: Any) -> None:
    for key, *_ in compares:
        may.read(key)
    for operation in then:
        rights._check(may, operation)


def check_no_compares(may: rights.Rights, _compares: Any, *branches: Iterable[Any]) -> None:
    for branch in branches:
        for operation in branch:
            rights._check(may, operation)


def end_a_character_late(patch: pytest.MonkeyPatch) -> None:
    def is_within(start: str, end: str, prefix: str) -> bool:
        last = prefix_end(prefix)
        return start.startswith(prefix) and (not last or "" != end <= last + "\0")

    patch.setattr(rights, "_is_within", is_within)


def begin_before_the_prefix(patch: pytest.MonkeyPatch) -> None:
    def is_within(_start: str, end: str, prefix: str) -> bool:
        last = prefix_end(prefix)
        return not last or "" != end <= last

    patch.setattr(rights, "_is_within", is_within)


def trust_whoever_asks_for_the_values_before(patch: pytest.MonkeyPatch) -> None:
    check = watches._denial

    def denial(user: User, subject: Subject) -> str | None:
        return None if subject[2] else check(user, subject)

    patch.setattr(watches, "_denial", denial)


def let_watches_go_on(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(watches.Watches, "users_changed", lambda _self, _users: None)


def look_at_the_first_key(patch: pytest.MonkeyPatch) -> None:
    check = rights.may_write_all

    def may_write_all(user: User, keys: Iterable[str]) -> bool:
        return check(user, list(keys)[:1])

    patch.setattr(clients, "may_write_all", may_write_all)


def take_what_is_not_applied_for_ended(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Access, "of_lease", lambda self, lease: self._node.machine.owner_of(lease))


def forget_the_owners(patch: pytest.MonkeyPatch) -> None:
    def owner_of(self: Machine, lease: int) -> str | None:
        return NAME if lease in self.state.leases.table else None

    patch.setattr(Machine, "owner_of", owner_of)


DEFECTS: Final = [
    Defect(
        "a branch of a transaction is not checked",
        row("txn", check_the_first_branch),
        by_every_right,
        r"none: \['txn', \[\], \[\], \[\['(put|incr)', 'a/k', .*\]\]\] is ok",
    ),
    Defect(
        "the compares of a transaction are not checked",
        row("txn", check_no_compares),
        by_every_right,
        r"none: \['txn', \[\['a/k', 'value', '=', 'v'\]\], \[\], \[\]\] is ok",
    ),
    Defect(
        "fences are not checked",
        row("fenced", lambda may, _fences, operation: rights._check(may, operation)),
        by_every_right,
        r"none: \['fenced', \[\['a/k', .*\['txn', \[\], \[\], \[\]\]\] is (ok|fenced)",
    ),
    Defect(
        "a key is bound to anybody's lease",
        row("put_leased", lambda may, key, _value, _lease: may.write(key)),
        by_every_right,
        r"writes: \['put_leased', 'a/k', 'v', .*\] is ok",
    ),
    Defect(
        "a range may end one key behind the prefix",
        end_a_character_late,
        beyond_the_prefix,
        r"\['range', 'a/', 'a0\\x00', 1\] is ok",
    ),
    Defect(
        "a range may begin before the prefix",
        begin_before_the_prefix,
        beyond_the_prefix,
        r"\['range', '', 'a0', 1\] is ok",
    ),
    Defect(
        "a watch with the values before is not checked",
        trust_whoever_asks_for_the_values_before,
        watched_by_others,
        "watched, with the values before: True",
    ),
    Defect(
        "watches do not end with the right",
        let_watches_go_on,
        watched_by_others,
        "watched without the right",
    ),
    Defect(
        "of many puts only the first is checked",
        look_at_the_first_key,
        of_many_alike,
        r"of \['a/1', 'b/1'\] were written \['a/1', 'b/1'\]",
    ),
    Defect(
        "a lease that is not applied is taken for ended",
        take_what_is_not_applied_for_ended,
        guessed_leases,
        "somebody else's lease was revoked: ok",
    ),
    Defect(
        "leases belong to whoever names them",
        forget_the_owners,
        by_every_right,
        r"none: \['lease_keep', .*\] is ok|writes: \['put_leased'",
    ),
]


@pytest.mark.parametrize(
    "probe", [by_every_right, beyond_the_prefix, of_many_alike, watched_by_others, guessed_leases]
)
def test_all_is_well_as_long_as_nothing_is_planted(probe: Callable[[], None]) -> None:
    probe()


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.title.replace(" ", "-"))
def test_is_caught(defect: Defect, monkeypatch: pytest.MonkeyPatch) -> None:
    defect.plant(monkeypatch)
    with pytest.raises(AssertionError, match=defect.told):
        defect.probe()


def test_without_keys_none_of_them_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    for defect in DEFECTS:
        defect.plant(monkeypatch)
    cluster = Cluster()
    lease = cluster.granted(OTHER)
    assert cluster.do("lease_keep", lease, user=ANYBODY)[0] == "ok"
