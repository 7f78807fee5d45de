"""A full disk is refused with the log as before, and clears by itself; a failing one is final."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from raftzmq.core.ready import HardState
from raftzmq.errors import CorruptFile, DataError, DiskFull
from raftzmq.storage import MemoryFiles, MemoryStorage, snapshot_lines

from .helpers import (
    LOG,
    SNAPSHOTS,
    THEM,
    US,
    chunks,
    crashed,
    entries,
    entry,
    fresh,
    lines,
    meta,
    opened,
    records,
    reopened,
    segment,
    snapshot_bytes,
    write_snapshot,
)
from .script import SCRIPT, Adopt, Save, Step, TakeSnapshot, next_save, seen, stages


def failing(
    code: int, first: int, *, once: bool, only: str = ""
) -> tuple[Callable[[str, Path], None], list[str]]:
    """A hook that fails the operation number `first` (and all later ones); what it failed."""
    passed = 0
    failed: list[str] = []

    def before(operation: str, path: Path) -> None:
        nonlocal passed
        if only and operation != only:
            return
        passed += 1
        if passed == first + 1 or (passed > first and not once):
            failed.append(operation)
            raise OSError(code, os.strerror(code), str(path))

    return before, failed


def is_done(step: Step, storage: MemoryStorage) -> bool:
    """Whether it is a snapshot that was in place already when the error came."""
    return isinstance(step, TakeSnapshot) and storage.snapshot == meta(step.index, step.term)


def no_fault(operation: str, path: Path) -> None:
    pass


def test_every_size_of_space_that_is_too_little_leaves_the_log_as_it_was() -> None:
    new = entries(3, 5)
    for room in range(len(lines(new))):
        storage = fresh(2)
        files = storage.files
        files.capacity = 0
        files.capacity = -files.room() + room
        with pytest.raises(DiskFull, match="free some"):
            storage.save(None, new)
        assert storage.last_index == 2
        assert files.read(segment(1)) == lines(entries(1, 2))
        files.capacity = None
        storage.save(None, new)
        _, restored = crashed(storage)
        assert restored.entries == entries(1, 5)


def test_space_for_a_smaller_write_is_used() -> None:
    storage = fresh(2)
    files = storage.files
    files.capacity = 0
    files.capacity = -files.room() + len(entry(3).line)
    with pytest.raises(DiskFull):
        storage.save(None, entries(3, 4))
    storage.save(None, [entry(3)])
    _, restored = crashed(storage)
    assert restored.entries == entries(1, 3)
    assert restored.repairs == []


def test_a_replacement_without_space_leaves_what_it_would_have_replaced() -> None:
    storage = fresh()
    for index in range(1, 10):
        storage.save(None, [entry(index)])
    storage.save(HardState(2, US))
    before = {name: storage.files.read(LOG / name) for name in storage.files.names(LOG)}
    storage.files.capacity = 0
    storage.files.capacity = -storage.files.room() + 10
    with pytest.raises(DiskFull):
        storage.save(None, entries(3, 4, term=2))
    assert {name: storage.files.read(LOG / name) for name in storage.files.names(LOG)} == before
    _, restored = reopened(storage)
    assert restored.entries == entries(1, 9)


def test_term_and_vote_without_space_stay_as_they_were() -> None:
    storage = fresh(2)
    storage.files.capacity = 0
    with pytest.raises(DiskFull, match="term and vote"):
        storage.save(HardState(5, THEM), [entry(3, term=5)])
    storage, restored = reopened(storage)
    assert restored.hard_state == HardState(1, US)
    assert restored.entries == entries(1, 2)
    storage.files.capacity = None
    storage.save(HardState(5, THEM))
    _, restored = crashed(storage)
    assert restored.hard_state == HardState(5, THEM)


def test_a_directory_on_a_full_disk_opens() -> None:
    storage = fresh(6)
    write_snapshot(storage, meta(4))
    storage.files.capacity = 0
    _, restored = reopened(storage)
    assert restored.entries == entries(1, 6)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE])
@pytest.mark.parametrize("once", [True, False], ids=["once", "until there is space"])
@pytest.mark.parametrize("restart", [True, False], ids=["restarted", "going on"])
def test_no_space_at_any_operation_of_any_step(code: int, once: bool, restart: bool) -> None:
    failures = 0
    for position, (step, before) in enumerate(stages()):
        for number in range(100):
            storage, _ = opened(MemoryFiles())
            for earlier in SCRIPT[:position]:
                earlier.do(storage)
            files = storage.files
            files.before, failed = failing(code, number, once=once)
            refusal = DiskFull if isinstance(step, Save | Adopt) else (DiskFull, OSError)
            try:
                step.do(storage)
            except refusal:
                assert failed
                failures += 1
            files.before = no_fault
            if failed and restart:
                known = storage.last_index
                storage, _ = reopened(storage)
                if once and isinstance(step, Save):
                    assert storage.last_index == known
            if failed and not is_done(step, storage):
                step.do(storage)
            follow, after = next_save(step.outcomes(before)[-1])
            follow.do(storage)
            files.crash()
            storage, restored = opened(files)
            assert seen(restored) == after, (step, number)
            if not failed:
                break
    assert failures > 100


def test_no_space_at_any_operation_and_then_a_crash() -> None:
    for position, (step, before) in enumerate(stages()):
        for number in range(100):
            storage, _ = opened(MemoryFiles())
            for earlier in SCRIPT[:position]:
                earlier.do(storage)
            files = storage.files
            files.before, failed = failing(errno.ENOSPC, number, once=False)
            try:
                step.do(storage)
            except (DiskFull, OSError):
                assert failed
            files.before = no_fault
            files.crash(keep=number % 2 == 0)
            _, restored = opened(files)
            assert seen(restored) in step.outcomes(before)
            if not failed:
                break


@pytest.mark.parametrize("operation", ["write", "sync"])
def test_a_failing_disk_is_not_called_full_and_is_never_tried_again(operation: str) -> None:
    storage = fresh(2)
    storage.files.before, failed = failing(errno.EIO, 0, once=True, only=operation)
    with pytest.raises(OSError, match="Input/output error") as caught:
        storage.save(None, [entry(3)])
    assert caught.value.errno == errno.EIO
    assert failed == [operation]
    syncs: list[str] = []
    storage.files.before = lambda operation, path: syncs.append(operation)
    with pytest.raises(DataError, match="restart"):
        storage.save(None, [entry(3)])
    assert syncs == []
    _, restored = crashed(storage)
    assert restored.entries == entries(1, 2)


def test_a_snapshot_without_space_is_abandoned_and_not_tried_again_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(snapshot_lines, "LINE_RECORDS", 1)
    storage = fresh(20)
    assert storage.should_snapshot(20)
    storage.files.capacity = 0
    storage.files.capacity = -storage.files.room() + 300
    writer = storage.begin_snapshot(meta(20), iter(records(100)))
    assert not writer.step(100)
    with pytest.raises(DiskFull, match="snapshot"):
        writer.step(1000)
    assert storage.files.names(SNAPSHOTS) == []
    assert not storage.should_snapshot(20)
    storage.files.capacity = None
    storage.save(None, entries(21, 40))
    assert storage.should_snapshot(40)
    write_snapshot(storage, meta(40))
    assert storage.files.names(SNAPSHOTS) == ["40-1.jsonl"]


def test_a_chunk_without_space_may_be_handed_over_again() -> None:
    of = meta(9)
    data = snapshot_bytes(of, 20)
    storage = fresh(2)
    result = None
    for chunk in chunks(of, data):
        storage.files.capacity = 0
        storage.files.capacity = -storage.files.room() + 7
        with pytest.raises(DiskFull):
            storage.receive(chunk)
        storage.files.capacity = None
        result = storage.receive(chunk)
    assert result == of
    assert list(storage.snapshot_records()) == records(20)


def test_a_snapshot_whose_last_sync_found_no_space_is_received_again_from_the_start() -> None:
    of = meta(9)
    some = list(chunks(of, snapshot_bytes(of, 20)))
    storage = fresh(2)
    for chunk in some[:-1]:
        storage.receive(chunk)
    storage.files.before, _ = failing(errno.ENOSPC, 0, once=True, only="sync")
    with pytest.raises(DiskFull):
        storage.receive(some[-1])
    with pytest.raises(CorruptFile):
        storage.receive(some[-1])
    assert [storage.receive(chunk) for chunk in some][-1] == of


FILL = """
import sys
from pathlib import Path
from raftzmq.core.entry import COMMAND
from raftzmq.core.ready import HardState
from raftzmq.errors import DiskFull
from raftzmq.lines import encode_entry
from raftzmq.storage import Storage

