"""Real nodes with keys: every operation by every right, and rights that change while they run."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import count
from pathlib import Path
from threading import Thread
from typing import Any, Final

import pytest

from raftzmq import AsyncClient, Client, Compare, Denied, Get, Put
from raftzmq.access import key_files
from raftzmq.access.key_files import USERS_FILE, read_client_key
from raftzmq.access.users import User, Users
from tests.access.product import BEYOND, SOMETHING, USERS, Known, Operation, examples
from tests.cli.conftest import environment
from tests.system.keyed import PATIENCE_S, KeyedCluster
from tests.system.processes import NodeProcess, wait_for
from tests.system.raw import NoAnswer, Raw

pytestmark = pytest.mark.system

BILLING: Final = User("billing", read=("prices/",), write=("billing/",))
ORDERS: Final = User("orders", write=("orders/",))
RIGHTS: Final = {f"u{number}": has for number, (_, has) in enumerate(USERS.values())}


def named(number: int, user: User) -> User:
    """A user of USERS, who have all the same name, under a name of its own."""
    return User(f"u{number}", read=user.read, write=user.write, admin=user.admin)


PRODUCT: Final = [named(number, user) for number, (user, _) in enumerate(USERS.values())]


class Crowd(KeyedCluster):
    """A cluster with users whose rights can be changed."""

    def __init__(self, directory: Path, users: list[User]) -> None:
        super().__init__(directory)
        for user in users:
            self.keys.add(user, None)

    def changes(self, *changed: User) -> None:
        """Give users other rights, and wait until all nodes know."""
        rights = {user.name: user for user in changed}
        reread = [node.output().count("keys read again") for node in self.nodes]
        users = [
            User(user.name, user.keys, now.read, now.write, now.admin)
            for user in self.keys.users()
            for now in [rights.get(user.name, user)]
        ]
        key_files.replace(self.keys.path / USERS_FILE, Users(users).to_toml())
        for node, before in zip(self.nodes, reread, strict=True):
            wait_for(f"{node.name} knows", partial(_has_read, node, before))

    def raw(self, name: str, node: NodeProcess | None = None, identity: bytes | None = None) -> Raw:
        endpoint = (node or self.leader()).endpoint
        return Raw(endpoint, read_client_key(self.keys.file_of(name)), identity)


def _has_read(node: NodeProcess, before: int) -> bool:
    return node.output().count("keys read again") > before


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crowd]:
    with Crowd(tmp_path_factory.mktemp("crowd"), [BILLING, ORDERS, *PRODUCT]) as cluster:
        cluster.start()
        yield cluster


class Asker:
    """One user's connection to the leader, with a session and serials."""

    def __init__(self, raw: Raw) -> None:
        self._raw = raw
        self._serials = count(10_000)
        self._session = raw.open_session()

    def code(self, *operation: Any) -> tuple[str, Any]:
        serial = next(self._serials)
        answer = self._raw.operations((serial, *operation), session=self._session, ack=serial)
        if answer["type"] == "error":
            return answer["code"], answer["message"]
        return answer["results"][0][1], answer["results"][0][3]

    def done(self, *operation: Any) -> Any:
        code, body = self.code(*operation)
        assert code == "ok", (operation, body)
        return body

    def lease(self) -> int:
        return int(self.done("lease_grant", 600_000))

    def place(self, kind: str, lease: int, capacity: int = 0) -> int:
        return int(self.done("acquire", kind, "a/k", lease, 1, capacity, True, None)[0])


def known(own: Asker, others: Asker, anybodys: int) -> Known:
    lease, other, ended = own.lease(), others.lease(), own.lease()
    own.done("lease_revoke", ended)
    return Known(
        own=lease,
        others=other,
        anybodys=anybodys,
        ended=ended,
        own_place=own.place("lock", lease),
        others_place=others.place("lock", other),
        own_counted=own.place("counter", lease, 3),
    )


def closing_last(operations: Iterator[tuple[Operation, str]]) -> list[tuple[Operation, str]]:
    return sorted(operations, key=lambda example: example[0][0] == "close")


