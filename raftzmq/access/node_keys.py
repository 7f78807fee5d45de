"""The keys of a node that runs with keys, and whom it lets in: node.key, server.key, users.toml.

Beside key_files.py, so that a client, which reads a NAME.key, does not load what reads users.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from raftzmq.access.key_files import (
    NODE_FILE,
    OTHERS_MAY_WRITE,
    SERVER_FILE,
    USERS_FILE,
    KeyFileError,
    pair_of,
    public_of,
    read_lines,
    read_text,
)
from raftzmq.access.keys import KeyPair, Kind, PublicKey, SecretKey
from raftzmq.access.users import Users
from raftzmq.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class OwnKeys:
    """A node.key or a server.key: `own` is the first key, and all are `accepted`."""

    own: KeyPair
    accepted: tuple[PublicKey, ...]


@dataclass(frozen=True, slots=True)
class NodeKeys:
    """What a node that runs with keys has read."""

    node: OwnKeys
    server: OwnKeys
    users: Users


def read_node_keys(directory: Path) -> NodeKeys:
    """Read a node's keys and the users. Raises KeyFileError."""
    return NodeKeys(
        node=_own_keys(directory / NODE_FILE, Kind.NODE),
        server=_own_keys(directory / SERVER_FILE, Kind.SERVER),
        users=read_users(directory),
    )


def read_users(directory: Path) -> Users:
    """Read users.toml. Raises KeyFileError."""
    path = directory / USERS_FILE
    text = read_text(path, OTHERS_MAY_WRITE, "change")
    try:
        return Users.parse(text)
    except InvalidRequest as error:
        raise KeyFileError(f"{directory}: {error}") from None


def _own_keys(path: Path, kind: Kind) -> OwnKeys:
    lines = read_lines(path, kind)
    if not lines or not isinstance(lines[0].key, SecretKey):
        raise KeyFileError(
            f"{path} does not begin with a secret key, {kind}-secret-…: `raftzmq keys create` "
            "makes one"
        )
    return OwnKeys(pair_of(lines[0].key), tuple(public_of(line.key) for line in lines))
