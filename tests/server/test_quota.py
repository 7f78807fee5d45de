"""How much memory a node may take: what people write, and what the system says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from raftzmq.errors import InvalidRequest
from raftzmq.server.quota import default_quota, memory_limit, most_memory, parse_size
from tests.server.test_config import PEERS, config

MACHINE = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
MIB = 1024 * 1024


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1048576", MIB),
        ("700MiB", 700 * MIB),
        ("700Mi", 700 * MIB),
        ("700mib", 700 * MIB),
        ("2G", 2_000_000_000),
        ("1.5GiB", 1536 * MIB),
        ("64kB", 64_000),
        (" 1Ti ", 1024**4),
    ],
)
def test_a_size_is_a_number_with_a_unit(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "MiB", "-1", "1e9", "12 MiB", "1X", "1iB", "٣MiB", "1.2.3G"])
def test_anything_else_is_told_what_a_size_looks_like(text: str) -> None:
    with pytest.raises(InvalidRequest, match="it must be like 700MiB, 2GiB"):
        parse_size(text)


def test_a_quota_that_nothing_fits_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="--quota must be at least"):
        config(peers=PEERS, quota=1000)
    assert config(peers=PEERS, quota=MIB).quota_bytes == MIB


def test_the_log_has_a_part_of_the_quota() -> None:
    assert config(peers=PEERS, quota=48 * MIB).storage_config.log_memory_bytes == 4 * MIB
    made = config(peers=PEERS)
    assert made.storage_config.log_memory_bytes == made.quota_bytes // 12


def system(root: Path, groups: str, limits: dict[str, str]) -> Path:
    """A root directory with what a process finds of its control groups."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(groups)
    for path, text in limits.items():
        file = root / "sys/fs/cgroup" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n")
    return root


def test_a_pod_has_the_limit_of_its_group(tmp_path: Path) -> None:
    root = system(tmp_path, "0::/\n", {"memory.max": str(1024 * MIB)})
    assert memory_limit(root) == 1024 * MIB
    assert default_quota(root) == (1024 - 96) * MIB * 2 // 3


def test_a_small_limit_leaves_room_for_what_a_node_takes_anyway(tmp_path: Path) -> None:
    assert default_quota(system(tmp_path, "0::/\n", {"memory.max": str(256 * MIB)})) <= 107 * MIB


def test_there_is_a_quota_however_small_the_limit(tmp_path: Path) -> None:
    assert default_quota(system(tmp_path, "0::/\n", {"memory.max": str(64 * MIB)})) == MIB


def test_the_least_of_the_groups_around_it_counts(tmp_path: Path) -> None:
    limits = {"a/b/memory.max": "max", "a/memory.max": str(300 * MIB), "memory.max": "max"}
    assert memory_limit(system(tmp_path, "0::/a/b\n", limits)) == 300 * MIB


@pytest.mark.parametrize("path", ["/docker/5f1c", "/"])
def test_the_first_version_of_groups_has_another_file(tmp_path: Path, path: str) -> None:
    groups = f"5:cpu,cpuacct:/\n4:memory:{path}\n0::/\n"
    limits = {"memory/memory.limit_in_bytes": str(512 * MIB)}
    assert memory_limit(system(tmp_path, groups, limits)) == 512 * MIB


@pytest.mark.parametrize(
    ("groups", "limits"),
    [
        ("0::/\n", {"memory.max": "max"}),
        ("4:memory:/\n", {"memory/memory.limit_in_bytes": "9223372036854771712"}),
        ("nonsense\n", {}),
    ],
)
def test_without_a_limit_it_is_half_of_the_machine(
    tmp_path: Path, groups: str, limits: dict[str, str]
) -> None:
    assert memory_limit(system(tmp_path, groups, limits)) == MACHINE // 2


def test_where_there_are_no_groups_it_is_half_of_the_machine(tmp_path: Path) -> None:
    assert memory_limit(tmp_path) == MACHINE // 2


def test_the_most_memory_is_a_limit_or_all_of_the_machine(tmp_path: Path) -> None:
    assert most_memory(tmp_path) == MACHINE
    limited = system(tmp_path, "0::/a\n", {"a/memory.max": str(300 * MIB), "memory.max": "max"})
    assert most_memory(limited) == 300 * MIB
