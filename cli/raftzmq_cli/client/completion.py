"""What Tab offers in the shell: commands, their options, and keys that there are."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from raftzmq.errors import RaftzmqError
from raftzmq_cli.client.invocation import ClientInvocation
from raftzmq_cli.client.keys import prefix_end
from raftzmq_cli.common.escaping import escaped

KEYS: Final = 50
"""Most keys that are offered."""
KEYS_S: Final = 1.0
"""Wait for them: the person at the keyboard waits too."""

Completer = Callable[[str, list[str]], list[str]]
"""Takes the word to complete, and those before it; returns what it may become."""


def completer(run: ClientInvocation, commands: Any, others: list[str]) -> Completer:
    """Return what completes a line. `others` are the shell's own words."""

    def complete(word: str, before: list[str]) -> list[str]:
        if not before or before in (["help"], ["?"]):
            return _starting(word, [*commands, *others])
        name, *given = before
        command = commands.get(name)
        nested = getattr(command, "commands", None)
        if nested is not None:
            if not given:
                return _starting(word, nested)
            command = nested.get(given.pop(0))
        if command is None:
            return []
        if word.startswith("-"):
            return _starting(word, [option for param in command.params for option in param.opts])
        takes_key = any(p.name == "key" and p.param_type_name == "argument" for p in command.params)
        if takes_key and all(part.startswith("-") for part in given):
            return _keys(run, word)
        return []

    return complete


def _starting(word: str, choices: Any) -> list[str]:
    return sorted(choice for choice in choices if choice.startswith(word))


def _keys(run: ClientInvocation, word: str) -> list[str]:
    with suppress(RaftzmqError):
        found = run.client.range(word, prefix_end(word), KEYS, stale=True, timeout=KEYS_S)
        # Others cannot be typed, and a terminal would obey them.
        return [shlex.quote(item.key) for item in found if escaped(item.key) == item.key]
    return []