path = Path(sys.argv[1])
filler = path / "filler"
filler.write_bytes(bytes(40_000))
storage = Storage(path / "data")
storage.open("raft-0")
storage.save(HardState(1))
saved = []
try:
    while True:
        body = [1, 0, [len(saved) + 1, "put", "key", "x" * 3000]]
        entry = encode_entry(len(saved) + 1, 1, 0, COMMAND, body)
        storage.save(None, [entry])
        saved.append(entry)
except DiskFull:
    pass
try:
    storage.save(HardState(2), [entry])
    raise SystemExit("a full disk took another entry")
except DiskFull:
    pass
storage.close()
storage = Storage(path / "data")
assert storage.open("raft-0").entries == saved
filler.unlink()
storage.save(HardState(2), [entry])
storage.close()
restored = Storage(path / "data").open("raft-0")
assert restored.entries == [*saved, entry]
assert restored.repairs == []
print(len(saved))
"""


def test_a_real_file_system_that_fills_up(tmp_path: Path) -> None:
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("unshare is not installed")
    mount = 'mount -t tmpfs -o size=128k none "$1" && exec "$2" -c "$3" "$1"'
    command = [unshare, "--map-root-user", "--mount", "sh", "-c", mount, "sh"]
    probe = subprocess.run([*command, tmp_path, "true", ""], capture_output=True, check=False)
    if probe.returncode:
        pytest.skip(f"no private mount here: {probe.stderr.decode().strip()}")
    run = subprocess.run(
        [*command, tmp_path, sys.executable, FILL],
        capture_output=True,
        check=False,
        text=True,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) > 5
