"""`raftzmq client shell`: every client command, in a session with history, help and completion."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from raftzmq.errors import InvalidRequest
from raftzmq_cli.client.invocation import SHARED, ClientInvocation
from raftzmq_cli.common import exits, messages, standard_input
from raftzmq_cli.common.commands import Commands

PROMPT: Final = "raftzmq> "
HISTORY_LINES: Final = 1000
_ENDING: Final = ("exit", "quit")


commands = Commands(shared=SHARED)


@commands.command(
    "shell",
    """
    raftzmq client shell
    printf 'put a 1\\nget a\\n' | raftzmq client shell
    """,
)
def shell(run: ClientInvocation) -> int:
    """Type client commands in a session of their own.

    It has history, help and completion.

    Errors do not end it; Ctrl-D, exit or quit does.
    """
    if run.in_shell:
        raise InvalidRequest("you are already in the shell")
    run.group.obj = replace(run, in_shell=True)
    interactive = sys.stdin.isatty()
    with editing(run.group) if interactive else nullcontext():
        for line in _lines(interactive):
            words = _split(line)
            if not words:
                continue
            if words[0] in _ENDING:
                break
            if execute(run.group, words) == exits.BROKEN_PIPE:
                return exits.BROKEN_PIPE
    return exits.DONE


def execute(group: Any, words: list[str]) -> int:
    """Run one command in the group's context; return its exit code, having said any error."""
    try:
        if words[0] == "help":
            return _help(group, words[1:])
        name, command, rest = group.command.resolve_command(group, words)
        with command.make_context(name, rest, parent=group) as context:
            code = context.command.invoke(context)
        return code if isinstance(code, int) else exits.DONE
    except (Exception, KeyboardInterrupt) as error:
        if exits.exit_code(error) is None:
            messages.say(f"raftzmq: unexpected {type(error).__name__}: {error}")
            return exits.NO
        return exits.report(error)


@contextmanager
def editing(group: Any) -> Iterator[None]:
    """Line editing, history from one session to the next, and completion of commands."""
    try:
        import readline
    except ImportError:
        yield
        return
    history = history_file()
    with suppress(OSError):
        readline.read_history_file(history)
    readline.set_history_length(HISTORY_LINES)
    readline.set_completer(_completer(group, readline))
    readline.parse_and_bind("tab: complete")
    try:
        yield
    finally:
        readline.set_completer(None)
        with suppress(OSError):
            history.parent.mkdir(parents=True, exist_ok=True)
            # Keys and values may be nobody else's business.
            os.close(os.open(history, os.O_CREAT | os.O_WRONLY, 0o600))
            readline.write_history_file(history)


def history_file() -> Path:
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "raftzmq" / "history"


def _completer(group: Any, readline: ModuleType) -> Any:
    commands = group.command.commands
    top = sorted([*commands, "help", *_ENDING])

    def complete(text: str, state: int) -> str | None:
        before = readline.get_line_buffer()[: readline.get_begidx()].split()
        if not before or before == ["help"]:
            choices = top
        elif len(before) == 1 and before[0] in commands:
            choices = sorted(getattr(commands[before[0]], "commands", ()))
        else:
            choices = []
        matches = [f"{choice} " for choice in choices if choice.startswith(text)]
        return matches[state] if state < len(matches) else None

    return complete


def _lines(interactive: bool) -> Iterator[str]:
    if not interactive:
        yield from standard_input.read_lines()
        return
    print("The client commands of raftzmq. Type help to list them, exit or Ctrl-D to leave.")
    while True:
        try:
            yield input(PROMPT)
        except EOFError:
            print()
            return
        except KeyboardInterrupt:
            print()


def _split(line: str) -> list[str]:
    """The words of a line, quoted as in a Unix shell; none for comments and what is not closed."""
    if line.lstrip().startswith("#"):
        return []
    try:
        return shlex.split(line)
    except ValueError as error:
        messages.say(f"raftzmq: {error}")
        return []


def _help(group: Any, words: list[str]) -> int:
    if words:
        return execute(group, [*words, "--help"])
    for name, command in group.command.commands.items():
        print(f"  {name:10}  {command.get_short_help_str(90)}")
    print("  help [COMMAND], exit")
    print("Quote words as in a Unix shell. -w json and the other options work here too.")
    return exits.DONE
