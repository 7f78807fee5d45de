"""How much memory the store of a node may take: as told, else a part of what the node may use."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from raftzmq import limits
from raftzmq.errors import InvalidRequest

LEAST_BYTES: Final = 1024 * 1024

_UNITS: Final = {
    **{prefix: 1000**power for power, prefix in enumerate(("", "K", "M", "G", "T"))},
    **{f"{prefix}I": 1024**power for power, prefix in enumerate(("", "K", "M", "G", "T")) if power},
}
_SIZE: Final = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,6})?)([KMGT]?I?)B?", re.IGNORECASE)


def parse_size(text: str) -> int:
    """Return the bytes that a size says: `700MiB`, `700Mi`, `1.5G`, `1048576`. K is 1,000, and Ki
    is 1,024. Raises InvalidRequest."""
    match = _SIZE.fullmatch(text.strip())
    unit = None if match is None else _UNITS.get(match[2].upper())
    if match is None or unit is None:
        raise InvalidRequest(f"{text!r:.60} is not a size: it must be like 700MiB, 2GiB or 1.5G")
    return int(float(match[1]) * unit) if "." in match[1] else int(match[1]) * unit


def default_quota(root: Path = Path("/")) -> int:
    """What fits into the memory that this process may use."""
    return quota_within(memory_limit(root))


def quota_within(memory_bytes: int) -> int:
    """Two thirds of so much memory, beside what a node takes anyway. What grows with the store
    needs the rest: the newest entries of the log, the history for watches, messages on their
    way."""
    return max(LEAST_BYTES, (memory_bytes - limits.EMPTY_NODE_BYTES) * 2 // 3)


def memory_limit(root: Path = Path("/")) -> int:
    """The least limit of the control groups that this process is in. Half of the machine's memory,
    if there is none."""
    machine = _machine_bytes()
    # A group without a limit has the word "max" (v2) or a number beyond all memory (v1).
    limits = [limit for limit in _group_limits(root) if limit < machine]
    return min(limits, default=machine // 2)


def most_memory(root: Path = Path("/")) -> int:
    """What the process cannot exceed: the least limit of its control groups, or all memory of the
    machine."""
    return min([*_group_limits(root), _machine_bytes()])


def _machine_bytes() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _group_limits(root: Path) -> Iterator[int]:
    try:
        groups = (root / "proc/self/cgroup").read_text()
    except OSError:  # not Linux
        return
    mounted = root / "sys/fs/cgroup"
    for line in groups.splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers:
            yield from _limits_along(mounted, path, "memory.max")
        elif "memory" in controllers.split(","):
            yield from _limits_along(mounted / "memory", path, "memory.limit_in_bytes")


def _limits_along(mounted: Path, path: str, name: str) -> Iterator[int]:
    """The limits of a group and of those that it is in. In a container only the last, the mounted
    directory itself, may be there."""
    inner = Path(path.strip("/"))
    for group in (inner, *inner.parents):
        try:
            text = (mounted / group / name).read_text().strip()
        except OSError:
            continue
        if text.isascii() and text.isdigit():
            yield int(text)
