"""What Durable says of a disk is what a node finds there after the worst crash."""

from __future__ import annotations

import errno
from pathlib import Path
from random import Random

import pytest

from raftzmq.core.identity import NodeId
from raftzmq.core.ready import HardState
from raftzmq.errors import CorruptFile
from raftzmq.storage import MemoryStorage, Storage
from tests.sim.disks import Durable, SimFiles
from tests.storage.helpers import SMALL, entries, entry, meta, write_snapshot


def quiet(_operation: str, _path: Path) -> None:
    pass


def fresh() -> tuple[SimFiles, MemoryStorage]:
    files = SimFiles(quiet)
    storage = MemoryStorage(files, config=SMALL)
    storage.open("raft-0")
    return files, storage


def test_durable_sees_term_vote_log_and_snapshot() -> None:
    files, storage = fresh()
    durable = Durable(files)
    assert durable.refresh().last_index == 0
    vote = NodeId("raft-1", "b" * 16)
    storage.save(HardState(3, vote), entries(1, 9, 2))
    assert durable.refresh().hard_state == HardState(3, vote)
    assert (durable.last_index, durable.term_at(9), durable.holds(9, 2)) == (9, 2, True)
    assert not durable.holds(10, 2)
    assert not durable.holds(9, 1)
    storage.save(None, entries(5, 6, 3))
    assert (durable.refresh().last_index, durable.term_at(6), durable.term_at(4)) == (6, 3, 2)
    write_snapshot(storage, meta(6, 3))
    while storage.compact(6):
        pass
    assert durable.refresh().snapshot == (6, 3)
    assert durable.first_index > 1
    assert durable.holds(2, 2), "the snapshot holds it"


@pytest.mark.parametrize("seed", range(30))
def test_durable_is_what_is_found_after_the_worst_crash(seed: int) -> None:
    random = Random(seed)
    files, storage = fresh()
    durable = Durable(files)
    term, last = 1, 0
    for _ in range(random.randint(1, 12)):
        if random.random() < 0.3:
            term += 1
        first = random.randint(max(1, last - 3), last + 1)
        last = first + random.randint(0, 5)
        storage.save(HardState(term, None), [entry(i, term) for i in range(first, last + 1)])
    seen = durable.refresh()
    files.crash()
    restored = MemoryStorage(files, config=SMALL).open("raft-0")
    assert restored.hard_state == seen.hard_state
    assert [e.term for e in restored.entries] == [
        seen.term_at(i) for i in range(seen.first_index, seen.last_index + 1)
    ]


def test_durable_sees_a_segment_whose_name_was_never_synced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    files, storage = fresh()
    storage.save(HardState(1, None), entries(1, SMALL.segment_entries))
    monkeypatch.setattr(files, "sync_dir", lambda _path: None)
    storage.save(None, [entry(SMALL.segment_entries + 1)])
    assert storage.last_index == SMALL.segment_entries + 1
    assert Durable(files).refresh().last_index == SMALL.segment_entries


def test_after_a_failed_sync_success_means_nothing() -> None:
    files, storage = fresh()
    storage.save(HardState(1, None), [entry(1)])
    files.fail_next_sync = True
    with pytest.raises(OSError, match="output error") as failed:
        storage.save(None, [entry(2)])
    assert failed.value.errno == errno.EIO
    segment = next(iter(sorted(files.names(Path("/data/log")))))
    files.append(Path("/data/log") / segment).sync()
    assert Durable(files).refresh().last_index == 1


def test_what_a_failed_sync_left_in_the_cache_is_durable_or_not_restored() -> None:
    """The next process finds it, on a machine that runs on, and will acknowledge it."""
    files, storage = fresh()
    storage.save(HardState(1, None), [entry(1)])
    files.fail_next_sync = True
    with pytest.raises(OSError, match="output error"):
        storage.save(None, [entry(2)])
    files.process_died()
    restored = MemoryStorage(files, config=SMALL).open("raft-0").entries
    assert len(restored) == 2, "the cache has it"
    assert Durable(files).refresh().last_index == 2
    files.crash()
    assert MemoryStorage(files, config=SMALL).open("raft-0").entries == restored


def test_every_flipped_bit_is_found_or_harmless() -> None:
    """One that is not found must leave the node's memory as it was."""
    found = 0
    for seed in range(200):
        files, storage = fresh()
        storage.save(HardState(2, None), entries(1, 9, 2))
        storage.close()
        before = Storage(Path("/data"), files, config=SMALL).open("raft-0")
        files.kill()
        where = files.flip_a_bit(Random(seed))
        try:
            after = MemoryStorage(files, config=SMALL).open("raft-0")
        except CorruptFile:
            found += 1
        else:
            assert after.entries == before.entries, where
    assert found > 150
