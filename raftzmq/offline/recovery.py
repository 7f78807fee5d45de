"""A new cluster of one node, from what a survivor of the old one has. See founding.py."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

from raftzmq.errors import DataError, InvalidRequest
from raftzmq.machine import Program
from raftzmq.naming import descends
from raftzmq.offline.founding import NewCluster, fill, interrupted, mark, new_cluster, random_id
from raftzmq.offline.survivors import Remains, read_remains, survey
from raftzmq.storage.directory import (
    Layout,
    data_errors,
    free_aside,
    is_used,
    lock_directory,
    move_aside,
)
from raftzmq.storage.files import Files


def confirmation(revision: int) -> str:
    """What somebody must say who recovers from a survivor whose last revision this is."""
    return f"lose everything after revision {revision}"


def recover(
    files: Files,
    path: Path,
    *,
    confirm: str,
    name: str = "",
    address: str = "",
    program: Program | None = None,
    draw: Callable[[], str] = random_id,
) -> NewCluster:
    """Make the directory that of the only node of a new cluster, with all that its log has.

    What is there is set aside in it first. After an interruption, at whatever moment, the same call
    goes on; once it is done it does nothing, and returns what there is. `name` and `address` are
    the node's from now on; by default what they were. `program` runs calls of a state machine of
    the users' own. Raises DataLocked, DataError; InvalidRequest
    if `confirm` is not `confirmation` of its revision, or no address is known. DiskFull.
    """
    layout = Layout(path)
    if not is_used(files, layout):
        read_remains(files, path, program)  # says why not; the lock would make a file there
    with data_errors(path), contextlib.closing(lock_directory(files, layout)):
        remains = read_remains(files, path, program)
        if repeats(files, path, remains.identity.cluster, confirm, program):
            meta = remains.found.snapshot
            term = meta.term if meta else remains.last_term
            return NewCluster(remains.identity.cluster, remains.membership, term, remains.machine)
        node = name or remains.identity.node
        where = _checked(remains, path, confirm, node, address)
        folder = interrupted(files, layout)
        aside = path / folder if folder else free_aside(files, path)
        if not folder:
            mark(files, layout, aside.name)
        move_aside(files, path, aside)
        term = max(remains.found.hard_state.term, remains.last_term)
        cluster = new_cluster(
            remains.machine, {node: where}, term=term, origin=remains.identity.cluster, draw=draw
        )
        fill(files, layout, cluster, node)
        return cluster


def repeats(
    files: Files, path: Path, own: str, confirm: str, program: Program | None = None
) -> bool:
    """Whether a directory, of cluster `own`, is what a recovery with these words has made."""
    for name in files.names(path):
        if name.startswith("aside-"):
            old = survey(files, path / name, program)
            is_origin = old.cluster != own and descends(own, old.cluster)
            if is_origin and not old.damage and confirm == confirmation(old.revision):
                return True
    return False


def _checked(remains: Remains, path: Path, confirm: str, node: str, address: str) -> str:
    """The address that the node gets, once nothing speaks against the recovery."""
    if not remains.identity.cluster:
        raise DataError(f"{path} has never belonged to a cluster: there is nothing to recover")
    wanted = confirmation(remains.machine.revision)
    if confirm != wanted:
        raise InvalidRequest(f'to go on with what {path} has, say --confirm "{wanted}"')
    member = remains.membership.named(node)
    if not address and member is None:
        raise InvalidRequest(f"{node} was no member, so say where it listens: --address HOST:PORT")
    return address or (member.address if member else "")
