"""What a scan is made of: the revision that it must have, and its pages. No methods of a client:
`handles/scan.py` puts them together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from raftzmq.client.operations.arguments import (
    NodeRequest,
    Operation,
    check_bound,
    decode_value,
    read,
)
from raftzmq.client.results import Item
from raftzmq.transport.client_wire import Single
from raftzmq.transport.scan_wire import ScanEnd, ScanNext, ScanPage, ScanRequest

END_S: Final = 2.0
"""How long to try to tell a node that a scan is over: it notices by itself a minute later."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the items of a scan, or of its keys. Unless `done`, `scan` is what to ask for more
    with."""

    scan: int
    node: str
    revision: int
    items: list[Item] | list[str]
    done: bool


def newest(prefix: str, *, timeout: float) -> Operation[tuple[str, int]]:
    """The cluster, and the revision that a scan must have so that no write is missing which was
    answered before: that of a linearizable read. It takes the right that the scan does."""
    args = [check_bound("prefix", prefix)]
    return read("count", args, lambda answer: (answer.cluster, answer.revision), timeout)


def begin(
    endpoint: str | None,
    cluster: str,
    start: int,
    prefix: str,
    after: str,
    limit: int | None,
    *,
    keys_only: bool,
    timeout: float,
) -> NodeRequest[Page]:
    """The first page of a state that has the revision `start`, from the node at `endpoint`, or from
    any."""
    return NodeRequest(
        lambda ident: ScanRequest(ident, cluster, start, prefix, after, limit, keys_only),
        lambda reply: _page(reply, keys_only=keys_only),
        repeatable=True,
        to_leader=False,
        endpoint=endpoint,
        timeout_s=timeout,
    )


def go_on(
    endpoint: str, scan: int, after: str, limit: int | None, *, keys_only: bool, timeout: float
) -> NodeRequest[Page]:
    """The page behind `after`."""
    return NodeRequest(
        lambda ident: ScanNext(ident, scan, after, limit),
        lambda reply: _page(reply, keys_only=keys_only),
        repeatable=True,
        to_leader=False,
        endpoint=endpoint,
        timeout_s=timeout,
    )


def end(endpoint: str, scan: int) -> NodeRequest[None]:
    """Let the node at `endpoint` forget a scan. It counts as a write, so that a client which closes
    gives it the moment that it takes."""
    return NodeRequest(
        lambda ident: ScanEnd(ident, scan),
        lambda _: None,
        repeatable=False,
        to_leader=False,
        endpoint=endpoint,
        timeout_s=END_S,
    )


def _page(reply: Single, *, keys_only: bool) -> Page:
    if not isinstance(reply, ScanPage):
        raise TypeError("not a page of a scan")
    if keys_only:
        return Page(reply.scan, reply.node, reply.revision, list(reply.keys), reply.done)
    values = map(decode_value, reply.values)
    items = [*map(Item, reply.keys, values, reply.revisions)]
    if len(items) != len(reply.keys):
        raise ValueError("keys without values")
    return Page(reply.scan, reply.node, reply.revision, items, reply.done)
