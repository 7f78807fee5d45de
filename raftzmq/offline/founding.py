"""Founding a cluster from a state: the data directories of its first nodes, before any node runs.

The new cluster is another one than that which the state comes from: its id differs, so nodes of the
two never hear one another. Its clients are the same. What they hold goes on, and numbers only grow:

* The new id names those that it comes from (naming.py): sessions of their clients are known here.
* The revision jumps by limits.REVISION_GAP. So do fencing tokens, leases and sessions, which are
  revisions or made from one. None that the old cluster gave out after this state, perhaps
  to somebody whose write is lost, is given out again.
* Replicated time goes on from the state's: what had ten seconds left has ten seconds left.
* Index and term go on too, the term above the old one.

founding.json is written first, node.json last, and then founding.json is removed. A directory with
the first and without the second is nobody's: no node starts there, and founding begins it anew.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from raftzmq import limits
from raftzmq.core.identity import NodeId
from raftzmq.core.membership import Member, Membership
from raftzmq.core.ready import HardState, SnapshotMeta
from raftzmq.errors import DataError
from raftzmq.machine import Machine
from raftzmq.naming import descendant
from raftzmq.storage.directory import (
    Layout,
    data_errors,
    is_used,
    lock_directory,
)
from raftzmq.storage.files import Files, replace_file
from raftzmq.storage.log import create_log
from raftzmq.storage.records import (
    Identity,
    decode_record,
    encode_record,
    write_hard_state,
    write_identity,
)
from raftzmq.storage.snapshot_writer import SnapshotWriter

SLICE_BYTES: Final = 4 * 1024 * 1024
"""How much of the snapshot is written between two words about the progress."""


def random_id() -> str:
    """A new cluster's or directory's id: 16 hex digits."""
    return secrets.token_hex(8)


def _silent(_size: object) -> None:
    """Nobody wants to know."""


@dataclass(frozen=True, slots=True)
class NewCluster:
    """A cluster that is about to be: the same for each of its nodes.

    `machine` is the state that it begins with, its revision raised already. All of `membership`
    are voters. `term` is that of the last entry which the state stands for, in the new cluster.
    """

    id: str
    membership: Membership
    term: int
    machine: Machine


def new_cluster(
    machine: Machine,
    addresses: Mapping[str, str],
    *,
    term: int,
    origin: str = "",
    above: int = 0,
    draw: Callable[[], str] = random_id,
) -> NewCluster:
    """Make a state that of a new cluster, whose nodes are those of `addresses`, name to HOST:PORT.

    `term` is the highest that is known of the old cluster, `origin` its id, with which its clients
    go on: the new id names it. `above` is a revision that its clients
    may have seen, if one above the state's is known: the new revisions lie above both. The state
    is changed. Raises DataError if it is no state, or revision or term would leave their bounds.

        cluster = new_cluster(machine, {"raft-0": "10.0.0.1:6000"}, term=7)
        found(OsFiles(), Path("data-0"), cluster, "raft-0")
    """
    if not machine.applied_index:
        raise DataError("there is nothing to begin a cluster with: no entry was ever applied")
    revision = max(machine.revision, above) + limits.REVISION_GAP
    if revision > limits.INDEX_MAX or term >= limits.TERM_MAX:
        raise DataError(f"no revision above {revision} or no term above {term} is left")
    machine.state.revision = revision
    members = [
        Member(NodeId(name, draw()), address, voter=True)
        for name, address in sorted(addresses.items())
    ]
    return NewCluster(descendant(draw(), origin), Membership(tuple(members)), term + 1, machine)


def check_free(files: Files, path: Path) -> None:
    """Raise DataError unless a node's directory can be made at `path`: it is missing, empty, or
    of a founding that was interrupted."""
    layout = Layout(path)
    if is_used(files, layout) and interrupted(files, layout) != "":
        raise DataError(f"{path} holds a node's data already: name an empty directory")


def found(
    files: Files,
    path: Path,
    cluster: NewCluster,
    node: str,
    progress: Callable[[int], object] = _silent,
) -> None:
    """Make the directory of `node`, a member of the new cluster, at `path`: missing, empty, or of
    a founding that was interrupted.

    `progress` is told again and again how many bytes are written. Raises DataLocked, DataError if
    the directory is used already or cannot be, DiskFull.
    """
    layout = Layout(path)
    with data_errors(path), contextlib.closing(lock_directory(files, layout)):
        check_free(files, path)
        mark(files, layout)
        fill(files, layout, cluster, node, progress)


def interrupted(files: Files, layout: Layout) -> str | None:
    """None unless a founding was interrupted there, so that the directory is nobody's; else the
    folder in it that holds what the new cluster is made from, or "". Raises CorruptFile, OSError.
    """
    if files.exists(layout.node) or not files.exists(layout.founding):
        return None
    return str(decode_record(layout.founding, files.read(layout.founding)).get("aside", ""))


def mark(files: Files, layout: Layout, aside: str = "") -> None:
    """Write down that the directory is about to be a new cluster's, made from what the folder
    `aside` in it holds, if it names one. Raises OSError."""
    replace_file(files, layout.founding, encode_record({"aside": aside}))


def fill(
    files: Files,
    layout: Layout,
    cluster: NewCluster,
    node: str,
    progress: Callable[[int], object] = _silent,
) -> None:
    """Make a marked directory, which the caller has locked, that of `node`. Raises OSError,
    DiskFull."""
    member = cluster.membership.named(node)
    assert member is not None, "the caller says who the members are"
    for directory in (layout.log, layout.snapshots):  # what an interrupted one has left
        for name in files.names(directory):
            files.unlink(directory / name)
    machine = cluster.machine
    meta = SnapshotMeta(machine.applied_index, cluster.term, machine.time_ms, cluster.membership)
    files.make_dirs(layout.snapshots)
    writer = SnapshotWriter(files, layout.snapshots, meta, machine.snapshot(), _silent)
    while not writer.step(SLICE_BYTES):
        progress(writer.size)
    progress(writer.size)
    create_log(files, layout.log, meta.index + 1)
    write_hard_state(files, layout.state, HardState(cluster.term))
    files.sync_dir(layout.root)
    write_identity(files, layout.node, Identity(node, member.id.incarnation, cluster.id))
    files.unlink(layout.founding)
    files.sync_dir(layout.root)
