"""A damaged data directory: what it held, or a refusal that names the file and the cure.

What cannot be noticed is a last segment that ends early between two lines, or is gone: that is
what a disk leaves that has lost its last writes, and a leader tells the node so. Everything else
is either there or reported. Nothing is ever changed or out of order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from zlib import crc32

import pytest

from raftzmq.core.ready import HardState
from raftzmq.errors import DataError
from raftzmq.machine import Machine
from raftzmq.storage import MemoryFiles, Restored
from tests.amounts import amount
from tests.fuzz.decoders import hold
from tests.fuzz.mangler import CHANGES, Found, seal
from tests.fuzz.worlds import contents
from tests.progress import counted
from tests.storage.helpers import (
    DATA,
    LOG,
    SNAPSHOTS,
    THEM,
    entries,
    fresh,
    lines,
    meta,
    opened,
    receive,
    segment,
    snapshot_bytes,
    write_snapshot,
)

SEED = 12
CURES = ("--rejoin", "--data-dir", "run the version")

Disk = dict[Path, bytes]


def used() -> Disk:
    """Three segments, two snapshots, a cluster, a vote."""
    storage = fresh()
    for index in range(1, 12):
        storage.save(None, entries(index, index))
    storage.adopt("c1")
    for index in (4, 6):
        write_snapshot(storage, meta(index))
    storage.save(HardState(3, THEM))
    storage.close()
    return contents(storage.files)


def compacted() -> Disk:
    """The log begins right after the snapshot, and ends in a torn write."""
    disk = used()
    del disk[segment(1)], disk[SNAPSHOTS / "4-1.jsonl"]
    disk[segment(9)] += lines(entries(12, 12))[:20]
    return disk


def received() -> Disk:
    """A snapshot from a leader, with nothing after it."""
    storage = fresh(3)
    receive(storage, meta(20), snapshot_bytes(meta(20), 7))
    storage.adopt("c2")
    storage.close()
    return contents(storage.files)


def disk_with(files: Disk) -> MemoryFiles:
    disk = MemoryFiles()
    for directory in (LOG, SNAPSHOTS):
        disk.make_dirs(directory)
    for path, data in files.items():
        disk.put(path, data)
    return disk


def damaged(random: Random, good: Disk) -> Disk:
    """The directory with one to three files mangled; sometimes one is lost, or added."""
    disk = dict(good)
    paths = sorted(path for path in good if path.name != "lock")
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        path, other = random.choice(paths), random.choice(paths)
        if path in disk:
            disk[path] = random.choice(CHANGES)(random, disk[path], good[other])
    match random.randrange(20):
        case 0:
            disk.pop(random.choice(paths), None)
        case 1:
            name = random.choice(("state.json.new", "log/x", "snapshots/incoming-9-1", "x.json"))
            disk[DATA / name] = random.randbytes(9)
        case 2:
            disk[segment(random.choice((0, 5, 12, 13, 10**19)))] = b""
        case 3:
            disk[SNAPSHOTS / random.choice(("99-1.jsonl", "0-0.jsonl", "x-1.jsonl"))] = b"x"
        case 4 | 5 | 6:
            disk |= torn(random, good)
    return disk


def torn(random: Random, good: Disk) -> Disk:
    """The last segment, cut anywhere, perhaps with some bytes behind."""
    path = max(path for path in good if path.parent == LOG)
    tail = random.choice((b"", bytes(9), random.randbytes(3).replace(b"\n", b"x")))
    return {path: good[path][: random.randint(0, len(good[path]))] + tail}


@dataclass(frozen=True)
class Original:
    disk: Disk
    restored: Restored

    @classmethod
    def of(cls, disk: Disk) -> Original:
        return cls(disk, opened(disk_with(disk))[1])

    @property
    def last_segment(self) -> Path:
        return max(path for path in self.disk if path.parent == LOG)

    def check(self, disk: Disk, found: Restored) -> None:
        """Whether the found content is one that the damaged directory may be taken for."""
        wanted = self.restored
        hold(found.incarnation == wanted.incarnation, "another incarnation")
        hold(found.cluster == wanted.cluster, "another cluster")
        hold(found.hard_state == wanted.hard_state, "another term or vote")
        if found.snapshot != wanted.snapshot:
            # The newest one's file has gone, and the log reaches back far enough without it.
            hold(len(disk.keys() & self.disk.keys()) < len(self.disk), "another snapshot")
            hold(found.snapshot in (None, meta(4)), "a snapshot that was never there")
        by_index = {entry.index: entry for entry in wanted.entries}
        for before, entry in zip((None, *found.entries), found.entries, strict=False):
            hold(by_index.get(entry.index) == entry, f"entry {entry.index} has changed")
            hold(before is None or entry.index == before.index + 1, "entries are out of order")
        covered = found.snapshot.index if found.snapshot else 0
        first = found.entries[0].index if found.entries else covered + 1
        hold(first <= covered + 1, "entries are missing before the first")
        last = max([covered, *(entry.index for entry in found.entries)])
        self._check_end(disk, last)

    def _check_end(self, disk: Disk, last: int) -> None:
        """Only the last segment may end early, and only what has no newline is cut."""
        path = self.last_segment
        good, now = self.disk[path], disk.get(path)
        whole = good[: good.rfind(b"\n") + 1]
        ends = self.restored.entries[-1].index if self.restored.entries else last
        if now is not None and now.startswith(whole):
            hold(last >= ends, "entries are missing at the end")
            return
        start = int(path.name[:20])
        hold(last >= start - 1, "entries are missing in an earlier segment")
        kept = lines([entry for entry in self.restored.entries if start <= entry.index <= last])
        hold(now is None or now.startswith(kept), "an entry that is not on the disk")
        tail = b"" if now is None else now[len(kept) :]
        hold(b"\n" not in tail or last < start, "a whole line was cut")
        lost = next((e for e in self.restored.entries if e.index == max(start, last + 1)), None)
        if lost is not None and tail.startswith(lost.line[:-1]):
            # Without its newline a line was not acknowledged; with another byte there, it was.
            hold(tail[len(lost.line) - 1 :].strip(b"\x00") == b"", "an acknowledged line was cut")


def outcome_of(original: Original, disk: Disk) -> str:
    """Open a damaged directory, twice; return what came of it."""
    files = disk_with(disk)
    try:
        storage, found = opened(files)
    except DataError as error:
        text = str(error)
        hold(str(DATA) in text and "\n" not in text, f"not a line that names a file: {text}")
        hold(any(cure in text for cure in CURES), f"no cure: {text}")
        after = contents(files)
        hold({**after, DATA / "lock": b""} == {**disk, DATA / "lock": b""}, "a refusal changed it")
        return type(error).__name__
    original.check(disk, found)
    storage.close()
    files.crash()
    _, again = opened(files)
    hold(again.repairs == [], "repaired twice")
    same = (again.entries, again.snapshot, again.hard_state, again.incarnation, again.cluster)
    hold(
        same == (found.entries, found.snapshot, found.hard_state, found.incarnation, found.cluster),
        "the second start finds something else",
    )
    return "repaired" if found.repairs else "opened"


@pytest.mark.parametrize("make", [used, compacted, received])
def test_a_mangled_directory_is_what_it_was_or_refused(make: Callable[[], Disk]) -> None:
    original = Original.of(make())
    outcomes: Counter[str] = Counter()
    for number in counted("mangled directories", range(amount(700, 8_000))):
        disk = damaged(Random(SEED << 40 | number), original.disk)
        try:
            outcomes[outcome_of(original, disk)] += 1
        except Exception as error:
            changed = tuple(
                b"%s: %s" % (str(path).encode(), data)
                for path, data in disk.items()
                if original.disk.get(path) != data
            )
            raise Found(SEED, number, changed, f"{type(error).__name__}: {error}") from error
    print(make.__name__, dict(outcomes))
    assert outcomes["CorruptFile"] > outcomes.total() / 4
    assert outcomes["opened"] + outcomes["repaired"] > 0
    assert outcomes["repaired"] > 0


def resealed(random: Random, path: Path, data: bytes) -> bytes:
    """The file with something wrong in it, under right checksums."""
    if path.suffix == ".json":
        text = random.choice(CHANGES)(random, data[: -len(',"crc32":"00000000"}\n')] + b"}", data)
        return text[:-1] + b',"crc32":"%08x"}\n' % crc32(text[:-1] + b"}")
    rows = data.splitlines(keepends=True) or [b"00000000 []\n"]
    at = random.randrange(len(rows))
    text = random.choice(CHANGES)(random, rows[at][9:-1], data).replace(b"\n", b" ")
    rows[at] = seal(b"00000000 " + text)
    if path.parent != SNAPSHOTS:
        return b"".join(rows)
    body = b"".join(rows[:-1])
    count, crc = len(rows) - 2, crc32(body)
    return body + seal(b'00000000 ["end",%d,"%08x"]' % (count, crc))


@pytest.mark.parametrize("make", [used, compacted, received])
def test_nonsense_under_right_checksums_raises_nothing_else(make: Callable[[], Disk]) -> None:
    """No disk does this; a bug, or a person with an editor, may."""
    good = make()
    outcomes: Counter[str] = Counter()
    for number in counted("directories of nonsense", range(amount(700, 8_000))):
        random = Random(SEED << 40 | number)
        path = random.choice(sorted(path for path in good if path.name != "lock"))
        disk = good | {path: resealed(random, path, good[path])}
        try:
            storage, _ = opened(disk_with(disk))
            Machine.restore([["machine", 2, 1, 1, 1], *storage.snapshot_records()])
            outcomes["opened"] += 1
        except DataError as error:
            outcomes[type(error).__name__] += 1
        except Exception as error:
            text = f"{path}: {type(error).__name__}: {error}"
            raise Found(SEED, number, (disk[path],), text) from error
    print(make.__name__, dict(outcomes))
    assert outcomes["CorruptFile"] > 50
    assert outcomes["opened"] > 50


def test_the_directories_hold_what_they_should() -> None:
    one, two, three = (Original.of(make()).restored for make in (used, compacted, received))
    assert (len(one.entries), len(two.entries), len(three.entries)) == (11, 7, 0)
    assert (one.snapshot, two.snapshot, three.snapshot) == (meta(6), meta(6), meta(20))
    assert one.hard_state == HardState(3, THEM)
    assert two.repairs


def test_the_rules_notice_what_is_wrong() -> None:
    original = Original.of(used())
    found = original.restored
    short = Restored(
        *(found.incarnation, found.cluster, found.hard_state, found.snapshot),
        found.entries[:-1],
        [],
    )
    with pytest.raises(AssertionError, match="missing at the end"):
        original.check(original.disk, short)
    path = segment(9)
    flipped = original.disk[path][:-1] + b"\x0b"
    with pytest.raises(AssertionError, match="acknowledged line was cut"):
        original.check(original.disk | {path: flipped}, short)
