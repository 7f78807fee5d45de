"""What clients that scan and nodes say to one another, as JSON objects: PROTOCOL.md, "Scans".
client_wire.py makes frames of them and checks version and depth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from raftzmq import limits
from raftzmq.errors import WireError
from raftzmq.transport.frames import VERSION, is_cluster, is_count, is_name

_VALUES: Final = frozenset({str, dict})


@dataclass(frozen=True, slots=True)
class ScanRequest:
    """Ask for the keys that begin with `prefix` and come behind `after`, in a state that has the
    revision `start` of `cluster` ("": any), or a later one. At most `limit` are wanted; None: all.
    The same again, with the same id, begins no other."""

    id: int
    cluster: str
    start: int
    prefix: str
    after: str
    limit: int | None
    keys_only: bool


@dataclass(frozen=True, slots=True)
class ScanNext:
    """Ask for what comes behind `after`: everything up to there has arrived."""

    id: int
    scan: int
    after: str
    limit: int | None


@dataclass(frozen=True, slots=True)
class ScanEnd:
    """No more is wanted. Answered by `done`, whether there was such a scan or not."""

    id: int
    scan: int


@dataclass(frozen=True, slots=True)
class ScanPage:
    """Keys in order, as they were at `revision`, each with its value and the revision that wrote
    it; with keys alone these two are empty. With `done` there are no more; else the node holds the
    rest under the number `scan`."""

    id: int
    scan: int
    node: str
    revision: int
    keys: Sequence[str]
    values: Sequence[Any]
    revisions: Sequence[int]
    done: bool


ScanSays = ScanRequest | ScanNext | ScanEnd


def request_object(request: ScanSays) -> dict[str, Any]:
    """The JSON object of a request."""
    match request:
        case ScanRequest(ident, cluster, start, prefix, after, limit, keys_only):
            return {
                "v": VERSION,
                "type": "scan",
                "id": ident,
                "cluster": cluster,
                "from": start,
                "prefix": prefix,
                "after": after,
                "limit": limit,
                "keys_only": keys_only,
            }
        case ScanNext(ident, scan, after, limit):
            return {
                "v": VERSION,
                "type": "scan_next",
                "id": ident,
                "scan": scan,
                "after": after,
                "limit": limit,
            }
        case ScanEnd(ident, scan):
            return {"v": VERSION, "type": "scan_end", "id": ident, "scan": scan}


def reply_object(reply: ScanPage) -> dict[str, Any]:
    """The JSON object of a reply: three lists side by side, which take less than a list an item."""
    return {
        "v": VERSION,
        "type": "scan_page",
        "id": reply.id,
        "scan": reply.scan,
        "node": reply.node,
        "revision": reply.revision,
        "keys": reply.keys,
        "values": reply.values,
        "revisions": reply.revisions,
        "done": reply.done,
    }


def _scan(ident: int, header: dict[str, Any]) -> ScanRequest:
    cluster = header.get("cluster")
    start = header.get("from")
    prefix = _bound(ident, header, "prefix")
    after = _bound(ident, header, "after")
    limit = _limit(ident, header)
    keys_only = header.get("keys_only")
    if not (is_cluster(cluster) and is_count(start) and type(keys_only) is bool):
        raise WireError("invalid", "cluster, from or keys_only is wrong or missing", [ident])
    return ScanRequest(ident, cluster, start, prefix, after, limit, keys_only)


def _next(ident: int, header: dict[str, Any]) -> ScanNext:
    scan = _number(ident, header)
    return ScanNext(ident, scan, _bound(ident, header, "after"), _limit(ident, header))


def _bound(ident: int, header: dict[str, Any], field: str) -> str:
    text = header.get(field)
    if type(text) is not str or len(text.encode()) > limits.KEY_BYTES:
        raise WireError(
            "invalid", f"{field} is not a text of at most {limits.KEY_BYTES} bytes", [ident]
        )
    return text


def _limit(ident: int, header: dict[str, Any]) -> int | None:
    limit = header.get("limit")
    if limit is None or (is_count(limit) and limit > 0):
        return limit
    raise WireError("invalid", "limit is not a whole number above 0, or null", [ident])


def _number(ident: int, header: dict[str, Any]) -> int:
    scan = header.get("scan")
    if not is_count(scan):
        raise WireError("invalid", "scan is no whole number", [ident])
    return scan


def _page(ident: int, header: dict[str, Any]) -> ScanPage:
    scan, node, revision, done = (header.get(f) for f in ("scan", "node", "revision", "done"))
    lists = [header.get(field) for field in ("keys", "values", "revisions")]
    if not (is_count(scan) and is_name(node) and is_count(revision) and type(done) is bool):
        raise WireError("form", "not a page of a scan")
    if not _are_columns(lists) or not (done or lists[0]):
        raise WireError("form", "a page of a scan has lists of keys, values and revisions")
    keys, values, revisions = lists
    assert keys is not None
    assert values is not None
    assert revisions is not None
    return ScanPage(ident, scan, node, revision, keys, values, revisions, done)


def _are_columns(lists: list[Any]) -> bool:
    """Whether they are keys, values and revisions, the last two perhaps left out together. No
    statement is executed for each key."""
    if any(type(column) is not list for column in lists):
        return False
    keys, values, revisions = lists
    return (
        len(values) == len(revisions)
        and (not values or len(values) == len(keys))
        and set(map(type, keys)) <= {str}
        and set(map(type, values)) <= _VALUES
        and set(map(type, revisions)) <= {int}
        and len(set(keys)) == len(keys)
        and keys == sorted(keys)
    )


REQUESTS: Final[dict[str, Callable[[int, dict[str, Any]], ScanSays]]] = {
    "scan": _scan,
    "scan_next": _next,
    "scan_end": lambda ident, header: ScanEnd(ident, _number(ident, header)),
}

REPLIES: Final[dict[str, Callable[[int, dict[str, Any]], ScanPage]]] = {"scan_page": _page}
