"""What a node lets users do: every operation by every right, and rights that change."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import pytest

from raftzmq import limits
from raftzmq.access.users import ANYBODY, User, Users
from raftzmq.node import Node
from raftzmq.node.access import WORDS
from raftzmq.node.counts import ADMIN, READ, STALE_READ, WRITE
from raftzmq.transport import client_wire
from raftzmq.transport.client_wire import ErrorReply, OperationsRequest, Reply, Results
from raftzmq.transport.operator_wire import (
    Done,
    LogLevelRequest,
    MemberRequest,
    StatusReply,
    StatusRequest,
    StopRequest,
    TransferRequest,
)
from raftzmq.transport.scan_wire import ScanSays
from raftzmq.transport.snapshot_wire import SnapshotSays
from raftzmq.transport.watch_wire import UnwatchRequest, Watching, WatchLost, WatchRequest
from tests.access.product import BEYOND, NAME, USERS, Known, examples
from tests.node.watcher import Watcher
from tests.node.world import World

WRITER = User(NAME, write=("a/",))
OTHER = User("orders", write=("a/", "orders/"))
ROOT = User("root", admin=True)


class Cluster:
    """A world with a session, and what one user has in it beside what others have."""

    def __init__(self, size: int = 1) -> None:
        self.world = World(size)
        self.leader = self.world.formed()
        self.session = self.world.session(self.leader.name)

    def do(self, *op: Any, user: User = ANYBODY, stale: bool = False) -> tuple[str, Any]:
        """Do an operation at the leader; return code and body."""
        name = self.leader.name
        _, code, _, body = self.world.operate(
            name, *op, session=self.session, user=user, stale=stale
        )
        return code, body

    def done(self, *op: Any, user: User = ANYBODY) -> Any:
        code, body = self.do(*op, user=user)
        assert code == "ok", (op, body)
        return body

    def granted(self, user: User) -> int:
        return int(self.done("lease_grant", 60_000, user=user))

    def place(self, kind: str, name: str, lease: int, capacity: int = 0) -> int:
        return int(self.done("acquire", kind, name, lease, 1, capacity, True, None)[0])

    def known(self) -> Known:
        own = self.granted(WRITER)
        others, ended = self.granted(OTHER), self.granted(WRITER)
        self.done("lease_revoke", ended, user=WRITER)
        return Known(
            own=own,
            others=others,
            anybodys=self.granted(ANYBODY),
            ended=ended,
            own_place=self.place("lock", "a/k", own),
            others_place=self.place("lock", "a/k", others),
            own_counted=self.place("counter", "a/k", own, 3),
        )

    def contents(self) -> list[Any]:
        """Everything replicated but sessions and results."""
        records = self.leader.machine.snapshot()
        return [one for one in records if one[0] not in ("machine", "session", "result")]


@pytest.mark.parametrize("who", USERS)
def test_every_operation_by_every_right(who: str) -> None:
    user, has = USERS[who]
    cluster = Cluster()
    known = cluster.known()
    for operation, need in examples(known):
        before = cluster.contents()
        code, body = cluster.do(*operation, user=user)
        assert (code == "denied") == (need not in has), (operation, need, code, body)
        if code == "denied":
            assert cluster.contents() == before
            assert body["message"].startswith(f"user '{NAME}' may not ")
        elif operation[0] == "close":
            cluster.session = cluster.world.session(cluster.leader.name)


@pytest.mark.parametrize("stale", [False, True])
def test_what_reaches_beyond_the_prefix_is_denied(stale: bool) -> None:
    cluster = Cluster()
    cluster.done("put", "b/secret", "42")
    before = cluster.contents()
    for operation in BEYOND:
        if stale and operation[0] not in ("get", "range", "prefix", "queues"):
            continue
        assert cluster.do(*operation, user=WRITER, stale=stale)[0] == "denied", operation
    assert cluster.contents() == before


def test_every_request_that_is_no_operation_has_a_word_of_the_wire() -> None:
    of_others = {"watch", "unwatch", "snapshot", "snapshot_pull", "backup_note"}
    of_others |= {"scan", "scan_next", "scan_end"}  # test_scans.py
    assert set(WORDS.values()) | of_others == set(client_wire._REQUESTS)
    others = {OperationsRequest, WatchRequest, UnwatchRequest, *get_args(SnapshotSays)}
    others |= {*get_args(ScanSays)}
    assert set(WORDS) | others == set(get_args(client_wire.Request))


@pytest.mark.parametrize("user", [ROOT, WRITER, User(NAME)], ids=lambda user: user.name)
def test_operators_requests_take_an_admin_but_for_the_status(user: User) -> None:
    """GHSA-q8m4-xhhv-38mg: whoever had a connection could ask for what only operators may."""
    world = World(3)
    leader = world.formed()
    follower = next(name for name in world.nodes if name != leader.name)
    levels: list[str] = []
    world.nodes[follower].admin.set_log_level = levels.append
    assert isinstance(world.answer(leader.name, StatusRequest(1), user), StatusReply)
    for name, request in (
        (follower, StopRequest(2)),
        (leader.name, MemberRequest(3, "remove", follower)),
        (leader.name, TransferRequest(4, None)),
        (follower, LogLevelRequest(5, "DEBUG")),
    ):
        reply = world.answer(name, request, user)
        if user.admin:
            assert isinstance(reply, Done)
        else:
            assert isinstance(reply, ErrorReply)
            assert (reply.code, reply.ids) == ("denied", [request.id])
            assert "that takes an admin" in reply.message
    assert world.nodes[follower].stop_requested is user.admin
    assert levels == (["DEBUG"] if user.admin else [])
    assert (leader.raft.membership.named(follower) is None) is user.admin
    assert leader.counts.answered[ADMIN]["denied"] == (0 if user.admin else 2)


def test_a_message_with_some_denied_operations_answers_the_others() -> None:
    cluster = Cluster()
    ops = [
        [50, "put", "b/k", "v"],
        [51, "put", "a/k", "v"],
        [52, "get", "b/k"],
        [53, "get", "a/k"],
        [54, "put", "", "v"],
        [55, "put", "a/l", "v"],
    ]
    world, leader = cluster.world, cluster.leader
    world.replies[leader.name].clear()
    request = OperationsRequest(cluster.session, 50, False, ops, leader.cluster)
    world.ask(leader.name, request, user=WRITER)
    world.run(1)
    codes = {one[0]: one[1] for reply in world.replies[leader.name] for one in results_of(reply)}
    expected = ["denied", "ok", "denied", "ok", "invalid", "ok"]
    assert codes == dict(zip(range(50, 56), expected, strict=True))
    assert leader.counts.answered[WRITE]["denied"] == 1
    assert leader.counts.answered[READ]["denied"] == 1


def results_of(reply: Reply) -> Any:
    assert isinstance(reply, Results), reply
    return reply.results


@pytest.mark.parametrize("name", ["put", "get"])
def test_of_many_alike_those_within_the_prefix_are_done(name: str) -> None:
    cluster = Cluster()
    value = ["v"] if name == "put" else []
    keys = [f"{'ab'[number % 2]}/{number}" for number in range(100)]
    ops = [[60 + number, name, key, *value] for number, key in enumerate(keys)]
    request = OperationsRequest(cluster.session, 60, False, ops, cluster.leader.cluster)
    cluster.world.replies[cluster.leader.name].clear()
    cluster.world.ask(cluster.leader.name, request, user=WRITER)
    cluster.world.run(1)
    replies = cluster.world.replies[cluster.leader.name]
    codes = {one[0]: one[1] for reply in replies for one in results_of(reply)}
    assert codes == {60 + number: ["ok", "denied"][number % 2] for number in range(100)}
    assert all(key.startswith("a/") for kind, key, *_ in cluster.contents() if kind == "key")


def test_each_node_checks_stale_reads_itself_and_leaves_the_rest_to_the_leader() -> None:
    world = World(3)
    leader = world.formed()
    session = world.session(leader.name)
    world.operate(leader.name, "put", "b/k", "secret", session=session)
    world.run(1)
    follower = next(name for name in world.nodes if name != leader.name)
    assert world.operate(follower, "get", "b/k", stale=True, user=WRITER)[1] == "denied"
    assert world.operate(follower, "get", "a/k", stale=True, user=WRITER)[1] == "ok"
    assert world.nodes[follower].counts.answered[STALE_READ]["denied"] == 1
    for op in (["get", "b/k"], ["put", "b/k", "v"], ["cas", "b/k", "v", 0]):
        assert world.operate(follower, *op, session=session, user=WRITER)[1] == "not_leader"


def test_rights_hold_on_a_full_disk_too() -> None:
    """etcd forgot them while its database was full (its pull request 22386)."""
    cluster = Cluster()
    cluster.leader.lacks = "space"
    for op in (["delete", "b/k"], ["lease_revoke", 1], ["get", "b/k"]):
        code, _ = cluster.do(*op, user=User(NAME, write=("a/",)))
        assert code == ("denied" if op[0] != "lease_revoke" else "disk_full")


def test_rights_hold_with_a_full_store_too() -> None:
    cluster = Cluster()
    cluster.leader.settings = replace(cluster.leader.settings, quota_bytes=1)
    codes = {
        op[0]: cluster.do(*op, user=WRITER)[0]
        for op in (
            ["put", "b/k", "v"],
            ["delete", "b/k"],
            ["get", "b/k"],
            ["put_ttl", "a", "v", 500],
        )
    }
    assert set(codes.values()) == {"denied"}
    assert cluster.do("put", "a/k", "v", user=WRITER)[0] == "store_full"


# -- what etcd once let through --------------------------------------------------------------------


def test_a_put_within_a_transaction_or_behind_a_fence_is_checked_as_one_alone() -> None:
    """GHSA-rfx7-8w68-q57q: nested transactions were not checked. GHSA-x35m-3gp4-4fh5: nor were
    leases and the values before, of puts within transactions."""
    cluster = Cluster()
    cluster.done("put", "b/k", "secret")
    others = cluster.granted(OTHER)
    put = ["put", "b/k", "v"]
    for op in (
        ["txn", [["a/k", "revision", "=", 0]], [put], []],
        ["txn", [["a/k", "revision", ">", 0]], [put], []],
        ["txn", [], [], [["get", "b/k"]]],
        ["txn", [["b/k", "value", "=", "secret"]], [], []],
        ["fenced", [["a/k", 1]], ["txn", [], [], [put]]],
        ["fenced", [["a/k", 1]], ["put_leased", "a/k", "v", others]],
        ["put_leased", "a/k", "v", others],
        ["cas", "b/k", "v", 1],
    ):
        assert cluster.do(*op, user=WRITER)[0] == "denied", op
    assert cluster.done("get", "b/k")[0] == "secret"


def test_leases_are_their_owners_to_see_to_keep_and_to_end() -> None:
    """GHSA-q8m4-xhhv-38mg and etcd's pull request 8031: anybody could revoke a lease, and delete
    its keys by that. CVE-2023-32082: anybody could see what it holds."""
    cluster = Cluster()
    lease = cluster.granted(OTHER)
    cluster.done("put_leased", "orders/7", "v", lease, user=OTHER)
    for op in (["lease_revoke", lease], ["lease_keep", lease], ["lease", lease], ["leases", 0, 9]):
        assert cluster.do(*op, user=replace(WRITER, write=("",)))[0] == "denied", op
    assert cluster.do("acquire", "lock", "a/k", lease, 1, 0, True, None, user=WRITER)[0] == "denied"
    assert cluster.done("lease", lease, user=OTHER)[2] == 1
    assert cluster.done("leases", 0, 9, user=ROOT)[0][0][0] == lease
    cluster.done("lease_revoke", lease, user=ROOT)
    assert cluster.done("get", "orders/7") is None


def test_a_lease_that_was_granted_before_there_were_keys_is_the_admins() -> None:
    cluster = Cluster()
    lease = cluster.granted(ANYBODY)
    assert cluster.do("lease_keep", lease, user=WRITER)[0] == "denied"
    assert cluster.do("lease_keep", lease, user=ROOT)[0] == "ok"


def test_an_owner_without_rights_can_end_its_lease_and_give_up_its_places_and_no_more() -> None:
    cluster = Cluster()
    known = cluster.known()
    cluster.done("put_leased", "a/mine", "v", known.own, user=WRITER)
    former = User(NAME)
    place = ["lock", "a/k", known.own_place]
    assert cluster.do("await", *place, 0, user=former)[0] == "denied"
    assert cluster.do("release", "lock", "a/k", known.others_place, user=former)[0] == "denied"
    assert cluster.do("release", "counter", "a/k", known.own_counted, user=former)[0] == "denied"
    assert cluster.do("put", "a/mine", "v", user=former)[0] == "denied"
    assert cluster.do("release", *place, user=former)[0] == "ok"
    assert cluster.done("await", "lock", "a/k", known.others_place, 0) is True
    assert cluster.do("cancel", "counter", "a/k", known.own_counted, user=former)[0] == "ok"
    assert cluster.done("describe", "counter", "a/k")["capacity"] == 3, "nothing was taken"
    assert cluster.do("lease_revoke", known.own, user=former)[0] == "ok"
    assert cluster.done("get", "a/mine") is None


def test_the_owner_of_a_lease_is_the_same_after_a_restart_and_for_the_next_leader() -> None:
    world = World(3)
    leader = world.formed()
    session = world.session(leader.name)
    grant = world.operate(leader.name, "lease_grant", 60_000, session=session, user=WRITER)
    lease = grant[3]
    world.run(1)
    assert {node.machine.owner_of(lease) for node in world.nodes.values()} == {NAME}
    world.kill(leader.name)
    successor = world.until(world.leader)
    for user, code in ((OTHER, "denied"), (WRITER, "ok")):
        kept = world.operate(successor.name, "lease_keep", lease, session=session, user=user)
        assert kept[1] == code
    world.start(leader.name)
    world.run(1)
    assert world.nodes[leader.name].machine.owner_of(lease) == NAME


@pytest.mark.parametrize("user", [WRITER, OTHER], ids=lambda user: user.name)
def test_a_lease_that_is_not_applied_yet_is_tried_again_whosever_it_may_be(user: User) -> None:
    """A new leader has the entry that grants it and has not executed it; and a number may be
    guessed that is given in the same turn."""
    cluster = Cluster()
    lease = cluster.leader.machine.revision + 1
    for op in (
        ["lease_revoke", lease],
        ["lease_keep", lease],
        ["put_leased", "a/k", "v", lease],
        ["acquire", "lock", "a/k", lease, 1, 0, True, None],
    ):
        assert cluster.do(*op, user=user)[0] == "overloaded", op
    assert grant_and_guess(cluster, lease) == "overloaded"
    assert cluster.do("lease_revoke", lease, user=OTHER)[0] == "denied"
    assert cluster.do("lease_revoke", lease, user=WRITER)[0] == "ok"


def grant_and_guess(cluster: Cluster, lease: int) -> str:
    """A lease is granted, and somebody else revokes the number that it will have, in one turn.
    Return what is said to the latter."""
    world, leader = cluster.world, cluster.leader
    world.replies[leader.name].clear()
    for serial, user, op in ((1_000, WRITER, ["lease_grant", 60_000]), (1_001, OTHER, None)):
        ops = [[serial, *(op or ["lease_revoke", lease])]]
        request = OperationsRequest(cluster.session, 1_000, False, ops, leader.cluster)
        world.ask(leader.name, request, user=user)
    world.run(1)
    codes = {one[0]: one[1:] for reply in world.replies[leader.name] for one in results_of(reply)}
    assert codes[1_000][0] == "ok"
    assert codes[1_000][2] == lease
    world.serial = 2_000
    return str(codes[1_001][0])


# -- watches ---------------------------------------------------------------------------------------


class Watched:
    """A node that somebody watches."""

    def __init__(self, size: int = 1) -> None:
        self.cluster = Cluster(size)
        self.world = self.cluster.world
        self.node: Node = self.cluster.leader
        self.watchers = 0

    def watch(
        self, user: User, key: str, *, prefix: bool = True, previous: bool = False
    ) -> Watcher:
        self.watchers += 1
        client = f"watcher {self.watchers}".encode()
        watcher = Watcher(key, prefix=prefix, previous=previous)
        self.world.listeners[client] = watcher.hears
        self.world.ask(self.node.name, watcher.request, client, user)
        self.world.step()
        return watcher


@pytest.mark.parametrize("previous", [False, True])
@pytest.mark.parametrize(
    ("key", "prefix", "granted"),
    [
        ("a/", True, True),
        ("a/k", True, True),
        ("a/k", False, True),
        ("", True, False),
        ("a", True, False),
        ("a", False, False),
        ("a0", True, False),
        ("b/k", False, False),
    ],
)
def test_a_watch_is_granted_whole_or_denied(
    key: str, prefix: bool, granted: bool, previous: bool
) -> None:
    watched = Watched()
    for user in (WRITER, User(NAME, read=("a/",))):
        watcher = watched.watch(user, key, prefix=prefix, previous=previous)
        if granted:
            assert watcher.lost is None
            assert watcher.position is not None
        else:
            assert watcher.lost is not None
            assert watcher.lost.code == "denied"
            assert watcher.lost.message.startswith("user 'billing' may not read ")
    watched.cluster.done("put", "a/k", "v")
    watched.cluster.done("put", "b/k", "v")
    assert watched.node.watches.count == (2 if granted else 0)
    assert watched.node.watches.lost["denied"] == (0 if granted else 2)


def users(*present: User) -> Users:
    return Users(present)


@pytest.mark.parametrize("now", [[], [replace(WRITER, write=("b/",))], [User(NAME)]], ids=repr)
def test_watches_end_when_their_users_lose_the_right(now: list[User]) -> None:
    watched = Watched()
    watcher, other = watched.watch(WRITER, "a/"), watched.watch(OTHER, "a/")
    anybody = watched.watch(ANYBODY, "")
    watched.cluster.done("put", "a/1", "v")
    watched.node.users_changed(users(OTHER, *now))
    watched.cluster.done("put", "a/2", "secret")
    watched.world.run(1)
    assert [event[1] for event in watcher.events] == ["a/1"]
    assert watcher.lost is not None
    assert (watcher.lost.code, watcher.lost.start) == ("denied", watcher.events[0][0] + 1)
    assert "user 'billing' may not read all that begins with 'a/'" in watcher.lost.message
    assert [event[1] for event in other.events] == ["a/1", "a/2"]
    assert [event[1] for event in anybody.events] == ["a/1", "a/2"]
    assert (other.lost, anybody.lost) == (None, None)


@pytest.mark.parametrize("now", [WRITER, replace(WRITER, write=(), read=("a",)), ROOT], ids=repr)
def test_watches_go_on_when_their_users_still_have_the_right(now: User) -> None:
    watched = Watched()
    watcher = watched.watch(WRITER, "a/")
    watched.node.users_changed(users(replace(now, name=NAME)))
    watched.cluster.done("put", "a/1", "v")
    assert watcher.lost is None
    assert len(watcher.events) == 1


def test_a_watch_that_is_confirmed_is_checked_again() -> None:
    watched = Watched()
    watcher = watched.watch(WRITER, "a/")
    watched.world.ask(watched.node.name, watcher.request, b"watcher 1", User(NAME, read=("b/",)))
    watched.world.step()
    assert watcher.lost is not None
    assert watcher.lost.code == "denied"
    assert watched.node.watches.count == 0


def test_whoever_speaks_from_a_connection_of_the_same_name_ends_the_watches_of_others() -> None:
    watched = Watched()
    watched.watch(WRITER, "a/")
    for user, left in ((WRITER, 1), (OTHER, 0)):
        request = OperationsRequest(0, 0, False, [[1, "get", "a/k"]], "")
        watched.world.listeners[b"watcher 1"] = lambda reply: isinstance(reply, Reply)
        watched.world.ask(watched.node.name, request, b"watcher 1", user)
        watched.world.step()
        assert watched.node.watches.count == left


def test_a_watch_is_not_inherited_by_who_gets_a_connection_of_the_same_name() -> None:
    watched = Watched()
    first = watched.watch(WRITER, "a/")
    heard: list[Reply] = []

    def hears(reply: Reply) -> bool:
        heard.append(reply)
        return True

    watched.world.listeners[b"watcher 1"] = hears
    watched.world.ask(watched.node.name, first.request, b"watcher 1", OTHER)
    watched.world.step()
    assert watched.node.watches.count == 1
    watched.node.users_changed(users(OTHER))
    watched.world.step()
    assert isinstance(heard[0], Watching)
    assert not any(isinstance(reply, WatchLost) for reply in heard)


# -- reads that wait -------------------------------------------------------------------------------


@pytest.mark.parametrize("op", ["await", "observe", "proclaimed"])
def test_reads_that_wait_are_refused_when_their_users_lose_the_right(op: str) -> None:
    cluster = Cluster()
    kind = "lock" if op == "await" else "election"
    lease = cluster.granted(ANYBODY)
    tokens = [cluster.place(kind, "a/k", lease) for _ in range(2)]
    ask = {
        "await": ["await", "lock", "a/k", tokens[1]],
        "observe": ["observe", "a/k", tokens[0]],
        "proclaimed": ["proclaimed", "a/k", tokens[0], None],
    }[op]
    heard: dict[str, list[Any]] = {NAME: [], "orders": [], "": []}
    for user in (WRITER, OTHER, ANYBODY):
        cluster.world.listeners[user.name.encode()] = codes_into(heard[user.name])
        request = OperationsRequest(0, 0, False, [[7, *ask, limits.AWAIT_MS]], "")
        cluster.world.ask(cluster.leader.name, request, user.name.encode(), user)
    cluster.world.run(0.2)
    assert cluster.leader.parked.count == 3
    cluster.leader.users_changed(users(OTHER))
    cluster.world.run(0.2)
    assert heard == {NAME: [(7, "denied")], "orders": [], "": []}
    assert cluster.leader.parked.count == 2
    cluster.leader.users_changed(users())
    cluster.world.run(0.2)
    assert heard == {NAME: [(7, "denied")], "orders": [(7, "denied")], "": []}
    cluster.done("release", kind, "a/k", tokens[0])
    cluster.world.run(0.2)
    assert heard[""] == [(7, "ok")]
    assert cluster.leader.parked.count == 0


def codes_into(heard: list[Any]) -> Any:
    def hears(reply: Reply) -> bool:
        if isinstance(reply, ErrorReply):
            heard.extend((ident, reply.code) for ident in reply.ids or ())
        else:
            heard.extend((one[0], one[1]) for one in results_of(reply))
        return True

    return hears
