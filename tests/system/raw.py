"""The client protocol spoken by hand, as PROTOCOL.md has it, without the client library.

So these tests check the nodes, and the protocol's description, rather than two halves of one
program that could agree on a mistake.
"""

from __future__ import annotations

import json
import time
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import zmq

from raftzmq.access.key_files import ClientKey

PATIENCE_S: Final = 60.0
"""How long an answer that must come may take; it usually takes a millisecond."""


class NoAnswer(Exception):
    """Nothing came before the deadline."""


class Stored(NamedTuple):
    """What a node holds under a key."""

    value: Any
    revision: int


class Raw:
    """One connection to the client port of one node."""

    def __init__(
        self, endpoint: str, key: ClientKey | None = None, identity: bytes | None = None
    ) -> None:
        self.endpoint = endpoint
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context.instance()
        self._socket = context.socket(zmq.DEALER)
        self._socket.linger = 0
        self._socket.setsockopt(zmq.RECONNECT_IVL, 50)
        if identity is not None:
            self._socket.setsockopt(zmq.ROUTING_ID, identity)
        if key is not None:
            self._socket.setsockopt(zmq.CURVE_PUBLICKEY, key.own.public.raw)
            self._socket.setsockopt(zmq.CURVE_SECRETKEY, key.own.secret.raw)
            self._socket.setsockopt(zmq.CURVE_SERVERKEY, key.servers[0].raw)
        self._socket.connect(f"tcp://{endpoint}")
        self._last_id = 0
        self._cluster = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._socket.close()

    def send(self, *frames: bytes) -> None:
        self._socket.send_multipart(list(frames))

    def receive(self, timeout_s: float = PATIENCE_S) -> dict[str, Any]:
        """The next answer. Raises NoAnswer."""
        if not self._socket.poll(int(timeout_s * 1000)):
            raise NoAnswer(f"{self.endpoint} did not answer within {timeout_s} s")
        frames = self._socket.recv_multipart()
        assert len(frames) == 1, f"an answer is one frame, this has {len(frames)}"
        answer = json.loads(frames[0])
        assert answer["v"] == 1
        assert isinstance(answer, dict)
        return answer

    def ask(self, request: dict[str, Any], timeout_s: float = PATIENCE_S) -> dict[str, Any]:
        """Send a request and return the answer to it, whichever others come first."""
        ids = set(_ids(request))
        self.send(json.dumps({"v": 1, **request}).encode())
        deadline = time.monotonic() + timeout_s
        while True:
            answer = self.receive(max(0.0, deadline - time.monotonic()))
            if ids & set(_ids(answer)):
                return answer

    def status(self, timeout_s: float = PATIENCE_S) -> dict[str, Any]:
        """What the node says of itself."""
        answer = self.ask({"type": "status", "id": self._next_id()}, timeout_s)
        assert answer["type"] == "status", answer
        status = answer["status"]
        assert isinstance(status, dict)
        return status

    def member(self, action: str, name: str, timeout_s: float = PATIENCE_S) -> dict[str, Any]:
        request = {"type": "member", "id": self._next_id(), "action": action, "name": name}
        return self.ask(request, timeout_s)

    def operations(
        self,
        *ops: tuple[Any, ...],
        session: int = 0,
        ack: int = 0,
        stale: bool = False,
        timeout_s: float = PATIENCE_S,
    ) -> dict[str, Any]:
        """Send operations, each (id, name, ...arguments), and return the whole answer."""
        request = {
            "type": "operations",
            "cluster": self.cluster_id() if session else "",
            "session": session,
            "ack": ack,
            "stale": stale,
        }
        return self.ask({**request, "ops": [list(op) for op in ops]}, timeout_s)

    def cluster_id(self) -> str:
        """The cluster that sessions belong to."""
        if not self._cluster:
            answer = self.ask({"type": "status", "id": self._next_id()})
            self._cluster = str(answer["status"]["cluster"])
        return self._cluster

    def open_session(self) -> int:
        """A new session; the node must lead."""
        result = self.operations((self._next_id(), "open", "5ec2e75ec2e75ec2"))["results"][0]
        assert result[1] == "ok", result
        return int(result[3])

    def everything(self, prefix: str = "") -> dict[str, Stored]:
        """What this node itself holds, whoever leads: stale reads, page by page."""
        found: dict[str, Stored] = {}
        start = prefix
        while True:
            op = (self._next_id(), "range", start, "", 5000)
            [[_, code, _, body]] = self.operations(op, stale=True)["results"]
            assert code == "ok", body
            items, more = body
            for key, value, revision in items:
                if key.startswith(prefix):
                    found[key] = Stored(value, revision)
            if not more:
                return found
            start = items[-1][0] + "\0"

    def _next_id(self) -> int:
        self._last_id += 1
        return self._last_id


def _ids(message: dict[str, Any]) -> list[int]:
    if message["type"] in ("operations", "results"):
        return [item[0] for item in message["ops" if "ops" in message else "results"]]
    if message["type"] == "error":
        return list(message["ids"] or [])
    return [message["id"]]
