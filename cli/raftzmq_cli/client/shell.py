"""`raftzmq client shell`: every client command, in a session with history, help and completion."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Final

import typer

from raftzmq.errors import InvalidRequest
from raftzmq_cli.client.completion import completer
from raftzmq_cli.client.invocation import SHARED, ClientInvocation
from raftzmq_cli.common import exits, messages, standard_input
from raftzmq_cli.common.commands import Commands
from raftzmq_cli.common.standard_output import CannotWrite

PROMPT: Final = "raftzmq> "
HISTORY_LINES: Final = 1000
_ENDING: Final = (["exit"], ["quit"])
_HELP: Final = ("help", "?")


commands = Commands(shared=SHARED)


@commands.command(
    "shell",
    """
    raftzmq client shell
    printf 'put a 1\\nget a\\n' | raftzmq client shell
    """,
)
def shell(
    run: ClientInvocation,
    *,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Run a script to its end, whatever fails in it.")
    ] = False,
) -> int:
    """Type client commands in a session of their own.

    It has history, help, and completion of commands, options and keys. Errors do not end it;
    Ctrl-D, exit or quit does. A script from a pipe ends at the first command that fails, with its
    exit code.
    """
    if run.in_shell:
        raise InvalidRequest("you are already in the shell")
    run.group.obj = replace(run, in_shell=True)
    interactive = sys.stdin.isatty()
    ends_with_error = not (interactive or keep_going)
    with editing(run) if interactive else nullcontext():
        for line in _lines(interactive):
            if line.split()[:1] in _ENDING:
                break
            code = execute(run.group, line)
            if ends_with_error and code != exits.DONE:
                return code
    return exits.DONE


def execute(group: Any, line: str) -> int:
    """Run one line in the group's context; return its exit code, having said any error.

    Raises BrokenPipeError, CannotWrite: there is nowhere left to answer to.
    """
    words: list[str] = []
    try:
        words = _split(line)
        if not words:
            return exits.DONE
        if words[0] in _HELP:
            return _help(group, words[1:])
        name, command, rest = group.command.resolve_command(group, words)
        with command.make_context(name, rest, parent=group) as context:
            code = context.command.invoke(context)
        return code if isinstance(code, int) else exits.DONE
    except (BrokenPipeError, CannotWrite):
        raise
    except (Exception, KeyboardInterrupt) as error:
        if exits.exit_code(error) is None:
            messages.say(f"raftzmq: unexpected {type(error).__name__}: {error}")
            return exits.NO
        output = {"RAFTZMQ_OUTPUT": group.obj.settings.output.value}
        as_json = exits.wants_json(words, output)
        return exits.report(error, as_json=as_json, reword=in_own_words)


def in_own_words(text: str) -> str:
    """What a message tells to type, as it is typed in the shell."""
    text = re.sub(r"'raftzmq client ?([^']*?) ?--help'", lambda found: f"'help {found[1]}'", text)
    return re.sub(r"'raftzmq client ([^']*)'", r"'\1'", text).replace("'help '", "'help'")


@contextmanager
def editing(run: ClientInvocation) -> Iterator[None]:
    """Line editing, history from one session to the next, and completion."""
    try:
        import readline
    except ImportError:
        yield
        return
    history = history_file()
    if history is not None:
        with suppress(OSError):
            readline.read_history_file(history)
    readline.set_history_length(HISTORY_LINES)
    readline.set_completer_delims(" \t\n")
    readline.set_completer(_completer(run, readline))
    readline.parse_and_bind("tab: complete")
    try:
        yield
    finally:
        readline.set_completer(None)
        if history is not None:
            with suppress(OSError):
                history.parent.mkdir(parents=True, exist_ok=True)
                # Keys and values may be nobody else's business.
                os.close(os.open(history, os.O_CREAT | os.O_WRONLY, 0o600))
                readline.write_history_file(history)


def history_file() -> Path | None:
    """Where the history is kept; None: this user has no home directory, and it is not kept."""
    state = os.environ.get("XDG_STATE_HOME")
    try:
        directory = Path(state) if state else Path.home() / ".local" / "state"
    except RuntimeError:
        return None
    return directory / "raftzmq" / "history"


def _completer(run: ClientInvocation, readline: ModuleType) -> Any:
    own = [*_HELP, *(word for [word] in _ENDING)]
    complete = completer(run, run.group.command.commands, own)
    matches: list[str] = []

    def offer(text: str, state: int) -> str | None:
        if state == 0:
            before = readline.get_line_buffer()[: readline.get_begidx()].split()
            matches[:] = complete(text, before)
        return f"{matches[state]} " if state < len(matches) else None

    return offer


def _lines(interactive: bool) -> Iterator[str]:
    if not interactive:
        yield from standard_input.read_lines()
        return
    standard_input.accept_any_bytes()
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
    """The words of a line, quoted as in a Unix shell; none for comments. Raises InvalidRequest."""
    if line.lstrip().startswith("#"):
        return []
    try:
        return shlex.split(line)
    except ValueError as error:
        what = "a quote is not closed" if "quotation" in str(error) else str(error).lower()
        raise InvalidRequest(f"{what}: quote words as in a Unix shell") from None


def _help(group: Any, words: list[str]) -> int:
    if words:
        return execute(group, shlex.join([*words, "--help"]))
    for name, command in group.command.commands.items():
        print(f"  {name:10}  {command.get_short_help_str(90)}")
    print("  help [COMMAND] or ?, exit or quit")
    print("Quote words as in a Unix shell. -w json and the other options work here too.")
    return exits.DONE
