"""One wrong bit in a log: found, with its place, wherever an acknowledged line is; and no entry is
ever changed, dropped or put elsewhere in silence.

What storage promises: a line that ends in a newline was acknowledged, and whatever comes after the
last newline was not. Only the latter may be cut, with a copy kept. So a wrong bit in a whole line,
its newline included, is refused, even where a torn write follows it; one in a torn tail costs
nothing, or is refused too when it looks like a line's end.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import pairwise
from random import Random

import pytest

from raftzmq.core.entry import COMMAND, Entry
from raftzmq.core.ready import HardState
from raftzmq.errors import CorruptFile
from raftzmq.lines import encode_entry
from raftzmq.storage import MemoryFiles, StorageConfig
from raftzmq.storage.segments import load_segments
from tests.amounts import amount
from tests.progress import counted
from tests.storage.helpers import LOG, NODE, US, fresh, lines, opened, segment

SIZE = 16 * 1024
ONE_SEGMENT = StorageConfig(segment_bytes=1 << 20, segment_entries=1 << 20)
HALVES = 3
"""Torn tails are tried at so many lengths."""

# One bit away from a newline or a carriage return are J, *, the second byte of Ċ, M, and others.
TEXTS = ("J*J*", "Ċč", "MMMM", "x" * 300, "\n\r\x0b\x1a", "value " * 60, "")


def entry(index: int) -> Entry:
    body = [7, 0, [index, "put", f"key-{index}", TEXTS[index % len(TEXTS)] * (1 + index % 3)]]
    return encode_entry(index, 1 + index // 20, 1000 * index, COMMAND, body)


def log_of(size: int) -> list[Entry]:
    """Entries whose lines take `size` bytes exactly."""
    log: list[Entry] = []
    while (room := size - len(lines(log))) > 1000:
        log.append(entry(len(log) + 1))
    index = len(log) + 1
    empty = encode_entry(index, 9, 1, COMMAND, [7, 0, [1, "put", "last", ""]])
    body = [7, 0, [1, "put", "last", "J" * (room - len(empty.line))]]
    return [*log, encode_entry(index, 9, 1, COMMAND, body)]


def directory_of(log: list[Entry]) -> MemoryFiles:
    """The disk of a node with that log in one segment."""
    storage = fresh(config=ONE_SEGMENT)
    storage.save(HardState(9, US), log)
    storage.close()
    return storage.files


def flipped(data: bytes, bit: int) -> bytes:
    byte = bit // 8
    return data[:byte] + bytes([data[byte] ^ 1 << bit % 8]) + data[byte + 1 :]


def bits(random: Random, data: bytes, count: int) -> Collection[int]:
    """`count` bits of the data, or all of them; the newlines' are always among them."""
    every = range(8 * len(data))
    if count >= len(every):
        return every
    newlines = {8 * at + bit for at, byte in enumerate(data) if byte == 10 for bit in range(8)}
    return sorted(newlines | set(random.sample(every, count)))


def place(data: bytes, byte: int) -> tuple[int, int]:
    """The line, from 1, that a byte lies in, and where that line begins."""
    return data[:byte].count(b"\n") + 1, data.rfind(b"\n", 0, byte) + 1


def test_every_bit_of_a_log_of_16_kib() -> None:
    log = log_of(SIZE)
    good = lines(log)
    assert len(good) == SIZE
    files = directory_of(log)
    refused = 0
    for bit in counted("bits of a log", bits(Random(16), good, amount(3_000, 8 * SIZE))):
        files.put(segment(1), flipped(good, bit))
        try:
            load_segments(files, LOG)
        except CorruptFile as error:
            found = error
        else:
            pytest.fail(f"bit {bit} went unnoticed")
        assert (found.line, found.byte) == place(good, bit // 8), f"bit {bit}: {found}"
        assert found.path == segment(1)
        refused += 1
    assert refused >= amount(3_000, 8 * SIZE)
    files.put(segment(1), good)
    assert opened(files, ONE_SEGMENT)[1].entries == log


def test_opening_refuses_as_the_reader_does_and_changes_nothing() -> None:
    log = log_of(4096)
    good = lines(log)
    files = directory_of(log)
    for bit in counted("bits of a log that is opened", bits(Random(17), good, amount(300, 3_000))):
        damaged = flipped(good, bit)
        files.put(segment(1), damaged)
        with pytest.raises(CorruptFile) as caught:
            opened(files, ONE_SEGMENT)
        line, byte = place(good, bit // 8)
        assert f"{segment(1)}, line {line}, byte {byte}: " in str(caught.value)
        assert "--rejoin" in str(caught.value)
        assert files.read(segment(1)) == damaged
        assert files.names(LOG) == [segment(1).name]


def tails() -> list[bytes]:
    """What torn writes of one more line, or of several, leave without a newline at the end."""
    following = lines([entry(index) for index in (6, 7, 8)])[:-1]
    first = len(entry(6).line)
    starts = [1, 9, *(first * n // HALVES for n in range(1, HALVES)), first - 1]
    return [*(following[:start] for start in starts), following[: first // 2] + bytes(30)]


@pytest.mark.parametrize("tail", tails(), ids=len)
def test_every_bit_of_whole_lines_with_a_torn_write_behind_them(tail: bytes) -> None:
    log = [entry(index) for index in range(1, 6)]
    good = lines(log)
    files = directory_of(log)
    for bit in bits(Random(18), good, amount(400, 1 << 20)):
        files.put(segment(1), flipped(good, bit) + tail)
        with pytest.raises(CorruptFile) as caught:
            load_segments(files, LOG)
        assert (caught.value.line, caught.value.byte) == place(good, bit // 8), f"bit {bit}"


@pytest.mark.parametrize("tail", tails(), ids=len)
def test_every_bit_of_a_torn_write_costs_nothing_that_was_acknowledged(tail: bytes) -> None:
    log = [entry(index) for index in range(1, 6)]
    good = lines(log)
    repaired = 0
    for bit in bits(Random(19), tail, amount(100, 1 << 20)):
        files = directory_of(log)
        damaged = flipped(tail, bit)
        files.put(segment(1), good + damaged)
        if b"\n" in damaged:
            with pytest.raises(CorruptFile) as caught:
                opened(files, ONE_SEGMENT)
            assert (caught.value.line, caught.value.byte) == (6, len(good))
            continue
        storage, restored = opened(files, ONE_SEGMENT)
        repaired += 1
        assert restored.entries == log
        copies = [name for name in files.names(LOG) if name.startswith("torn-")]
        assert [files.read(LOG / name) for name in copies] == [damaged]
        storage.close()
        again = storage.open(NODE)
        assert (again.entries, again.repairs) == (log, [])
        storage.close()
    assert repaired


def test_the_lines_have_bits_that_make_and_unmake_line_ends() -> None:
    """The tests above are only as good as their log."""
    good = lines(log_of(SIZE))
    made = {flipped(good, bit)[bit // 8] for bit in range(8 * SIZE)}
    assert {0, 10, 13} <= made
    assert good.count(b"\n") > 20
    assert any(a.term < b.term for a, b in pairwise(log_of(SIZE)))
