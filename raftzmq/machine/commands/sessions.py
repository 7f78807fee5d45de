"""The commands about client sessions. `run` takes the number of the session that sends them."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Any, Final

from raftzmq.errors import InvalidRequest, UnknownEntry
from raftzmq.machine.commands.operation import Command
from raftzmq.machine.commands.outcomes import DONE, Outcome, refused
from raftzmq.machine.state import State

_SECRET: Final = re.compile(r"[0-9a-f]{16}")


def open_session(state: State, _number: int, secret: str | None = None) -> Outcome:
    """`open secret`: the session's number. Nobody can guess it who does not know the secret.

    The number depends on the revision too, so an `open` that comes late, again, opens a session of
    its own, and never one that was used and closed. In older logs it has no secret, and the number
    is the revision.
    """
    number = state.revision
    if secret is not None:
        if type(secret) is not str:
            raise UnknownEntry("open with a secret that is no text")
        number = _number_of(secret, state.revision)
    if not state.sessions.open(number, state.time_ms):
        return refused("overloaded", "the table of client sessions is full; retry later")
    return "ok", number


def _number_of(secret: str, revision: int) -> int:
    digest = sha256(f"{secret} {revision}".encode()).digest()
    return int.from_bytes(digest[:8]) or 1  # 0 stands for no session


def _check_secret(secret: Any, what: str) -> None:
    if type(secret) is not str or _SECRET.fullmatch(secret) is None:
        raise InvalidRequest(f"the {what} must be 16 hexadecimal digits, drawn at random")


def close_session(state: State, number: int) -> Outcome:
    """`close`: forget the session and the results that it keeps."""
    if number not in state.sessions.table:
        return session_expired(number)
    state.sessions.close(number)
    return DONE


def session_expired(number: int) -> Outcome:
    """Return the outcome of a command whose session is not there; 0 stands for none."""
    if number == 0:
        return refused("session_expired", "a write needs a session: open one")
    return refused("session_expired", f"session {number} is unknown")


COMMANDS: Final = (
    Command(name="open", arguments={"secret": _check_secret}, newer=1, run=open_session),
    Command(name="close", arguments={}, run=close_session),
)
