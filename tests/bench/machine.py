"""The machine that results are from."""

from __future__ import annotations

import os
import platform
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

FSYNCS = 300
FSYNC_BYTES = 4096


def describe(directory: Path) -> dict[str, Any]:
    """Processor, memory, kernel, and the disk that `directory` is on."""
    return {
        "processor": _field("/proc/cpuinfo", "model name") or platform.processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": _field("/etc/os-release", "PRETTY_NAME", "=").strip('"'),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "file_system": file_system(directory),
        "fsync_ms": fsync_ms(directory),
        "load_average_before": round(os.getloadavg()[0], 2),
    }


def fsync_ms(directory: Path) -> dict[str, float]:
    """How long it takes to append a block to a file and have it on disk."""
    times_ms = []
    with tempfile.TemporaryFile(dir=directory, buffering=0) as file:
        for _ in range(FSYNCS):
            file.write(bytes(FSYNC_BYTES))
            began_ns = time.perf_counter_ns()
            os.fdatasync(file.fileno())
            times_ms.append((time.perf_counter_ns() - began_ns) / 1e6)
    times_ms.sort()
    return {
        "p50": round(statistics.median(times_ms), 3),
        "p99": round(times_ms[int(FSYNCS * 0.99)], 3),
    }


def file_system(directory: Path) -> str:
    """The type of the file system: that of the longest mount point above."""
    best = ("", "unknown")
    for line in Path("/proc/mounts").read_text().splitlines():
        _, mount, kind, *_ = line.split()
        if directory.resolve().is_relative_to(mount) and len(mount) >= len(best[0]):
            best = (mount, kind)
    return best[1]


def lines(machine: dict[str, Any]) -> list[str]:
    """The description for people."""
    fsync = machine["fsync_ms"]
    return [
        f"{machine['cores']} cores ({machine['processor']}), {machine['memory_gib']} GiB; "
        f"{machine['system']}, Linux {machine['kernel']}, Python {machine['python']}",
        f"{machine['file_system']}, an fsync takes {fsync['p50']} ms (p50), {fsync['p99']} ms "
        f"(p99); load average before the run {machine['load_average_before']}",
    ]


def _field(path: str, name: str, separator: str = ":") -> str:
    try:
        text = Path(path).read_text()
    except OSError:
        return ""
    for line in text.splitlines():
        key, found, value = line.partition(separator)
        if found and key.strip() == name:
            return value.strip()
    return ""
