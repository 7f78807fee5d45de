"""One entry of the replicated log."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

NOOP: Final = "noop"
"""A leader's first entry of a term; commits what earlier terms left (thesis 6.4)."""

COMMAND: Final = "command"
"""A command for the state machine."""

COMMANDS: Final = "commands"
"""Several, of clients, that are executed one after the other."""

CONFIG: Final = "config"
"""The membership from this entry on, whole (thesis 4.1)."""

KINDS: Final = frozenset({NOOP, COMMAND, COMMANDS, CONFIG})


class Entry(NamedTuple):
    """An entry: one command at one index, created by one leader in one term.

    `time_ms` is the leader's stamp, the only clock that the state machine knows; along the log it
    never decreases. `body` is None, a command or several, or a membership. `line` is the encoded
    entry, byte for byte what lies in every node's log file and travels between nodes; the core
    only needs its length. The body of commands takes several times the memory of their line: when
    nobody needs it for now it is None too, and can be read from the line again.
    """

    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody misses
    term: int
    time_ms: int
    kind: str
    body: Any
    line: bytes
