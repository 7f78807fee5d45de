"""Data directories of nodes that are gone: a log of some length, with or without a snapshot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from raftzmq.core.entry import COMMANDS, CONFIG, NOOP, Entry
from raftzmq.core.identity import NodeId
from raftzmq.core.membership import Member, Membership
from raftzmq.core.ready import HardState, SnapshotMeta
from raftzmq.lines import encode_entry
from raftzmq.machine import Machine
from raftzmq.storage import Files, MemoryFiles, Storage, StorageConfig

PATH = Path("/data")
CLUSTER = "c1"
MEMBERS = Membership(
    tuple(
        Member(NodeId(f"raft-{k}", f"incarnation-{k}"), f"10.0.0.{k}:6000", voter=True)
        for k in range(3)
    )
)


def log(
    last: int, term: int = 3, members: Membership = MEMBERS, calls: Sequence[Any] = ()
) -> list[Entry]:
    """The members, a session, and then a key in each entry; the last is a new leader's, but for
    `calls` behind it, which are entries of commands."""
    bodies: list[tuple[str, Any]] = [
        (CONFIG, members.to_body()),
        (COMMANDS, [[0, 0, [[0, "open"]]]]),
    ]
    bodies += [(COMMANDS, [[2, 0, [[n, "put", f"key-{n}", f"value-{n}"]]]]) for n in range(3, last)]
    bodies.append((NOOP, None))
    bodies += [(COMMANDS, body) for body in calls]
    terms = [1] * (last - 1) + [term] * (1 + len(calls))
    return [
        encode_entry(index, at, index * 10, kind, body)
        for index, (at, (kind, body)) in enumerate(zip(terms, bodies, strict=True), 1)
    ]


def replayed(entries: list[Entry]) -> Machine:
    machine = Machine()
    for entry in entries:
        if entry.kind == COMMANDS:
            machine.apply_all([entry])
        else:
            machine.advance(entry.index, entry.time_ms)
    return machine


def survivor(last: int = 12, *, node: int = 1, snapshot: int = 0, term: int = 3) -> MemoryFiles:
    """The disk of a node with a log up to `last`, and a snapshot up to `snapshot`."""
    files = MemoryFiles()
    live(files, PATH, last, node, snapshot, term)
    return files


def live(
    files: Files,
    path: Path,
    last: int = 12,
    node: int = 1,
    snapshot: int = 0,
    term: int = 3,
    *,
    members: Membership = MEMBERS,
    config: StorageConfig | None = None,
    calls: Sequence[Any] = (),
) -> None:
    """Make a directory that of a node with such a log."""
    storage = Storage(path, files, config=config, incarnation=lambda: f"incarnation-{node}")
    storage.open(f"raft-{node}")
    storage.adopt(CLUSTER)
    entries = log(last, term, members, calls)
    storage.save(HardState(term + 1))
    for entry in entries:
        storage.save(None, [entry])
    if snapshot:
        meta = SnapshotMeta(snapshot, entries[snapshot - 1].term, snapshot * 10, members)
        records = replayed(entries[:snapshot]).snapshot()
        writer = storage.begin_snapshot(meta, records)
        while not writer.step(1 << 20):
            pass
    storage.close()
