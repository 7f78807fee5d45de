"""The image registry of this machine: found where one answers, else a container made for it."""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from raftzmq.errors import InvalidRequest
from raftzmq_cli.cluster import tools
from raftzmq_cli.cluster.options import REGISTRY_IMAGE, REGISTRY_NAME
from raftzmq_cli.cluster.tools import ToolFailed, ToolUnavailable

MADE: Final = "raftzmq.made"
"""The label of a registry container that `create` made; only such a one is ever removed."""

PORT: Final = 5000
"""Where a registry listens inside its container."""

_LOCAL: Final = ("localhost", "127.0.0.1")
_MANIFESTS: Final = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_ANSWER_S: Final = 5.0
_START_S: Final = 60.0
_POLL_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class Registry:
    """A registry by its address, and the container that is it or is to be."""

    address: str
    container: str = REGISTRY_NAME
    image: str = REGISTRY_IMAGE

    @property
    def is_local(self) -> bool:
        """Whether it is on this machine; of another one, nothing is made or removed."""
        return self.host.partition(":")[0] in _LOCAL

    @property
    def host(self) -> str:
        """The address without the path that may follow it."""
        return self.address.partition("/")[0]

    @property
    def port(self) -> int:
        """The port on this machine. Raises InvalidRequest if the address has none."""
        _, _, port = self.host.rpartition(":")
        if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
            raise InvalidRequest(
                f"--registry {self.address} has no port: give one, such as localhost:5001"
            )
        return int(port)

    def answers(self) -> bool:
        """Whether a registry answers at the address, whoever runs it."""
        return _answers(f"http://{self.host}/v2/")

    def digest(self, repository: str, tag: str) -> str | None:
        """What a tag stands for, `sha256:...`; None if there is no such tag."""
        request = urllib.request.Request(
            f"http://{self.host}/v2/{repository}/manifests/{tag}",
            method="HEAD",
            headers={"Accept": ", ".join(_MANIFESTS)},
        )
        try:
            with _opener().open(request, timeout=_ANSWER_S) as answer:
                return answer.headers.get("Docker-Content-Digest") or None
        except urllib.error.HTTPError as error:
            error.close()
            return None

    def require(self) -> None:
        """Raises ToolUnavailable if it is on this machine and does not answer."""
        if self.is_local and not self.answers():
            raise ToolUnavailable(
                f"no registry answers on {self.address}: make one with 'raftzmq cluster create', "
                "start yours, or give another with --registry"
            )


def ensure(registry: Registry, network: str, say: Callable[[str], None]) -> str:
    """Have a registry answer at the address; return the name of its container.

    `network` is the one that kind will make: if it is not there yet, the container that is made
    here remembers that, for `delete`. Raises ToolFailed if what answers is no container.
    """
    if registry.answers():
        name = _container_at(registry.port)
        if name is None:
            raise ToolFailed(
                f"the registry on {registry.address} is not a container of this Docker, so kind's "
                "nodes cannot reach it: stop it, or give --registry localhost:PORT with a free "
                "port, where 'create' makes a registry"
            )
        say(f"a registry already answers on {registry.address}, container {name}")
        return name
    found = inspect(registry.container)
    if found is None:
        _make(registry, network)
    elif registry.port not in _ports(found):
        raise ToolFailed(
            f"container {registry.container} exists, but not for port {registry.port}: remove "
            f"it ('docker rm -f {registry.container}'), or give another --registry-name"
        )
    else:
        tools.act(["docker", "start", registry.container])
    _wait(registry, say)
    return registry.container


def remove(registry: Registry, say: Callable[[str], None]) -> str | None:
    """Remove the container that `create` made, and nothing else.

    Returns the network that was made for it, if there was none before.
    """
    found = inspect(registry.container)
    if found is None:
        say(f"no registry container {registry.container}: nothing to remove")
        return None
    labels = found["Config"].get("Labels") or {}
    if MADE not in labels:
        say(f"container {registry.container} stays: it was not made by 'raftzmq cluster create'")
        return None
    tools.act(["docker", "rm", "--force", "--volumes", registry.container])
    return labels[MADE] or None


def connect(container: str, network: str, say: Callable[[str], None]) -> None:
    """Attach the container to the network, if it is not."""
    found = inspect(container)
    if found is not None and network in found["NetworkSettings"]["Networks"]:
        say(f"{container} is already on the network {network}")
    else:
        tools.act(["docker", "network", "connect", network, container])


def remove_network(network: str, say: Callable[[str], None]) -> None:
    """Remove a network that nobody is attached to any more."""
    said = tools.ask(["docker", "network", "inspect", network])
    if said.code != 0:
        return
    if json.loads(said.out)[0]["Containers"]:
        say(f"the network {network} stays: other containers are attached to it")
    else:
        tools.act(["docker", "network", "rm", network])


def inspect(container: str) -> dict[str, Any] | None:
    """What docker knows of a container, or None if there is none of this name."""
    said = tools.ask(["docker", "container", "inspect", container])
    if said.code != 0:
        return None
    found: dict[str, Any] = json.loads(said.out)[0]
    return found


def has_network(network: str) -> bool:
    return tools.ask(["docker", "network", "inspect", network]).code == 0


def _make(registry: Registry, network: str) -> None:
    made_network = "" if has_network(network) else network
    tools.act(
        [
            *("docker", "run", "-d", "--restart=always"),
            *("-p", f"127.0.0.1:{registry.port}:{PORT}"),
            *("--network", "bridge", "--name", registry.container),
            *("--label", f"{MADE}={made_network}"),
            registry.image,
        ]
    )


def _wait(registry: Registry, say: Callable[[str], None]) -> None:
    say(f"waiting for the registry to answer on {registry.address}")
    deadline = time.monotonic() + _START_S
    while not registry.answers():
        if time.monotonic() > deadline:
            raise ToolUnavailable(
                f"container {registry.container} does not answer on {registry.address} after "
                f"{_START_S:g} s: see 'docker logs {registry.container}'"
            )
        time.sleep(_POLL_S)


def _container_at(port: int) -> str | None:
    """The running container that publishes this port."""
    names = tools.answer(
        ["docker", "ps", "--filter", f"publish={port}", "--format", "{{.Names}}"]
    ).split()
    return names[0] if names else None


def _ports(found: dict[str, Any]) -> set[int]:
    """The ports of this machine that a container publishes, also while it is stopped."""
    bindings = found["HostConfig"].get("PortBindings") or {}
    return {int(b["HostPort"]) for some in bindings.values() for b in some or () if b["HostPort"]}


def _answers(url: str) -> bool:
    try:
        with _opener().open(url, timeout=_ANSWER_S):
            return True
    except urllib.error.HTTPError as error:
        with error:
            return error.code == http.client.UNAUTHORIZED
    except (OSError, http.client.HTTPException):
        return False


def _opener() -> urllib.request.OpenerDirector:
    """For this machine: a proxy has no part in it."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))
