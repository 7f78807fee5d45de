"""Torn writes are cut, with a copy; damage is reported with its place, and nothing is changed."""

from __future__ import annotations

from pathlib import Path
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftzmq.core.ready import HardState
from raftzmq.errors import CorruptFile
from raftzmq.storage import MemoryFiles, MemoryStorage
from raftzmq.storage.records import encode_record
from tests.amounts import amount

from .helpers import (
    DATA,
    LOG,
    NODE,
    SMALL,
    SNAPSHOTS,
    THEM,
    crashed,
    entries,
    entry,
    fresh,
    lines,
    meta,
    opened,
    segment,
    write_snapshot,
)

ACKNOWLEDGED = entries(1, 2)
APPENDED = entries(3, 5)


def with_log(data: bytes) -> MemoryFiles:
    """A directory whose only segment holds `data`."""
    storage = fresh(2)
    storage.close()
    storage.files.put(segment(1), data)
    return storage.files


def contents(files: MemoryFiles) -> dict[Path, bytes]:
    """Every file of the directory."""
    found = {}
    for directory in (DATA, LOG, SNAPSHOTS):
        for name in files.names(directory):
            if directory / name not in (LOG, SNAPSHOTS):
                found[directory / name] = files.read(directory / name)
    return found


def flips(data: bytes) -> list[tuple[int, bytes]]:
    """(byte, damaged data) for each bit; in the usual run for one or two of each byte."""
    return [
        (byte, data[:byte] + bytes([data[byte] ^ 1 << bit]) + data[byte + 1 :])
        for byte in range(len(data))
        for bit in range(8)
    ][:: amount(5, 1)]


def expect_repair(files: MemoryFiles, whole: int, tail: bytes) -> None:
    """Opening keeps the first `whole` entries and puts `tail` in a copy."""
    storage, restored = opened(files)
    kept = (ACKNOWLEDGED + APPENDED)[:whole]
    assert restored.entries == kept
    assert files.read(segment(1)) == lines(kept)
    copies = [name for name in files.names(LOG) if name.startswith("torn-")]
    if not tail:
        assert copies == []
        assert restored.repairs == []
        return
    (copy,) = copies
    assert files.read(LOG / copy) == tail
    (repair,) = restored.repairs
    assert f"line {whole + 1}, byte {len(lines(kept))}: " in repair
    assert copy in repair
    storage.save(None, [entry(whole + 1)])
    storage, restored = crashed(storage)
    assert restored.entries == [*kept, entry(whole + 1)]
    assert restored.repairs == []


@pytest.mark.parametrize("length", range(len(lines(APPENDED)) + 1))
def test_an_append_of_three_lines_that_was_cut_short_anywhere(length: int) -> None:
    whole = lines(APPENDED)[:length].count(b"\n")
    tail = lines(APPENDED)[len(lines(APPENDED[:whole])) : length]
    expect_repair(with_log(lines(ACKNOWLEDGED) + lines(APPENDED)[:length]), 2 + whole, tail)


@pytest.mark.parametrize("length", range(len(lines(APPENDED))))
def test_an_append_that_was_cut_short_with_unwritten_zeros_after_it(length: int) -> None:
    written = lines(APPENDED)[:length] + bytes(17)
    whole = written.count(b"\n")
    tail = written[len(lines(APPENDED[:whole])) :]
    expect_repair(with_log(lines(ACKNOWLEDGED) + written), 2 + whole, tail)


@given(st.binary(min_size=1, max_size=200).map(lambda data: data.replace(b"\n", b"x")))
def test_any_bytes_without_a_newline_at_the_end_are_cut(tail: bytes) -> None:
    expect_repair(with_log(lines(ACKNOWLEDGED) + tail), 2, tail)


def test_a_flipped_bit_in_a_torn_tail_changes_nothing_about_it() -> None:
    for _, tail in flips(lines(APPENDED)[:20]):
        if b"\n" not in tail:
            expect_repair(with_log(lines(ACKNOWLEDGED) + tail), 2, tail)


