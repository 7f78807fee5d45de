"""Free ports of loopback, three in a row for a node: nodes, clients, probes."""

from __future__ import annotations

import os
import random
import socket

# Below the range from which the kernel takes ports for outgoing connections.
_RANGE = range(20_000, 32_000, 10)
_random = random.Random(os.getpid())
_given: set[int] = set()


def free_ports() -> int:
    """The first of three neighbouring ports that nobody listens on; never the same twice."""
    for base in _random.sample(_RANGE, len(_RANGE)):
        if base not in _given and all(_is_free(port) for port in range(base, base + 3)):
            _given.add(base)
            return base
    raise RuntimeError("no three free ports in a row on this machine")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True