def test_every_operation_by_every_right(crowd: Crowd) -> None:
    """Who may write nothing can open no session: each has one from before, when all were admins."""
    crowd.changes(*(User(user.name, admin=True) for user in PRODUCT))
    raws = {user.name: crowd.raw(user.name) for user in PRODUCT}
    with crowd.raw("admin") as raw:
        try:
            admin = Asker(raw)
            askers = {name: Asker(raw) for name, raw in raws.items()}
            numbers = {name: known(asker, admin, admin.lease()) for name, asker in askers.items()}
            crowd.changes(*PRODUCT)
            for name, asker in askers.items():
                for operation, need in closing_last(examples(numbers[name])):
                    code, body = asker.code(*operation)
                    assert code not in ("malformed", "not_leader", "unknown"), (operation, body)
                    expected = "denied" if need not in RIGHTS[name] else code
                    assert code == expected, (name, operation, body)
            assert askers["u1"].code("close")[0] == "session_expired", "it was closed in the end"
        finally:
            for one in raws.values():
                one.__exit__(None, None, None)


@pytest.mark.parametrize("stale", [False, True])
def test_what_reaches_beyond_the_prefix_is_denied_by_every_node(crowd: Crowd, stale: bool) -> None:
    writer = next(user.name for user in PRODUCT if user.write == ("a/",))
    for node in crowd.nodes if stale else [crowd.leader()]:
        with crowd.raw(writer, node) as raw:
            session = 0 if stale else raw.open_session()
            for serial, operation in enumerate(BEYOND, 20_000):
                if stale and operation[0] not in ("get", "range", "prefix", "queues"):
                    continue
                answer = raw.operations(
                    (serial, *operation), session=session, ack=serial, stale=stale
                )
                assert answer["results"][0][1] == "denied", (node.name, operation)


@pytest.mark.parametrize("who", ["billing", "u0"])
def test_operators_requests_take_an_admin(crowd: Crowd, who: str) -> None:
    follower = crowd.followers()[0]
    requests: list[dict[str, Any]] = [
        {"type": "stop", "id": 1},
        {"type": "transfer", "id": 2, "to": None},
        {"type": "member", "id": 3, "action": "remove", "name": follower.name},
        {"type": "log_level", "id": 6, "level": "DEBUG"},
        {"type": "snapshot", "id": 4, "cluster": "0" * 16, "from": 1, "time": ""},
        {"type": "snapshot_pull", "id": 5, "snapshot": 1, "offset": 0},
        {"type": "backup_note", "id": 6, "revision": 1, "time_s": 1},
    ]
    for node in (crowd.leader(), follower):
        with crowd.raw(who, node) as raw:
            for request in requests:
                assert raw.ask(request)["code"] == "denied"
            assert raw.status()["node"] == node.name
            assert not raw.status()["stopping"]


def test_clients_are_told_what_they_may(crowd: Crowd) -> None:
    with crowd.client("billing") as db:
        db.put("billing/1", "v", timeout=PATIENCE_S)
        calls: list[Callable[[], object]] = [
            lambda: db.put("orders/7", "v"),
            lambda: db.get("orders/7"),
            lambda: db.get("orders/7", stale=True),
            lambda: db.put("prices/1", "v"),
            lambda: db.range("billing/", "billing1"),
            lambda: db.txn([Compare("orders/7", "value", "=", "v")], [Put("billing/1", "w")]),
            lambda: db.txn([], [], [Get("orders/7")]),
            lambda: db.lock("orders/lock").acquire(),
            lambda: db.watch("orders/7").open(),
            lambda: db.stop(crowd.endpoints[0]),
            lambda: db.log_level(crowd.endpoints[0], "debug"),
            lambda: db.snapshot().open(),
            lambda: next(db.scan("orders/")),
            lambda: next(db.scan("orders/", stale=True)),
            lambda: next(db.scan("", keys_only=True)),
        ]
        for call in calls:
            began = time.monotonic()
            with pytest.raises(Denied, match="user 'billing' may not "):
                call()
            assert time.monotonic() - began < PATIENCE_S / 2
        assert db.range("billing/", "billing0").items[0].value == "v"
        assert [item.value for item in db.scan("billing/")] == ["v"]
        with db.lock("billing/lock"):
            db.put("billing/1", "w")


async def put_both(endpoints: list[str], key: Path) -> str:
    async with AsyncClient(endpoints, key=key) as db:
        await db.put("billing/2", "v")
        try:
            await db.put("orders/8", "v")
        except Denied as error:
            return str(error)
    return ""


