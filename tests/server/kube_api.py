"""A server on loopback that answers about StatefulSets as the Kubernetes API documents it.

It knows the two requests that the watch makes and answers everything else with 404. `refuse`,
`hang`, `send_line`, `end_watches`, `cut_watches` and `expire_versions` are its ways to go wrong.
"""

from __future__ import annotations

import json
import queue
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

PATIENCE_S = 60.0

# An authority, a certificate for 127.0.0.1 from it, and the key of that, which protects nothing. As
# on many a real cluster, no extension says what the authority's key is for, nor whose it is.
AUTHORITY = """\
-----BEGIN CERTIFICATE-----
MIIBXzCCAQagAwIBAgIUT5ZGhtmAbmIyT70uTsAJ8PFE7tAwCgYIKoZIzj0EAwIw
FTETMBEGA1UEAwwKa3ViZXJuZXRlczAgFw0yNjExMzAxODU0MjZaGA8yMTI2MTEw
NjE4NTQyNlowFTETMBEGA1UEAwwKa3ViZXJuZXRlczBZMBMGByqGSM49AgEGCCqG
SM49AwEHA0IABBGBZw0eJmbgvYIJyuQYMZs0k1SeC4xWHUjxYUfMlsf83Vsg95w2
9XbCW83D2iAEy1BwT9wLBkFU4TdX9iApvaijMjAwMA8GA1UdEwEB/wQFMAMBAf8w
HQYDVR0OBBYEFHPuXYO6ozmzEnTmFCHmP57Wb+3NMAoGCCqGSM49BAMCA0cAMEQC
IFrPgtc/lBO61pWPjRt4bJzbCRyLG9sHDhrq42+EN4TLAiAh/sRsab2HgNouwbbC
MWEoXNUxCrDGXZ2wKaiQ8oM1dA==
-----END CERTIFICATE-----
"""
CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBWjCCAQCgAwIBAgIUGvkqqhm0YU+LVEslJfG7NKZDrpwwCgYIKoZIzj0EAwIw
FTETMBEGA1UEAwwKa3ViZXJuZXRlczAgFw0yNjExMzAxODU0MjZaGA8yMTI2MTEw
NjE4NTQyNlowGTEXMBUGA1UEAwwOa3ViZS1hcGlzZXJ2ZXIwWTATBgcqhkjOPQIB
BggqhkjOPQMBBwNCAATEuGyOJVKp/E4dUEvj467qmyKWx0twVRrGAzIJd47mGwTP
YoqWenbKI896Ua2jT1345hIZh6R0hX9Wx25VPPaFoygwJjAPBgNVHREECDAGhwR/
AAABMBMGA1UdJQQMMAoGCCsGAQUFBwMBMAoGCCqGSM49BAMCA0gAMEUCIAx0hG82
olNIGWJzMeBKNiYj5vpkjWIfDBIB2qjsxQLnAiEAsS8aKPR5S6GeI/vLdN41+I/m
5vRt9KnMvx7s52e69Hc=
-----END CERTIFICATE-----
"""
KEY = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgDkn3DUBveBpnDmBi
diLyfgHpvhGj4ILGnl/hDDF3uSOhRANCAATEuGyOJVKp/E4dUEvj467qmyKWx0tw
VRrGAzIJd47mGwTPYoqWenbKI896Ua2jT1345hIZh6R0hX9Wx25VPPaF
-----END PRIVATE KEY-----
"""

END = b""
"""In a watch's queue: the stream ends in good order."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it arrived. `target` is the request line's, undecoded."""

    target: str
    token: str | None
    arrived_ms: int  # of the monotonic clock

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return {name: values[-1] for name, values in parse_qs(urlsplit(self.target).query).items()}

    @property
    def kind(self) -> str:
        return "watch" if self.query.get("watch") == "true" else "get"


