"""Greetings, mechanisms, commands and frames of ZMTP, each made wrong in turn, at both ports: the
node is alive, its memory is bounded, and a client is served all along."""

from __future__ import annotations

import socket
from collections import deque
from contextlib import suppress

import pytest

from tests.amounts import amount
from tests.progress import counted
from tests.security.mangled import openings
from tests.system.processes import STEADY, Cluster
from tests.system.undisturbed import goes_on
from tests.system.zmtp import connect

pytestmark = pytest.mark.system

AT_ONCE = 64
"""Connections that stay open, so that much is unfinished at a time."""


@pytest.mark.parametrize("cluster", [STEADY], indirect=True, ids=["cluster"])
@pytest.mark.parametrize("offset", [0, 1], ids=["peers", "clients"])
def test_whatever_opens_a_connection_disturbs_nobody(cluster: Cluster, offset: int) -> None:
    attacked = cluster.leader()
    said = openings(amount(500, 20_000), seed=offset)
    connections: deque[socket.socket] = deque()
    with goes_on(cluster, attacked, same_term=offset == 1):
        for opening in counted("mangled openings", said):
            with suppress(OSError):
                connections.append(connect(attacked.port + offset, opening))
            if len(connections) > AT_ONCE:
                connections.popleft().close()
        for connection in connections:
            connection.close()
    print(f"{len(said)} openings")
