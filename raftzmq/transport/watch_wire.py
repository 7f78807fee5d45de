"""What watchers and nodes say to one another, as JSON objects: PROTOCOL.md, "Watches".

client_wire.py makes frames of them and checks version and depth. The events of one batch are
encoded once, by `encode_events`, for all the watchers that they are sent to.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from raftzmq import limits
from raftzmq.errors import WireError
from raftzmq.transport.frames import VERSION, is_cluster, is_count, is_name, is_text

_VALUES: Final = frozenset({str, dict, type(None)})


Encoded = orjson.Fragment
"""Events as JSON, for any number of messages."""


@dataclass(frozen=True, slots=True)
class WatchRequest:
    """Ask for the changes of `key`, or if `prefix` of all keys that start with it, from the
    revision `start` on (inclusive; None: from now on), with the values before if `previous`.

    The same again, with the same id, confirms that the watch is still wanted; `start` is then
    ignored. `cluster` is the one that `start` is a revision of; "" with None.
    """

    id: int
    key: str
    prefix: bool
    start: int | None
    previous: bool
    cluster: str = ""


@dataclass(frozen=True, slots=True)
class UnwatchRequest:
    """End the watch `id`. There is no answer."""

    id: int


@dataclass(frozen=True, slots=True)
class Watching:
    """The watch `id` exists. The events with revisions above `after` follow."""

    id: int
    after: int
    node: str
    cluster: str


@dataclass(frozen=True, slots=True)
class Events:
    """Events of the watch `id`, each `[revision, key, value, previous]`; value is None for a
    deleted key. They are complete for the revisions above `after`, up to and including `through`.

    A revision with too many events for one message comes in several: the events above `through`,
    all of one revision, are then its beginning, or a further piece. `skip` is the number of
    events of the first revision above `after` in earlier messages: 0, except in a further piece.

    `events` may be the JSON of `encode_events`; a decoded message always has the list.
    """

    id: int
    after: int
    through: int
    events: Sequence[Sequence[Any]] | Encoded
    skip: int = 0


@dataclass(frozen=True, slots=True)
class WatchLost:
    """The watch `id` has ended, or never began; `code` says why. `start` is a revision from which
    this node could go on."""

    id: int
    code: str
    message: str
    start: int


WatcherSays = WatchRequest | UnwatchRequest
WatcherHears = Watching | Events | WatchLost


def encode_events(events: Sequence[Sequence[Any]]) -> tuple[Encoded, int]:
    """Return the events as JSON that goes into any number of messages, and its length in bytes."""
    text = orjson.dumps(events)
    return orjson.Fragment(text), len(text)


def request_object(request: WatcherSays) -> dict[str, Any]:
    """The JSON object of a request."""
    match request:
        case WatchRequest(ident, key, prefix, start, previous, cluster):
            return {
                "v": VERSION,
                "type": "watch",
                "id": ident,
                "cluster": cluster,
                "key": key,
                "prefix": prefix,
                "from": start,
                "prev": previous,
            }
        case UnwatchRequest(ident):
            return {"v": VERSION, "type": "unwatch", "id": ident}


def reply_object(reply: WatcherHears) -> dict[str, Any]:
    """The JSON object of a reply."""
    match reply:
        case Events(ident, after, through, events, skip):
            return {
                "v": VERSION,
                "type": "events",
                "id": ident,
                "after": after,
                "skip": skip,
                "through": through,
                "events": events,
            }
        case Watching(ident, after, node, cluster):
            return {
                "v": VERSION,
                "type": "watching",
                "id": ident,
                "after": after,
                "node": node,
                "cluster": cluster,
            }
        case WatchLost(ident, code, message, start):
            return {
                "v": VERSION,
                "type": "watch_lost",
                "id": ident,
                "code": code,
                "message": message,
                "from": start,
            }


def _watch(ident: int, header: dict[str, Any]) -> WatchRequest:
    key = header.get("key")
    prefix = header.get("prefix")
    previous = header.get("prev")
    start = header.get("from")
    cluster = header.get("cluster", "")
    if not (type(prefix) is bool and type(previous) is bool):
        raise WireError("invalid", "prefix or prev is not true or false", [ident])
    if type(key) is not str or len(key.encode()) > limits.KEY_BYTES:
        raise WireError(
            "invalid", f"key is not a text of at most {limits.KEY_BYTES} bytes", [ident]
        )
    if not (key or prefix):
        raise WireError(
            "invalid", "the key must not be empty, unless as the prefix of all", [ident]
        )
    if not (start is None or (is_count(start) and start > 0)):
        raise WireError("invalid", "from is not a revision, from 1 on, or null", [ident])
    if not is_cluster(cluster):
        raise WireError("form", "cluster is not a cluster id", [ident])
    return WatchRequest(ident, key, prefix, start, previous, cluster)


def _watching(ident: int, header: dict[str, Any]) -> Watching:
    after = header.get("after")
    node = header.get("node")
    cluster = header.get("cluster")
    if not (is_count(after) and is_name(node) and is_cluster(cluster)):
        raise WireError("form", "after, node or cluster is missing or of a wrong type")
    return Watching(ident, after, node, cluster)


def _events(ident: int, header: dict[str, Any]) -> Events:
    after = header.get("after")
    through = header.get("through")
    skip = header.get("skip", 0)
    events = header.get("events")
    if not (is_count(after) and is_count(through) and is_count(skip) and after <= through):
        raise WireError("form", "after, skip or through is missing or of a wrong type")
    if type(events) is not list:
        raise WireError("form", "events is not a list")
    if events and not _are_events(events, after, through):
        raise WireError("form", "an event is [revision, key, value, prev], in order of revisions")
    return Events(ident, after, through, events, skip)


def _are_events(events: list[Any], after: int, through: int) -> bool:
    """Whether each is `[revision, key, value, prev]`, in order, and all above `through` are of one
    revision; there is at least one. No statement is executed for each event."""
    if set(map(type, events)) != {list} or set(map(len, events)) != {4}:
        return False
    revisions, keys, values, previous = zip(*events, strict=True)
    if set(map(type, revisions)) != {int} or set(map(type, keys)) != {str}:
        return False
    last = revisions[-1]
    return (
        _VALUES.issuperset(map(type, values))
        and _VALUES.issuperset(map(type, previous))
        and after < revisions[0]
        and last <= limits.INDEX_MAX
        and list(revisions) == sorted(revisions)
        and (last <= through or revisions[bisect_right(revisions, through)] == last)
    )


def _lost(ident: int, header: dict[str, Any]) -> WatchLost:
    code = header.get("code")
    message = header.get("message")
    start = header.get("from")
    if not (is_text(code) and is_text(message, limits.FRAME_BYTES) and is_count(start)):
        raise WireError("form", "code, message or from is missing or of a wrong type")
    return WatchLost(ident, code, message, start)


REQUESTS: Final[dict[str, Callable[[int, dict[str, Any]], WatcherSays]]] = {
    "watch": _watch,
    "unwatch": lambda ident, _: UnwatchRequest(ident),
}
REPLIES: Final[dict[str, Callable[[int, dict[str, Any]], WatcherHears]]] = {
    "watching": _watching,
    "events": _events,
    "watch_lost": _lost,
}
