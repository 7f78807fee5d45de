"""Whose directory it is, who may use it, and what an unusable one is called."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from raftzmq.core.ready import HardState
from raftzmq.errors import CorruptFile, DataError, DataLocked, ForeignData
from raftzmq.storage import MemoryFiles, MemoryStorage, OsFiles, Storage
from raftzmq.storage.records import decode_record, encode_record

from .helpers import (
    DATA,
    LOG,
    NODE,
    THEM,
    crashed,
    entries,
    entry,
    fresh,
    meta,
    opened,
    reopened,
    write_snapshot,
)


def test_a_directory_on_a_real_disk_comes_back(tmp_path: Path) -> None:
    storage = Storage(tmp_path / "deep" / "data")
    first = storage.open(NODE)
    storage.save(HardState(3, THEM), entries(1, 5))
    storage.adopt("c1")
    write_snapshot(storage, meta(4))
    storage.close()
    storage = Storage(tmp_path / "deep" / "data")
    restored = storage.open(NODE)
    assert restored.incarnation == first.incarnation
    assert restored.cluster == "c1"
    assert restored.hard_state == HardState(3, THEM)
    assert restored.snapshot == meta(4)
    assert restored.entries == entries(1, 5)
    assert {p.name for p in storage.path.iterdir()} == {
        "lock",
        "log",
        "node.json",
        "snapshots",
        "state.json",
    }
    storage.close()


def test_a_node_does_not_take_another_ones_directory() -> None:
    storage = fresh(2)
    storage.close()
    with pytest.raises(ForeignData, match=r"belongs to raft-0, not to raft-1: .*--data-dir"):
        MemoryStorage(storage.files).open("raft-1")
    _, restored = opened(storage.files)  # and it was not left locked
    assert restored.entries == entries(1, 2)


def test_a_directory_belongs_to_one_cluster_for_good() -> None:
    storage = fresh()
    storage.adopt("c1")
    storage.adopt("c1")
    with pytest.raises(ForeignData, match="belongs to cluster c1, not to c2"):
        storage.adopt("c2")
    _, restored = crashed(storage)
    assert restored.cluster == "c1"


def test_a_directory_of_another_format_is_not_touched() -> None:
    storage = fresh()
    storage.close()
    value = decode_record(DATA / "node.json", storage.files.read(DATA / "node.json"))
    storage.files.put(DATA / "node.json", encode_record({**value, "format": 2}))
    with pytest.raises(DataError, match=r"format 2.*reads format 1"):
        opened(storage.files)


def test_a_lost_node_json_does_not_make_a_used_directory_new() -> None:
    storage = fresh(1)
    storage.close()
    storage.files.unlink(DATA / "node.json")
    with pytest.raises(CorruptFile, match=r"node\.json.*missing"):
        opened(storage.files)


def test_a_directory_with_a_file_system_of_its_own_is_new() -> None:
    files = MemoryFiles()
    files.make_dirs(DATA / "lost+found")
    _, restored = opened(files)
    assert restored.entries == []


def test_a_second_storage_finds_the_directory_locked() -> None:
    storage = fresh(2)
    with pytest.raises(DataLocked, match="in use by another process: stop"):
        opened(storage.files)
    storage.close()
    opened(storage.files)


HOLD = """
import sys
from pathlib import Path
from raftzmq.storage import Storage
Storage(Path(sys.argv[1])).open("raft-0")
print("open", flush=True)
sys.stdin.read()
"""


def test_a_second_process_is_told_who_holds_the_directory(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"open\n"
        with pytest.raises(DataLocked, match=f"in use by process {holder.pid}: stop"):
            Storage(tmp_path).open(NODE)
        holder.kill()  # a killed process leaves no lock behind
    storage = Storage(tmp_path)
    storage.open(NODE)
    storage.close()


def test_a_closed_storage_lets_go_of_the_lock(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    storage.open(NODE)
    storage.close()
    with (tmp_path / "lock").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_failed_open_lets_go_of_the_lock(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    storage.open(NODE)
    storage.close()
    with pytest.raises(ForeignData):
        Storage(tmp_path).open("raft-9")
    storage = Storage(tmp_path)
    storage.open(NODE)
    storage.close()


@pytest.mark.parametrize("place", ["itself", "above", "log", "snapshots"])
def test_a_file_in_place_of_a_directory_is_named(tmp_path: Path, place: str) -> None:
    data = tmp_path / "data"
    if place in ("log", "snapshots"):
        data.mkdir()
        (data / place).touch()
    else:
        data.touch()
    path = data / "deeper" if place == "above" else data
    with pytest.raises(DataError) as caught:
        Storage(path).open(NODE)
    message = str(caught.value)
    assert "Not a directory" in message
    assert str(data if place in ("itself", "above") else data / place) in message
    assert "--data-dir" in message
    assert "\n" not in message


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS])
def test_a_directory_that_cannot_be_written_is_one_line(code: int) -> None:
    files = MemoryFiles()

    def refuse(operation: str, path: Path) -> None:
        raise OSError(code, os.strerror(code), str(path))

    files.before = refuse
    with pytest.raises(DataError, match=f"^/data .*{os.strerror(code)}.*--data-dir$"):
        opened(files)


def test_a_full_disk_at_the_first_start_is_called_that() -> None:
    with pytest.raises(DataError, match="no space left"):
        opened(MemoryFiles(capacity=0))


def test_a_directory_whose_process_may_not_write(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    user = os.geteuid()
    if user == 0:  # root may write anywhere, so be nobody for a moment
        os.seteuid(65534)
    try:
        with pytest.raises(DataError, match="Permission denied"):
            Storage(tmp_path / "data").open(NODE)
    finally:
        os.seteuid(user)


# Setting aside


def test_a_directory_set_aside_is_new_again_and_keeps_what_there_was() -> None:
    storage, first = reopened(fresh(5))
    write_snapshot(storage, meta(3))
    storage.close()
    files = storage.files
    before = files.read(LOG / files.names(LOG)[0])
    assert Storage.set_aside(DATA, files) == DATA / "aside-1"
    assert files.names(DATA / "aside-1") == ["log", "node.json", "snapshots", "state.json"]
    assert files.read(DATA / "aside-1" / "log" / files.names(DATA / "aside-1" / "log")[0]) == before
    storage, restored = opened(files)
    assert restored.incarnation != first.incarnation
    assert restored.entries == []
    assert restored.hard_state == HardState()
    storage.close()
    assert Storage.set_aside(DATA, files) == DATA / "aside-2"


def test_a_damaged_directory_can_be_set_aside() -> None:
    storage = fresh(2)
    storage.close()
    storage.files.put(DATA / "node.json", b"damage")
    Storage.set_aside(DATA, storage.files)
    _, restored = opened(storage.files)
    assert restored.entries == []


def test_a_directory_in_use_is_not_set_aside() -> None:
    storage = fresh(2)
    with pytest.raises(DataLocked):
        Storage.set_aside(DATA, storage.files)


def test_nothing_is_set_aside_where_no_node_has_been() -> None:
    files = MemoryFiles()
    assert Storage.set_aside(DATA, files) is None
    files.make_dirs(LOG)
    files.put(LOG / "syslog", b"not ours")
    assert Storage.set_aside(DATA, files) is None
    assert files.names(LOG) == ["syslog"]


def test_what_was_set_aside_stays_aside() -> None:
    storage, first = reopened(fresh(5))
    storage.close()
    Storage.set_aside(DATA, storage.files)
    _, restored = crashed(storage)
    assert restored.incarnation != first.incarnation


class Crash(BaseException):
    pass


@pytest.mark.parametrize("keep", [True, False])
def test_a_crash_while_setting_aside_never_brings_a_forgetful_node_back(keep: bool) -> None:
    for number in range(40):
        storage, first = reopened(fresh(5))
        storage.close()
        files = storage.files
        passed = 0

        def before(operation: str, path: Path, number: int = number) -> None:
            nonlocal passed
            if passed == number:
                raise Crash
            passed += 1

        files.before = before
        with contextlib.suppress(Crash):
            Storage.set_aside(DATA, files)
        files.before = lambda operation, path: None
        files.crash(keep=keep)
        try:
            _, restored = opened(files)
        except CorruptFile:
            files.crash()
            Storage.set_aside(DATA, files)
            _, restored = opened(files)
        if restored.incarnation == first.incarnation:
            assert restored.entries == entries(1, 5)
            assert restored.hard_state == HardState(1, restored.hard_state.vote)
        else:
            assert restored.entries == []


# The two file systems behave alike


@pytest.fixture(params=["real", "memory"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[OsFiles | MemoryFiles, Path]:
    if request.param == "real":
        return OsFiles(), tmp_path
    files = MemoryFiles()
    files.make_dirs(tmp_path)
    return files, tmp_path


def test_files_do_as_they_say(root: tuple[OsFiles | MemoryFiles, Path]) -> None:
    files, path = root
    files.make_dirs(path / "a" / "b")
    files.make_dirs(path / "a" / "b")
    file = files.create(path / "a" / "one")
    file.write(b"hello")
    file.write(b" world")
    file.sync()
    file.truncate(8)
    file.write(b"!")
    file.close()
    assert files.read(path / "a" / "one") == b"hello wo!"
    assert files.read(path / "a" / "one", 6, 2) == b"wo"
    assert files.read(path / "a" / "one", 8, 100) == b"!"
    assert files.size(path / "a" / "one") == 9
    more = files.append(path / "a" / "one")
    more.write(b"?")
    more.close()
    files.rename(path / "a" / "one", path / "a" / "two")
    assert files.names(path / "a") == ["b", "two"]
    assert files.names(path / "missing") == []
    files.create(path / "a" / "three").close()
    files.rename(path / "a" / "two", path / "a" / "three")
    assert files.read(path / "a" / "three") == b"hello wo!?"
    files.create(path / "a" / "three").close()
    assert files.read(path / "a" / "three") == b""
    files.unlink(path / "a" / "three")
    files.unlink(path / "a" / "three")
    files.sync_dir(path / "a")
    assert not files.exists(path / "a" / "three")
    with pytest.raises(FileNotFoundError):
        files.append(path / "a" / "three")
    with pytest.raises(FileNotFoundError):
        files.read(path / "a" / "three")
    files.create(path / "a" / "four").close()
    with pytest.raises(NotADirectoryError):
        files.make_dirs(path / "a" / "four")
    lock = files.lock(path / "lock")
    with pytest.raises(BlockingIOError):
        files.lock(path / "lock")
    lock.close()
    files.lock(path / "lock").close()


def test_the_next_entry_goes_on_where_the_log_ended_on_a_real_disk(tmp_path: Path) -> None:
    for index in range(1, 6):
        storage = Storage(tmp_path)
        assert storage.open(NODE).entries == entries(1, index - 1)
        storage.save(HardState(1), [entry(index)])
        storage.close()
