"""The log that a cluster of real nodes agreed on, read from the text files of their directories."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from raftzmq.core.entry import COMMAND, COMMANDS, Entry
from raftzmq.lines import decode_entry
from raftzmq.machine import Machine
from tests.sim.story import Violation
from tests.system.processes import Cluster, NodeProcess


class Logbook:
    """The applied entries of all nodes, gathered now and then, before compaction removes them."""

    def __init__(self) -> None:
        self._lines: dict[int, bytes] = {}
        self._read: dict[Path, int] = {}
        """Path of a data directory -> the newest index that was compared with the others'."""

    def gather(self, cluster: Cluster) -> None:
        """Take down what every running node has applied; nodes that do not answer are left out.
        Raises Violation where two nodes applied different entries at one index."""
        for node in cluster.running:
            status = node.status()
            if status is not None:
                self._gather(node, status["applied_index"])

    def whole(self) -> list[Entry] | None:
        """All entries from the first one on; None if some were compacted before they were read."""
        if sorted(self._lines) != list(range(1, len(self._lines) + 1)):
            return None
        return [decode_entry(self._lines[index]) for index in range(1, len(self._lines) + 1)]

    def _gather(self, node: NodeProcess, applied: int) -> None:
        since = self._read.get(node.data_dir, 0)
        for entry in _entries(node, since):
            if entry.index > applied:
                break
            known = self._lines.setdefault(entry.index, entry.line)
            if known != entry.line:
                raise Violation(
                    f"{node.name} applied another entry {entry.index} than others:\n"
                    f"  {entry.line!r}\n  {known!r}"
                )
        self._read[node.data_dir] = applied

    def forget(self, node: NodeProcess) -> None:
        """The node lost its disk: compare all that it is given again."""
        self._read.pop(node.data_dir, None)


def _entries(node: NodeProcess, since: int) -> Iterator[Entry]:
    """The entries after index `since` in a node's files. What the node has applied is there whole;
    behind it may lie half a line, for the node goes on writing."""
    segments = node.segments()
    for place, path in enumerate(segments):
        if place + 1 < len(segments) and int(segments[place + 1].stem) <= since + 1:
            continue
        try:
            data = path.read_bytes()
        except FileNotFoundError:  # compacted a moment ago
            continue
        for line in data.splitlines(keepends=True):
            if not line.endswith(b"\n"):
                return
            entry = decode_entry(line)
            if entry.index > since:
                yield entry


def results_of(entries: Sequence[Entry]) -> dict[int, Any]:
    """What the state machine gives for each command of a whole log."""
    machine = Machine()
    results: dict[int, Any] = {}
    for entry in entries:
        if entry.kind in (COMMAND, COMMANDS):
            [results[entry.index]] = machine.apply_all([entry])
        else:
            machine.advance(entry.index, entry.time_ms)
    return results