def test_the_asyncio_client_is_told_too(crowd: Crowd) -> None:
    said = asyncio.run(put_both(crowd.endpoints, crowd.keys.file_of("billing")))
    assert said == "user 'billing' may not write 'orders/8': it may write 'billing/'"


@pytest.mark.parametrize(
    "words",
    [
        ["put", "orders/7", "v"],
        ["get", "orders/7"],
        ["get", "--prefix", ""],
        ["watch", "orders/7"],
        ["lock", "orders/lock", "true"],
        ["member", "remove", "raft-0"],
    ],
    ids=" ".join,
)
def test_the_command_line_ends_with_exit_code_4(crowd: Crowd, words: list[str]) -> None:
    key = str(crowd.keys.file_of("billing"))
    done = subprocess.run(
        [sys.executable, "-m", "raftzmq_cli", "client", *words],
        env=environment(RAFTZMQ_ENDPOINTS=",".join(crowd.endpoints), RAFTZMQ_KEY=key),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 4, done
    assert "user 'billing' may not " in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def waiting(db: Client, places: int) -> bool:
    queue = db.describe("lock", "billing/turn")
    return queue is not None and queue.waiting == places


def test_a_watch_and_a_wait_end_when_the_right_is_lost(crowd: Crowd) -> None:
    with crowd.client("billing") as db, crowd.client("orders") as other:
        crowd.changes(User("orders", write=("orders/", "billing/")))
        with db.lock("billing/turn"), other.watch(prefix="billing/") as watch:
            told: list[BaseException] = []

            def wait_for_the_lock() -> None:
                try:
                    other.lock("billing/turn", timeout=PATIENCE_S).acquire()
                except Denied as error:
                    told.append(error)

            waiter = Thread(target=wait_for_the_lock)
            waiter.start()
            db.put("billing/turn", "1")
            event = watch.next(timeout=PATIENCE_S)
            assert event is not None
            assert event.value == "1"
            wait_for("it waits", partial(waiting, db, 1))
            crowd.changes(ORDERS)
            waiter.join(PATIENCE_S)
            assert [str(error) for error in told] == [
                "user 'orders' may not read 'billing/turn': it may read 'orders/'"
            ]
            with pytest.raises(Denied, match="user 'orders' may not read all that begins with"):
                [*iter(partial(watch.next, timeout=PATIENCE_S), None)]
            wait_for("its place is given up", partial(waiting, db, 0))


def test_leases_stay_their_owners_through_a_restart_of_all_nodes(crowd: Crowd) -> None:
    with crowd.raw("orders") as raw:
        lease = Asker(raw).lease()
    for node in crowd.nodes:
        node.terminate()
        node.wait(PATIENCE_S)
    crowd.start()
    for name, code in (("billing", "denied"), ("orders", "ok"), ("admin", "ok")):
        with crowd.raw(name) as raw:
            assert Asker(raw).code("lease_keep", lease)[0] == code


def test_users_who_write_something_are_those_who_open_sessions() -> None:
    assert all(SOMETHING in RIGHTS[user.name] for user in PRODUCT if user.write or user.admin)


def test_whoever_gets_a_connection_of_the_same_name_is_told_of_no_changes(crowd: Crowd) -> None:
    """A name is chosen by who connects. Without a word of its own, a user could have taken that of
    another whose connection had just ended, and its watch along."""
    node = crowd.leader()
    watch = {"type": "watch", "id": 7, "cluster": "", "key": "billing/", "prefix": True}
    with crowd.client() as db:
        with crowd.raw("billing", node, b"taken") as raw:
            assert raw.ask({**watch, "from": None, "prev": False})["type"] == "watching"
            db.put("billing/taken", "1", timeout=PATIENCE_S)
            wait_for("it is told", lambda: "billing/taken" in json.dumps(raw.receive()))
        with crowd.raw("orders", node, b"taken") as raw:
            end = time.monotonic() + 3
            while time.monotonic() < end:
                db.put("billing/taken", "secret", timeout=PATIENCE_S)
                with suppress(NoAnswer):
                    raise AssertionError(raw.receive(0.1))
            answer = raw.operations((1, "get", "orders/1"))
            assert answer["type"] == "results", "and it is let in, and gets its own answers"
