"""Log entries as what the model takes: one command at a time, each with its revision."""

from __future__ import annotations

from typing import Any

from raftzmq.core.entry import COMMAND, COMMANDS, Entry
from raftzmq.lines import with_body
from tests.machine.model import Model


def commands_of(entry: Entry) -> list[list[Any]]:
    """The commands of an entry, each as `[session, ack, operation]`; none in other entries."""
    if entry.kind == COMMAND:
        return [entry.body]
    if entry.kind == COMMANDS:
        return [[session, ack, op] for session, ack, ops in with_body(entry).body for op in ops]
    return []


def follow(model: Model, entry: Entry) -> list[tuple[Any, ...]]:
    """Apply the commands of an entry to a model; return what each gives."""
    return [
        model.apply(max(model.index + 1, entry.index), entry.time_ms, command, first=place == 0)
        for place, command in enumerate(commands_of(entry))
    ]
