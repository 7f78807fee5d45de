"""`raftzmq keys`: make keys, add and remove users, replace keys without a pause."""

from __future__ import annotations

from typing import Final

from raftzmq_cli.common.commands import Group

FILES: Final = {
    "create": "raftzmq_cli.keys.directory",
    "list": "raftzmq_cli.keys.directory",
    "add": "raftzmq_cli.keys.users",
    "remove": "raftzmq_cli.keys.users",
    "new": "raftzmq_cli.keys.users",
    "rotate": "raftzmq_cli.keys.rotation",
    "secret": "raftzmq_cli.keys.kubernetes",
}

commands = Group(
    "keys",
    "Keys: who is let in, and who may do what.",
    """
    raftzmq keys create raftzmq-keys                the nodes' keys, and a user admin
    raftzmq node raft-0 --keys raftzmq-keys ...
    raftzmq client --key raftzmq-keys/admin.key status
    raftzmq keys add billing --write billing/ --read prices/
    raftzmq keys list

    Secret keys are in files that only you can read, and never printed.
    """,
    files=FILES,
)
