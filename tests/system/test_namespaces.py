"""The networks that partitions are tried in cut what they should, and leave nothing behind."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.system import namespaces
from tests.system.namespaces import Network
from tests.system.processes import wait_for

PORT: Final = 7000
PATIENCE_S: Final = 1.0
"""How long what is cut has to arrive after all."""

ECHO: Final = """
import socket, sys, threading
def serve(connection):
    while data := connection.recv(100):
        connection.sendall(data)
listener = socket.create_server(("", int(sys.argv[1])))
while True:
    threading.Thread(target=serve, args=[listener.accept()[0]], daemon=True).start()
"""

ASK: Final = """
import socket, sys
try:
    connection = socket.create_connection((sys.argv[1], int(sys.argv[2])), float(sys.argv[3]))
    connection.sendall(b"x")
    print("answered" if connection.recv(1) else "closed")
except TimeoutError:
    print("silent")
except OSError as error:
    print(type(error).__name__)
"""


def started(network: Network, host: str, program: str, *arguments: str) -> subprocess.Popen[str]:
    command = [*network.within(host), sys.executable, "-c", program, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def answers(network: Network, *links: tuple[str, str]) -> list[str]:
    """What comes of asking, for each (who asks, whom), all at the same time."""
    asking = [
        started(network, asker, ASK, host, str(PORT), str(PATIENCE_S)) for asker, host in links
    ]
    return [process.communicate()[0].strip() for process in asking]


def reached(network: Network) -> set[tuple[str, str]]:
    """Which hosts get answers of which others."""
    links = list(itertools.permutations(network.hosts, 2))
    return {
        link
        for link, answer in zip(links, answers(network, *links), strict=True)
        if answer == "answered"
    }


@pytest.fixture
def network() -> Iterator[Network]:
    """Three hosts that echo."""
    if reason := namespaces.missing():
        pytest.skip(reason)
    with Network(3) as three:
        echoes = [started(three, host, ECHO, str(PORT)) for host in three.hosts]
        wait_for("all echo", lambda: len(reached(three)) == 6)
        yield three
        for echo in echoes:
            echo.kill()
            echo.communicate()


@pytest.mark.proof
@pytest.mark.system
def test_links_are_cut_and_healed(network: Network) -> None:
    a, b, c = network.hosts
    everything = set(itertools.permutations(network.hosts, 2))
    network.cut(a, b)
    assert reached(network) == everything - {(a, b), (b, a)}
    network.heal()
    assert reached(network) == everything
    network.isolate(b)
    assert reached(network) == {(a, c), (c, a)}
    network.heal()
    network.keep_only([(b, a), (b, c)])
    assert reached(network) == everything - {(a, c), (c, a)}
    network.heal()
    network.split([a, c], [b])
    assert reached(network) == {(a, c), (c, a)}


@pytest.mark.system
def test_a_cut_is_silent_and_a_rejection_is_not(network: Network) -> None:
    a, b, c = network.hosts
    network.cut(a, b)
    network.cut(b, c, reject=True)
    links = [(a, b), (b, a), (b, c), (c, b)]
    refused = "ConnectionRefusedError"
    assert answers(network, *links) == ["silent", "silent", refused, refused]


@pytest.mark.system
def test_a_connection_that_stands_is_cut_too_and_goes_on_when_healed(network: Network) -> None:
    a, b, _ = network.hosts
    with socket.create_connection((a, PORT), timeout=PATIENCE_S) as ours:
        network.isolate(a)
        ours.sendall(b"1")
        assert ours.recv(1) == b"1", "a partition of the nodes must not cut the clients"
        network.cut(network.clients, a)
        ours.sendall(b"2")
        with pytest.raises(TimeoutError):
            ours.recv(1)
        with socket.create_connection((b, PORT), timeout=PATIENCE_S):
            pass
        network.heal()
        ours.settimeout(60.0)
        assert ours.recv(1) == b"2"


@pytest.mark.system
def test_one_way_the_receiver_hears_nothing_and_the_sender_everything(network: Network) -> None:
    listen = 'import socket\ns = socket.socket(type=socket.SOCK_DGRAM)\ns.bind(("", 7001))\n'
    listen += "print('ready', flush=True)\nprint(s.recv(9).decode(), flush=True)"
    say = "import socket, sys\ns = socket.socket(type=socket.SOCK_DGRAM)\n"
    say += "for _ in range(5): s.sendto(sys.argv[2].encode(), (sys.argv[1], 7001))"
    a, b, c = network.hosts
    network.cut_one_way(a, b)
    listeners = {host: started(network, host, listen) for host in (a, b)}
    for listener in listeners.values():
        assert listener.stdout
        assert listener.stdout.readline() == "ready\n"
    for sender, receiver in ((a, b), (b, a), (c, b)):
        started(network, sender, say, receiver, f"of {sender[-2:]}").communicate()
    assert listeners[a].communicate(timeout=20)[0] == f"of {b[-2:]}\n"
    assert listeners[b].communicate(timeout=20)[0] == f"of {c[-2:]}\n", "a's came first"


@pytest.mark.system
def test_what_is_lost_comes_with_the_next_attempts(network: Network) -> None:
    network.lose(1.0)
    assert not reached(network)
    network.heal()
    network.lose(0.3)
    wait_for("some get through", lambda: bool(reached(network)))


@pytest.mark.system
def test_a_host_moves(network: Network) -> None:
    a, b, _ = network.hosts
    moved = network.move(a)
    assert answers(network, (b, moved)) == ["answered"]
    assert answers(network, (b, a)) != ["answered"]
    assert answers(network, (moved, b)) == ["answered"]
    network.cut(moved, b)
    assert answers(network, (moved, b)) == ["silent"]


@pytest.mark.system
def test_a_run_that_died_leaves_a_network_which_the_next_removes(tmp_path: Path) -> None:
    if reason := namespaces.missing():
        pytest.skip(reason)
    program = (
        "import subprocess, time\n"
        "from tests.system.namespaces import Network\n"
        "network = Network(1).__enter__()\n"
        "inside = subprocess.Popen([*network.within(network.hosts[0]), 'sleep', '600'], stdout=2)\n"
        "print(inside.pid, flush=True)\n"
        "time.sleep(600)"
    )
    dying = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert dying.stdout
    inside = int(dying.stdout.readline())
    namespaces.remove_leftovers()
    assert names_of(dying.pid), "it is alive, and its network must stay"
    dying.send_signal(signal.SIGKILL)
    dying.communicate()
    namespaces.remove_leftovers()
    assert not names_of(dying.pid)
    wait_for("its process is gone", lambda: not is_alive(inside))


def names_of(pid: int) -> list[str]:
    names = [*os.listdir("/run/netns"), *os.listdir("/sys/class/net")]  # noqa: PTH208
    return [name for name in names if name.startswith((f"raftzmq-{pid}-", f"rz{pid}-"))]


def is_alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.system
def test_a_failure_inside_leaves_nothing_behind(network: Network) -> None:
    before = names_of(os.getpid())
    second = Network(2)
    with pytest.raises(ZeroDivisionError):
        fail_within(second)
    assert names_of(os.getpid()) == before


def fail_within(network: Network) -> None:
    with network:
        raise ZeroDivisionError


def test_what_is_missing_is_named_and_in_a_ci_run_it_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("shutil.which", lambda name: None if "iptables" in name else "/bin/" + name)
    missing = namespaces.missing.__wrapped__
    assert missing() == "network namespaces take: apt-get install iptables"
    monkeypatch.setenv("CI", "true")
    with pytest.raises(AssertionError, match="apt-get install iptables"):
        missing()
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert missing() == "network namespaces take root: run as root"
