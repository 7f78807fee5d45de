"""kubectl for one context and namespace, and what the Kubernetes behind it answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from raftzmq_cli.cluster import tools
from raftzmq_cli.cluster.tools import ToolUnavailable

STATEFULSET: Final = "raft"
CLIENT: Final = "client"
CHECK: Final = "client-check"
CONTAINER: Final = "raftzmq"
PROJECT: Final = "app.kubernetes.io/name=raftzmq"
NODES: Final = f"{PROJECT},app.kubernetes.io/component=node"
"""Labels by which the pods and volumes of the nodes are found."""

_KIND_PREFIX: Final = "kind-"
_REQUEST_TIMEOUT: Final = "--request-timeout=20s"

Object = dict[str, Any]
"""An object of Kubernetes, as its JSON is."""


@dataclass(frozen=True, slots=True)
class Kubectl:
    """Calls kubectl for `context` and `namespace`."""

    context: str
    namespace: str

    @property
    def is_kind(self) -> bool:
        """Whether the context is one that kind has made."""
        return self.context.startswith(_KIND_PREFIX)

    def words(self, *arguments: str) -> list[str]:
        where = ["--context", self.context, "--namespace", self.namespace]
        return ["kubectl", *where, *arguments]

    def act(self, *arguments: str, stdin: str | None = None) -> None:
        """Change something. Raises as tools.act does."""
        tools.act(self.words(*arguments), stdin=stdin)

    def get(self, *arguments: str) -> Object | None:
        """An object, or a list of objects; None if there is no such object."""
        words = self.words("get", *arguments, "-o", "json", "--ignore-not-found", _REQUEST_TIMEOUT)
        text = tools.answer(words)
        return json.loads(text) if text.strip() else None

    def items(self, *arguments: str) -> list[Object]:
        """A list of objects, perhaps empty."""
        found = self.get(*arguments)
        return [] if found is None else list(found["items"])

    def server_version(self) -> tuple[int, int]:
        """Major and minor of the server's version. Raises ToolUnavailable if it does not answer."""
        said = tools.ask(self.words("version", "-o", "json", _REQUEST_TIMEOUT))
        version: Mapping[str, str] | None = None
        if said.out.strip():
            version = json.loads(said.out).get("serverVersion")
        if said.code != 0 or version is None:
            error = tools.failure(["kubectl", "version"], said)
            if isinstance(error, tools.NotPermitted):
                raise error
            raise ToolUnavailable(
                f"the Kubernetes of context {self.context} does not answer: "
                f"{said.complaint.rstrip('.?')}; is it up, and is this the right --context?"
            )
        return _number(version["major"]), _number(version["minor"])

    def has_namespace(self) -> bool:
        return self.get("namespace", self.namespace) is not None


def connect(context: str | None, namespace: str | None) -> Kubectl:
    """kubectl for what was given, else for its current context and that context's namespace.

    Raises ToolUnavailable if kubectl is missing, or there is no context.
    """
    if context is None:
        said = tools.ask(["kubectl", "config", "current-context"], quiet=True)
        context = said.out.strip()
        if said.code != 0 or not context:
            raise ToolUnavailable(
                "kubectl has no current context: choose one with --context or "
                "'kubectl config use-context', or make one with 'raftzmq cluster create'"
            )
    words = ["kubectl", "config", "view", "--minify", "--context", context, "-o", "json"]
    said = tools.ask(words, quiet=True)
    if said.code != 0:
        raise ToolUnavailable(
            f"kubectl has no context {context}: see 'kubectl config get-contexts', "
            "or make one with 'raftzmq cluster create'"
        )
    if namespace is None:
        contexts = json.loads(said.out).get("contexts") or [{}]
        namespace = contexts[0].get("context", {}).get("namespace") or "default"
    return Kubectl(context, namespace)


def kind_context(cluster: str) -> str:
    """The context that kind makes for a cluster of this name."""
    return _KIND_PREFIX + cluster


def _number(text: str) -> int:
    """`20+`, as some providers say it, is 20."""
    return int("".join(c for c in text if c.isdigit()) or 0)
