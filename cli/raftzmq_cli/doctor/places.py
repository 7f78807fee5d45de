"""The doctor's facts about what lies on this machine. It changes nothing and holds up no node."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from raftzmq.access.key_directory import KeyDirectory
from raftzmq.access.node_keys import read_node_keys
from raftzmq.errors import DataError, InvalidRequest
from raftzmq.storage.directory import Layout, data_errors, read_all, user_of
from raftzmq.storage.files import OsFiles
from raftzmq.storage.records import read_identity
from raftzmq_cli.doctor.facts import DirectoryFacts, KeyFacts


def look_at_directory(path: Path) -> DirectoryFacts:
    """Read and check all of a data directory, unless a node runs on it, which has checked it."""
    facts = DirectoryFacts(path=str(path))
    if not path.exists():
        return replace(facts, exists=False)
    layout = Layout(path)
    try:
        with data_errors(path):
            return _look(layout, facts)
    except DataError as error:
        held_by = _held_by(layout)  # it has begun to change the files meanwhile
        return replace(facts, held_by=held_by, damage=None if held_by else str(error).rstrip("."))


def _look(layout: Layout, facts: DirectoryFacts) -> DirectoryFacts:
    files = OsFiles()
    names = set(files.names(layout.root))
    room = os.statvfs(layout.root)
    facts = replace(
        facts,
        held_by=_held_by(layout),
        empty=not names & (layout.names - {layout.lock.name}),
        readable_by_others=tuple(_readable_by_others(layout, names)),
        free_bytes=room.f_bavail * room.f_frsize,
        size_bytes=room.f_blocks * room.f_frsize,
    )
    if facts.empty:
        return facts
    identity = read_identity(files, layout.node)
    if facts.held_by is None:
        read_all(files, layout, identity.node)
    return replace(facts, node=identity.node)


def _held_by(layout: Layout) -> str | None:
    """Which process has locked the directory, in words; also where little of it can be read."""
    with contextlib.suppress(OSError):
        return user_of(OsFiles(), layout) or None
    return None


def _readable_by_others(layout: Layout, names: set[str]) -> Iterator[str]:
    """The parts of a node's data that any user of the machine may read."""
    if not stat.S_IMODE(layout.root.stat().st_mode) & stat.S_IXOTH:
        return  # nobody gets that far
    for name in sorted(names & layout.names - {layout.lock.name}):
        if stat.S_IMODE((layout.root / name).stat().st_mode) & stat.S_IROTH:
            yield name


def look_at_keys(path: Path) -> KeyFacts:
    """Read a directory of keys as a node does, which refuses files that others may read."""
    try:
        keys = read_node_keys(path)
    except InvalidRequest as error:
        return KeyFacts(path=str(path), problem=str(error))
    rotating = [
        *(["node"] if len(keys.node.accepted) > 1 else []),
        *(["server"] if len(keys.server.accepted) > 1 else []),
        *(user.name for user in KeyDirectory(path).users() if len(user.keys) > 1),
    ]
    return KeyFacts(path=str(path), rotating=rotating)
