"""A crowd has all descriptors: what a node must write and read it can, all the same."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from raftzmq.core.ready import HardState
from raftzmq.descriptors import SPARE
from raftzmq.errors import DiskFull
from raftzmq.storage import OsFiles, Storage

from .helpers import SMALL, THEM, entries, entry, meta, write_snapshot

LIMIT = 1024
"""More than this process has open: the tests before this one hold the ports of their nodes."""


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Storage]:
    storage = Storage(tmp_path / "data", OsFiles(), config=SMALL)
    storage.open("raft-0")
    storage.save(HardState(1), entries(1, 6))
    yield storage
    storage.close()


@pytest.fixture
def crowd(storage: Storage) -> Iterator[list[int]]:
    """Every descriptor below the soft limit is taken."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (LIMIT, hard))
    taken: list[int] = []
    try:
        take_all(taken)
        yield taken
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def take_all(taken: list[int]) -> None:
    while (descriptor := duplicate()) is not None:
        taken.append(descriptor)


def duplicate() -> int | None:
    try:
        return os.dup(2)
    except OSError:
        return None


def live(storage: Storage) -> None:
    """All that opens a file: a vote, new segments, a conflict, a snapshot, compaction, a chunk."""
    storage.adopt("c1")
    storage.save(HardState(2, THEM), [entry(7, term=2)])
    for index in range(8, 20):
        storage.save(None, [entry(index, term=2)])
    storage.save(None, entries(15, 16, term=2))
    write_snapshot(storage, meta(12, 2))
    while storage.compact(12):
        pass
    data, done = storage.read_chunk(12, 2, 0, 1 << 20)
    assert data
    assert done
    assert list(storage.snapshot_records())


@pytest.mark.usefixtures("crowd")
def test_everything_works_with_the_spare_ones(storage: Storage) -> None:
    live(storage)
    assert (storage.last_index, storage.first_index > 1) == (16, True)


def test_without_any_spare_one_it_is_a_shortage_that_passes(
    storage: Storage, crowd: list[int]
) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (LIMIT + SPARE, hard))
    take_all(crowd)
    resource.setrlimit(resource.RLIMIT_NOFILE, (LIMIT, hard))
    with pytest.raises(DiskFull, match="too many files are open for term and vote"):
        storage.save(HardState(2, THEM))
    while crowd:
        os.close(crowd.pop())
    live(storage)


@pytest.mark.parametrize(("hard", "soft"), [(256, 224), (40, 20)])
def test_the_limit_leaves_spare_ones(hard: int, soft: int) -> None:
    program = (
        "import resource; from raftzmq.descriptors import limit_open_files; "
        f"resource.setrlimit(resource.RLIMIT_NOFILE, ({hard}, {hard})); limit_open_files(); "
        "print(*resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert done.stdout.split() == [str(soft), str(hard)]
