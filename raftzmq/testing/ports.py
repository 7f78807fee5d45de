"""Free ports of loopback, ten for a node: of its peers, of its clients, for probes, and spare."""

from __future__ import annotations

import atexit
import os
import random
import socket
from contextlib import ExitStack

STEP = 10

# Below the range from which the kernel takes ports for outgoing connections, so that nobody is
# given the port of a node that is down for a while.
_RANGE = range(10_000, 32_000, STEP)
_random = random.Random(os.getpid())
_held = ExitStack()
atexit.register(_held.close)


def free_ports(nodes: int = 1) -> int:
    """The first port of `nodes` neighbouring tens. They are this process's until it ends: it holds
    the last port of each ten, so that no other run of the tests takes them meanwhile."""
    for base in _random.sample(_RANGE, len(_RANGE)):
        with ExitStack() as locks:
            if all(_lock(base + STEP * node, locks) for node in range(nodes)):
                _held.push(locks.pop_all())
                return base
    raise RuntimeError(
        f"no ports are free for {nodes} nodes, {STEP} in a row for each, between {_RANGE.start} "
        f"and {_RANGE.stop}: `ss -tlnp` shows who holds them"
    )


def _lock(base: int, locks: ExitStack) -> bool:
    """Take the ten ports from `base` on, if they are free."""
    lock = locks.enter_context(socket.socket())
    try:
        lock.bind(("", base + STEP - 1))
        for port in range(base, base + 3):
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("", port))
    except OSError:
        return False
    return True
