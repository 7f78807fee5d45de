"""Real servers of the older design with keys: who gets in, who does not, and what is said of it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from raftzmq.access.key_directory import KeyDirectory
from raftzmq.access.key_files import ClientKey, read_client_key
from raftzmq.access.node_keys import read_node_keys
from raftzmq.access.users import User
from raftzmq.errors import Denied, RaftzmqError, Unauthorized
from raftzmq.views.client import ViewsClient
from tests.cli.conftest import environment
from tests.system.keyed import made_keys
from tests.system.processes import wait_for
from tests.system.raw import NoAnswer, Raw
from tests.views.processes import Program, Service

pytestmark = pytest.mark.system

AT_ONCE_S: Final = 10.0
"""Far less than what a client waits for an answer here; without load it takes a quarter second."""
PATIENCE_S: Final = 60.0


class Keyed(Service):
    """A service with keys, its admin and a user `billing`."""

    def __init__(self, directory: Path) -> None:
        self.keys = made_keys(directory / "keys")
        self.keys.add(User("billing", read=("prices/",), write=("billing/",)), None)
        super().__init__(directory, keys=self.keys)

    def client_of(self, name: str) -> ViewsClient:
        return ViewsClient(self.address, key=self.keys.file_of(name))

    def raw(self, address: str, name: str) -> Raw:
        return Raw(address, read_client_key(self.keys.file_of(name)))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keyed]:
    with Keyed(tmp_path_factory.mktemp("keyed")) as made:
        made.wait_until("there are a primary, a backup and a spare", idle=1)
        yield made


@pytest.fixture
def other(tmp_path: Path) -> KeyDirectory:
    """The keys of another service."""
    return made_keys(tmp_path / "other")


def told_at_once(client: ViewsClient) -> str:
    """What each call says when nobody lets the client in."""
    said = set()
    for call in (lambda: client.get("a", timeout=PATIENCE_S), lambda: client.status(timeout=60)):
        began = time.monotonic()
        with pytest.raises(Unauthorized) as told:
            call()
        assert time.monotonic() - began < AT_ONCE_S
        said.add(str(told.value))
    (text,) = said
    return text


def test_a_user_does_what_it_may_and_is_told_what_it_may_not(service: Keyed) -> None:
    admin = service.client
    admin.put("prices/a", "1", timeout=PATIENCE_S)
    admin.put("secret", "x", timeout=PATIENCE_S)
    with service.client_of("billing") as db:
        item = db.get("prices/a", timeout=PATIENCE_S)
        assert item is not None
        assert item.value == "1"
        db.put("billing/a", "2", timeout=PATIENCE_S)
        db.append("billing/a", "3", timeout=PATIENCE_S)
        with pytest.raises(Denied, match="user 'billing' may not read 'secret': it may read"):
            db.get("secret", timeout=PATIENCE_S)
        for write in (db.put, db.append):
            with pytest.raises(Denied, match="user 'billing' may not write 'prices/a'"):
                write("prices/a", "x", timeout=PATIENCE_S)
        with pytest.raises(Denied):
            db.delete("secret", timeout=PATIENCE_S)
        assert db.status(timeout=PATIENCE_S)["healthy"]
        item = db.get("billing/a", timeout=PATIENCE_S)
        assert item is not None
        assert item.value == "23"
    for key, value in (("prices/a", "1"), ("secret", "x")):
        item = admin.get(key, timeout=PATIENCE_S)
        assert item is not None
        assert item.value == value


def test_whoever_is_not_let_in_is_told_why_at_once(service: Keyed, other: KeyDirectory) -> None:
    with ViewsClient(service.address) as db:
        assert told_at_once(db) == f"{service.address} wants a key: give --key FILE (RAFTZMQ_KEY)"
    stranger = other.file_of("stranger")
    theirs = other.file_of("admin").read_text().splitlines()
    ours = service.keys.file_of("admin").read_text().splitlines()
    own = next(line for line in theirs if "-secret-" in line)
    server = next(line for line in ours if line.startswith("rzs"))
    stranger.write_text(f"{own}\n{server}\n")
    stranger.chmod(0o600)
    public = read_client_key(stranger).own.public
    with ViewsClient(service.address, key=stranger) as db:
        assert told_at_once(db) == (
            f"{service.address} does not know the key {public.short} of 'stranger': add it to "
            "users.toml"
        )
    with ViewsClient(service.address, key=other.file_of("admin")) as db:
        assert told_at_once(db) == (
            f"{service.address} is not the cluster this key is for, or no node"
        )


def test_a_client_with_a_key_never_speaks_plainly(tmp_path: Path, other: KeyDirectory) -> None:
    with Service(tmp_path, size=0) as plain:
        wait_for("it answers", plain.status)
        assert "starting without keys: all who reach it may do all" in plain.view_server.output()
        with ViewsClient(plain.address, key=other.file_of("admin")) as db:
            assert told_at_once(db).endswith(
                "runs without keys: this client will not speak unencrypted"
            )


@pytest.mark.parametrize(
    ("key", "words", "said"),
    [
        (None, ["get", "a"], "wants a key: give --key FILE (RAFTZMQ_KEY)"),
        (None, ["status"], "wants a key: give --key FILE (RAFTZMQ_KEY)"),
        ("billing", ["put", "a", "b"], "user 'billing' may not write 'a': it may write 'billing/'"),
    ],
)
def test_the_command_line_ends_with_exit_code_4(
    service: Keyed, key: str | None, words: list[str], said: str
) -> None:
    options = [] if key is None else ["--key", str(service.keys.file_of(key))]
    done = subprocess.run(
        [sys.executable, "-m", "raftzmq_cli", "views", "client", *words, *options],
        env=environment(RAFTZMQ_VIEW_SERVER=service.address),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 4, done
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def forged(status: dict[str, Any]) -> list[dict[str, Any]]:
    """What would change something, if it came from a storage server."""
    view = status["view"]
    servers = {s["name"]: s for s in status["servers"]}
    primary, backup = (
        [s["name"], s["incarnation"], s["address"]]
        for s in (servers[status["primary"]], servers[status["backup"]])
    )
    common = {"service": status["service"], "view": view}
    twin = [primary[0], "f" * 16, primary[2]]
    seen = {**common, "number": view, "reign": status["reign"]}
    seen |= {"primary": primary, "backup": backup}
    del seen["view"]
    ping = {"type": "ping", "reign": status["reign"], "before": "", "view": None}
    ping |= {"synced": False, "keys": 0}
    entry = [10**6, 1, [10**6, "put", "forged", "x"]]
    return [
        {**ping, "serial": 10**9, "server": twin},
        {**ping, "serial": 10**9, "server": primary, "view": seen},
        *(
            {**common, "type": "forward", "sender": primary, "round": 10**6, "first": first}
            | {"entries": [entry]}
            for first in range(1, 100)
        ),
        {**common, "type": "ack", "sender": backup, "round": 10**9, "index": 10**9},
        {**common, "type": "chunk", "sender": primary, "number": 0, "last": True}
        | {"records": [["machine", 2, 10**6, 0, 10**6]]},
        {**common, "type": "chunk_ack", "sender": backup, "next": 10**6},
        {**common, "type": "old_view", "view": view + 1, "sender": backup},
    ]


@pytest.mark.parametrize("name", ["billing", "admin"])
def test_a_user_that_forges_what_servers_say_gets_nowhere(service: Keyed, name: str) -> None:
    service.client.put("kept", "1", timeout=PATIENCE_S)
    before = service.wait_until("it is whole", idle=1)
    addresses = [service.address, *(server["address"] for server in before["servers"])]
    for address in addresses:
        with service.raw(address, name) as raw:
            for message in forged(before):
                raw.send(json.dumps({"v": 1, **message}).encode())
                answer = raw.receive()
                assert answer["code"] == "denied", (message, answer)
                assert answer["body"] == {
                    "message": f"user {name!r} may not speak as a storage server: that takes "
                    "node.key"
                }
    after = service.wait_until("it is whole", idle=1)
    assert (after["view"], after["primary"]) == (before["view"], before["primary"])
    assert [s["incarnation"] for s in after["servers"]] == [
        s["incarnation"] for s in before["servers"]
    ]
    assert service.client.get("forged", timeout=PATIENCE_S) is None
    item = service.client.get("kept", timeout=PATIENCE_S)
    assert item is not None
    assert item.value == "1"


def test_what_a_storage_server_says_is_taken_with_the_nodes_key(service: Keyed) -> None:
    """So the forgeries above fail because of the key, and not of their form."""
    keys = read_node_keys(service.keys.path)
    before = service.wait_until("it is whole", idle=1)
    server = ["storage-9", "f" * 16, "127.0.0.1:1"]
    ping = {"type": "ping", "serial": 1, "server": server, "reign": "", "before": ""}
    ping |= {"view": None, "synced": False, "keys": 0}
    with Raw(service.address, ClientKey("node", keys.node.own, keys.server.accepted)) as raw:
        raw.send(json.dumps({"v": 1, **ping}).encode())
        assert raw.receive()["type"] == "pong"
    wait_for("it is dead again", lambda: service.status() is not None)
    assert service.wait_until("it is whole", idle=1)["view"] == before["view"]


def test_without_a_key_nothing_is_even_answered(service: Keyed) -> None:
    status = service.wait_until("it is whole", idle=1)
    for address in (service.address, *(server["address"] for server in status["servers"])):
        with Raw(address) as raw:
            raw.send(json.dumps({"v": 1, "type": "status_request", "id": 1}).encode())
            with pytest.raises(NoAnswer):
                raw.receive(0.5)


def test_a_user_comes_and_goes_while_the_servers_run(service: Keyed) -> None:
    service.keys.add(User("guest", write=("guest/",)), None)
    with service.client_of("guest") as db:

        def let_in() -> bool:
            try:
                db.put("guest/a", "1", timeout=5)
            except RaftzmqError:
                return False
            return True

        wait_for("the servers have read users.toml", let_in)
        service.keys.remove("guest")

        def shut_out() -> str | None:
            try:
                db.get("guest/a", timeout=5)
            except Unauthorized as error:
                return str(error)
            except RaftzmqError:
                pass
            return None

        assert "of 'guest': add it to users.toml" in wait_for("it is refused", shut_out)


def test_the_backup_takes_over_and_a_spare_gets_the_state(service: Keyed) -> None:
    client = service.client
    client.put("over", "1", timeout=PATIENCE_S)
    before = service.wait_until("it is whole", idle=1)
    victim = service.stores[before["primary"]]
    victim.kill()
    client.append("over", "2", timeout=PATIENCE_S)
    after = service.wait_until("the spare is backup", idle=0)
    assert after["primary"] == before["backup"]
    victim.start()
    service.wait_until("the killed one is spare", idle=1)
    item = client.get("over", timeout=PATIENCE_S)
    assert item is not None
    assert item.value == "12"


def test_a_storage_server_that_is_not_let_in_says_why(
    service: Keyed, other: KeyDirectory, tmp_path: Path
) -> None:
    base = ["store", "storage-8", "--view-server", service.address]
    base += ["--listen", f"tcp://127.0.0.1:{service.port + 7}"]
    for options, said in (
        ([], f"{service.address} wants a key: give --keys DIR (RAFTZMQ_KEYS)"),
        (["--keys", str(other.path)], "is not the cluster this key is for, or no node"),
    ):
        stranger = Program("stranger", tmp_path, *base, *options)
        stranger.start()
        try:
            wait_for("it is told", partial(_says, stranger, said))
        finally:
            stranger.kill()
    status = service.wait_until("it is whole", idle=1)
    assert "storage-8" not in {server["name"] for server in status["servers"]}


@pytest.mark.parametrize(
    "words", [["server"], ["store", "storage-0", "--view-server", "127.0.0.1:1"]]
)
def test_a_server_is_refused_without_keys_where_others_reach_it(
    tmp_path: Path, words: list[str]
) -> None:
    exposed = Program("exposed", tmp_path, *words)
    exposed.start()
    assert exposed.wait() == 2
    said = exposed.output()
    assert said.count("\n") == 1
    assert "is open to other machines" in said
    assert "--keys DIR" in said
    assert "--insecure" in said


@pytest.mark.proof
@pytest.mark.parametrize("name", ["node", "server"])
def test_a_key_is_replaced_while_somebody_writes(tmp_path: Path, name: str) -> None:
    with Keyed(tmp_path) as service:
        service.wait_until("there are a primary, a backup and a spare", idle=1)
        written = 0
        for _ in range(3):
            reread = [p.output().count("keys read again") for p in service.programs]
            service.keys.rotate(name)

            def read_again(counts: list[int] = reread) -> bool:
                now = [p.output().count("keys read again") for p in service.programs]
                return all(a > b for a, b in zip(now, counts, strict=True))

            while not read_again():
                service.client.append("log", ".", timeout=PATIENCE_S)
                written += 1
            for _ in range(50):
                service.client.append("log", ".", timeout=PATIENCE_S)
                written += 1
        item = service.client.get("log", timeout=PATIENCE_S)
        assert item is not None
        assert item.value == "." * written
        service.wait_until("it is whole", idle=1)


def _says(program: Program, text: str) -> bool:
    return text in program.output()
