"""Who may do what at this node: the rules of raftzmq/access, asked of what the node knows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from raftzmq.access import rights
from raftzmq.access.users import User
from raftzmq.core.role import Role
from raftzmq.errors import Overloaded
from raftzmq.node.state import NodeState
from raftzmq.transport.operator_wire import (
    LogLevelRequest,
    MemberRequest,
    OperatorSays,
    StatusRequest,
    StopRequest,
    TransferRequest,
    UpgradeRequest,
)

WORDS: Final[dict[type[OperatorSays], str]] = {
    StatusRequest: "status",
    StopRequest: "stop",
    TransferRequest: "transfer",
    MemberRequest: "member",
    UpgradeRequest: "upgrade",
    LogLevelRequest: "log_level",
}


class Access:
    """What one node asks of the rules, and the owners that they ask about."""

    def __init__(self, node: NodeState) -> None:
        self._node = node

    def is_decided_here(self, *, stale: bool) -> bool:
        """Whether this node does the operations of a message, and so says who may. Others refuse
        them with the leader's name: their users may be older than the leader's."""
        return stale or self._node.raft.role is Role.LEADER

    def check(self, user: User, op: Sequence[Any]) -> None:
        """Raises Denied if the user may not do a validated operation `[id, name, …arguments]`, and
        Overloaded if it names a lease that may yet be granted."""
        rights.check_operation(user, op[1:], self)

    def check_operator(self, user: User, request: OperatorSays) -> None:
        """Raises Denied if the user may not ask for this."""
        rights.check_request(user, WORDS[type(request)])

    def of_lease(self, lease: int) -> str | None:
        """Whose lease it is. A lease's number is the revision that granted it. So one that is above
        what is applied here may be anybody's: a new leader has the entry, and has not executed it;
        or it is granted in this very turn. One at or below never returns once it has ended."""
        machine = self._node.machine
        if lease > machine.revision:
            raise Overloaded(f"lease {lease} is not known here yet: try again")
        return machine.owner_of(lease)

    def of_place(self, kind: str, name: str, token: int) -> str | None:
        """Whose place it is. Of a token that is yet to be given nobody is the owner."""
        return self._node.machine.owner_of_place(kind, name, token)
