"""What a command ends with: the exit codes, and the one line that an error becomes.

0    done
1    the answer is no: unhealthy, a comparison failed, a key is missing with --fail-missing
2    wrong usage
3    no leader, or no answer in time; a lock that was not to be had in time; also when the outcome
     is unknown, which is said
4    refused by the cluster: for a key that it does not know, or what the user may not do; also when
     a lock was lost
74   the output cannot be written, such as on a full disk
126  COMMAND of `lock`, `elect`, `sem run` or `watch` cannot be run; 127: is not there
130  interrupted
141  whoever read the output is gone
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise, takewhile
from typing import Any, Final

import typer

from raftzmq.errors import (
    InvalidRequest,
    NotLeader,
    OutcomeUnknown,
    RaftzmqError,
    Refused,
    Unauthorized,
    Unavailable,
)
from raftzmq_cli.common import messages
from raftzmq_cli.common.escaping import safe_json
from raftzmq_cli.common.standard_output import CannotWrite, forget

DONE: Final = 0
NO: Final = 1
USAGE: Final = 2
UNAVAILABLE: Final = 3
REFUSED: Final = 4
CANNOT_WRITE: Final = 74
INTERRUPTED: Final = 130
BROKEN_PIPE: Final = 141

_SILENT: Final = (typer.Exit, typer.Abort, KeyboardInterrupt)


class AnswerIsNo(Exception):
    """The question was answered, with no; the text says what the answer was."""


class CommandMissing(Exception):
    """A group was called without the name of a command; the text is the group's help."""


class NotInTime(Unavailable):
    """Others held it for as long as one was ready to wait; the text says what."""


class NothingThere(Unavailable):
    """There is no cluster to ask; the text says how to make one."""


def exit_code(error: BaseException) -> int | None:
    """Return the exit code of an error, or None for one that is a defect of this program."""
    if isinstance(error, typer.Exit):
        return error.exit_code
    if isinstance(error, (KeyboardInterrupt, typer.Abort)):
        return INTERRUPTED
    if isinstance(error, BrokenPipeError):
        return BROKEN_PIPE
    if isinstance(error, CannotWrite):
        return CANNOT_WRITE
    if isinstance(error, AnswerIsNo):
        return NO
    if isinstance(error, InvalidRequest) or is_usage_error(error) or _lacks_home(error):
        return USAGE
    if isinstance(error, (Unavailable, OutcomeUnknown, NotLeader)):
        return UNAVAILABLE
    if isinstance(error, (Refused, Unauthorized)):
        return REFUSED
    if isinstance(error, (RaftzmqError, OSError)):
        return NO
    return None


def report(
    error: BaseException, *, as_json: bool = False, reword: Callable[[str], str] = str
) -> int:
    """Say on stderr, in one line, what happened; return the exit code. Defects are raised again.

    With `as_json` the line is a JSON document: error, code (as in PROTOCOL.md) and exit_code.
    `reword` puts the text into the words of where it is read.
    """
    code = exit_code(error)
    if code is None:
        raise error
    if isinstance(error, (BrokenPipeError, CannotWrite)):
        forget(sys.stdout)
    if code != BROKEN_PIPE and not isinstance(error, _SILENT):
        text = reword(describe(error))
        messages.say(_as_json(error, text, code) if as_json else text)
    return code


def wants_json(words: Sequence[str], environ: Mapping[str, str]) -> bool:
    """Whether these arguments ask for JSON. They need not be right: a usage error is JSON too."""
    chosen = environ.get("RAFTZMQ_OUTPUT", "")
    before_command = list(takewhile(lambda word: word != "--", words))
    for option, value in pairwise([*before_command, ""]):
        if option in ("-w", "--output"):
            chosen = value
        elif option.startswith("--output="):
            chosen = option.removeprefix("--output=")
        elif option.startswith("-w") and not option.startswith("--"):
            chosen = option.removeprefix("-w")
    return chosen == "json"


def _as_json(error: BaseException, text: str, code: int) -> str:
    kind = "usage" if is_usage_error(error) else getattr(error, "code", None)
    if isinstance(error, AnswerIsNo):
        kind = "no"
    text = text.removeprefix("raftzmq: ")
    document = {"error": text, "code": kind, "exit_code": code}
    return safe_json(json.dumps(document, ensure_ascii=False))


def is_usage_error(error: BaseException) -> bool:
    """Whether it is over the arguments: Typer raised it (or click, wherever that lives), or there
    is no command."""
    is_typers = hasattr(error, "format_message") and hasattr(error, "exit_code")
    return is_typers or isinstance(error, CommandMissing)


def _lacks_home(error: BaseException) -> bool:
    """Whether a file was to be in the home directory of a user who has none."""
    return isinstance(error, RuntimeError) and "home directory" in str(error)


def describe(error: BaseException) -> str:
    """Return what to show for an error: one line, but for the help that bare groups print."""
    if isinstance(error, CommandMissing):
        return str(error)
    if is_usage_error(error):
        return f"raftzmq: {_usage_line(error)}"
    if isinstance(error, OutcomeUnknown):
        text = messages.one_line(str(error))
        known = "unknown" in text
        return f"raftzmq: {text if known else f'the outcome is unknown: {text}'}"
    if _lacks_home(error):
        return "raftzmq: this user has no home directory: set HOME"
    text = str(error) or type(error).__name__
    if isinstance(error, OSError) and error.filename and error.strerror:
        text = f"{error.filename}: {error.strerror}"
    if type(error) is Unavailable:
        text += "; are the --endpoints right, and are most nodes up? See 'raftzmq client status'"
    return f"raftzmq: {messages.one_line(text)}"


def _usage_line(error: Any) -> str:
    """A usage error's message, a cure where the cause is known, and where the help is."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "raftzmq"
    message = messages.one_line(error.format_message()).rstrip(".")
    option = str(getattr(error, "option_name", ""))
    name = context.info_name if context is not None else ""
    if name == "node" and option.startswith("-") and not option.startswith("--"):
        cure = f"{option!r} is not a pod name: it must be NAME-ORDINAL, such as raft-0"
        return f"{cure} (see '{command} --help')"
    if name in ("put", "get", "incr", "delete") and type(error).__name__ == "NoSuchOption":
        message += "; write -- before a key or value that starts with a dash"
    if name in ("lock", "elect", "watch", "run") and type(error).__name__ == "NoSuchOption":
        message += "; write -- before COMMAND"
    return f"{message} (see '{command} --help')"
