"""Entries that another node sent: every line is verified before the core sees any."""

from __future__ import annotations

from typing import Any
from zlib import crc32

import orjson
import pytest

from raftzmq import limits
from raftzmq.core.entry import COMMAND, CONFIG, NOOP
from raftzmq.core.messages import AppendEntries
from raftzmq.errors import WireError
from raftzmq.lines import encode_entry
from raftzmq.transport.peer_wire import Envelope, decode_peer, encode_message
from tests.transport.samples import ALICE, BOB, CLUSTER, ENTRIES, MEMBERSHIP


def append_with(*lines: bytes, term: int = 3, prev_index: int = 4, prev_term: int = 2) -> str:
    """The reason why an append of these lines is refused."""
    message = AppendEntries(ALICE, BOB, term, prev_index, prev_term, 0, 0, ())
    with pytest.raises(WireError) as caught:
        decode_peer([encode_message(message, CLUSTER)[0], b"".join(lines)])
    return caught.value.reason


def line_of(value: Any) -> bytes:
    text = value if isinstance(value, bytes) else orjson.dumps(value)
    return b"%08x %b\n" % (crc32(text), text)


def test_lines_that_are_damaged_or_cut_are_refused() -> None:
    first, second = ENTRIES[0].line, ENTRIES[1].line
    assert append_with(first, second[:-1]) == "entries"
    assert append_with(b"") == "entries"
    assert append_with(b"\n") == "checksum"
    assert append_with(first, b"\n", second) == "checksum"
    assert append_with(b"00000000 \n") == "entries"
    for position in range(len(first) - 1):
        for bit in range(8):
            damaged = bytearray(first)
            damaged[position] ^= 1 << bit
            assert append_with(bytes(damaged)) in {"checksum", "entries"}


@pytest.mark.parametrize(
    "value",
    [
        None,
        5,
        {},
        [],
        [5, 2, 1000, NOOP],
        [5, 2, 1000, NOOP, None, None],
        ["5", 2, 1000, NOOP, None],
        [5.0, 2, 1000, NOOP, None],
        [True, 2, 1000, NOOP, None],
        [5, True, 1000, NOOP, None],
        [5, 2, None, NOOP, None],
        [5, 2, True, NOOP, None],
        [5, 2, -1, NOOP, None],
        [5, 2, 2**60, NOOP, None],
        [5, 2, 1000, NOOP, 0],
        [5, 2, 1000, COMMAND, None],
        [5, 2, 1000, COMMAND, [12, 17]],
        [5, 2, 1000, COMMAND, [12, 17, "put"]],
        [5, 2, 1000, CONFIG, None],
        [5, 2, 1000, CONFIG, {}],
        [5, 2, 1000, CONFIG, {"members": [], "forming": None}],
        [5, 2, 1000, CONFIG, {"members": {}, "forming": []}],
        [5, 2, 1000, CONFIG, {"members": [None], "forming": []}],
        [5, 2, 1000, CONFIG, {"members": [], "forming": ["nobody"]}],
        b'[5,2,1000,"noop",null',
        b'[5,2,1000,"noop",null]\r',
    ],
)
def test_a_line_that_is_no_entry_is_refused(value: Any) -> None:
    assert append_with(line_of(value)) == "entries"


@pytest.mark.parametrize("kind", [None, 1, "", "NOOP", "barrier", [], {}])
def test_an_entry_of_unknown_kind_is_refused_by_that_name(kind: Any) -> None:
    assert append_with(line_of([5, 2, 1000, kind, None])) == "unknown_entry"


@pytest.mark.parametrize("field", ["name", "incarnation", "address", "voter"])
@pytest.mark.parametrize("wrong", [..., None, 1, "Ä", []])
def test_a_member_with_a_bad_field_is_refused(field: str, wrong: Any) -> None:
    body = MEMBERSHIP.to_body()
    body["members"][1][field] = wrong
    if wrong is ...:
        del body["members"][1][field]
    assert append_with(line_of([5, 2, 1000, CONFIG, body])) == "entries"


def test_entries_follow_prev_index_without_a_gap() -> None:
    def at(*indices: int, prev_index: int = 4) -> str:
        lines = [encode_entry(index, 2, 0, NOOP, None).line for index in indices]
        return append_with(*lines, prev_index=prev_index)

    assert at(6) == "entries"
    assert at(4) == "entries"
    assert at(5, 7) == "entries"
    assert at(5, 5) == "entries"
    assert at(6, 5) == "entries"
    assert at(limits.INDEX_MAX + 1, prev_index=limits.INDEX_MAX) == "entries"


def test_terms_never_fall_and_never_exceed_the_senders() -> None:
    def of(*terms: int, term: int = 3, prev_term: int = 2) -> str:
        lines = [encode_entry(5 + k, t, 0, NOOP, None).line for k, t in enumerate(terms)]
        return append_with(*lines, term=term, prev_term=prev_term)

    assert of(1) == "entries"
    assert of(3, 2) == "entries"
    assert of(4) == "entries"
    assert of(0, 1, prev_term=0) == "entries"
    assert of(-1, 1, prev_term=0) == "entries"


def test_a_deep_command_is_refused_though_its_checksum_is_right() -> None:
    deep: Any = "x"
    for _ in range(limits.JSON_DEPTH - 3):
        deep = [deep]
    good = encode_entry(5, 2, 0, COMMAND, [0, 0, [0, "put", "k", deep]])
    frames = encode_message(AppendEntries(ALICE, BOB, 3, 4, 2, 0, 0, (good,)), CLUSTER)
    assert isinstance(decode_peer(frames), Envelope)
    assert append_with(line_of([5, 2, 0, COMMAND, [0, 0, [0, "put", "k", [deep]]]])) == "depth"
