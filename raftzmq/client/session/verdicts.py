"""What a node's "no" means for a call, and the words of errors.

The one question that matters: may the write have been done, now or later? It may once a try was
sent and not answered by "not done" (`Call.in_doubt`, or in flight at the deadline). Then it must
not be called failed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from raftzmq.client.session.calls import Call
from raftzmq.client.session.endpoints import Endpoints
from raftzmq.errors import (
    Denied,
    DiskFull,
    Fenced,
    InvalidRequest,
    LeaseExpired,
    NotAcquired,
    NotFound,
    NotHeld,
    OutcomeUnknown,
    Overloaded,
    RaftzmqError,
    Refused,
    StoreFull,
    Unauthorized,
    Unavailable,
    Unsupported,
)
from raftzmq.state_machine.errors import MethodFailed, Rejected
from raftzmq.transport.client_wire import ErrorReply

RETRIED: Final = frozenset({"not_leader", "forming", "unsupported_version", "session_expired"})
"""Answers that say "not done" and are no fault of the call: it is sent again."""

DONE: Final = frozenset({"ok", "compare_failed"})
"""The codes of results."""

STAYING: Final = frozenset(
    {
        *("overloaded", "disk_full", "store_full", "refused", "denied", "session_expired"),
        *("invalid", "malformed", "unsupported"),
    }
)
"""Answers after which another node would be no better to ask."""

REFUSALS: Final[Mapping[str, type[Refused]]] = {
    error.code: error
    for error in (LeaseExpired, NotAcquired, NotHeld, NotFound, Fenced, Rejected, MethodFailed)
}
"""Results too, of operations that were executed and changed nothing: as final as any."""

FULL: Final[Mapping[str, type[DiskFull]]] = {error.code: error for error in (DiskFull, StoreFull)}
"""Answers that say "not done", and that waiting does not mend."""

FORBIDDEN: Final[Mapping[str, type[Refused]]] = {e.code: e for e in (Denied, Unsupported)}
"""Answers that say "not done", now nor later, of this message: an earlier try may have been."""

UNKNOWN_OPERATION: Final = "unknown operation"
"""How the message of a node begins that is too old to know an operation."""

ABOUT_THE_MESSAGE: Final = frozenset({"invalid", "malformed"})


def declined(call: Call, code: str, message: str) -> RaftzmqError | None:
    """Take note of an answer that is not a result. Return the error that the call ends with, or
    None if it is to be sent again."""
    if code in RETRIED:
        if code == "session_expired" and call.is_write and call.in_doubt:
            return OutcomeUnknown(
                "sent more than once, and then its session had expired: it may have been done"
            )
        call.refusal = None
        return None
    if code in ABOUT_THE_MESSAGE and message.startswith(UNKNOWN_OPERATION):
        code = Unsupported.code
        message = (
            f"the node that leads runs an older build ({message}): upgrade every node, then run "
            "`raftzmq client upgrade finish`; nothing was changed"
        )
    if code in ABOUT_THE_MESSAGE:
        return InvalidRequest(message)
    if code in FORBIDDEN:
        if call.is_write and call.in_doubt:
            return OutcomeUnknown(f"sent more than once: it may have been done before ({message})")
        return FORBIDDEN[code](message)
    if code == Overloaded.code:
        call.refusal = Overloaded(message)
        return None
    if code in FULL:
        return None if call.is_write and call.in_doubt else FULL[code](message)
    if code == Refused.code:
        if not call.repeatable:
            return Refused(message)
        call.refusal = Refused(message)
        return None
    # outcome_unknown, or a word of a later release, which may mean the same.
    if not call.repeatable:
        return OutcomeUnknown(message)
    call.in_doubt = True
    return None


def overdue(call: Call, endpoints: Endpoints) -> RaftzmqError:
    """The error of a call whose deadline has passed."""
    within = f"within {(call.deadline_ms - call.submitted_ms) / 1000:g} s"
    account = endpoints.account(call.submitted_ms, call.work.endpoint)
    if _may_act(call):
        return OutcomeUnknown(
            f"sent, but not answered {within}: it may have been done, or be done yet ({account})"
        )
    if call.refusal is not None:
        return type(call.refusal)(f"not done {within}: {call.refusal}")
    who = "no leader" if call.to_leader else "no node"
    return Unavailable(f"{who} answered {within} ({account})")


def abandoned(call: Call, why: str) -> RaftzmqError:
    """The error of a call that the client gives up."""
    if _may_act(call):
        return OutcomeUnknown(f"{why} before the answer came: it may have been done")
    return Unavailable(f"{why} before the call was answered")


def unauthorized(call: Call, why: str) -> RaftzmqError:
    """The error of a call that no endpoint takes, because the handshake fails."""
    if _may_act(call):
        return OutcomeUnknown(f"sent, and may have been done; now {why}")
    return Unauthorized(why)


def _may_act(call: Call) -> bool:
    return call.is_write and (call.in_doubt or call.batch is not None)


def message_of(body: Any, code: str) -> str:
    """What the body of a result that is a refusal says."""
    return str(body.get("message", code)) if isinstance(body, dict) else code


def words(reply: ErrorReply) -> str:
    """What an endpoint answered, for `Endpoints.note`."""
    if reply.code == "not_leader":
        return f"not leader, names {reply.leader}" if reply.leader else "knows no leader"
    code = reply.code.replace("_", " ")
    if reply.code in {"malformed", "unsupported_version", "refused", "denied"}:
        return f"{code} ({reply.message})"
    return code
