"""Each thing that a stranger once did from outside, and nothing comes of any more.

The numbers are those of the issue. A stranger knows all that `status` tells.
"""

from __future__ import annotations

import json
import socket
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from random import Random
from typing import Final

import pytest

from tests.amounts import amount
from tests.security.forged import NOBODY, TERM_MAX, Seen, say, senders
from tests.system.keyed import KeyedCluster
from tests.system.processes import STEADY, Cluster, NodeProcess
from tests.system.undisturbed import PATIENCE_S, goes_on
from tests.system.zmtp import GREETING, connect, frame, ready, speak

pytestmark = pytest.mark.system

Attack = Callable[[Cluster, NodeProcess], None]

PEERS: Final = 0
CLIENTS: Final = 1
UNSEEDED: Final = (0x6B8B4567, 0xE43C9869)
"""With these libzmq's automatic routing ids begin in a process that does not seed `rand`."""
QUICKLY_S: Final = 5.0
PING: Final = frame(b"\x04PING", flags=4)
RESET: Final = struct.pack("ii", 1, 0)


def routing_ids(_cluster: Cluster, node: NodeProcess) -> None:
    """1: chosen ids that a later connection would get by itself; and all others that look odd."""
    random = Random(1)
    for port in (node.port + CLIENTS, node.port + PEERS):
        chosen = [number % 2**32 for start in UNSEEDED for number in range(start, start + 200)]
        chosen += [random.getrandbits(32) for _ in range(200)]
        identities = [b"\0" + struct.pack(">I", number) for number in chosen]
        identities += [b"\0", b"\0\0", b"i" * 255, b"\0" * 255, bytes(5)]
        with ExitStack() as held:
            for identity in (*identities, *[b""] * 50):
                with suppress(OSError):
                    held.enter_context(speak(port, identity))
        for _ in range(50):  # one that comes back, before and after its first connection has ended
            with suppress(OSError), speak(port, b"again") as first:
                first.sendall(frame(b"{}"))
                with speak(port, b"again") as second:
                    second.sendall(frame(b"{}"))


def pings(_cluster: Cluster, node: NodeProcess) -> None:
    """2: PINGs among the messages of connections that end. More of them: test_pings.py."""
    said = frame(b'{"v":1,"type":"status","id":1}') * 20 + frame(b"\x04PING\0\0", flags=4)
    for number in range(100):
        with suppress(OSError), connect(node.port + number % 2, GREETING, ready()) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            connection.sendall(said * (1 + number % 40))


def lost_logs(cluster: Cluster, _node: NodeProcess) -> None:
    """3: each node is told that it has lost what it acknowledged."""
    seen = Seen.of(cluster)
    for node in cluster.nodes:
        for sender in senders(seen, node):
            for nonce in (0, 1, 2**53 - 1):
                told = {"acknowledged_index": seen.last_index + 10, "nonce": nonce}
                say(node.port, seen.message("log_regressed", sender, node.name, **told))


def the_last_term(cluster: Cluster, _node: NodeProcess) -> None:
    """4: votes are asked for in the last term there is."""
    seen = Seen.of(cluster)
    for node in cluster.nodes:
        for sender in senders(seen, node):
            for kind, told in (
                ("vote_request", {"last_index": 2**50, "last_term": TERM_MAX, "transfer": True}),
                ("heartbeat", {"commit_index": 0, "round": 0}),
                ("timeout_now", {}),
                ("vote_reply", {"granted": True}),
            ):
                say(node.port, seen.message(kind, sender, node.name, **{**told, "term": TERM_MAX}))


def a_thousand_names(cluster: Cluster, node: NodeProcess) -> None:
    """6: hellos under invented names, each with an address of its own."""
    seen = Seen.of(cluster)
    for number in range(1000):
        name = [f"raft-{10 + number}", f"{number:016x}"]
        say(node.port, hello(seen, name, f"127.0.0.{2 + number % 200}:{20_000 + number}"))


def a_members_name(cluster: Cluster, _node: NodeProcess) -> None:
    """7: hellos under the members' names, with another address. Three of four puts failed."""
    seen = Seen.of(cluster)
    with cluster.client() as client:
        for number in range(50):
            for node in cluster.nodes:
                for name in seen.incarnations:
                    say(node.port, hello(seen, seen.id(name), NOBODY))
                    say(node.port, hello(seen, [name, "f" * 16], NOBODY))
            client.put("meanwhile", f"{number}", timeout=QUICKLY_S)


def hello(seen: Seen, name: list[str], address: str) -> bytes:
    said = {"v": 1, "type": "hello", "cluster": seen.cluster, "from": name, "address": address}
    return json.dumps({**said, "nonce": "0" * 16}).encode()


def next_serials(cluster: Cluster, node: NodeProcess) -> None:
    """8: the next serials of others' sessions, whose numbers were small."""
    seen = Seen.of(cluster)
    for session in range(1, 200):
        ops = [[serial, "put", f"stolen/{session}", "x"] for serial in range(1, 20)]
        said = {"v": 1, "type": "operations", "cluster": seen.cluster, "session": session}
        request = json.dumps({**said, "ack": 0, "stale": False, "ops": ops}).encode()
        say(node.port + CLIENTS, request)


