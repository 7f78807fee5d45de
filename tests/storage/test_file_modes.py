"""What a node writes is for its user, and its group to read, whatever the umask; what an earlier
version left readable for everybody becomes so when the node starts."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from raftzmq.core.ready import HardState
from raftzmq.file_modes import DIRECTORY_MODE, FILE_MODE, restrict, restrict_new_files
from raftzmq.storage import Storage

from .helpers import NODE, THEM, entries, meta, write_snapshot


@pytest.fixture(params=[0o000, 0o022, 0o077], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def too_open(root: Path) -> list[str]:
    """What below `root`, itself included, others may use more than they should."""
    return [
        f"{path}: {stat.S_IMODE(path.lstat().st_mode):o}"
        for path in (root, *root.rglob("*"))
        if path.lstat().st_mode & 0o7777 & ~(DIRECTORY_MODE if path.is_dir() else FILE_MODE)
    ]


def used(path: Path) -> Path:
    """A directory with everything in it that a node ever makes, closed."""
    Storage.set_aside(path)
    for _ in range(2):
        storage = Storage(path)
        storage.open(NODE)
        storage.save(HardState(3, THEM), entries(1, 5))
        write_snapshot(storage, meta(4))
        storage.save(HardState(4, THEM), entries(6, 9, term=4))
        storage.close()
        if not list(path.glob("aside-*")):
            Storage.set_aside(path)
    found = {str(file.relative_to(path)).split(".")[0] for file in path.rglob("*")}
    assert {"aside-1", "aside-1/log", "aside-1/node", "log", "snapshots", "state", "lock"} <= found
    return path


@pytest.mark.usefixtures("umask")
def test_every_file_that_storage_makes_is_private(tmp_path: Path) -> None:
    assert too_open(used(tmp_path / "deep" / "data")) == []


def test_a_directory_of_before_becomes_private_and_nothing_becomes_less_so(tmp_path: Path) -> None:
    path = used(tmp_path / "data")
    for found in (path, *path.rglob("*")):
        found.chmod(0o777)
    (path / "state.json").chmod(0o600)
    (path / "log").chmod(0o700)
    Storage(path).open(NODE)
    assert too_open(path) == []
    assert stat.S_IMODE((path / "state.json").stat().st_mode) == 0o600
    assert stat.S_IMODE((path / "log").stat().st_mode) == 0o700


def test_a_directory_with_other_things_in_it_keeps_its_mode(tmp_path: Path) -> None:
    """Somebody may have named /var."""
    path = used(tmp_path / "data")
    (path / "spool").mkdir()
    for found in (path, path / "spool", path / "log"):
        found.chmod(0o755)
    Storage(path).open(NODE)
    modes = [stat.S_IMODE(p.stat().st_mode) for p in (path, path / "spool", path / "log")]
    assert modes == [0o755, 0o755, 0o750]


def test_links_are_not_followed_and_special_bits_stay(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"")
    target.chmod(0o644)
    link = tmp_path / "link"
    link.symlink_to(target)
    restrict(link)
    assert stat.S_IMODE(target.stat().st_mode) == 0o644
    group = tmp_path / "group"
    group.mkdir()
    group.chmod(0o2777)  # as Kubernetes has it for an fsGroup
    restrict(group)
    assert stat.S_IMODE(group.stat().st_mode) == 0o2750
    restrict(tmp_path / "nothing")


@pytest.mark.usefixtures("umask")
def test_nothing_that_a_process_makes_afterwards_is_for_others(tmp_path: Path) -> None:
    restrict_new_files()
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "directory").mkdir()
    assert not (tmp_path / "file").stat().st_mode & 0o027
    assert not (tmp_path / "directory").stat().st_mode & 0o027
