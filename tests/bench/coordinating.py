"""The load on raftzmq for locks and watches: one process, with the clients of raftzmq as they are.

    python -m tests.bench.coordinating --endpoints HOST:PORT,... --op lock --outstanding 64

* lock: so many claimants, each with a lock of its own, take and release it. What is counted, and
  how long it took, is a lock and its unlock.
* onelock: so many claimants of one lock. What is counted is that it changes hands; what is measured
  is the time from asking to holding.
* watch: four writers put as fast as they can under a prefix that so many watch, over eight
  connections. What is counted is events that reach a watcher; what is measured, with the first
  watcher, is the time from before a put to the event.

It prints the line of `raftzmq client bench -w json`. etcd/coordination.go does the same to etcd.
"""

from __future__ import annotations

import argparse
import json
import time
from array import array
from contextlib import closing

from raftzmq.client.direct import DirectClient, DirectClients
from raftzmq.client.operations import keys, queues
from raftzmq.client.session.acquisition import Acquisition
from raftzmq.client.session.leases import HeldLease
from raftzmq.client.session.subscriptions import Subscription
from raftzmq_cli.client.bench import percentile_ms
from raftzmq_cli.client.bench_loop import calm_collector

TTL_MS = 30_000
TIMEOUT_S = 10.0
WATCH_CONNECTIONS = 8
WRITERS = 4
PREFIX = "watched/"


class Tally:
    """What was counted until the end of the loop, and times in nanoseconds."""

    def __init__(self, seconds: float) -> None:
        self.count = 0
        self.errors = 0
        self.times_ns: array[int] = array("Q")
        self.began_ns = time.perf_counter_ns()
        self.end_ns = self.began_ns + int(seconds * 1e9)

    @property
    def running(self) -> bool:
        return time.perf_counter_ns() < self.end_ns


def claim(client: DirectClient, lease: HeldLease, names: list[str], seconds: float) -> Tally:
    """A claimant for each of the names; those of one name wait for each other."""
    tally = Tally(seconds)
    one = len(set(names)) < len(names)
    asked_ns: dict[str | int, int] = {}

    def ask(number: int) -> None:
        place = Acquisition(queues.LOCK, names[number], timeout_ms=None, lease=lease)
        place.waiter = number
        asked_ns[number] = time.perf_counter_ns()
        client.begin(place)

    for number in range(len(names)):
        ask(number)
    while tally.running:
        calls = client.wait()
        now_ns = time.perf_counter_ns()
        for call in calls:  # releases
            number = call.waiter
            if call.error is not None:
                tally.errors += 1
            elif not one:
                tally.count += 1
                tally.times_ns.append(now_ns - asked_ns[number])
            ask(number)
        for task in client.take_tasks():
            if not isinstance(task, Acquisition):
                continue
            if task.error is not None:
                tally.errors += 1
                ask(task.waiter)
                continue
            if one:
                tally.count += 1
                tally.times_ns.append(now_ns - asked_ns[task.waiter])
            client.release(task, TIMEOUT_S).waiter = task.waiter
    tally.end_ns = time.perf_counter_ns()
    return tally


def run_claims(endpoints: list[str], names: list[str], seconds: float) -> Tally:
    with closing(DirectClient(endpoints)) as client:
        lease = HeldLease(TTL_MS)
        client.perform(lease)
        return claim(client, lease, names, seconds)


def run_watch(endpoints: list[str], watchers: int, size: int, seconds: float) -> Tally:
    with closing(DirectClients(min(watchers, WATCH_CONNECTIONS) + 1, endpoints)) as clients:
        *listening, writing = clients.members
        subscriptions = [Subscription(None, PREFIX, None, False) for _ in range(watchers)]
        for number, one in enumerate(subscriptions):
            listening[number % len(listening)].watch(one)
        writing.run(keys.put(f"{PREFIX}begin", stamp(size)), TIMEOUT_S)
        while not all(one.opened for one in subscriptions):
            clients.wait()
            for client in listening:
                client.take_news()
        for one in subscriptions:
            while one.take():
                pass
        return watch(clients, subscriptions[0], size, seconds)


def watch(clients: DirectClients, first: Subscription, size: int, seconds: float) -> Tally:
    *listening, writing = clients.members
    tally = Tally(seconds)

    def put(writer: int, number: int) -> None:
        call = writing.submit(keys.put(f"{PREFIX}{writer}-{number % 1000}", stamp(size)), TIMEOUT_S)
        call.waiter = (writer, number)

    for writer in range(WRITERS):
        put(writer, 0)
    while tally.running:
        for call in clients.wait():
            tally.errors += call.error is not None
            writer, number = call.waiter
            put(writer, number + 1)
        for client in listening:
            for one in client.take_news():
                while events := one.take():
                    tally.count += len(events)
                    if one is first:
                        now_ns = time.time_ns()
                        tally.times_ns.extend(now_ns - int(str(e.value)[:19]) for e in events)
    tally.end_ns = time.perf_counter_ns()
    return tally


def stamp(size: int) -> str:
    """A value that says when it was made: 19 digits, as many nanoseconds since 1970 have."""
    return f"{time.time_ns():019}".ljust(size, "x")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--endpoints", type=lambda text: text.split(","), required=True)
    parser.add_argument("--op", choices=["lock", "onelock", "watch"], required=True)
    parser.add_argument("--outstanding", type=int, default=64, help="claimants, or watchers")
    parser.add_argument("--size", type=int, default=100, help="bytes of a value")
    parser.add_argument("--seconds", type=float, default=6)
    given = parser.parse_args()
    count = given.outstanding
    with calm_collector():
        if given.op == "watch":
            tally = run_watch(given.endpoints, count, given.size, given.seconds)
        else:
            names = [f"lock-{k}" if given.op == "lock" else "one-lock" for k in range(count)]
            tally = run_claims(given.endpoints, names, given.seconds)
    ordered = sorted(tally.times_ns)
    figures = {
        "op": given.op,
        "outstanding": count,
        "value_bytes": given.size,
        "ops_per_s": round(tally.count / (tally.end_ns - tally.began_ns) * 1e9, 1),
        "p50_ms": percentile_ms(ordered, 0.5),
        "p99_ms": percentile_ms(ordered, 0.99),
        "p999_ms": percentile_ms(ordered, 0.999),
        "max_ms": percentile_ms(ordered, 1.0),
        "errors": tally.errors,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
