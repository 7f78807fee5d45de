"""Where the cluster is, for a client or a command that is not told: one rule for all of them.

1. RAFTZMQ_ENDPOINTS.
2. In a pod, the nodes by their names in the Service: of the pod's own cluster, or of that which
   RAFTZMQ_NAME, RAFTZMQ_SERVICE, RAFTZMQ_NAMESPACE and RAFTZMQ_REPLICAS describe.
3. The local cluster that `raftzmq local up` has made from this directory, or in RAFTZMQ_LOCAL_DIR.
   Without one, the ports that it would have.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from raftzmq.errors import InvalidRequest
from raftzmq.naming import client_address, endpoint_list, parse_pod_name, service_address

ENDPOINTS: Final = "RAFTZMQ_ENDPOINTS"
KEY: Final = "RAFTZMQ_KEY"
LOCAL_DIRECTORY: Final = Path(".raftzmq/local")
LOCAL_BASE_PORT: Final = 6000
LOCAL_NODES: Final = 3
LOCAL_NODES_MAX: Final = 99
LOCAL_STEP: Final = 10
"""Ports of a local node; the client port is the second."""
REPLICAS: Final = 3
NAME: Final = "raft"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a cluster is to be found.

    `guess` is empty for endpoints that were given. Otherwise it says where they come from and what
    to do if nobody answers there. `key` is the key file that the environment names.
    """

    endpoints: tuple[str, ...]
    guess: str = ""
    key: Path | None = None


def find(endpoints: Sequence[str] | str | None, environ: Mapping[str, str] = os.environ) -> Place:
    """Where a client finds its cluster: at `endpoints`, or by the rule above. Only who gives none
    has the environment asked, for endpoints and for a key. Raises InvalidRequest."""
    if endpoints is not None:
        return Place(endpoint_list(endpoints))
    key = Path(environ[KEY]) if environ.get(KEY) else None
    given = environ.get(ENDPOINTS)
    if given is not None:
        if not given.strip():
            raise InvalidRequest(
                f"{ENDPOINTS} is empty: unset it, or give HOST:PORT, such as 127.0.0.1:6001"
            )
        return Place(endpoint_list(given), key=key)
    return Place(*_default(environ), key=key)


def default_endpoints(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The endpoints where none are given. Raises InvalidRequest."""
    return _default(environ)[0]


def in_pod(environ: Mapping[str, str]) -> bool:
    return bool(environ.get("MINOMBREPOD") or environ.get("KUBERNETES_SERVICE_HOST"))


def local_endpoints(nodes: int, base_port: int) -> tuple[str, ...]:
    """Client ports of a local cluster."""
    return tuple(f"127.0.0.1:{base_port + LOCAL_STEP * k + 1}" for k in range(nodes))


def described(document: dict[str, Any]) -> tuple[int, int, Path | None]:
    """Size, first port, and directory of keys, as cluster.json has them. Raises ValueError,
    KeyError or TypeError for what is no such document."""
    size, base_port = int(document["nodes"]), int(document["base_port"])
    keys = document.get("keys")
    return size, base_port, Path(keys) if keys else None


def _default(environ: Mapping[str, str]) -> tuple[tuple[str, ...], str]:
    """Endpoints, and where they come from."""
    if in_pod(environ):
        endpoints, service = _of_service(environ)
        return endpoints, (
            f"{ENDPOINTS} is not set, so these are the nodes of the Service {service}: set it, or "
            "RAFTZMQ_SERVICE, RAFTZMQ_NAMESPACE and RAFTZMQ_REPLICAS"
        )
    directory = Path(environ.get("RAFTZMQ_LOCAL_DIR") or LOCAL_DIRECTORY)
    found = _local(directory)
    if found is None:
        return local_endpoints(LOCAL_NODES, LOCAL_BASE_PORT), (
            f"{ENDPOINTS} is not set, this is no pod, and {directory} has no local cluster: set "
            "it, or start one by 'raftzmq local up'"
        )
    return found, (
        f"{ENDPOINTS} is not set and this is no pod, so this is the local cluster in {directory}: "
        "set it, or start that by 'raftzmq local up'"
    )


def _of_service(environ: Mapping[str, str]) -> tuple[tuple[str, ...], str]:
    """The nodes by their names, and the name of the Service."""
    pod = environ.get("MINOMBREPOD", "")
    base = parse_pod_name(pod).base if pod else environ.get("RAFTZMQ_NAME", NAME)
    service = environ.get("RAFTZMQ_SERVICE") or f"{base}-service"
    namespace = environ.get("RAFTZMQ_NAMESPACE") or None
    count = environ.get("RAFTZMQ_REPLICAS") or str(REPLICAS)
    if not (count.isascii() and count.isdigit() and int(count) > 0):
        raise InvalidRequest(f"RAFTZMQ_REPLICAS must be a whole number above 0, not {count!r}")
    names = [service_address(f"{base}-{k}", service, namespace) for k in range(int(count))]
    return tuple(map(client_address, names)), f"{service}.{namespace}" if namespace else service


def _local(directory: Path) -> tuple[str, ...] | None:
    """The client ports of the cluster that lives in a directory; None: there is none, or one of the
    older design. Raises InvalidRequest."""
    file = directory / "cluster.json"
    try:
        document = json.loads(file.read_bytes())
        if "design" in document:
            return None
        nodes, base_port, _ = described(document)
        if not 0 < nodes <= LOCAL_NODES_MAX:
            raise ValueError(nodes)
        return endpoint_list(local_endpoints(nodes, base_port))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise InvalidRequest(
            f"{file} cannot be read ({error.strerror}): set {ENDPOINTS}, or mend that"
        ) from None
    except (ValueError, KeyError, TypeError, InvalidRequest):
        raise InvalidRequest(
            f"{file} is damaged: set {ENDPOINTS}, or start the cluster anew by 'raftzmq local up'"
        ) from None
