"""Reading the JSON of a frame that came from the network, and the small checks all messages share.

What arrives is untrusted. The size is checked before anything is parsed, every field for its exact
type (to isinstance, a bool is an int), and every number for its bounds. Any failure is a WireError.
orjson itself refuses NaN, lone surrogates and nesting beyond 1,024 levels. A number beyond 64 bits
becomes a float and fails the type check. Of duplicate keys the last counts. Unknown fields are
ignored, so that a later release of the same protocol version may add some.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, TypeGuard

import orjson

from raftzmq import limits
from raftzmq.core.identity import NodeId
from raftzmq.errors import InvalidRequest, WireError
from raftzmq.naming import CLUSTER_CHARS, parse_address, parse_pod_name

VERSION: Final = 1
"""The only protocol version spoken."""

NAME_CHARS: Final = 253
TEXT_CHARS: Final = 1024

_INCARNATION = re.compile(r"[0-9a-f]{16}")
_CLUSTER = re.compile(r"[0-9A-Za-z._-]*")


def load_object(frame: bytes) -> dict[str, Any]:
    """Return the JSON object of a frame. Raises WireError; does not look at depth or version."""
    if len(frame) > limits.FRAME_BYTES:
        raise WireError("oversize", f"a frame has at most {limits.FRAME_BYTES} bytes")
    try:
        value = orjson.loads(frame)
    except orjson.JSONDecodeError:
        raise WireError("json", "not one frame with one JSON object") from None
    if type(value) is not dict:
        raise WireError("json", "not one frame with one JSON object")
    return value


def check_version(header: dict[str, Any], ids: list[int] | None = None) -> None:
    """Raise WireError unless the message is of the version spoken here."""
    version = header.get("v")
    if type(version) is not int:
        raise WireError("form", "no protocol version in field v", ids)
    if version != VERSION:
        raise WireError(
            "unsupported_version", f"protocol version {version}; spoken: {VERSION}", ids
        )


def openers(frame: bytes) -> int:
    """The number of opening brackets and braces in a frame, including those inside of strings. No
    JSON is deeper than that, and most messages need no closer look."""
    return frame.count(b"[") + frame.count(b"{")


def too_deep(value: Any, allowed: int = limits.JSON_DEPTH) -> bool:
    """Whether lists and objects nest more than `allowed` levels deep in `value`."""
    level = [value] if type(value) is list or type(value) is dict else []
    while level and allowed:
        allowed -= 1
        level = [
            child
            for container in level
            for child in (container.values() if type(container) is dict else container)
            if type(child) is list or type(child) is dict
        ]
    return bool(level)


def check_depth(frame: bytes, value: Any, ids: list[int] | None = None) -> None:
    """Raise WireError when the parsed frame nests too deep."""
    if openers(frame) > limits.JSON_DEPTH and too_deep(value):
        raise WireError("depth", f"nested more than {limits.JSON_DEPTH} levels deep", ids)


def is_count(value: object, most: int = limits.INDEX_MAX) -> TypeGuard[int]:
    """Whether `value` is a whole number from 0 to `most`; True and 1.0 are not."""
    return type(value) is int and 0 <= value <= most


def is_text(value: object, most: int = TEXT_CHARS) -> TypeGuard[str]:
    """Whether `value` is a string of at most `most` characters."""
    return type(value) is str and len(value) <= most


def is_name(value: object) -> TypeGuard[str]:
    """Whether `value` is a pod name."""
    return is_text(value, NAME_CHARS) and _passes(parse_pod_name, value)


def is_address(value: object) -> TypeGuard[str]:
    """Whether `value` is HOST:PORT."""
    return is_text(value, NAME_CHARS + 6) and _passes(parse_address, value)


def is_cluster(value: object) -> TypeGuard[str]:
    """Whether `value` is a cluster id, or the empty string of a node that has none yet."""
    return is_text(value, CLUSTER_CHARS) and _CLUSTER.fullmatch(value) is not None


def _passes(parse: Callable[[str], object], text: str) -> bool:
    try:
        parse(text)
    except InvalidRequest:
        return False
    return True


def node_id(value: object, field: str) -> NodeId:
    """Return the node of a `[name, incarnation]` pair. Raises WireError."""
    if type(value) is list and len(value) == 2:
        name, incarnation = value
        if type(name) is str and type(incarnation) is str:
            found = _node_id(name, incarnation)
            if found is not None:
                return found
    raise WireError("form", f"{field} is not [name, incarnation]")


@lru_cache(maxsize=256)
def _node_id(name: str, incarnation: str) -> NodeId | None:
    # Every message names the same few nodes; the cache also makes their ids one object each.
    if is_name(name) and _INCARNATION.fullmatch(incarnation):
        return NodeId(name, incarnation)
    return None
