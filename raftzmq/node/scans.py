"""Scans: the keys with a prefix as they were at one moment, given a page at a time.

Any node that has applied what the client asks for answers. What one page holds is not kept at all.
Of a longer scan the node keeps the keys that are to come, and what is written over of these: no
page, for it makes each anew from the last key that has arrived. So an answer that was lost is given
again, and a client that connects anew goes on, because a scan belongs to no connection. What is
over, or was left, is forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from raftzmq import limits
from raftzmq.access import rights
from raftzmq.access.users import User
from raftzmq.errors import Forming, InvalidRequest, Overloaded, RaftzmqError
from raftzmq.machine.tables.frozen_span import FrozenSpan
from raftzmq.machine.values import to_wire
from raftzmq.node.counts import READ
from raftzmq.node.replies import Replies
from raftzmq.node.state import NodeState
from raftzmq.transport.operator_wire import Done
from raftzmq.transport.scan_wire import ScanEnd, ScanNext, ScanPage, ScanRequest, ScanSays

PAGES_PER_TURN: Final = 4
"""So many pages take some five milliseconds; the others come in the next turn."""

OfRequest = tuple[bytes, int]
"""A client, and the id of its request."""


@dataclass(slots=True)
class _Scan:
    """A scan of which more is to come."""

    span: FrozenSpan
    prefix: str
    keys_only: bool
    used_ms: int
    begun_by: OfRequest


class Scans:
    """All of a node's. Those who ask for one may have to wait until the node has applied enough."""

    def __init__(self, node: NodeState, replies: Replies) -> None:
        self._node = node
        self._replies = replies
        self._asked: dict[OfRequest, tuple[ScanRequest, int]] = {}
        """The request, and until when it waits."""
        self._pulled: dict[OfRequest, ScanNext] = {}
        """Who waits for another page."""
        self._scans: dict[int, _Scan] = {}
        self._begun: dict[OfRequest, int] = {}
        """The number of the scan that a request began."""

    def __len__(self) -> int:
        """How many the node holds."""
        return len(self._scans)

    @property
    def next_deadline_ms(self) -> int | None:
        """When `turn` is needed at the latest, if nothing is asked or applied before."""
        if self._pulled or any(self._has_applied(request) for request, _ in self._asked.values()):
            return self._node.now_ms
        due = [until_ms for _, until_ms in self._asked.values()]
        due += [scan.used_ms + limits.SCAN_UNUSED_MS for scan in self._scans.values()]
        return min(due, default=None)

    def request(self, client: bytes, request: ScanSays, now_ms: int, user: User) -> None:
        """Take a user's request, if the user may ask for that."""
        try:
            match request:
                case ScanRequest():
                    rights.check_request(user, "scan", request.prefix)
                    self._ask(client, request, now_ms)
                case ScanNext():
                    self._pull(client, request, now_ms, user)
                case ScanEnd():
                    rights.check_request(user, "scan_end")
                    self._forget(request.scan)
                    self._replies.reply(client, Done(request.id, "forgotten"), READ)
        except RaftzmqError as error:
            self._replies.refuse(client, [request.id], error, READ)

    def _ask(self, client: bytes, request: ScanRequest, now_ms: int) -> None:
        node = self._node
        if not node.cluster:
            raise Forming(f"{node.name} belongs to no cluster yet")
        if request.cluster not in ("", node.cluster):
            raise InvalidRequest(f"{node.name} is of another cluster")
        if len(self._asked) >= limits.SCANS_WAITING:
            raise Overloaded(f"{len(self._asked)} scans wait at {node.name} already")
        self._asked[client, request.id] = request, now_ms + limits.SCAN_WAIT_MS

    def _pull(self, client: bytes, request: ScanNext, now_ms: int, user: User) -> None:
        scan = self._scans.get(request.scan)
        if scan is None:
            raise InvalidRequest(
                f"{self._node.name} holds no such scan any more: it may have started anew, or let "
                "it go, unused for a minute or for what was written over meanwhile"
            )
        rights.check_request(user, "scan_next", scan.prefix)
        if request.after < scan.span.after:
            raise InvalidRequest(f"the scan is further than {request.after[:40]!r} already")
        scan.used_ms = now_ms
        self._pulled[client, request.id] = request

    def turn(self, now_ms: int) -> None:
        """Answer whoever can be answered now, and forget what nobody uses."""
        pages = 0
        for of_request, (request, until_ms) in list(self._asked.items()):
            if self._has_applied(request):
                if pages < PAGES_PER_TURN:
                    pages += 1
                    del self._asked[of_request]
                    self._begin(of_request, request, now_ms)
            elif now_ms >= until_ms:
                del self._asked[of_request]
                error = Overloaded(f"{self._node.name} lags behind: ask another node, or again")
                self._replies.refuse(of_request[0], [request.id], error, READ)
        for of_request in list(self._pulled)[: max(1, PAGES_PER_TURN - pages)]:
            pulled = self._pulled.pop(of_request)
            scan = self._scans.get(pulled.scan)
            if scan is not None and pulled.after >= scan.span.after:
                self._answer(of_request, pulled, pulled.scan, scan)
        for number, scan in list(self._scans.items()):
            if now_ms - scan.used_ms >= limits.SCAN_UNUSED_MS:
                self._forget(number)
        kept_bytes = sum(scan.span.kept_bytes for scan in self._scans.values())
        if kept_bytes > limits.SCAN_KEPT_BYTES:
            self._forget(max(self._scans, key=lambda number: self._scans[number].span.kept_bytes))

    def _has_applied(self, request: ScanRequest) -> bool:
        machine = self._node.machine
        return machine.applied_index > 0 and machine.revision >= request.start

    def _begin(self, of_request: OfRequest, request: ScanRequest, now_ms: int) -> None:
        number = self._begun.get(of_request, 0)
        if number:  # the answer was lost
            if request.after >= self._scans[number].span.after:
                self._answer(of_request, request, number, self._scans[number])
            return
        span = self._node.machine.scan(request.prefix)
        scan = _Scan(span, request.prefix, request.keys_only, now_ms, of_request)
        number = self._node.random.getrandbits(52) | 1
        if self._answer(of_request, request, number, scan):
            self._scans[number] = scan
            self._begun[of_request] = number

    def _answer(
        self, of_request: OfRequest, request: ScanRequest | ScanNext, number: int, scan: _Scan
    ) -> bool:
        """Give the page that is asked for; return whether more of the scan is to come. Nothing is
        given of a scan that would be one too many."""
        most = min(request.limit or limits.SCAN_PAGE_KEYS, limits.SCAN_PAGE_KEYS)
        keys, items, last = scan.span.page(request.after, most, limits.SCAN_PAGE_SIZE)
        more = not last and len(keys) != request.limit
        if more and number not in self._scans and len(self._scans) >= limits.SCANS:
            error = Overloaded(
                f"{self._node.name} holds {len(self._scans)} scans that are not read to their end, "
                "the most there may be: try again in a minute, or ask another node"
            )
            self._replies.refuse(of_request[0], [request.id], error, READ)
            return False
        page = ScanPage(
            request.id,
            number,
            self._node.name,
            scan.span.revision,
            keys,
            [] if scan.keys_only else [to_wire(value) for value, _, _ in items],
            [] if scan.keys_only else [revision for _, revision, _ in items],
            not more,
        )
        self._replies.reply(of_request[0], page, READ)
        return more

    def _forget(self, number: int) -> None:
        scan = self._scans.pop(number, None)
        if scan is not None:
            del self._begun[scan.begun_by]

    def abort(self) -> None:
        """Forget all: the state is about to be another, and both might be more than there is
        memory."""
        self._scans.clear()
        self._begun.clear()
