"""Processor time of one operation inside of the program: three nodes in one process, no sockets.

    python -m tests.bench.pure [--batch 128] [--batches 3] [--size 100] [--profile leader]
                               [--prefixes 10]

Every byte is encoded and decoded as between real processes, the log lies in memory, and the work of
each party is timed by itself. What libzmq, the kernel and waking up cost is not in it: see cpu.py.

With --prefixes the client is a user who may write so many, of which the keys have the last.
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import pstats
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from raftzmq.access.users import ANYBODY, User
from raftzmq.client.operations.keys import get, put
from raftzmq.client.session.calls import Call
from raftzmq.client.session.session import Session
from raftzmq.core.messages import Message
from raftzmq.core.role import Role
from raftzmq.node import Node, NodeSettings
from raftzmq.storage import Storage
from raftzmq.transport.client_wire import (
    Reply,
    Results,
    decode_request,
    encode_reply,
    encode_results,
)
from raftzmq.transport.peer_wire import (
    Envelope,
    Hello,
    Welcome,
    decode_peer,
    encode_hello,
    encode_message,
    encode_welcome,
)

ENDPOINT = "raft-0:6001"
ROUNDS = 200


class Party:
    """One node, its outbox, and what it has not taken yet."""

    def __init__(self, name: str, initial: dict[str, str], path: Path, user: User) -> None:
        self.user = user
        storage = Storage(path)
        settings = NodeSettings(name=name, address=initial[name], initial=initial)
        self.node = Node(settings, storage, storage.open(name), Random(name), 0)
        self.sent: list[tuple[str, list[bytes]]] = []
        self.replies: list[bytes] = []
        self.peers: list[list[bytes]] = []
        self.requests: list[bytes] = []

    def send(self, address: str | None, cluster: str, message: Message) -> bool:
        assert address is not None
        self.sent.append((message.to.name, encode_message(message, cluster)))
        return True

    def greet(self, name: str, address: str, greeting: Hello | Welcome) -> None:
        assert address
        encode = encode_hello(greeting) if isinstance(greeting, Hello) else encode_welcome(greeting)
        self.sent.append((name, encode))

    def reply(self, client: bytes, reply: Reply) -> bool:
        assert client
        self.replies += (
            encode_results(reply) if isinstance(reply, Results) else [encode_reply(reply)]
        )
        return True

    def turn(self, now_ms: int) -> None:
        """What the server's loop does in a turn."""
        node = self.node
        peers, self.peers = self.peers, []
        for frames in peers:
            received = decode_peer(frames)
            if isinstance(received, Envelope):
                node.receive(received)
            else:
                node.greeted(received, now_ms)
        requests, self.requests = self.requests, []
        for frame in requests:
            node.request(b"client", decode_request(frame), len(frame), now_ms, self.user)
        node.tick(now_ms)
        node.turn(self)


class Bench:
    def __init__(self, directory: Path, profiled: str | None, user: User) -> None:
        initial = {f"raft-{k}": f"raft-{k}:6000" for k in range(3)}
        self.parties = {name: Party(name, initial, directory / name, user) for name in initial}
        self.now_ms = 0
        self.spent: Counter[str] = Counter()
        self.profiled = profiled
        self.profile = cProfile.Profile()
        self.measuring = False
        leader = self.leader()
        self.client = Session([ENDPOINT], Random(1), Random(2))
        self.client.endpoints.link(ENDPOINT)
        self.serving = leader

    def leader(self) -> Party:
        while True:
            self.step()
            for party in self.parties.values():
                raft = party.node.raft
                if raft.role is Role.LEADER and not raft.membership.forming and raft.term_committed:
                    return party

    @contextmanager
    def timed(self, who: str) -> Iterator[None]:
        profiling = self.measuring and who == self.profiled
        with self.profile if profiling else nullcontext():
            start = time.process_time_ns()
            yield
            self.spent[who] += time.process_time_ns() - start

    def step(self) -> None:
        """Every node makes a turn, then messages arrive."""
        self.now_ms += 2
        for party in self.parties.values():
            who = "leader" if party.node.raft.role is Role.LEADER else "follower"
            with self.timed(who):
                party.turn(self.now_ms)
        for party in self.parties.values():
            sent, party.sent = party.sent, []
            for to, frames in sent:
                self.parties[to].peers.append(frames)

    def run(self, works: Callable[[int], Any], batch: int, batches: int) -> None:
        """`batches` times `batch` operations, one batch after the other."""
        client, serving = self.client, self.serving
        for number in range(batches):
            with self.timed("client"):
                for k in range(batch):
                    client.submit(Call(works(number * batch + k), self.now_ms, 5), self.now_ms)
            waiting = batch
            while waiting:
                with self.timed("client"):
                    client.tick(self.now_ms)
                    for endpoint in client.interests():
                        client.link_state(endpoint, True, self.now_ms)
                    serving.requests += [b.frame for b in client.outgoing(self.now_ms)]
                self.step()
                replies, serving.replies = serving.replies, []
                with self.timed("client"):
                    for frame in replies:
                        client.received(ENDPOINT, frame, self.now_ms)
                    finished = client.take_finished()
                    for call in finished:
                        call.result()
                waiting -= len(finished)

    def costs(self, works: Callable[[int], Any], batch: int, batches: int) -> dict[str, float]:
        """Microseconds of each party for one operation."""
        self.spent.clear()
        self.measuring = True
        self.run(works, batch, batches)
        self.measuring = False
        per_operation = {who: ns / (batch * batches) / 1000 for who, ns in self.spent.items()}
        per_operation["follower"] /= 2
        return per_operation


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--batches", type=int, default=3)
    parser.add_argument("--size", type=int, default=100)
    parser.add_argument("--op", nargs="+", default=["put", "get"])
    parser.add_argument("--profile", choices=["leader", "follower", "client"])
    parser.add_argument("--prefixes", type=int, default=0, help="0: without keys")
    given = parser.parse_args()
    prefixes = [f"elsewhere-{number}/" for number in range(given.prefixes - 1)]
    user = User("bench", write=(*prefixes, "raftzmq-bench/")) if given.prefixes else ANYBODY
    keys = [f"raftzmq-bench/0123abcd/{number:06}" for number in range(10_000)]
    value = "x" * given.size
    with TemporaryDirectory(dir="/dev/shm") as directory:
        bench = Bench(Path(directory), given.profile, user)
        bench.run(lambda n: put(keys[n], value), 1000, 10)
        gc.collect()
        gc.freeze()
        gc.disable()  # one process with all parties has other garbage than each by itself
        works: dict[str, Callable[[int], Any]] = {
            "put": lambda n: put(keys[n % 10_000], value),
            "get": lambda n: get(keys[n % 10_000]),
        }
        for op in given.op:
            rounds = [bench.costs(works[op], given.batch, given.batches) for _ in range(ROUNDS)]
            # The least disturbed round of each: what others do on the machine only adds to it.
            best = {who: min(costs[who] for costs in rounds) for who in sorted(rounds[0])}
            print(op, *(f"{who} {us:.2f} us" for who, us in best.items()))
        if given.profile:
            pstats.Stats(bench.profile).sort_stats("tottime").print_stats(25)


if __name__ == "__main__":
    main()
