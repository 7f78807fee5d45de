"""python -m tests.system.holder ENDPOINTS KIND NAME [--processes N] [--rounds N] …

Processes that hold a lock or a permit of a semaphore, one after the other, and say so: each line is
a process id, what it does, and a token. They are forked from one that has everything imported, for
a hundred that start by themselves would take half a minute.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from contextlib import suppress
from typing import Final

from raftzmq import Client
from raftzmq.errors import Fenced, LeaseExpired, NotHeld

ASKS, HOLDS, LEAVES, LOST, DONE = "asks", "holds", "leaves", "lost", "done"

PERMITS: Final = 3
REGISTER: Final = "register"
PATIENCE_S: Final = 60.0


def say(what: str, token: int = 0) -> None:
    os.write(sys.stdout.fileno(), f"{os.getpid()} {what} {token}\n".encode())


def hold(client: Client, given: argparse.Namespace) -> None:
    """Take it and leave it once; whoever has a lock adds one to the register meanwhile."""
    say(ASKS)
    if given.kind == "lock":
        lock = client.lock(given.name, ttl=given.ttl).acquire()
        token = lock.token
        say(HOLDS, token)
        with suppress(Fenced, LeaseExpired, NotHeld):
            item = client.get(REGISTER, timeout=PATIENCE_S)
            value = str(int(item.value if item else 0) + 1)
            client.put(REGISTER, value, fence=(given.name, token), timeout=PATIENCE_S)
        leave = lock.release
    else:
        semaphore = client.semaphore(given.name, permits=PERMITS, ttl=given.ttl)
        token = semaphore.wait()
        say(HOLDS, token)
        leave = semaphore.signal
    time.sleep(given.hold)
    say(LEAVES, token)
    try:
        leave(timeout=PATIENCE_S)
    except (LeaseExpired, NotHeld):
        say(LOST, token)


def work(given: argparse.Namespace) -> None:
    with Client(given.endpoints) as client:
        for _ in range(given.rounds):
            hold(client, given)
    say(DONE)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("endpoints")
    parser.add_argument("kind", choices=["lock", "semaphore"])
    parser.add_argument("name")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--ttl", type=float, default=2)
    parser.add_argument("--hold", type=float, default=0.01, help="seconds")
    given = parser.parse_args()
    for _ in range(given.processes):
        if os.fork() == 0:
            work(given)
            os._exit(0)
    for _ in range(given.processes):
        os.wait()


if __name__ == "__main__":
    main()
