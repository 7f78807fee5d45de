"""The state machine of the users' own that a node is started with."""

from __future__ import annotations

from raftzmq.machine import Program
from raftzmq.server.config import ServerConfig
from raftzmq.server.text_log import TextLog


def program_of(config: ServerConfig, log: TextLog) -> Program | None:
    """What runs the class that `--machine` names, if it does. Raises InvalidRequest."""
    if config.machine is None:
        return None
    # Imported late: most nodes have none.
    from raftzmq.state_machine.loading import host_of

    return host_of(config.machine, check=config.check_machine, tell=log.warn)
