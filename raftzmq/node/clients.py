"""Messages of operations from clients: each operation checked, and handed on as write or read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from raftzmq.errors import InvalidRequest
from raftzmq.machine import (
    READS,
    WRITES,
    are_plain_gets,
    are_plain_puts,
    bounded,
    validate_read,
    validate_write,
)
from raftzmq.node.counts import READ, STALE_READ, WRITE, Counts
from raftzmq.node.proposals import Proposals
from raftzmq.node.reads import Reads
from raftzmq.node.replies import Replies
from raftzmq.transport.client_wire import OperationsRequest


class Clients:
    """Where operations come in."""

    def __init__(
        self, replies: Replies, proposals: Proposals, reads: Reads, counts: Counts
    ) -> None:
        self._replies = replies
        self._proposals = proposals
        self._reads = reads
        self._counts = counts

    def operations(self, client: bytes, request: OperationsRequest, size: int) -> None:
        """Take a message of operations, `size` bytes long on the wire."""
        ops = request.ops
        if not ops:
            return
        kind = STALE_READ if request.stale else READ
        writes: Sequence[Any] = ()
        reads: Sequence[Any] = ()
        if are_plain_puts(ops):
            writes = ops
        elif are_plain_gets(ops):
            reads = ops
        else:
            writes, reads = self._sorted(client, ops, kind)
        if writes:
            self._proposals.add(client, request, writes, size)
        if reads:
            self._reads.add(client, reads, kind)

    def _sorted(self, client: bytes, ops: Sequence[Any], kind: str) -> tuple[list[Any], list[Any]]:
        """Return the writes and the reads, which are of `kind`, among the operations; answer those
        that are not valid."""
        writes: list[Any] = []
        reads: list[Any] = []
        for op in ops:
            name = op[1]
            try:
                if name in WRITES:
                    validate_write(op)
                    writes.append(bounded(op))
                elif name in READS:
                    validate_read(op)
                    reads.append(op)
                else:
                    raise InvalidRequest(f"unknown operation {name[:40]!r}")
            except InvalidRequest as error:
                body = {"message": str(error)}
                self._replies.add(client, [(op[0], error.code, 0, body)], 0)
                refused = WRITE if name in WRITES else kind
                self._counts.answered[refused][error.code] += 1
        return writes, reads
