"""What is asked of nodes, members and sessions: requests that concern no key.

As keys.py: a function here returns what the session sends, and `decode` for what comes back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from raftzmq.client.operations.arguments import (
    Answer,
    NodeRequest,
    Operation,
    check_endpoint,
    write,
)
from raftzmq.errors import InvalidRequest
from raftzmq.naming import parse_pod_name
from raftzmq.transport.client_wire import (
    Done,
    MemberRequest,
    StatusReply,
    StatusRequest,
    StopRequest,
    TransferRequest,
)
from raftzmq.transport.frames import is_count

DEFAULT_ENDPOINTS: Final = ("127.0.0.1:6001", "127.0.0.1:6011", "127.0.0.1:6021")
"""The client ports of a local cluster."""


def open_session() -> Operation[tuple[int, str]]:
    """Gives the session's number, and the cluster in which it means something."""
    return write("open", [], _session)


def close_session() -> Operation[None]:
    return write("close", [], lambda _: None)


def status(endpoint: str | None) -> NodeRequest[dict[str, Any]]:
    return NodeRequest(StatusRequest, _status, True, False, endpoint and check_endpoint(endpoint))


def stop(endpoint: str) -> NodeRequest[str]:
    return NodeRequest(StopRequest, _message, False, False, check_endpoint(endpoint))


def transfer(to: str | None) -> NodeRequest[str]:
    if to is not None:
        _node_name(to)
    return NodeRequest(lambda ident: TransferRequest(ident, to), _message, False, True)


def member(action: str, name: str) -> NodeRequest[str]:
    _node_name(name)
    return NodeRequest(lambda ident: MemberRequest(ident, action, name), _message, False, True)


def endpoint_list(endpoints: Sequence[str] | str | None) -> tuple[str, ...]:
    """Return the endpoints of a list, or of text with commas in between, each once."""
    if endpoints is None:
        return DEFAULT_ENDPOINTS
    if isinstance(endpoints, str):
        endpoints = [part for part in endpoints.split(",") if part.strip()]
    if not endpoints:
        raise InvalidRequest("no endpoints: name at least one node's client port, as HOST:PORT")
    return tuple(dict.fromkeys(map(check_endpoint, endpoints)))


def _node_name(name: str) -> None:
    if not isinstance(name, str):
        raise InvalidRequest(f"a node's name is text, such as raft-1, not {name!r:.40}")
    parse_pod_name(name)


# -- decoding: bodies come from the network; a wrong shape raises TypeError, ValueError and such --


def _session(answer: Answer) -> tuple[int, str]:
    if not is_count(answer.body):  # it will stand in every request
        raise ValueError("not the number of a session")
    return answer.body, answer.cluster


def _status(reply: StatusReply | Done) -> dict[str, Any]:
    if not isinstance(reply, StatusReply):
        raise TypeError("not a status")
    return reply.status


def _message(reply: StatusReply | Done) -> str:
    if not isinstance(reply, Done):
        raise TypeError("not a message")
    return reply.message
