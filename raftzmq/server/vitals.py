"""What the loop publishes about itself for probes and metrics.

The loop makes a Vitals a few times a second and swaps one reference. A thread that reads it sees
one moment as a whole, and shares nothing that changes. So there is no lock.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from raftzmq.histogram import Histogram, Tally
from raftzmq.node import Node
from raftzmq.server.recent import Recent

PUBLISH_MS: Final = 200
"""Time between two Vitals; making one takes less than a tenth of a millisecond."""

PUBLISH_SLACK_MS: Final = 50
"""They may be this much late, so that an idle node does not wake for them alone."""

DISK_LOOK_MS: Final = 5000
"""Time between two looks at the free space of the disk."""

CUTS: Final = frozenset({"crowd", "endless", "heavy", "many_parts"})
"""Counters of a port for connections that were cut; the guard counts there."""

HANDLED: Final = frozenset({"received", "sent", "renewed", "admitted"})
"""Counters of a port that are not faults. All others count dropped messages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vitals:
    """A node at one moment. Fields that end in `_count`, and tallies, only grow from the node's
    start on."""

    at_ms: int
    """When, by the loop's clock."""

    role: str
    """One of the words in PROTOCOL.md."""

    is_member: bool
    is_voter: bool
    forming: tuple[str, ...]
    """Initial members that the cluster still waits for."""

    waiting: str | None
    """Why the node is no member yet, or finds no leader."""

    refusing: tuple[tuple[str, str], ...]
    """Peers that take no link of this node, and why in words."""

    stopping: bool
    term: int
    leader: str | None
    unheard: str
    """Why the leader does not hear the node, in words; empty if it does, as far as is known."""

    behind_ms: int
    """For how long it has lacked an entry that it knows to be committed."""

    led_ms: int | None
    """For how long since its start the node has known any leader; None if it has known none yet."""

    election_timeout_ms: int
    leader_changes_count: int
    commit_index: int
    known_commit_index: int
    """The last entry that it has heard to be committed, whether it has it or not."""

    applied_index: int
    last_index: int
    first_index: int
    snapshot_index: int
    receiving_snapshot: bool
    lags: tuple[tuple[str, int], ...]
    """On a leader: how many entries the log of each other member is behind its own."""

    members: int
    voters: int
    proposals_pending: int
    proposals_applied_count: int
    proposals_failed_count: int
    requests: tuple[tuple[str, str, int], ...]
    """Kind, code of the result, count."""

    store_bytes: int
    """About how much memory the state takes."""

    last_backup_s: int | None
    """When the newest good backup was taken that it was told of, in seconds since 1970."""

    quota_bytes: int | None
    """How much it may take; None without a bound."""

    store_full: bool
    keys: int
    sessions: int
    leases: int
    queues: int
    places: int
    """In all queues, held and waiting."""

    parked_reads: int
    watches: int
    watches_behind: int
    """Those that receive older events, because they asked for them or read too slowly."""

    watch_events_count: int
    watches_lost: tuple[tuple[str, int], ...]
    """Why, count."""

    watch_first_revision: int
    """The first revision from which a watch can start here."""

    dropped: tuple[tuple[str, str, int], ...]
    """Messages: where, why, count."""

    cut: tuple[tuple[str, str, int], ...]
    """Connections: port, why, count."""

    received: tuple[tuple[str, int], ...]
    sent: tuple[tuple[str, int], ...]
    """Messages: where, count."""

    sync_seconds: Tally
    commit_seconds: Tally
    snapshots: tuple[tuple[str, int, int], ...]
    """What was done with snapshots, how often, and with how many bytes."""

    disk_full: bool
    """Whether the last write found no space."""

    out_of_files: bool
    """Whether it found no descriptor for a file."""

    disk_free_bytes: int | None
    disk_bytes: int | None
    """Of the file system of the data directory; None if unknown."""


