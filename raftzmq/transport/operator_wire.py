"""What operators and nodes say to one another, as JSON objects: PROTOCOL.md, "The other requests".

client_wire.py makes frames of them and checks version and depth.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from raftzmq import limits
from raftzmq.errors import WireError
from raftzmq.transport.frames import VERSION, is_name, is_text

MEMBER_ACTIONS: Final = frozenset({"add", "promote", "remove"})
UPGRADE_ACTIONS: Final = frozenset({"finish", "downgrade"})
LOG_LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR")
"""From the most to the least that a node's text log says."""


@dataclass(frozen=True, slots=True)
class StatusRequest:
    """Ask the node for its status."""

    id: int


@dataclass(frozen=True, slots=True)
class StopRequest:
    """Stop, as on SIGTERM."""

    id: int


@dataclass(frozen=True, slots=True)
class TransferRequest:
    """Hand leadership over to the node named `to`, or to the most caught-up voter."""

    id: int
    to: str | None


@dataclass(frozen=True, slots=True)
class MemberRequest:
    """Change the membership: `action` is one of MEMBER_ACTIONS."""

    id: int
    action: str
    name: str


@dataclass(frozen=True, slots=True)
class UpgradeRequest:
    """Raise the cluster version, or lower it: `action` is one of UPGRADE_ACTIONS."""

    id: int
    action: str


@dataclass(frozen=True, slots=True)
class LogLevelRequest:
    """Let the node's text log say so much, until it ends: `level` is one of LOG_LEVELS."""

    id: int
    level: str


@dataclass(frozen=True, slots=True)
class StatusReply:
    id: int
    status: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Done:
    """A stop, transfer, membership change, upgrade or other request is complete."""

    id: int
    message: str


OperatorSays = (
    StatusRequest | StopRequest | TransferRequest | MemberRequest | UpgradeRequest | LogLevelRequest
)
OperatorHears = StatusReply | Done


def request_object(request: OperatorSays) -> dict[str, Any]:
    """The JSON object of a request."""
    match request:
        case StatusRequest(ident):
            return {"v": VERSION, "type": "status", "id": ident}
        case StopRequest(ident):
            return {"v": VERSION, "type": "stop", "id": ident}
        case TransferRequest(ident, to):
            return {"v": VERSION, "type": "transfer", "id": ident, "to": to}
        case MemberRequest(ident, action, name):
            return {"v": VERSION, "type": "member", "id": ident, "action": action, "name": name}
        case UpgradeRequest(ident, action):
            return {"v": VERSION, "type": "upgrade", "id": ident, "action": action}
        case LogLevelRequest(ident, level):
            return {"v": VERSION, "type": "log_level", "id": ident, "level": level}


def reply_object(reply: OperatorHears) -> dict[str, Any]:
    """The JSON object of a reply."""
    match reply:
        case StatusReply(ident, status):
            return {"v": VERSION, "type": "status", "id": ident, "status": status}
        case Done(ident, message):
            return {"v": VERSION, "type": "done", "id": ident, "message": message}


def _transfer(ident: int, header: dict[str, Any]) -> TransferRequest:
    to = header.get("to")
    if not (to is None or is_name(to)):
        raise WireError("invalid", "to is not a node's name, such as raft-1, or null", [ident])
    return TransferRequest(ident, to)


def _member(ident: int, header: dict[str, Any]) -> MemberRequest:
    action = header.get("action")
    name = header.get("name")
    if not (type(action) is str and action in MEMBER_ACTIONS):
        raise WireError("invalid", "action is not add, promote or remove", [ident])
    if not is_name(name):
        raise WireError("invalid", "name is not a node's name, such as raft-3", [ident])
    return MemberRequest(ident, action, name)


def _upgrade(ident: int, header: dict[str, Any]) -> UpgradeRequest:
    action = header.get("action")
    if not (type(action) is str and action in UPGRADE_ACTIONS):
        raise WireError("invalid", "action is not finish or downgrade", [ident])
    return UpgradeRequest(ident, action)


def _log_level(ident: int, header: dict[str, Any]) -> LogLevelRequest:
    level = header.get("level")
    if level not in LOG_LEVELS:
        raise WireError("invalid", f"level is not one of {', '.join(LOG_LEVELS)}", [ident])
    return LogLevelRequest(ident, level)


def _status(ident: int, header: dict[str, Any]) -> StatusReply:
    status = header.get("status")
    if type(status) is not dict:
        raise WireError("form", "status is not an object")
    return StatusReply(ident, status)


def _done(ident: int, header: dict[str, Any]) -> Done:
    message = header.get("message")
    if not is_text(message, limits.FRAME_BYTES):
        raise WireError("form", "message is not a text")
    return Done(ident, message)


REQUESTS: Final[dict[str, Callable[[int, dict[str, Any]], OperatorSays]]] = {
    "status": lambda ident, _: StatusRequest(ident),
    "stop": lambda ident, _: StopRequest(ident),
    "transfer": _transfer,
    "member": _member,
    "upgrade": _upgrade,
    "log_level": _log_level,
}

REPLIES: Final[dict[str, Callable[[int, dict[str, Any]], OperatorHears]]] = {
    "status": _status,
    "done": _done,
}