def test_a_second_torn_write_at_the_same_place_gets_a_copy_of_its_own() -> None:
    files = with_log(lines(ACKNOWLEDGED) + b"one")
    opened(files)[0].close()
    files.put(segment(1), lines(ACKNOWLEDGED) + b"two")
    opened(files)[0].close()
    copies = [LOG / name for name in files.names(LOG) if name.startswith("torn-")]
    assert [files.read(copy) for copy in copies] == [b"one", b"two"]


def test_a_torn_write_does_not_keep_a_node_with_a_full_disk_from_starting() -> None:
    files = with_log(lines(ACKNOWLEDGED) + b"torn")
    files.capacity = 0
    _, restored = opened(files)
    assert restored.entries == ACKNOWLEDGED
    assert "no space to keep a copy" in restored.repairs[0]
    assert files.read(segment(1)) == lines(ACKNOWLEDGED)
    assert files.names(LOG) == [segment(1).name]


def expect_refusal(files: MemoryFiles, path: Path, line: int, byte: int) -> None:
    """Opening names that place, twice the same, and changes nothing."""
    before = contents(files)
    for _ in range(2):
        with pytest.raises(CorruptFile) as caught:
            opened(files)
        assert (caught.value.path, caught.value.line, caught.value.byte) == (path, line, byte)
    assert contents(files) == before


def test_a_page_that_was_not_written_before_one_that_was_is_damage() -> None:
    # Nobody can tell it from damage to lines that were acknowledged, so nothing is cut.
    data = lines(ACKNOWLEDGED) + bytes(40) + lines(APPENDED)[40:]
    expect_refusal(with_log(data), segment(1), 3, len(lines(ACKNOWLEDGED)))


def test_an_incomplete_line_in_a_segment_that_is_not_the_last_is_damage() -> None:
    storage = fresh(4)
    storage.save(None, [entry(5)])
    storage.close()
    data = storage.files.read(segment(1))
    for cut in range(1, len(entry(4).line)):
        storage.files.put(segment(1), data[:-cut])
        byte = len(data) - len(entry(4).line)
        # Without its last line the segment ends too early for the next one.
        expect_refusal(storage.files, segment(1), 4, byte)


def test_a_flipped_bit_anywhere_in_the_log_is_found_and_nothing_is_cut() -> None:
    storage = fresh()
    for index in range(1, 6):
        storage.save(None, [entry(index)])
    storage.close()
    files = storage.files
    for path in (segment(1), segment(5)):
        good = files.read(path)
        for byte, damaged in flips(good):
            files.put(path, damaged)
            line = good[:byte].count(b"\n") + 1
            expect_refusal(files, path, line, good.rfind(b"\n", 0, byte) + 1)
        files.put(path, good)
    _, restored = opened(files)
    assert restored.entries == entries(1, 5)


def test_a_damaged_newline_is_found_although_a_torn_write_follows_it() -> None:
    good, torn = lines(ACKNOWLEDGED), lines(APPENDED)[:-1].split(b"\n")[0]
    for bit in range(8):
        for tail in (torn[:1], torn[:20], torn, torn[:20] + bytes(17)):
            data = good[:-1] + bytes([good[-1] ^ 1 << bit]) + tail
            expect_refusal(with_log(data), segment(1), 2, len(ACKNOWLEDGED[0].line))


def used_directory() -> MemoryStorage:
    """A closed directory with everything in it."""
    storage = fresh(6)
    storage.save(HardState(2, THEM))
    storage.adopt("c1")
    write_snapshot(storage, meta(4))
    storage.close()
    return storage


@pytest.mark.parametrize("name", ["state.json", "node.json"])
def test_a_flipped_bit_anywhere_in_a_small_file_is_found(name: str) -> None:
    files = used_directory().files
    for _, damaged in flips(files.read(DATA / name)):
        files.put(DATA / name, damaged)
        expect_refusal(files, DATA / name, 1, 0)


