"""Snapshots: written in steps, sent and received in chunks; the log is compacted behind them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from reprlib import repr as short
from typing import Any
from zlib import crc32

import orjson
import pytest

from raftzmq.core.messages import SnapshotChunk
from raftzmq.core.ready import HardState
from raftzmq.errors import CorruptFile, DataError
from raftzmq.lines import decode_line, encode_line
from raftzmq.storage import MemoryStorage, StorageConfig, snapshot_lines
from raftzmq.storage.snapshot_lines import LINE_BYTES
from raftzmq.storage.storage import ENTRY_MEMORY

from .helpers import (
    LOG,
    SNAPSHOTS,
    THEM,
    US,
    Operations,
    chunks,
    crashed,
    entries,
    entry,
    fresh,
    meta,
    opened,
    receive,
    records,
    reopened,
    segment,
    snapshot_bytes,
    write_snapshot,
)


def busy(last: int) -> MemoryStorage:
    """A log of `last` entries in segments of four."""
    storage = fresh()
    for index in range(1, last + 1):
        storage.save(None, [entry(index)])
    return storage


# Writing


def test_a_snapshot_comes_back_with_what_it_stands_for() -> None:
    storage = fresh(6)
    write_snapshot(storage, meta(4), count=3)
    storage, restored = crashed(storage)
    assert restored.snapshot == storage.snapshot == meta(4)
    assert list(storage.snapshot_records()) == records(3)
    assert restored.entries == entries(1, 6)


def test_without_a_snapshot_there_are_no_records() -> None:
    assert list(fresh(2).snapshot_records()) == []


def test_a_snapshot_of_an_empty_state_machine() -> None:
    storage = fresh(1)
    write_snapshot(storage, meta(1), count=0)
    storage, restored = crashed(storage)
    assert restored.snapshot == meta(1)
    assert list(storage.snapshot_records()) == []


@pytest.fixture
def short_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot_lines, "LINE_RECORDS", 2)


@pytest.mark.usefixtures("short_lines")
def test_the_file_is_lines_that_a_person_can_read() -> None:
    storage = fresh(6)
    write_snapshot(storage, meta(4), count=3)
    data = storage.files.read(SNAPSHOTS / "4-1.jsonl")
    *head, trailer = data.splitlines(keepends=True)
    values = [decode_line(line) for line in head]
    assert values[0]["index"] == 4
    assert values[0]["format"] == 1
    assert values[1:] == [records(3)[:2], records(3)[2:]]
    assert decode_line(trailer) == ["end", 2, f"{crc32(b''.join(head)):08x}"]


def test_a_line_with_one_record_is_read_as_well() -> None:
    """So they were written before lines held several."""
    storage = fresh(6)
    write_snapshot(storage, meta(4), count=3)
    path = SNAPSHOTS / "4-1.jsonl"
    lines = [storage.files.read(path).split(b"\n")[0] + b"\n", *map(encode_line, records(3))]
    data = b"".join(lines)
    file = storage.files.create(path)
    file.write(data + encode_line(["end", 3, f"{crc32(data):08x}"]))
    file.sync()
    assert list(storage.snapshot_records()) == records(3)


def test_a_line_ends_where_it_is_long_enough() -> None:
    storage = fresh(6)
    long = [["key", "k", "x" * LINE_BYTES, 1]] * 3
    writer = storage.begin_snapshot(meta(4), iter(long))
    while not writer.step(1):
        pass
    data = storage.files.read(SNAPSHOTS / "4-1.jsonl")
    assert [decode_line(line) for line in data.splitlines()[1:-1]] == [[record] for record in long]


@pytest.mark.usefixtures("short_lines")
def test_a_step_writes_about_as_much_as_it_may_and_takes_no_more_records_than_that() -> None:
    taken = 0

    def counted() -> Iterator[list[Any]]:
        nonlocal taken
        for record in records(100):
            taken += 1
            yield record

    storage = fresh(6)
    writer = storage.begin_snapshot(meta(4), counted())
    line = len(encode_line(records(2)))
    assert not writer.step(3 * line)
    assert taken == 6
    while not writer.step(3 * line):
        pass
    assert taken == 100
    assert writer.step(1)


def test_nothing_has_the_name_of_a_snapshot_before_it_is_durable() -> None:
    storage = fresh(6)
    operations = Operations(storage.files)
    writer = storage.begin_snapshot(meta(4), iter(records(3)))
    while not writer.step(60):
        assert storage.snapshot is None
        assert storage.files.names(SNAPSHOTS) == ["writing-4-1"]
    done = [operation for operation, _ in operations.seen]
    assert done[-3:] == ["sync", "rename", "sync_dir"]
    assert storage.files.names(SNAPSHOTS) == ["4-1.jsonl"]


def test_an_aborted_snapshot_leaves_nothing() -> None:
    storage = fresh(6)
    writer = storage.begin_snapshot(meta(4), iter(records(30)))
    writer.step(100)
    writer.abort()
    writer.abort()
    assert storage.files.names(SNAPSHOTS) == []
    assert storage.snapshot is None
    write_snapshot(storage, meta(5))
    assert storage.snapshot == meta(5)


def test_unfinished_files_are_removed_by_the_next_start() -> None:
    storage = fresh(6)
    storage.begin_snapshot(meta(4), iter(records(30))).step(100)
    storage.receive(next(chunks(meta(9), snapshot_bytes(meta(9)))))
    storage.files.crash(keep=True)
    assert storage.files.names(SNAPSHOTS) == ["incoming-9-1", "writing-4-1"]
    storage, restored = opened(storage.files)
    assert storage.files.names(SNAPSHOTS) == []
    assert restored.snapshot is None


def test_only_one_snapshot_is_written_at_a_time_and_only_newer_ones() -> None:
    storage = fresh(6)
    writer = storage.begin_snapshot(meta(4), iter(records(3)))
    with pytest.raises(ValueError, match="index 5"):
        storage.begin_snapshot(meta(5), iter(()))
    writer.step(10_000)
    with pytest.raises(ValueError, match="index 4"):
        storage.begin_snapshot(meta(4), iter(()))


def test_the_two_newest_snapshots_are_kept() -> None:
    storage = fresh(9)
    for index in (2, 4, 6, 8):
        write_snapshot(storage, meta(index))
    assert storage.files.names(SNAPSHOTS) == ["6-1.jsonl", "8-1.jsonl"]


# When


def test_a_snapshot_is_due_by_count() -> None:
    storage = fresh(10)
    assert not storage.should_snapshot(9)
    assert storage.should_snapshot(10)
    write_snapshot(storage, meta(10))
    assert not storage.should_snapshot(10)


def test_a_snapshot_is_due_by_bytes() -> None:
    size = sum(len(e.line) for e in entries(1, 5))
    storage = fresh(4, config=StorageConfig(snapshot_bytes=size))
    assert not storage.should_snapshot(4)
    storage.save(None, [entry(5)])
    assert storage.should_snapshot(5)
    write_snapshot(storage, meta(5))
    storage.save(None, [entry(6)])
    assert not storage.should_snapshot(6)


def test_no_snapshot_is_due_before_the_log_is_as_big_as_the_last_one() -> None:
    storage = fresh(10)
    write_snapshot(storage, meta(10), count=100)
    size = storage.files.size(SNAPSHOTS / "10-1.jsonl")
    written = 0
    index = 10
    while written < size:
        assert not storage.should_snapshot(index)
        index += 1
        storage.save(None, [entry(index)])
        written += len(entry(index).line)
    assert storage.should_snapshot(index)


def test_a_snapshot_is_due_when_the_log_takes_its_bound_of_memory_however_big_the_last_one() -> (
    None
):
    size = sum(ENTRY_MEMORY + len(e.line) for e in entries(11, 15))
    storage = fresh(10, config=StorageConfig(log_memory_bytes=size))
    write_snapshot(storage, meta(10), count=100)
    for index in range(11, 16):
        assert not storage.should_snapshot(index - 1)
        storage.save(None, [entry(index)])
    assert storage.should_snapshot(15)
    assert not storage.should_snapshot(15, 1.25)
    write_snapshot(storage, meta(15), count=100)
    assert not storage.should_snapshot(15)


def test_a_restart_does_not_forget_how_much_log_there_is() -> None:
    storage = busy(16)
    write_snapshot(storage, meta(4))
    storage, _ = reopened(storage)
    assert storage.should_snapshot(16)
    assert not storage.should_snapshot(13)


def test_none_is_due_while_one_is_being_written() -> None:
    storage = fresh(10)
    writer = storage.begin_snapshot(meta(10), iter(records(3)))
    assert not storage.should_snapshot(10)
    writer.abort()


def test_a_node_may_wait_until_the_log_is_larger() -> None:
    storage = fresh()
    for index in range(1, 14):
        assert storage.should_snapshot(index - 1, 1.25) == (index - 1 >= 13)
        storage.save(None, [entry(index)])
    assert storage.should_snapshot(13, 1.25)
    assert storage.should_snapshot(10)


# Compaction


def test_compaction_deletes_the_segments_that_the_snapshot_covers() -> None:
    storage = busy(16)
    write_snapshot(storage, meta(13))
    left = [segment(first).name for first in (1, 5, 9, 13)]
    while left[1:]:
        assert storage.files.names(LOG) == left
        del left[0]
        assert storage.compact(13) == bool(left[1:]), "a file a call"
    assert storage.files.names(LOG) == [segment(13).name]
    assert not storage.compact(13)
    storage, restored = crashed(storage)
    assert restored.entries == entries(13, 16)
    assert storage.first_index == 13


def test_compaction_keeps_the_last_few_entries_for_followers_that_lag() -> None:
    storage = busy(16)
    write_snapshot(storage, meta(16))
    storage.config = replace(storage.config, keep_entries=5)
    while storage.compact(16):
        pass
    assert storage.files.names(LOG) == [segment(9).name, segment(13).name]


def test_nothing_is_compacted_without_a_durable_snapshot() -> None:
    storage = busy(16)
    with pytest.raises(ValueError, match="no durable snapshot"):
        storage.compact(4)
    write_snapshot(storage, meta(8))
    with pytest.raises(ValueError, match="no durable snapshot"):
        storage.compact(9)
    writer = storage.begin_snapshot(meta(12), iter(records(100)))
    writer.step(100)
    with pytest.raises(ValueError, match="no durable snapshot"):
        storage.compact(12)


def test_a_log_that_does_not_reach_back_to_the_snapshot_is_reported() -> None:
    storage = busy(16)
    write_snapshot(storage, meta(6))
    storage.close()
    storage.files.unlink(segment(1))
    _, restored = opened(storage.files)  # it begins at 5, and the snapshot ends at 6
    assert restored.entries == entries(5, 16)
    storage.files.crash()
    storage.files.unlink(segment(5))
    with pytest.raises(CorruptFile, match="ends at 6") as caught:
        opened(storage.files)
    assert caught.value.path == segment(9)


# Sending and receiving


def test_chunks_put_together_are_the_file() -> None:
    storage = fresh(6)
    write_snapshot(storage, meta(4), count=20)
    whole = storage.files.read(SNAPSHOTS / "4-1.jsonl")
    data, done = b"", False
    while not done:
        part, done = storage.read_chunk(4, 1, len(data), 100)
        assert len(part) == 100 or done
        data += part
    assert data == whole


def test_a_snapshot_that_is_gone_is_not_found() -> None:
    with pytest.raises(FileNotFoundError):
        fresh(6).read_chunk(4, 1, 0, 100)


def test_a_snapshot_received_ahead_of_the_log_takes_its_place() -> None:
    storage = busy(6)
    assert receive(storage, meta(20), snapshot_bytes(meta(20), 7)) == meta(20)
    assert (storage.first_index, storage.last_index) == (21, 20)
    storage.save(None, [entry(21)])
    storage, restored = crashed(storage)
    assert restored.snapshot == meta(20)
    assert restored.entries == [entry(21)]
    assert list(storage.snapshot_records()) == records(7)


@pytest.mark.parametrize("index", range(1, 10))
def test_a_log_that_agrees_with_a_received_snapshot_keeps_what_follows(index: int) -> None:
    storage = busy(9)
    receive(storage, meta(index), snapshot_bytes(meta(index)))
    assert storage.last_index == 9
    storage.save(None, [entry(10)])
    _, restored = crashed(storage)
    assert restored.snapshot == meta(index)
    assert restored.entries == entries(1, 10)


@pytest.mark.parametrize("index", range(1, 10))
def test_a_log_that_disagrees_with_a_received_snapshot_is_emptied(index: int) -> None:
    storage = busy(9)
    storage.save(HardState(2, US))
    receive(storage, meta(index, term=2), snapshot_bytes(meta(index, term=2)))
    assert (storage.first_index, storage.last_index) == (index + 1, index)
    storage.save(None, [entry(index + 1, term=2)])
    _, restored = crashed(storage)
    assert restored.snapshot == meta(index, term=2)
    assert restored.entries == [entry(index + 1, term=2)]


def test_a_received_snapshot_is_verified_before_it_counts() -> None:
    data = snapshot_bytes(meta(9))
    for byte in range(0, len(data), 7):
        storage = busy(3)
        damaged = data[:byte] + bytes([data[byte] ^ 4]) + data[byte + 1 :]
        with pytest.raises(CorruptFile):
            receive(storage, meta(9), damaged)
        assert storage.snapshot is None
        assert storage.files.names(SNAPSHOTS) == []
        assert storage.last_index == 3
        assert receive(storage, meta(9), data) == meta(9)


def test_a_snapshot_of_another_index_than_announced_is_damage() -> None:
    with pytest.raises(CorruptFile, match="index 9"):
        receive(busy(3), meta(10), snapshot_bytes(meta(9)))


def test_a_snapshot_of_a_newer_format_is_refused() -> None:
    header, *_ = snapshot_bytes(meta(9), 0).splitlines(keepends=True)
    newer = encode_line({**decode_line(header), "format": 2})
    data = newer + encode_line(["end", 0, f"{crc32(newer):08x}"])
    with pytest.raises(DataError, match="format 2"):
        receive(busy(3), meta(9), data)


DEEP = {"members": [{"name": "[" * 1000 + "]" * 1000}], "forming": []}
"""Its name stands for as many lists inside of one another: orjson reads them, and writes fewer."""


def sealed(value: object) -> bytes:
    """The line of a value, with lists in the place of strings that look like some."""
    text = orjson.dumps(value).replace(b'"[', b"[").replace(b']"', b"]")
    return b"%08x %b\n" % (crc32(text), text)


@pytest.mark.parametrize(
    "header",
    [
        {"format": 1, "index": 9, "term": 1, "time_ms": 0, "membership": DEEP},
        {"format": 1},
        ["format", 1],
        {"format": 1, "index": 9, "term": 1, "time_ms": 0, "membership": {"members": [1]}},
        {"format": 1, "index": 9, "term": 1, "time_ms": 0, "membership": []},
        {"format": 1, "index": "x", "term": 1, "time_ms": 0, "membership": {}},
    ],
    ids=short,
)
def test_a_header_that_is_none_is_damage(header: object) -> None:
    line = sealed(header)
    data = line + encode_line(["end", 0, f"{crc32(line):08x}"])
    with pytest.raises(CorruptFile, match="header"):
        receive(busy(3), meta(9), data)


def test_repeated_chunks_are_ignored_and_a_gap_starts_over() -> None:
    storage = busy(3)
    first, second, *rest = chunks(meta(9), snapshot_bytes(meta(9), 20))
    for chunk in (first, second, second):
        assert storage.receive(chunk) is None
    with pytest.raises(CorruptFile, match="chunk"):
        storage.receive(rest[1])
    assert storage.files.names(SNAPSHOTS) == []
    results = [storage.receive(chunk) for chunk in (first, second, *rest)]
    assert results[-1] == meta(9)


def test_a_chunk_at_the_start_starts_over() -> None:
    storage = busy(3)
    some = list(chunks(meta(9), snapshot_bytes(meta(9))))
    storage.receive(some[0])
    storage.receive(some[1])
    assert [storage.receive(chunk) for chunk in some][-1] == meta(9)


def test_another_snapshot_takes_the_place_of_one_half_received() -> None:
    storage = busy(3)
    storage.receive(next(chunks(meta(9), snapshot_bytes(meta(9)))))
    first, *_ = chunks(meta(12), snapshot_bytes(meta(12)))
    storage.receive(first)
    assert storage.files.names(SNAPSHOTS) == ["incoming-12-1"]


def test_a_snapshot_no_newer_than_ours_is_not_taken() -> None:
    storage = busy(9)
    data = snapshot_bytes(meta(6))
    assert receive(storage, meta(6), data) == meta(6)
    operations = Operations(storage.files)
    assert receive(storage, meta(6), data) == meta(6)
    assert receive(storage, meta(5), snapshot_bytes(meta(5))) is None
    assert operations.seen == []


def test_a_received_snapshot_wins_over_an_older_one_still_being_written() -> None:
    storage = busy(9)
    writer = storage.begin_snapshot(meta(7), iter(records(50)))
    writer.step(100)
    receive(storage, meta(20), snapshot_bytes(meta(20)))
    while not writer.step(1000):
        pass
    assert storage.snapshot == meta(20)
    _, restored = crashed(storage)
    assert restored.snapshot == meta(20)
    assert restored.entries == []


def test_a_big_snapshot_is_synced_on_the_way() -> None:
    storage = fresh(3)
    operations = Operations(storage.files)
    writer = storage.begin_snapshot(meta(3), iter([["key", "x" * 3_000_000]] * 4))
    while not writer.step(1):
        pass
    syncs = [n for n, (operation, _) in enumerate(operations.seen) if operation == "sync"]
    assert len(syncs) == 5  # one for each megabyte or more, and one at the end
    storage, _ = crashed(storage)
    assert len(list(storage.snapshot_records())) == 4


def test_a_chunk_is_sent_by_the_name_of_the_snapshot_alone() -> None:
    # The receiver names the file: nothing in a chunk can be a path.
    of = SnapshotChunk(THEM, US, 1, 9, 1, 0, b"x", False)
    storage = fresh(3)
    storage.receive(of)
    assert storage.files.names(SNAPSHOTS) == ["incoming-9-1"]
