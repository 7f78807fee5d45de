"""What is asked of nodes, members and sessions: requests that concern no key."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from raftzmq import limits
from raftzmq.client.operations.arguments import (
    Answer,
    NodeRequest,
    Operation,
    decode_nothing,
    quoted,
    write,
)
from raftzmq.errors import InvalidRequest
from raftzmq.naming import check_endpoint, parse_pod_name
from raftzmq.transport.client_wire import Request, Single
from raftzmq.transport.frames import is_count
from raftzmq.transport.operator_wire import (
    LOG_LEVELS,
    Done,
    LogLevelRequest,
    MemberRequest,
    StatusReply,
    StatusRequest,
    StopRequest,
    TransferRequest,
    UpgradeRequest,
)


def status(endpoint: str | None = None, *, timeout: float = 5) -> NodeRequest[dict[str, Any]]:
    """What the node at `endpoint`, or any, says of itself; PROTOCOL.md has the fields.
    For example:

        print(db.status()["leader"])
    """
    return NodeRequest(
        StatusRequest,
        _status,
        repeatable=True,
        to_leader=False,
        endpoint=endpoint and check_endpoint(endpoint),
        timeout_s=timeout,
    )


def stop(endpoint: str, *, timeout: float = 5) -> NodeRequest[str]:
    """Stop the node at `endpoint`, as SIGTERM does. Returns what it said.
    For example:

        db.stop("127.0.0.1:6011")
    """
    return NodeRequest(
        StopRequest,
        _message,
        repeatable=False,
        to_leader=False,
        endpoint=check_endpoint(endpoint),
        timeout_s=timeout,
    )


def log_level(endpoint: str, level: str, *, timeout: float = 5) -> NodeRequest[str]:
    """Let the node at `endpoint` log DEBUG, INFO, WARNING or ERROR and above until it ends. Returns
    what it said.

        db.log_level("127.0.0.1:6011", "DEBUG")
    """
    if not isinstance(level, str) or level.upper() not in LOG_LEVELS:
        raise InvalidRequest(f"a level is {', '.join(LOG_LEVELS)}, not {quoted(level)}")
    return NodeRequest(
        lambda ident: LogLevelRequest(ident, level.upper()),
        _message,
        repeatable=True,
        to_leader=False,
        endpoint=check_endpoint(endpoint),
        timeout_s=timeout,
    )


def transfer(to: str | None = None, *, timeout: float = 5) -> NodeRequest[str]:
    """Hand leadership to the node named `to`, or to whoever is most caught up.
    For example:

        db.transfer("raft-1")
    """
    if to is not None:
        _check_node(to)
    return _to_leader(lambda ident: TransferRequest(ident, to), timeout)


def member_add(name: str, *, timeout: float = 5) -> NodeRequest[str]:
    """Admit the waiting node `name`; done when it is a voter.
    For example:

        db.member_add("raft-3", timeout=60)
    """
    return _member("add", name, timeout)


def member_promote(name: str, *, timeout: float = 5) -> NodeRequest[str]:
    """Make the learner `name` a voter.
    For example:

        db.member_promote("raft-3")
    """
    return _member("promote", name, timeout)


def member_remove(name: str, *, timeout: float = 5) -> NodeRequest[str]:
    """Remove the member `name`.
    For example:

        db.member_remove("raft-3")
    """
    return _member("remove", name, timeout)


def upgrade_finish(*, timeout: float = 5) -> NodeRequest[str]:
    """Raise the cluster version to what all members speak, and take back a downgrade.
    For example:

        db.upgrade_finish()  # when each node runs the new release
    """
    return _to_leader(lambda ident: UpgradeRequest(ident, "finish"), timeout)


def upgrade_downgrade(*, timeout: float = 5) -> NodeRequest[str]:
    """Lower the cluster version by one, and keep it there, so that older nodes can run.
    For example:

        db.upgrade_downgrade()  # and then each node may run the release before
    """
    return _to_leader(lambda ident: UpgradeRequest(ident, "downgrade"), timeout)


def _member(action: str, name: str, timeout: float) -> NodeRequest[str]:
    _check_node(name)
    return _to_leader(lambda ident: MemberRequest(ident, action, name), timeout)


def _to_leader(build: Callable[[int], Request], timeout: float) -> NodeRequest[str]:
    return NodeRequest(build, _message, repeatable=False, to_leader=True, timeout_s=timeout)


# -- what the session and shells ask; no methods of a client ----------------------------------


def open_session(secret: str) -> Operation[tuple[int, str]]:
    """Gives the session's number, which follows from the `secret`, 16 hexadecimal digits that
    nobody can guess, and the cluster in which it means something."""
    return write("open", [secret], _session)


def close_session() -> Operation[None]:
    return write("close", [], decode_nothing)


def _check_node(name: str) -> None:
    if not isinstance(name, str):
        raise InvalidRequest(f"a node's name is text, such as raft-1, not {quoted(name)}")
    parse_pod_name(name)


# -- decoding: bodies come from the network; a wrong shape raises TypeError, ValueError and such --


def _session(answer: Answer) -> tuple[int, str]:
    if not is_count(answer.body, limits.SESSION_MAX):  # it will stand in every request
        raise ValueError("not the number of a session")
    return answer.body, answer.cluster


def _status(reply: Single) -> dict[str, Any]:
    if not isinstance(reply, StatusReply):
        raise TypeError("not a status")
    return reply.status


def _message(reply: Single) -> str:
    if not isinstance(reply, Done):
        raise TypeError("not a message")
    return reply.message
