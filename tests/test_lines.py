"""Checksummed lines: every value comes back, and every flipped bit is noticed."""

from __future__ import annotations

from typing import Any
from zlib import crc32

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftzmq import limits
from raftzmq.core.entry import COMMAND, CONFIG, KINDS, NOOP, Entry
from raftzmq.errors import CorruptLine
from raftzmq.lines import (
    decode_entry,
    decode_line,
    encode_entry,
    encode_line,
    split_lines,
)

ANY_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)

ENTRY = encode_entry(7, 2, 1234, COMMAND, [12, 3, [17, "put", "greeting", "hello"]])


def test_a_line_is_the_checksum_and_the_json() -> None:
    line = encode_line({"greeting": "hello"})
    assert line == b'%08x {"greeting":"hello"}\n' % crc32(b'{"greeting":"hello"}')


@given(ANY_JSON)
def test_every_value_comes_back_from_its_line(value: Any) -> None:
    line = encode_line(value)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert b"\r" not in line
    assert b"\0" not in line
    assert decode_line(line) == value
    assert decode_line(line[:-1]) == value


@given(
    st.integers(1, limits.INDEX_MAX),
    st.integers(1, limits.TERM_MAX),
    st.integers(0, 2**53),
    st.sampled_from(sorted(KINDS)),
    ANY_JSON,
)
def test_every_entry_comes_back_from_its_line(
    index: int, term: int, time_ms: int, kind: str, body: Any
) -> None:
    entry = encode_entry(index, term, time_ms, kind, body)
    assert decode_entry(entry.line) == entry
    assert decode_line(entry.line) == [index, term, time_ms, kind, body]


def test_every_flipped_bit_is_noticed() -> None:
    for byte in range(len(ENTRY.line)):
        for bit in range(8):
            damaged = bytearray(ENTRY.line)
            damaged[byte] ^= 1 << bit
            with pytest.raises(CorruptLine) as caught:
                decode_entry(bytes(damaged), 40)
            assert caught.value.offset == 40


def test_a_checksum_in_capitals_is_noticed_though_it_is_the_same_number() -> None:
    line = encode_line("abc")
    assert line[:8].upper() != line[:8]
    with pytest.raises(CorruptLine, match="checksum"):
        decode_line(line[:8].upper() + line[8:])


@pytest.mark.parametrize("length", range(len(ENTRY.line) - 1))
def test_every_part_of_a_line_is_noticed_to_be_one(length: int) -> None:
    with pytest.raises(CorruptLine):
        decode_entry(ENTRY.line[:length])


def test_a_right_checksum_of_something_else_than_json_is_noticed() -> None:
    with pytest.raises(CorruptLine, match="not JSON"):
        decode_line(b"%08x {oops\n" % crc32(b"{oops"))
    with pytest.raises(CorruptLine):
        decode_line(b"%08x \n" % crc32(b""))
    deep = b"[" * 2000 + b"]" * 2000
    with pytest.raises(CorruptLine, match="not JSON"):
        decode_line(b"%08x %b\n" % (crc32(deep), deep))


@pytest.mark.parametrize(
    "value",
    [
        None,
        7,
        "entry",
        {},
        [],
        [1, 1, 0, NOOP],
        [1, 1, 0, NOOP, None, None],
        [0, 1, 0, NOOP, None],
        [-1, 1, 0, NOOP, None],
        [1, 0, 0, NOOP, None],
        [1, 1, -1, NOOP, None],
        [limits.INDEX_MAX + 1, 1, 0, NOOP, None],
        [1, limits.TERM_MAX + 1, 0, NOOP, None],
        [True, 1, 0, NOOP, None],
        [1, True, 0, NOOP, None],
        [1, 1, False, NOOP, None],
        [1.0, 1, 0, NOOP, None],
        ["1", 1, 0, NOOP, None],
        [1, 1, 0, "barrier", None],
        [1, 1, 0, None, None],
        [1, 1, 0, ["noop"], None],
        [1, 1, 0, {}, None],
    ],
    ids=repr,
)
def test_a_whole_line_of_something_else_is_not_an_entry(value: object) -> None:
    with pytest.raises(CorruptLine, match="not an entry"):
        decode_entry(encode_line(value), 3)


@given(st.lists(st.binary(max_size=12), max_size=12).map(b"\n".join))
def test_split_lines_gives_every_byte_once_with_its_offset(data: bytes) -> None:
    pieces = list(split_lines(data))
    assert b"".join(line for _, line in pieces) == data
    for offset, line in pieces:
        assert data[offset : offset + len(line)] == line
        assert line.find(b"\n") in (-1, len(line) - 1)
    assert all(line.endswith(b"\n") for _, line in pieces[:-1])


def test_a_carriage_return_does_not_end_a_line() -> None:
    assert list(split_lines(b"a\rb\r\nc")) == [(0, b"a\rb\r\n"), (5, b"c")]
    assert list(split_lines(b"a\rb\n")) == [(0, b"a\rb\n")]


def some_entries() -> list[Entry]:
    return [
        encode_entry(5, 2, 10, NOOP, None),
        encode_entry(6, 2, 11, COMMAND, [1, 0, [1, "put", "line\u2028\x85break", "\r\n"]]),
        encode_entry(7, 3, 12, CONFIG, {"members": [], "forming": []}),
    ]


def decode_entries(data: bytes) -> list[Entry]:
    return [decode_entry(line, offset) for offset, line in split_lines(data)]


def test_lines_put_together_are_read_as_they_were() -> None:
    data = b"".join(entry.line for entry in some_entries())
    assert decode_entries(data) == some_entries()
    assert decode_entries(b"") == []


def test_damage_among_several_lines_is_placed() -> None:
    first, second, third = some_entries()
    damaged = second.line.replace(b"put", b"cut")
    with pytest.raises(CorruptLine) as caught:
        decode_entries(first.line + damaged + third.line)
    assert caught.value.offset == len(first.line)


def test_the_json_is_what_any_reader_reads() -> None:
    assert orjson.loads(ENTRY.line[9:]) == [
        7,
        2,
        1234,
        "command",
        [12, 3, [17, "put", "greeting", "hello"]],
    ]
