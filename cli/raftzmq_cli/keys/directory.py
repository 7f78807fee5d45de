"""`raftzmq keys create | list`: a directory of keys as a whole."""

from __future__ import annotations

from typing import Any, Final

from raftzmq.access.key_directory import ADMIN, KeyDirectory
from raftzmq.access.keys import Kind
from raftzmq_cli.common import printers
from raftzmq_cli.common.commands import Commands
from raftzmq_cli.common.messages import program, short
from raftzmq_cli.common.settings import GroupOutput, Output
from raftzmq_cli.keys.options import DEFAULT, Directory, Keys

commands = Commands()

_HEADINGS: Final = {
    "name": "NAME",
    "admin": "ADMIN",
    "read": "READ",
    "write": "WRITE",
    "keys": "PUBLIC KEYS",
}


@commands.command("create", "raftzmq keys create\nraftzmq keys create /etc/raftzmq/keys")
def create(directory: Directory = DEFAULT, *, output: GroupOutput = None) -> None:
    """Make a directory with the nodes' keys, users.toml, and the key of a user admin.

    node.key is the same for all nodes: whoever has it is trusted as a node. server.key is how
    clients know the cluster. Nothing that exists is overwritten.
    """
    keys = KeyDirectory(directory)
    keys.create()
    where = short(directory)
    document = {"directory": str(directory), "admin_key": str(keys.file_of(ADMIN))}
    lines = [
        f"made {where}: node.key, server.key, users.toml, {ADMIN}.key",
        f"  {program()} node … --keys {where}     (each node needs the first three)",
        f"  {program()} client --key {where}/{ADMIN}.key status",
    ]
    printers.show(output or Output.SIMPLE, document, lines)


@commands.command("list", "raftzmq keys list\nraftzmq keys list -w json")
def list_(keys: Keys = DEFAULT, output: GroupOutput = None) -> None:
    """Show the users, what each may do, and all public keys."""
    directory = KeyDirectory(keys)
    rows: list[dict[str, Any]] = [
        {
            "name": name,
            "kind": kind.name.lower(),
            "keys": [str(key) for key in directory.public_keys(kind)],
            "read": [],
            "write": [],
            "admin": False,
        }
        for name, kind in (("(nodes)", Kind.NODE), ("(cluster)", Kind.SERVER))
    ]
    rows += [
        {
            "name": user.name,
            "kind": "user",
            "keys": list(user.keys),
            "read": list(user.read),
            "write": list(user.write),
            "admin": user.admin,
        }
        for user in directory.users()
    ]
    shown = [
        {**row, "admin": "yes" if row["admin"] else "", **{f: " ".join(row[f]) for f in _LISTS}}
        for row in rows
    ]
    printers.show(output or Output.SIMPLE, rows, printers.aligned(shown, _HEADINGS), [*_HEADINGS])


_LISTS: Final = ("keys", "read", "write")
