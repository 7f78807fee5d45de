"""Real processes: what is killed, restarted, moved and shouted at."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from raftzmq import limits
from raftzmq.views.client import ViewsClient
from tests.system.raw import Raw
from tests.views.processes import Service

pytestmark = pytest.mark.system

PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with Service(tmp_path_factory.mktemp("views")) as made:
        yield made


@pytest.fixture
def service(shared: Service) -> Service:
    """The module's service, whole again before each test."""
    for program in shared.programs:
        if not program.is_running:
            program.start()
    shared.wait_until("there are a primary, a backup and a spare", idle=1)
    return shared


def test_one_server_after_the_other_dies_and_nothing_is_lost(service: Service) -> None:
    client = service.client
    written: dict[str, str] = {}

    def write(count: int) -> None:
        for _ in range(count):
            key = f"key {len(written)}"
            written[key] = "v" * 1000 + key
            client.put(key, written[key], timeout=PATIENCE_S)
            client.append("all", f"{key};", timeout=PATIENCE_S)

    write(20)
    for _ in range(3):
        before = service.wait_until("it is whole", idle=1)
        victim = service.stores[before["primary"]]
        victim.kill()
        write(10)
        after = service.wait_until("the spare is backup", idle=0)
        assert after["primary"] == before["backup"]
        assert after["backup"] == before["idle"][0]
        victim.start()
        write(1)
    assert service.wait_until("the killed one is spare", idle=1)["idle"] == [victim.name]

    service.view_server.kill()
    write(10)  # whoever knows the primary needs no view server
    before = service.wait_until("it is whole", idle=1) if service.status() else after
    service.view_server.start()
    again = service.wait_until("the view server has asked everybody", idle=1)
    assert (again["view"], again["primary"]) >= (before["view"], before["primary"])
    write(1)

    for key, value in written.items():
        item = client.get(key, timeout=PATIENCE_S)
        assert item is not None
        assert item.value == value
    item = client.get("all", timeout=PATIENCE_S)
    assert item is not None
    assert item.value == "".join(f"{key};" for key in written)
    assert [program.terminate() for program in service.programs] == [0, 0, 0, 0]


def test_whatever_bytes_come_are_answered_or_dropped_and_nothing_else(service: Service) -> None:
    client = service.client
    client.put("a", "b", timeout=PATIENCE_S)
    status = client.status(timeout=PATIENCE_S)
    addresses = [service.address, *(server["address"] for server in status["servers"])]
    for address in addresses:
        with Raw(address) as raw:
            for frame in (b"", b"\xff" * 100, b"[" * 5000, b'{"v":1}', b'{"v":2,"type":"ping"}'):
                raw.send(frame)
                assert raw.receive()["code"] in ("malformed", "unsupported_version")
            raw.send(b"several", b"frames", b"at once")
            assert raw.receive()["code"] == "malformed"
            raw.send(b'"' + b"x" * limits.FRAME_BYTES + b'"')
            assert raw.receive()["code"] == "malformed"
            raw.send(b"x" * (limits.FRAME_BYTES + 10_000_000))  # costs it the connection
    assert client.get("a", timeout=PATIENCE_S) is not None
    assert client.status(timeout=PATIENCE_S)["view"] == status["view"]
    assert all(program.is_running for program in service.programs)


def test_of_two_processes_with_one_name_the_earlier_one_ends(service: Service) -> None:
    status = service.wait_until("there is a spare", idle=1)
    earlier = service.stores[status["idle"][0]]
    elsewhere = ("--listen", f"tcp://127.0.0.1:{service.port + 5}")
    twin = earlier.like("twin", *earlier.arguments[:-2], *elsewhere)
    twin.start()
    try:
        assert earlier.wait() == 4
        assert "another process runs under the name" in earlier.output()
        assert service.wait_until("the later one is spare", idle=1)["primary"] == status["primary"]
    finally:
        twin.kill()


def test_a_server_that_cannot_listen_says_so(service: Service) -> None:
    store = service.stores["storage-0"]
    twin = store.like("taken", *store.arguments)
    twin.start()
    assert twin.wait() == 1
    assert "the port is taken" in twin.output()


def can_have_hosts_of_its_own() -> bool:
    if os.geteuid() != 0 or not shutil.which("unshare"):
        return False
    done = subprocess.run(
        ["unshare", "-m", "mount", "--bind", "/etc/hosts", "/etc/hosts"],
        capture_output=True,
        check=False,
    )
    return done.returncode == 0


@pytest.mark.proof
@pytest.mark.skipif(not can_have_hosts_of_its_own(), reason="a mount namespace takes root")
def test_a_view_server_whose_name_moves_is_found_again(tmp_path: Path) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.1 views.test\n")
    mounted = f'mount --bind {hosts} /etc/hosts && exec "$@"'
    service = Service(tmp_path, size=2, host="views.test")
    for store in service.stores.values():
        store.within = ("unshare", "-m", "sh", "-c", mounted, "sh")
    with service:
        before = service.wait_until("there are a primary and a backup", idle=0)
        service.view_server.kill()
        moved = service.view_server
        moved.arguments = tuple(a.replace("127.0.0.1", "127.0.0.2") for a in moved.arguments)
        moved.start()
        hosts.write_text("127.0.0.2 views.test\n")
        with ViewsClient(f"127.0.0.2:{service.port}") as client:
            after = service.wait_until("they have found it", 0, client)
            assert after["view"] == before["view"]
            client.put("a", "b", timeout=PATIENCE_S)
