"""An HTTP server that is as much of a Kubernetes as `kubectl apply` of a ConfigMap needs."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_PATCH = {
    "parameters": [{"name": "fieldValidation", "in": "query", "schema": {"type": "string"}}],
    "x-kubernetes-action": "patch",
    "x-kubernetes-group-version-kind": {"group": "", "kind": "ConfigMap", "version": "v1"},
}
_SCHEMA = {
    "openapi": "3.0.0",
    "info": {"title": "Kubernetes", "version": "v1.31.0"},
    "paths": {"/api/v1/namespaces/{namespace}/configmaps/{name}": {"patch": _PATCH}},
}
_CONFIG_MAPS = {
    "name": "configmaps",
    "singularName": "configmap",
    "namespaced": True,
    "kind": "ConfigMap",
    "verbs": ["create", "get", "patch"],
}
_DISCOVERY: dict[str, Any] = {
    "/version": {"major": "1", "minor": "31", "gitVersion": "v1.31.0"},
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
    "/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": [_CONFIG_MAPS]},
    "/openapi/v3": {"paths": {"api/v1": {"serverRelativeURL": "/openapi/v3/api/v1?hash=1"}}},
    "/openapi/v3/api/v1": _SCHEMA,
}


class FakeKubernetes(http.server.ThreadingHTTPServer):
    """Keeps what was applied in `objects`, by path, and counts what was changed."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.objects: dict[str, Any] = {}
        self.changes = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FakeKubernetes

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        found = {**_DISCOVERY, **self.server.objects}.get(path)
        if found is None:
            status = {"kind": "Status", "apiVersion": "v1", "reason": "NotFound", "code": 404}
            self._answer(404, status)
        else:
            self._answer(200, found)

    def do_POST(self) -> None:
        document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        path = self.path.partition("?")[0]
        self.server.objects[f"{path}/{document['metadata']['name']}"] = document
        self.server.changes += 1
        self._answer(201, document)

    def do_PATCH(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.changes += 1
        self._answer(200, self.server.objects[self.path.partition("?")[0]])

    def log_message(self, *_: Any) -> None:
        """Tests read what they need from the objects."""

    def _answer(self, code: int, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def serving() -> Iterator[FakeKubernetes]:
    """A server for as long as the block lasts."""
    with FakeKubernetes() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