class Recorder:
    """Makes the Vitals of a node; `latest` is for any thread, the rest for the loop."""

    latest: Vitals

    next_ms: int
    """When to make the next ones if there is a turn; `due_ms`: when at the latest."""

    due_ms: int

    recent: Recent
    """The figures of the last minute; for the loop."""

    def __init__(
        self,
        node: Node,
        sync_seconds: Histogram,
        counters: Mapping[str, Counter[str]],
        data_dir: Path,
        now_ms: int,
    ) -> None:
        """`counters` are those of the sockets, by their purpose."""
        self._node = node
        self._sync_seconds = sync_seconds
        self._counters = counters
        self._data_dir = data_dir
        self._led_term = 0
        self._first_led_ms: int | None = None
        self._leader_changes = 0
        self._disk: tuple[int | None, int | None] = (None, None)
        self._next_disk_look_ms = now_ms
        self.due_ms = now_ms
        self.recent = Recent(sync_seconds.tally(), node.counts.commit_seconds.tally(), now_ms)
        self.publish(now_ms)

    def turn(self, now_ms: int) -> None:
        """Call this once a turn."""
        raft = self._node.raft
        if raft.leader is not None and raft.term != self._led_term:  # a term has one leader
            self._led_term = raft.term
            self._leader_changes += 1
            self.recent.leader_found(now_ms)
            if self._first_led_ms is None:
                self._first_led_ms = now_ms
        if now_ms >= self.next_ms:
            self.publish(now_ms)

    def publish(self, now_ms: int) -> None:
        """Publish the current state."""
        if now_ms >= self._next_disk_look_ms:
            self._next_disk_look_ms = now_ms + DISK_LOOK_MS
            self._disk = _disk_room(self._data_dir)
        late_ms = max(0, now_ms - self.due_ms)
        self.next_ms = now_ms + PUBLISH_MS
        self.due_ms = self.next_ms + PUBLISH_SLACK_MS
        self.latest = latest = self._vitals(now_ms)
        self.recent.add(latest.sync_seconds, latest.commit_seconds, late_ms, now_ms)

    def _vitals(self, now_ms: int) -> Vitals:
        node = self._node
        raft = self._node.raft
        counts = self._node.counts
        last_index = raft.log.last_index
        membership = raft.membership
        free_bytes, all_bytes = self._disk
        return Vitals(
            at_ms=now_ms,
            role=node.role,
            is_member=node.is_member,
            is_voter=node.is_member and raft.is_voter,
            forming=membership.forming,
            waiting=node.joining.waiting,
            refusing=tuple(node.refusing.items()),
            stopping=node.stopping or node.stop_requested,
            term=raft.term,
            leader=raft.leader.name if raft.leader else None,
            unheard=node.unheard,
            behind_ms=node.behind_ms,
            led_ms=None if self._first_led_ms is None else now_ms - self._first_led_ms,
            election_timeout_ms=raft.config.election_timeout_ms,
            leader_changes_count=self._leader_changes,
            commit_index=raft.commit_index,
            known_commit_index=max(raft.commit_index, raft.leader_commit_index),
            applied_index=raft.applied_index,
            last_index=last_index,
            first_index=raft.log.first_index,
            snapshot_index=raft.snapshot_meta.index if raft.snapshot_meta else 0,
            receiving_snapshot=raft.incoming is not None,
            lags=tuple((to.name, last_index - p.match_index) for to, p in raft.progress.items()),
            members=len(membership),
            voters=len(raft.memberships.voters),
            proposals_pending=node.proposals.pending,
            proposals_applied_count=counts.proposals_applied,
            proposals_failed_count=counts.proposals_failed,
            requests=tuple(
                (kind, code, count)
                for kind, codes in counts.answered.items()
                for code, count in codes.items()
            ),
            **self._coordination(),
            dropped=tuple(self._dropped()),
            cut=tuple(
                (port, reason, count)
                for port, counter in self._counters.items()
                for reason, count in counter.items()
                if reason in CUTS
            ),
            received=self._handled("received"),
            sent=self._handled("sent"),
            sync_seconds=self._sync_seconds.tally(),
            commit_seconds=counts.commit_seconds.tally(),
            snapshots=(
                ("taken", counts.snapshots_taken, counts.snapshots_taken_bytes),
                ("received", counts.snapshots_received, counts.snapshots_received_bytes),
                ("sent", counts.snapshots_sent, counts.snapshots_sent_bytes),
            ),
            disk_full=node.disk_full,
            out_of_files=node.out_of_files,
            disk_free_bytes=free_bytes,
            disk_bytes=all_bytes,
        )

    def _coordination(self) -> dict[str, Any]:
        """The fields about what clients share or wait for."""
        machine = self._node.machine
        watches = self._node.watches
        return {
            "store_bytes": machine.memory,
            "last_backup_s": self._node.last_backup and self._node.last_backup.time_s,
            "quota_bytes": self._node.settings.quota_bytes,
            "store_full": self._node.store_full,
            "keys": len(machine),
            "sessions": machine.session_count,
            "leases": machine.lease_count,
            "queues": machine.queue_count,
            "places": machine.place_count,
            "parked_reads": self._node.parked.count,
            "watches": watches.count,
            "watches_behind": watches.lagging,
            "watch_events_count": watches.events_sent,
            "watches_lost": tuple(watches.lost.items()),
            "watch_first_revision": watches.history.floor + 1,
        }

    def _dropped(self) -> Iterator[tuple[str, str, int]]:
        for reason, count in self._node.dropped.items():
            yield "node", reason, count
        for reason, count in self._node.raft.dropped.items():
            yield "raft", reason, count
        for place, counter in self._counters.items():
            for reason, count in counter.items():
                if reason not in CUTS and reason not in HANDLED:
                    yield place, reason, count

    def _handled(self, what: str) -> tuple[tuple[str, int], ...]:
        return tuple(
            (place, counter[what]) for place, counter in self._counters.items() if what in counter
        )


def _disk_room(path: Path) -> tuple[int | None, int | None]:
    """The free bytes for this process, and all bytes, of the file system of `path`."""
    try:
        found = os.statvfs(path)
    except OSError:
        return None, None
    return found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize
