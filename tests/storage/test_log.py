"""The log: what is saved comes back, in the same bytes, in files that a person can read."""

from __future__ import annotations

import pytest

from raftzmq.core.entry import Entry
from raftzmq.core.ready import HardState
from raftzmq.errors import CorruptFile, UnknownEntry
from raftzmq.lines import encode_entry, encode_line
from raftzmq.storage import StorageConfig

from .helpers import (
    LOG,
    THEM,
    Operations,
    crashed,
    entries,
    entry,
    fresh,
    lines,
    opened,
    reopened,
    segment,
)

ROOMY = StorageConfig()


def test_a_new_directory_is_empty_and_has_an_incarnation() -> None:
    storage = fresh()
    _, restored = reopened(storage)
    assert len(restored.incarnation) == 16
    assert restored.cluster == ""
    assert restored.snapshot is None
    assert restored.entries == []
    assert restored.repairs == []


def test_each_directory_gets_another_incarnation_and_keeps_it() -> None:
    one, first = reopened(fresh())
    _, second = reopened(fresh())
    assert first.incarnation != second.incarnation
    _, again = reopened(one)
    assert again.incarnation == first.incarnation


def test_saved_entries_survive_the_loss_of_everything_unsynced() -> None:
    storage = fresh()
    storage.save(HardState(3, THEM), entries(1, 3, term=2))
    storage.save(None, entries(4, 5, term=3))
    _, restored = crashed(storage)
    assert restored.hard_state == HardState(3, THEM)
    assert restored.entries == entries(1, 3, term=2) + entries(4, 5, term=3)


def test_a_save_is_one_write_and_one_sync_however_many_entries() -> None:
    storage = fresh(2, config=ROOMY)
    operations = Operations(storage.files)
    storage.save(None, entries(3, 502))
    assert operations.seen == [("write", segment(1).name), ("sync", segment(1).name)]


def test_an_unchanged_hard_state_is_not_written_again() -> None:
    storage = fresh()
    storage.save(HardState(4, THEM))
    operations = Operations(storage.files)
    storage.save(HardState(4, THEM))
    assert operations.seen == []


def test_the_term_is_durable_before_an_entry_of_it_is_written() -> None:
    storage = fresh(2)
    operations = Operations(storage.files)
    storage.save(HardState(2, None), [entry(3, term=2)])
    done = [operation for operation, _ in operations.seen]
    assert done == ["create", "write", "sync", "rename", "sync_dir", "write", "sync"]
    assert operations.seen[-1] == ("sync", segment(1).name)


def test_an_entry_of_a_term_that_was_not_saved_is_refused() -> None:
    with pytest.raises(ValueError, match="term 2 is not saved"):
        fresh(2).save(None, [entry(3, term=2)])


def test_the_files_hold_the_lines_and_nothing_else() -> None:
    storage = fresh(6)
    storage.save(None, [entry(7)])
    files = storage.files
    assert files.names(LOG) == [segment(1).name, segment(7).name]
    assert files.read(segment(1)) == lines(entries(1, 6))
    assert files.read(segment(7)) == entry(7).line


def test_a_segment_that_is_full_is_followed_by_another() -> None:
    storage = fresh()
    for index in range(1, 10):
        storage.save(None, [entry(index)])
    assert storage.files.names(LOG) == [segment(n).name for n in (1, 5, 9)]
    _, restored = crashed(storage)
    assert restored.entries == entries(1, 9)


def test_a_segment_is_full_by_bytes_too() -> None:
    config = StorageConfig(segment_bytes=2 * len(entry(1).line))
    storage = fresh(2, config=config)
    storage.save(None, [entry(3)])
    assert storage.files.names(LOG) == [segment(1).name, segment(3).name]


@pytest.mark.parametrize("first", range(1, 12))
def test_entries_from_a_conflict_on_are_replaced(first: int) -> None:
    storage = fresh()
    for index in range(1, 11):
        storage.save(None, [entry(index)])
    storage.save(HardState(2, None), entries(first, first + 1, term=2))
    assert storage.last_index == first + 1
    expected = entries(1, first - 1) + entries(first, first + 1, term=2)
    storage, restored = crashed(storage)
    assert restored.entries == expected
    storage.save(None, [entry(first + 2, term=2)])
    _, restored = crashed(storage)
    assert restored.entries == [*expected, entry(first + 2, term=2)]


@pytest.mark.parametrize(
    "some",
    [[entry(4)], [entry(2), entry(4)], [entry(1), entry(3)]],
    ids=["gap before", "gap inside", "gap inside a replacement"],
)
def test_entries_that_would_leave_a_gap_are_refused(some: list[Entry]) -> None:
    storage = fresh(2)
    with pytest.raises(ValueError, match="do not fit"):
        storage.save(None, some)
    _, restored = reopened(storage)
    assert restored.entries == entries(1, 2)


def test_an_empty_last_segment_is_fine() -> None:
    storage = fresh(4)
    storage.close()
    storage.files.put(segment(5), b"")
    storage, restored = opened(storage.files)
    assert restored.entries == entries(1, 4)
    storage.save(None, [entry(5)])
    _, restored = crashed(storage)
    assert restored.entries == entries(1, 5)


def test_a_missing_segment_is_reported_with_what_follows_it() -> None:
    storage = fresh()
    for index in range(1, 10):
        storage.save(None, [entry(index)])
    storage.close()
    storage.files.unlink(segment(5))
    with pytest.raises(CorruptFile, match="ends at index 4") as caught:
        opened(storage.files)
    assert (caught.value.path, caught.value.line, caught.value.byte) == (segment(9), 1, 0)


def test_a_log_that_begins_too_late_is_reported() -> None:
    storage = fresh()
    for index in range(1, 6):
        storage.save(None, [entry(index)])
    storage.close()
    storage.files.unlink(segment(1))
    with pytest.raises(CorruptFile, match="newest snapshot ends at 0"):
        opened(storage.files)


def test_a_log_without_any_segment_is_reported() -> None:
    storage = fresh(1)
    storage.close()
    storage.files.unlink(segment(1))
    with pytest.raises(CorruptFile, match="no segments"):
        opened(storage.files)


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        (entry(4), "index 4 where 3 belongs"),
        (entry(2), "index 2 where 3 belongs"),
        (entry(3, term=1), "term 1 after term 2"),
        (entry(3)._replace(line=encode_line([3, 2, 30, "noop"])), "not an entry"),
    ],
    ids=["skipped", "repeated", "term goes back", "too short"],
)
def test_lines_that_are_whole_but_do_not_fit_are_damage(wrong: Entry, problem: str) -> None:
    storage = fresh(2, term=2)
    storage.close()
    good = lines(entries(1, 2, term=2))
    storage.files.put(segment(1), good + wrong.line)
    with pytest.raises(CorruptFile, match=problem) as caught:
        opened(storage.files)
    assert (caught.value.path, caught.value.line, caught.value.byte) == (segment(1), 3, len(good))
    assert storage.files.read(segment(1)) == good + wrong.line


def test_an_entry_of_an_unknown_kind_is_not_called_damage() -> None:
    storage = fresh(1)
    storage.close()
    newer = encode_entry(2, 1, 20, "barrier", None)
    storage.files.put(segment(1), entry(1).line + newer.line)
    with pytest.raises(UnknownEntry, match=r"line 2, byte .* newer"):
        opened(storage.files)
    assert storage.files.read(segment(1)) == entry(1).line + newer.line


def test_files_of_other_people_are_left_alone() -> None:
    storage = fresh(2)
    storage.close()
    storage.files.put(LOG / "notes.txt", b"mine")
    storage.files.put(LOG / "draft.new", b"mine too")
    storage, restored = opened(storage.files)
    assert restored.entries == entries(1, 2)
    assert storage.files.read(LOG / "notes.txt") == b"mine"
    assert storage.files.read(LOG / "draft.new") == b"mine too"
