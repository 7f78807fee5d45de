"""The Secrets of a deployment: made once, from a directory of keys beside the record of what is up.

Nothing here shows a key: keys go to kubectl through its standard input, and it prints names alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from raftzmq.access.key_directory import KeyDirectory
from raftzmq.errors import InvalidRequest
from raftzmq_cli.cluster import deployments_record, tools
from raftzmq_cli.cluster.kubectl import Kubectl
from raftzmq_cli.common.messages import program
from raftzmq_cli.keys.kubernetes import CLIENT, NODES, secrets


def directory_of(kubectl: Kubectl) -> Path:
    """The keys of what `cluster apply` has made in this namespace."""
    parts = (quote(kubectl.context, safe=""), kubectl.namespace)
    return deployments_record.FILE.parent.joinpath("cluster-keys", *parts)


def require(kubectl: Kubectl, say: Callable[[str], None]) -> None:
    """Make the Secrets if they are not there, and the keys if there are none. What is there is
    never replaced. Raises InvalidRequest if only one is there, for the two belong together."""
    found = [name for name in (NODES, CLIENT) if _exists(kubectl, name)]
    directory = directory_of(kubectl)
    if len(found) == 1:
        (missing,) = {NODES, CLIENT} - set(found)
        raise InvalidRequest(
            f"there is a Secret {found[0]} and no {missing}: make it from the same keys, with "
            f"`{program()} keys secret DIR | kubectl apply -f -`, or delete {found[0]} if no node "
            "uses it"
        )
    if found:
        return
    if not directory.is_dir():
        KeyDirectory(directory).create()
        say(f"made keys in {directory}: keep them, and nobody else may have them")
    kubectl.act("create", "-f", "-", stdin=json.dumps(secrets(directory)))


def delete(kubectl: Kubectl) -> None:
    """Delete the Secrets; the directory of keys stays, for the next time."""
    kubectl.act("delete", "--ignore-not-found", "--wait=false", "secret", NODES, CLIENT)


def _exists(kubectl: Kubectl, name: str) -> bool:
    words = kubectl.words("get", "secret", name, "-o", "name", "--ignore-not-found")
    return bool(tools.answer(words).strip())
