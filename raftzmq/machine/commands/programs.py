"""The commands and the read of a state machine of the users' own: tables/program.py."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from raftzmq import limits
from raftzmq.errors import InvalidRequest, MissingProgram, Unsupported
from raftzmq.machine import work
from raftzmq.machine.commands.checks import check_integer, check_value, kind_of, shown
from raftzmq.machine.commands.operation import Command, Read
from raftzmq.machine.commands.outcomes import Outcome, refused
from raftzmq.machine.commands.upgrades import HOLDINGS
from raftzmq.machine.state import State
from raftzmq.machine.tables.program import Program
from raftzmq.machine.values import expect_integers, expect_text

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")


def call(state: State, name: str, method: str, arguments: str) -> Outcome:
    """`call name method arguments`: run a method of the program: `[result]`."""
    for argument in (name, method, arguments):
        expect_text(argument)
    own = state.program
    if not own.name:
        return _nobody()
    before = own.text
    code, body, after = _runner(state).call(
        before, own.version, method, arguments, state.time_ms, state.revision
    )
    state.work += 1 + (len(before) + len(arguments)) // work.ENTRY_BYTES
    if after is not None:
        own.replace(after)
    return code, body


def ask(state: State, name: str, method: str, arguments: str) -> Outcome:
    """`ask name method arguments`: run a method that changes nothing: `[result]`."""
    own = state.program
    if not own.name or state.runner is None:
        return _nobody()
    try:
        check_callable(state, name, method, arguments, writes=False)
    except (InvalidRequest, Unsupported) as error:
        return refused(error.code, str(error))
    return state.runner.ask(own.text, own.version, method, arguments, state.time_ms, state.revision)


def program(state: State, _number: int, name: str, version: int) -> Outcome:
    """`program name version`: from the next entry on the program of that name is in force, in that
    version. Its state begins, or is made one of that version."""
    expect_integers(version)
    own, runner = state.program, state.runner
    if runner is None or runner.name != expect_text(name) or runner.version < version:
        raise MissingProgram(why_missing(name, version, runner))
    if own.name not in ("", name) or version <= own.version:
        return refused("refused", f"{own.name} version {own.version} is in force already")
    if own.name:
        code, body, text = runner.migrate(own.text, own.version, version)
    else:
        code, body, text = runner.first(version)
    if text is not None:
        own.name, own.version = name, version
        own.replace(text)
    return code, body


def check_callable(state: State, name: str, method: str, arguments: str, *, writes: bool) -> None:
    """Raises InvalidRequest unless the program that is in force has such a method that takes such
    arguments, and Unsupported if a later version has."""
    own, runner = state.program, state.runner
    if not own.name or runner is None:
        raise Unsupported(_NOBODY)
    if name != own.name:
        raise InvalidRequest(f"the state machine of this cluster is {own.name}, not {name}")
    runner.check(own.version, method, arguments, writes=writes)


def check_program(state: State) -> None:
    """Raises MissingProgram if the state needs a program that this process does not have."""
    own, runner = state.program, state.runner
    if own.name and (runner is None or runner.name != own.name or runner.version < own.version):
        raise MissingProgram(why_missing(own.name, own.version, runner))


def why_missing(name: str, version: int, runner: Program | None) -> str:
    """What the cluster's program is, what this process has, and what to do."""
    has = "none" if runner is None else f"{runner.name} version {runner.version}"
    return (
        f"the cluster has the state machine {name} version {version}, and this process has {has}: "
        "give it --machine PACKAGE.MODULE:CLASS, of that version or a later one"
    )


_NOBODY: Final = (
    "the cluster has no state machine yet: every node needs --machine, and cluster version 2"
)


def _nobody() -> Outcome:
    return refused(Unsupported.code, _NOBODY)


def _runner(state: State) -> Program:
    check_program(state)
    assert state.runner is not None
    return state.runner


def check_name(name: Any, what: str) -> None:
    """Check the name of a state machine, or of a method."""
    if type(name) is not str or not _NAME.fullmatch(name):
        raise InvalidRequest(f"the {what} must be a name, such as add, not {shown(name)}")


def _check_arguments(arguments: Any, what: str) -> None:
    if type(arguments) is not str:
        raise InvalidRequest(f"the {what} must be JSON as a string, not {kind_of(arguments)}")
    check_value(arguments, what)
    try:
        found = json.loads(arguments, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        found = None
    if type(found) is not list:
        raise InvalidRequest(f"the {what} must be a JSON array, as a string")


def _no_constant(word: str) -> None:
    raise ValueError(word)


def _check_version(version: Any, what: str) -> None:
    check_integer(version, what, 1, limits.INDEX_MAX)


HOLDINGS["record program/4"] = lambda state: (
    f"the state machine {state.program.name}" if state.program.name else ""
)

_ARGUMENTS: Final = {"name": check_name, "method": check_name, "arguments": _check_arguments}

COMMANDS: Final = (Command(name="call", arguments=_ARGUMENTS, run=call, adds=True),)

SESSIONLESS: Final = (
    Command(
        name="program",
        arguments={"name": check_name, "version": _check_version},
        run=program,
        internal=True,
    ),
)

READS: Final = (Read(name="ask", arguments=_ARGUMENTS, run=ask, refuses=True),)
