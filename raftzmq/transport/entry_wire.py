"""The entries of an append, which travel as their log lines, verbatim.

They are verified line by line: checksum, form, indices that follow prev_index without a gap, terms
that never fall and never exceed the sender's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from zlib import crc32

import orjson

from raftzmq import limits
from raftzmq.core.entry import COMMAND, COMMANDS, CONFIG, KINDS, NOOP, Entry
from raftzmq.errors import WireError
from raftzmq.transport.frames import is_address, is_name, node_id, openers, too_deep

_KINDS: Final = {kind: kind for kind in KINDS}


def read_entries(body: bytes | None, header: dict[str, Any]) -> tuple[Entry, ...]:
    """Return the verified entries of an append: checksums, form, order."""
    if body is None:
        return ()
    # A raw carriage return is whitespace to JSON, but ends a line for later readers of the log.
    # No node writes one.
    if not body.endswith(b"\n") or b"\r" in body:
        raise WireError("entries", "the entries are not whole lines")
    entries: list[Entry] = []
    start = 0
    while start < len(body):  # bytes.splitlines looks at every byte by itself
        end = body.index(b"\n", start) + 1
        entries.append(_entry(body[start:end]))
        start = end
    index = header["prev_index"]
    term = max(header["prev_term"], 1)
    for entry in entries:
        index += 1
        if entry[0] != index or not term <= entry[1] <= header["term"]:
            raise WireError("entries", "the entries' indices or terms are out of order")
        term = entry[1]
    if index > limits.INDEX_MAX:
        raise WireError("entries", f"an index beyond {limits.INDEX_MAX}")
    return tuple(entries)


def _entry(line: bytes) -> Entry:
    """Return the entry of one whole line."""
    text = memoryview(line)[9:-1]  # lines can be a megabyte long
    if line[:9] != b"%08x " % crc32(text):
        raise WireError("checksum", "an entry's checksum does not match")
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise WireError("entries", "an entry is not JSON") from None
    if type(value) is not list or len(value) != 5:
        raise WireError("entries", "not an entry")
    index, term, time_ms, word, body = value
    kind = _KINDS.get(word) if type(word) is str else None
    if kind is None:
        raise WireError("unknown_entry", "an entry of a kind that this version does not know")
    if (
        type(index) is not int
        or type(term) is not int
        or type(time_ms) is not int
        or not 0 <= time_ms <= limits.INDEX_MAX
    ):
        raise WireError("entries", "not an entry")
    if not _BODIES[kind](body):
        raise WireError("entries", f"not the body of a {kind} entry")
    # Flat operations open one bracket each; too deep nesting needs many more.
    flat = sum([len(group[2]) for group in body]) if kind is COMMANDS else 0
    if openers(line) > limits.JSON_DEPTH + flat and too_deep(value):
        raise WireError("depth", f"nested more than {limits.JSON_DEPTH} levels deep")
    return Entry(index, term, time_ms, kind, body, line)


def _is_membership(body: object) -> bool:
    """Whether a CONFIG entry's body is one that Membership.from_body can read."""
    if not (type(body) is dict and type(body.get("members")) is list):
        return False
    forming = body.get("forming")
    if not (type(forming) is list and all(is_name(name) for name in forming)):
        return False
    return all(_is_member(member) for member in body["members"])


def _is_member(member: object) -> bool:
    if type(member) is not dict or type(member.get("voter")) is not bool:
        return False
    try:
        node_id([member.get("name"), member.get("incarnation")], "member")
    except WireError:
        return False
    return is_address(member.get("address"))


def _are_groups(body: object) -> bool:
    """Whether a COMMANDS entry's body is a list of `[session, ack, [operation…]]`."""
    return type(body) is list and all(
        type(group) is list
        and len(group) == 3
        and type(group[2]) is list
        and set(map(type, group[2])) <= {list}
        for group in body
    )


_BODIES: Final[dict[str, Callable[[object], bool]]] = {
    NOOP: lambda body: body is None,
    COMMAND: lambda body: type(body) is list and len(body) == 3 and type(body[2]) is list,
    COMMANDS: _are_groups,
    CONFIG: _is_membership,
}
