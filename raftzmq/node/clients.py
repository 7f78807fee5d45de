"""Messages of operations from clients: each operation checked, and handed on as write or read."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Any, Final

from raftzmq.access.rights import may_read_all, may_write_all
from raftzmq.access.users import ANYBODY, User
from raftzmq.errors import Denied, InvalidRequest, Overloaded, Unsupported
from raftzmq.machine import (
    READS,
    WRITES,
    are_plain_gets,
    are_plain_puts,
    bounded,
    owned,
    validate_read,
    validate_write,
    version_of,
)
from raftzmq.node.access import Access
from raftzmq.node.counts import READ, STALE_READ, WRITE, Counts
from raftzmq.node.programs import Programs
from raftzmq.node.proposals import Proposals
from raftzmq.node.reads import Reads
from raftzmq.node.replies import Replies
from raftzmq.node.upgrades import Upgrades
from raftzmq.transport.client_wire import OperationsRequest
from raftzmq.versions import FIRST

_key_of: Final = itemgetter(2)
"""The key of a put or a get."""


class Clients:
    """Where operations come in."""

    def __init__(
        self,
        access: Access,
        replies: Replies,
        proposals: Proposals,
        reads: Reads,
        upgrades: Upgrades,
        programs: Programs,
        counts: Counts,
    ) -> None:
        self._access = access
        self._replies = replies
        self._proposals = proposals
        self._reads = reads
        self._upgrades = upgrades
        self._programs = programs
        self._counts = counts

    def operations(
        self, client: bytes, request: OperationsRequest, size: int, user: User = ANYBODY
    ) -> None:
        """Take a user's message of operations, `size` bytes long on the wire. Nothing goes on from
        here unless the user may do it."""
        ops = request.ops
        if not ops:
            return
        kind = STALE_READ if request.stale else READ
        writes: Sequence[Any] = ()
        reads: Sequence[Any] = ()
        # That a user may do all of the usual is told by one call; which of it, by one for each.
        if are_plain_puts(ops) and may_write_all(user, map(_key_of, ops)):
            writes = ops
        elif are_plain_gets(ops) and may_read_all(user, map(_key_of, ops)):
            reads = ops
        else:
            writes, reads = self._sorted(client, request, kind, user)
        if writes:
            self._proposals.add(client, request, writes, size)
        if reads:
            self._reads.add(client, reads, kind, user)

    def _sorted(
        self, client: bytes, request: OperationsRequest, kind: str, user: User
    ) -> tuple[list[Any], list[Any]]:
        """Return the writes and the reads, which are of `kind`, among the operations; answer those
        that are not valid, or that the user may not do."""
        writes: list[Any] = []
        reads: list[Any] = []
        leads = self._access.is_decided_here(stale=False)
        checked = not user.admin and (leads or request.stale)
        ops: Sequence[Any] = request.ops
        for op in ops:
            name = op[1]
            is_write = name in WRITES
            try:
                if is_write:
                    validate_write(op)
                elif name in READS:
                    validate_read(op)
                else:
                    raise InvalidRequest(f"unknown operation {name[:40]!r}")
                if checked:
                    self._access.check(user, op)
                if is_write and leads and (needed := version_of(op)) > FIRST.highest:
                    self._upgrades.require(needed, name)
                    if name == "call":
                        self._programs.check(op)
                if is_write:
                    writes.append(owned(bounded(op), user.name))
                else:
                    reads.append(op)
            except (InvalidRequest, Denied, Overloaded, Unsupported) as error:
                body = {"message": str(error)}
                self._replies.add(client, [(op[0], error.code, 0, body)], 0)
                refused = WRITE if is_write else kind
                self._counts.answered[refused][error.code] += 1
        return writes, reads
