"""A run in words: one line a message, an event, or a change that it made.

Heartbeats that change nothing are left out. The expected transcripts lie in
tests/core/transcripts. After a wanted change, rewrite them with RAFTZMQ_REWRITE=1 and read the
difference.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from raftzmq.core.entry import COMMAND, Entry
from raftzmq.core.messages import Heartbeat, HeartbeatReply, Message
from raftzmq.core.raft import Raft

_FOLDER = Path(__file__).parent / "transcripts"


def describe(message: Message) -> str:
    """`a -> b  AppendEntries term=2 prev_index=1 … entries=[2:noop]`, without what has its
    default."""
    fields = [
        f"{field.name}={_value(getattr(message, field.name))}"
        for field in dataclasses.fields(message)
        if field.name not in ("sender", "to", "lowest_version", "highest_version")
        and getattr(message, field.name) != field.default
    ]
    return f"{message.sender.name} -> {message.to.name}  {type(message).__name__} " + " ".join(
        fields
    )


def is_idle(message: Message) -> bool:
    """Whether it is a heartbeat, or an answer to one, for no read: left out where it changes
    nothing."""
    return isinstance(message, Heartbeat | HeartbeatReply) and message.round == 0


def _value(value: Any) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(_entry(entry) for entry in value) + "]"
    return f"{len(value)}B" if isinstance(value, bytes) else str(value)


def _entry(entry: Entry) -> str:
    what = entry.body if entry.kind == COMMAND else entry.kind
    return f"{entry.index}/{entry.term}:{what}"


def situation(raft: Raft) -> str:
    """Role, term, commit index and last index."""
    leader = f" of {raft.leader.name}" if raft.leader and raft.leader != raft.id else ""
    return (
        f"{raft.role.value}{leader}, term {raft.term}, "
        f"committed {raft.commit_index} of {raft.log.last_index}"
    )


def check(name: str, lines: Sequence[str]) -> None:
    """Compare with the transcript of that name, or write it."""
    path = _FOLDER / f"{name}.txt"
    text = "\n".join(lines) + "\n"
    if os.environ.get("RAFTZMQ_REWRITE"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert text == path.read_text(), f"see {path.name}; RAFTZMQ_REWRITE=1 rewrites it"