@pytest.mark.parametrize(
    "data",
    [
        b'{"term":"\\udc00\\ud800","vote":["raft-0","aaaa"],"crc32":"5d5161ac"}\n',
        b'{"term":,"crc32":"15389b5b"}\n',
        b'{"term":%b1%b,"crc32":"%08x"}\n'
        % (b"[" * 1025, b"]" * 1025, crc32(b'{"term":%b1%b}' % (b"[" * 1025, b"]" * 1025))),
    ],
    ids=len,
)
def test_nonsense_under_a_right_checksum_is_no_term_and_vote(data: bytes) -> None:
    assert data.endswith(b',"crc32":"%08x"}\n' % crc32(data[:-21] + b"}"))
    files = used_directory().files
    files.put(DATA / "state.json", data)
    expect_refusal(files, DATA / "state.json", 1, 0)


@pytest.mark.parametrize("form", [None, True, 1.0, "1", [[]], {"a": {}}], ids=repr)
def test_a_format_that_is_no_number_is_damage_and_no_other_version(form: object) -> None:
    files = used_directory().files
    record = {"format": form, "node": "raft-0", "incarnation": "aaaa", "cluster": "c1"}
    files.put(DATA / "node.json", encode_record(record))
    expect_refusal(files, DATA / "node.json", 1, 0)


@pytest.mark.parametrize("name", ["state.json", "node.json"])
def test_a_small_file_cut_anywhere_or_missing_is_found(name: str) -> None:
    files = used_directory().files
    good = files.read(DATA / name)
    for length in range(len(good)):
        files.put(DATA / name, good[:length])
        expect_refusal(files, DATA / name, 1, 0)
    files.unlink(DATA / name)
    with pytest.raises(CorruptFile, match="missing"):
        opened(files)


def test_a_flipped_bit_anywhere_in_the_snapshot_is_found() -> None:
    files = used_directory().files
    path = SNAPSHOTS / "4-1.jsonl"
    good = files.read(path)
    for byte, damaged in flips(good):
        files.put(path, damaged)
        line = good[:byte].count(b"\n") + 1
        expect_refusal(files, path, line, good.rfind(b"\n", 0, byte) + 1)


def test_a_snapshot_cut_anywhere_is_found() -> None:
    files = used_directory().files
    path = SNAPSHOTS / "4-1.jsonl"
    good = files.read(path)
    for length in range(len(good)):
        files.put(path, good[:length])
        with pytest.raises(CorruptFile) as caught:
            opened(files)
        assert caught.value.path == path


def test_a_snapshot_with_a_line_repeated_or_left_out_is_found() -> None:
    files = used_directory().files
    path = SNAPSHOTS / "4-1.jsonl"
    good = files.read(path).splitlines(keepends=True)
    for damaged in (good[:2] + good[1:], good[:1] + good[2:], [*good, good[-1]]):
        files.put(path, b"".join(damaged))
        with pytest.raises(CorruptFile):
            opened(files)


def test_a_snapshot_under_another_ones_name_is_found() -> None:
    files = used_directory().files
    files.rename(SNAPSHOTS / "4-1.jsonl", SNAPSHOTS / "5-1.jsonl")
    expect_refusal(files, SNAPSHOTS / "5-1.jsonl", 1, 0)


def test_a_vote_file_older_than_the_log_is_found() -> None:
    storage = fresh(1)
    files = storage.files
    old = files.read(DATA / "state.json")
    storage.save(HardState(2, THEM), [entry(2, term=2)])
    storage.close()
    files.put(DATA / "state.json", old)
    expect_refusal(files, DATA / "state.json", 1, 0)


def test_the_advice_says_how_to_recover() -> None:
    files = with_log(b"damage\n")
    with pytest.raises(CorruptFile, match="--rejoin"):
        MemoryStorage(files, config=SMALL).open(NODE)