@dataclass(frozen=True, slots=True)
class Reply:
    """What to answer in place of the right thing."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    says_length: int | None = None  # a Content-Length that is a lie


def status_reply(code: int, reason: str, message: str, **headers: str) -> Reply:
    """A Kubernetes Status as its API sends one; retry_after="1" becomes Retry-After: 1."""
    body = json.dumps(status(code, reason, message)).encode()
    spelled = {name.replace("_", "-").title(): value for name, value in headers.items()}
    return Reply(code, body, {"Content-Type": "application/json", **spelled})


def status(code: int, reason: str, message: str) -> dict[str, Any]:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": code,
    }


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # server_close waits for the threads of requests
    api: KubeApi

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away, or refused the certificate: no concern of a test."""


class KubeApi:
    """Use as a context manager: listens inside of it. All methods may be called from any thread."""

    def __init__(self, certificate_dir: Path | None = None) -> None:
        """With `certificate_dir`, speak TLS; the authority is left there as ca.crt."""
        self.token: str | None = None  # the one token that is accepted; None: any
        self.requests: list[Request] = []
        self._objects: dict[tuple[str, str], dict[str, Any]] = {}
        self._history: list[tuple[int, str, str, bytes]] = []  # version, namespace, name, line
        self._version = 100
        self._oldest = 0
        self._uids = 0
        self._replies: dict[str, Reply] = {}
        self._hanging: set[str] = set()
        self._go_on = threading.Event()
        self._go_on.set()
        self._begun = 0  # watches, since the beginning
        self._watches: list[queue.Queue[bytes | None]] = []
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.api = self
        if certificate_dir is not None:
            (certificate_dir / "ca.crt").write_text(AUTHORITY)
            (certificate_dir / "server.crt").write_text(CERTIFICATE)
            (certificate_dir / "server.key").write_text(KEY)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate_dir / "server.crt", certificate_dir / "server.key")
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def __enter__(self) -> KubeApi:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._closing.set()
        self._go_on.set()
        self.end_watches()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    # What happens to StatefulSets.

    def create(self, name: str, replicas: int, namespace: str = "default") -> str:
        """Returns its uid: uid-1, uid-2, ..."""
        self._uids += 1
        thing = {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": {"name": name, "namespace": namespace, "uid": f"uid-{self._uids}"},
            "spec": {"replicas": replicas, "serviceName": "raft-service"},
            "status": {"replicas": 0},
        }
        self._happen("ADDED", thing)
        return f"uid-{self._uids}"

    def change(
        self, name: str, change: Callable[[dict[str, Any]], object], namespace: str = "default"
    ) -> None:
        """Let `change` alter the object, as somebody's PATCH would."""
        thing = json.loads(json.dumps(self._objects[namespace, name]))
        change(thing)
        self._happen("MODIFIED", thing)

    def scale(self, name: str, replicas: object) -> None:
        self.change(name, lambda thing: thing["spec"].update(replicas=replicas))

    def delete(self, name: str) -> None:
        self._happen("DELETED", self._objects["default", name])

    def _happen(self, kind: str, thing: dict[str, Any]) -> None:
        metadata = thing["metadata"]
        namespace, name = metadata["namespace"], metadata["name"]
        with self._changed:
            self._version += 1
            metadata["resourceVersion"] = str(self._version)
            if kind == "DELETED":
                del self._objects[namespace, name]
            else:
                self._objects[namespace, name] = thing
            line = event_line(kind, thing)
            self._history.append((self._version, namespace, name, line))
            self._changed.notify_all()
        for watch in list(self._watches):
            watch.put(None)  # look into the history

    # Ways to go wrong.

    def refuse(self, kind: str, reply: Reply) -> None:
        """Answer every "get" or "watch" with `reply` until `recover`."""
        self._replies[kind] = reply

    def hang(self, kind: str) -> None:
        """Never answer a "get" or "watch"; not even after `recover`, which is for later ones."""
        self._hanging.add(kind)

    def hold(self) -> None:
        """Let all requests wait for `release`, and answer them then."""
        self._go_on.clear()

    def release(self) -> None:
        self._go_on.set()

    def recover(self) -> None:
        self._replies.clear()
        self._hanging.clear()

    def send_line(self, line: bytes) -> None:
        """Send `line` to every open watch."""
        for watch in list(self._watches):
            watch.put(line)

    def end_watches(self) -> None:
        for watch in list(self._watches):
            watch.put(END)

    def cut_watches(self, beginning: bytes) -> None:
        """Send the beginning of a line, and break the connections in the midst of it."""
        self.send_line(beginning)

    def expire_versions(self) -> None:
        """Forget the past: a watch from a version before now gets 410 Gone as an ERROR event."""
        self._oldest = self._version + 1

    # What tests wait for.

    def count(self, kind: str) -> int:
        return sum(request.kind == kind for request in list(self.requests))

    def wait_for(self, kind: str, count: int) -> None:
        """Until `count` requests of that kind have arrived."""
        with self._changed:
            arrived = self._changed.wait_for(lambda: self.count(kind) >= count, PATIENCE_S)
        assert arrived, f"{self.count(kind)} of {count} {kind} requests came: {self.requests}"

    def wait_for_watch(self, count: int = 1) -> None:
        """Until so many watches have been agreed to since the beginning."""
        with self._changed:
            begun = self._changed.wait_for(lambda: self._begun >= count, PATIENCE_S)
        assert begun, f"{self._begun} of {count} watches began: {self.requests}"


