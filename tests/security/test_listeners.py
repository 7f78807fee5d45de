"""A stranger has a node connect to him, by a hello, and answers with what no library sends."""

from __future__ import annotations

import socket
import threading
from contextlib import ExitStack, suppress
from random import Random

import pytest

from tests.amounts import amount
from tests.security.forged import Seen, say
from tests.security.mangled import openings
from tests.security.test_table import hello
from tests.system.processes import STEADY, Cluster, wait_for
from tests.system.undisturbed import goes_on
from tests.system.zmtp import TIMEOUT_S

pytestmark = pytest.mark.system


class Listener:
    """Says the same to each connection, until it closes."""

    def __init__(self, answer: bytes) -> None:
        self.answered = False
        self._answer = answer
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._server.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._server.accept()
                with connection:
                    connection.settimeout(TIMEOUT_S)
                    connection.sendall(self._answer)
                    self.answered = True
                    connection.recv(4096)  # the node's greeting

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join()


@pytest.mark.parametrize("cluster", [STEADY], indirect=True, ids=["cluster"])
def test_whatever_answers_a_nodes_own_connection_disturbs_nobody(cluster: Cluster) -> None:
    node = cluster.leader()
    seen = Seen.of(cluster)
    answers = openings(100, seed=7)
    Random(7).shuffle(answers)
    with goes_on(cluster, node), ExitStack() as stack:
        for number, answer in enumerate(answers[: amount(12, 200)]):
            # A node has one connection to an address, and opens a few in a second.
            listener = Listener(answer)
            stack.callback(listener.close)
            said = hello(seen, [f"raft-{20 + number}", f"{number:016x}"], listener.address)

            def connected(said: bytes = said, listener: Listener = listener) -> bool:
                say(node.port, said)
                return listener.answered

            wait_for("the node connects", connected)
