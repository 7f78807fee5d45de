"""`raftzmq keys secret`: the keys as Secrets of Kubernetes."""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from raftzmq.access import key_files
from raftzmq.access.key_directory import ADMIN, KeyDirectory
from raftzmq.access.keys import Kind
from raftzmq.access.node_keys import read_node_keys
from raftzmq.errors import InvalidRequest
from raftzmq_cli.common.commands import Commands
from raftzmq_cli.keys.options import DEFAULT, Directory

commands = Commands()

NODES: Final = "raft-keys"
CLIENT: Final = "raft-client"
"""The names of the Secrets: for the nodes, and for the pod `client`."""


@commands.command("secret", "raftzmq keys secret raftzmq-keys | kubectl apply -f -")
def secret(
    directory: Directory = DEFAULT,
    *,
    user: Annotated[
        str, typer.Option(metavar="NAME", help="Whose key the Secret raft-client holds.")
    ] = ADMIN,
) -> None:
    """Write the Secrets raft-keys (nodes) and raft-client to a pipe, for kubectl apply.

    They contain the secret keys, so nothing is written to a terminal.
    """
    if sys.stdout.isatty():
        raise InvalidRequest(
            "this writes secret keys, and not to a terminal: pipe it into `kubectl apply -f -`"
        )
    sys.stdout.write(json.dumps(secrets(directory, user), indent=2) + "\n")


def secrets(directory: Path, user: str = ADMIN) -> dict[str, Any]:
    """The Secrets as one document of Kubernetes. Raises KeyFileError."""
    keys = KeyDirectory(directory)
    read_node_keys(directory)  # says what is wrong
    key_files.read_lines(keys.file_of(user), Kind.USER, Kind.SERVER)
    nodes = (key_files.NODE_FILE, key_files.SERVER_FILE, key_files.USERS_FILE)
    return {
        "apiVersion": "v1",
        "kind": "List",
        "items": [
            _secret(NODES, "node", {name: directory / name for name in nodes}),
            _secret(CLIENT, "client", {"client.key": keys.file_of(user)}),
        ],
    }


def _secret(name: str, component: str, files: dict[str, Path]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": name,
            "labels": {
                "app.kubernetes.io/name": "raftzmq",
                "app.kubernetes.io/component": component,
                "app.kubernetes.io/part-of": "raftzmq",
            },
        },
        "type": "Opaque",
        "data": {
            file: base64.b64encode(path.read_bytes()).decode("ascii")
            for file, path in files.items()
        },
    }
