"""What clients are owed: the results of a turn leave in one message for each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from raftzmq.errors import NotLeader, RaftzmqError
from raftzmq.machine import Result
from raftzmq.node.counts import ADMIN, READ
from raftzmq.node.state import NodeState
from raftzmq.transport.client_wire import ErrorReply, Reply, Results


class _Results:
    """The results that one client is owed, and `(index, count)` of the entries they come from."""

    __slots__ = ("entries", "results")

    def __init__(self) -> None:
        self.results: list[Any] = []
        self.entries: list[tuple[int, int]] = []


class Replies:
    """The answers of a turn, by client."""

    def __init__(self, node: NodeState) -> None:
        self._node = node
        self._messages: list[tuple[bytes, Reply]] = []
        self._results: defaultdict[bytes, _Results] = defaultdict(_Results)
        self.results_bytes = 0
        """About what the results of reads among them take."""

    def refuse(self, client: bytes, ids: list[int], error: RaftzmqError, kind: str = ADMIN) -> None:
        """Answer `ids` of `client`, requests of `kind`, with `error`."""
        node = self._node
        leader, address = node.leader_hint()
        reply = ErrorReply(
            ids=ids,
            code=error.code,
            message=str(error),
            node=node.name,
            term=node.raft.term,
            leader=leader,
            address=address,
        )
        self._messages.append((client, reply))
        node.counts.answered[kind][error.code] += len(ids)

    def not_leader(self) -> NotLeader:
        """What to refuse with because this node does not lead."""
        leader, address = self._node.leader_hint()
        where = f"ask {leader}" if leader else "no leader is known"
        return NotLeader(f"{self._node.name} does not lead: {where}", leader, address)

    def reply(self, client: bytes, reply: Reply, kind: str = ADMIN) -> None:
        """Queue the reply to a request of `kind` that is done."""
        self._messages.append((client, reply))
        self._node.counts.answered[kind]["ok"] += 1

    def add(self, client: bytes, results: Sequence[Any], index: int) -> None:
        """Queue `(id, code, revision, body)` of operations: of writes in the entry at `index`, or
        of reads when that had been applied. Whoever adds results counts them too. A message whose
        reads are all parked has none yet: an entry of no results is malformed."""
        if not results:
            return
        of_client = self._results[client]
        of_client.results += results
        of_client.entries.append((index, len(results)))

    def answer(self, client: bytes, ident: int, result: Result) -> None:
        """Answer a read that was parked."""
        self.add(client, [(ident, *result)], self._node.machine.applied_index)
        self._node.counts.answered[READ][result[0]] += 1

    def take(self) -> list[tuple[bytes, Reply]]:
        """Everything owed now, one message of results a client."""
        messages, self._messages = self._messages, []
        for client, of_client in self._results.items():
            if of_client.results:
                messages.append((client, self._message_of(of_client)))
        self._results.clear()
        self.results_bytes = 0
        return messages

    def _message_of(self, of_client: _Results) -> Results:
        raft = self._node.raft
        leader = raft.leader
        return Results(
            node=self._node.name,
            term=raft.term,
            leader=leader.name if leader else None,
            results=of_client.results,
            cluster=self._node.cluster,
            entries=of_client.entries,
        )
