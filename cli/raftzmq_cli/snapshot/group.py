"""`raftzmq snapshot`: look into a backup, and make a new cluster of it. No node is asked."""

from __future__ import annotations

from typing import Final

from raftzmq_cli.common.commands import Group

FILES: Final = {
    "status": "raftzmq_cli.snapshot.status",
    "restore": "raftzmq_cli.snapshot.restore",
}

commands = Group(
    "snapshot",
    "Backups: what is in one, and a new cluster made of it.",
    """
    raftzmq client snapshot save backup          (of a running cluster)
    raftzmq snapshot status backup
    raftzmq snapshot restore backup --data-dir d0 --peers raft-0=127.0.0.1:6000
    raftzmq node raft-0 --data-dir d0 --peers raft-0=127.0.0.1:6000
    """,
    files=FILES,
)
