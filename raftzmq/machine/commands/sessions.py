"""The commands about client sessions. `run` takes the number of the session that sends them."""

from __future__ import annotations

from typing import Final

from raftzmq.machine.commands.operation import Command
from raftzmq.machine.commands.outcomes import DONE, Outcome, refused
from raftzmq.machine.state import State


def open_session(state: State, _number: int) -> Outcome:
    """`open`: the session's number, which is the command's revision."""
    if not state.sessions.open(state.revision, state.time_ms):
        return refused("overloaded", "the table of client sessions is full; retry later")
    return "ok", state.revision


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
    Command(name="open", arguments={}, run=open_session),
    Command(name="close", arguments={}, run=close_session),
)