def forged_entries(cluster: Cluster, _node: NodeProcess) -> None:
    """5: entries of a leader of the next term. Without keys nobody can tell whose they are."""
    seen = Seen.of(cluster)
    for node in cluster.nodes:
        entry = [
            seen.last_index + 1,
            seen.term + 1,
            0,
            "commands",
            [[0, 0, [[1, "put", "f", "f"]]]],
        ]
        line = json.dumps(entry, separators=(",", ":")).encode()
        for sender in senders(seen, node):
            told = {"prev_index": seen.last_index, "prev_term": seen.term, "round": 0}
            told |= {"commit_index": seen.last_index + 1, "term": seen.term + 1}
            header = seen.message("append_entries", sender, node.name, **told)
            body = b"%08x %b\n" % (zlib.crc32(line), line)
            with suppress(OSError), speak(node.port) as connection:
                connection.sendall(frame(header, flags=1) + frame(body))
                connection.recv(1)


def values(_cluster: Cluster, node: NodeProcess) -> None:
    """9: 200 MiB of values."""
    said = {"v": 1, "type": "operations", "session": 0, "ack": 0, "stale": False}
    for number in range(amount(20, 200)):
        put = [1, "put", f"stolen/{number}", "x" * 1024 * 1024]
        say(node.port + CLIENTS, json.dumps({**said, "ops": [put]}).encode())


def orders(cluster: Cluster, _node: NodeProcess) -> None:
    """10: what ends nodes, changes the members, or takes what somebody holds."""
    seen = Seen.of(cluster)
    other = next(name for name in seen.incarnations if name != seen.leader)
    for node in cluster.nodes:
        for order in (
            {"type": "stop", "id": 1, "incarnation": seen.incarnations[node.name]},
            {"type": "member", "id": 2, "action": "remove", "name": other},
            {"type": "transfer", "id": 3, "to": other},
            {"type": "operations", "session": 0, "ack": 0, "ops": [[4, "lease_revoke", 1]]},
        ):
            say(node.port + CLIENTS, json.dumps({"v": 1, **order}).encode())


def short_pings(_cluster: Cluster, node: NodeProcess) -> None:
    """11: a PING without its time to live, which libzmq answers with bytes that are not its own.
    Without keys it still does."""
    for mechanism in (b"NULL", b"CURVE"):
        opening = GREETING.replace(b"NULL".ljust(20, b"\0"), mechanism.ljust(20, b"\0"))
        for offset in (PEERS, CLIENTS):
            said = b""
            with suppress(OSError), connect(node.port + offset, opening) as connection:
                connection.sendall((ready() if mechanism == b"NULL" else b"") + PING)
                while more := connection.recv(100):
                    said += more
            assert b"PONG" not in said


ATTACKS: Final[tuple[Attack, ...]] = (
    routing_ids,
    pings,
    lost_logs,
    the_last_term,
    a_thousand_names,
    a_members_name,
    next_serials,
)
ATTACKS_ON_KEYS: Final[tuple[Attack, ...]] = (
    *ATTACKS,
    forged_entries,
    values,
    orders,
    short_pings,
)
"""Without keys these do what they say, for nobody can tell a member from one who says so."""


def name(attack: Attack) -> str:
    return attack.__name__


@pytest.mark.parametrize("cluster", [STEADY], indirect=True, ids=["plain"])
@pytest.mark.parametrize("attack", ATTACKS, ids=name)
def test_nothing_comes_of(attack: Attack, cluster: Cluster) -> None:
    tried(attack, cluster)


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeyedCluster]:
    """One for all attacks: it bears all of them, one after the other."""
    with KeyedCluster(tmp_path_factory.mktemp("keyed")) as cluster:
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.show()


@pytest.mark.parametrize("attack", ATTACKS_ON_KEYS, ids=name)
def test_nothing_at_all_comes_with_keys_of(attack: Attack, keyed: KeyedCluster) -> None:
    leader = keyed.leader()
    pids = [node.pid for node in keyed.nodes]
    before = leader.status()
    tried(attack, keyed)
    after = keyed.leader().status()
    assert before
    assert after
    assert [node.pid for node in keyed.nodes] == pids
    assert (after["term"], after["leader"]) == (before["term"], before["leader"])
    assert after["members"] == before["members"]


def tried(attack: Attack, cluster: Cluster) -> None:
    with cluster.client() as client:
        client.put("before", "the attack", timeout=PATIENCE_S)
    with goes_on(cluster, cluster.leader()) as put:
        for _ in range(amount(1, 3)):
            attack(cluster, cluster.leader())
    print(f"{len(put)} puts meanwhile")
    with cluster.client() as client:
        before = client.get("before", timeout=PATIENCE_S)
    assert before
    assert before.value == "the attack"
    assert not cluster.everything("stolen/")