def event_line(kind: str, thing: dict[str, Any]) -> bytes:
    return json.dumps({"type": kind, "object": thing}).encode() + b"\n"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    timeout = PATIENCE_S

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        api = self.server.api
        authorization = self.headers.get("Authorization", "")
        token = authorization.removeprefix("Bearer ") if authorization else None
        request = Request(self.path, token, time.monotonic_ns() // 1_000_000)
        with api._changed:
            api.requests.append(request)
            api._changed.notify_all()
        api._go_on.wait(PATIENCE_S)
        if request.kind in api._hanging:
            api._closing.wait(PATIENCE_S)
            self.close_connection = True
        elif api.token not in {None, token}:
            self._reply(status_reply(401, "Unauthorized", "Unauthorized"))
        elif request.kind in api._replies:
            self._reply(api._replies[request.kind])
        else:
            self._answer(api, request)

    def _answer(self, api: KubeApi, request: Request) -> None:
        match request.path.split("/")[1:]:
            case ["apis", "apps", "v1", "namespaces", namespace, "statefulsets", name]:
                thing = api._objects.get((namespace, name))
                if thing is not None:
                    self._reply(Reply(200, json.dumps(thing).encode()))
                    return
            case ["apis", "apps", "v1", "namespaces", namespace, "statefulsets"]:
                selector = request.query.get("fieldSelector", "")
                if request.kind == "watch" and selector.startswith("metadata.name="):
                    self._watch(api, request.query, namespace, selector.partition("=")[2])
                    return
        self._reply(status_reply(404, "NotFound", f"{request.target} not found"))

    def _reply(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        length = len(reply.body) if reply.says_length is None else reply.says_length
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(reply.body)
        self.close_connection = reply.says_length is not None

    def _watch(self, api: KubeApi, query: dict[str, str], namespace: str, name: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        version = int(query["resourceVersion"])
        if version < api._oldest:
            api._oldest = 0
            expired = status(410, "Expired", f"too old resource version: {version}")
            self._chunk(event_line("ERROR", expired))
            self._chunk(END)
            return
        mine: queue.Queue[bytes | None] = queue.Queue()
        mine.put(None)
        with api._changed:
            api._watches.append(mine)
            api._begun += 1
            api._changed.notify_all()
        if api._closing.is_set():  # after its end_watches, perhaps
            mine.put(END)
        try:
            self._stream(api, mine, version, (namespace, name), float(query["timeoutSeconds"]))
        finally:
            with api._changed:
                api._watches.remove(mine)

    def _stream(
        self,
        api: KubeApi,
        mine: queue.Queue[bytes | None],
        version: int,
        of: tuple[str, str],
        timeout_s: float,
    ) -> None:
        while True:
            try:
                line = mine.get(timeout=timeout_s)
            except queue.Empty:
                line = END
            if line is None:
                news = [event for event in list(api._history) if event[0] > version]
                version = news[-1][0] if news else version
                for _, namespace, name, event in news:
                    if (namespace, name) == of:
                        self._chunk(event)
                continue
            self._chunk(line)
            if not line.endswith(b"\n"):  # the end, or a line that is cut
                self.close_connection = True
                return

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()
