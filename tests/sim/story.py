"""What happened, in sentences, and the failure that tells it."""

from __future__ import annotations

import subprocess
from collections import deque
from pathlib import Path
from typing import Final
from zlib import crc32

from tests import told

ROOT: Final = Path(__file__).resolve().parents[2]
LINES_KEPT: Final = 60
"""So many of the last events are told with a failure."""


class Violation(AssertionError):
    """A rule was broken. Raised by the checks; the world adds the story."""


class SimFailure(AssertionError):
    """A seed failed: the rule that was broken, the story, and how to see it again."""

    def __init__(self, seed: int, problem: str, told: str) -> None:
        super().__init__(told)
        self.seed = seed
        self.problem = problem

    def __reduce__(self) -> tuple[type[SimFailure], tuple[int, str, str]]:
        return SimFailure, (self.seed, self.problem, str(self))


class Story:
    """The newest events, and a digest of all of them that two equal runs share."""

    def __init__(self, *, aloud: bool = False) -> None:
        self.now_ms = 0
        self.digest = 0
        self.aloud = aloud
        self._lines: deque[str] = deque(maxlen=LINES_KEPT)

    def tell(self, who: str, what: str) -> None:
        line = f"{self.now_ms / 1000:8.3f} s  {who:<9} {what}"
        self._lines.append(line)
        self.digest = crc32(line.encode(), self.digest)
        if self.aloud:
            told.tell(line)

    def note(self, data: bytes) -> None:
        """Something too small to tell, but part of the digest."""
        self.digest = crc32(data, self.digest) ^ self.now_ms & 0xFFFFFFFF

    def __str__(self) -> str:
        return "\n".join(self._lines)


def commit() -> str:
    """The commit that is checked out, and whether files differ from it."""
    try:
        head = _git("rev-parse", "--short=12", "HEAD")
        changed = _git("status", "--porcelain", "--", "raftzmq", "tests/sim")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{head} with changes" if changed else head


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def failure(seed: int, seconds: float, options: str, problem: str, story: Story) -> SimFailure:
    """The whole report of a failed seed."""
    extra = "" if seconds == 30 else f" --seconds {seconds:g}"
    told = "\n".join(
        [
            f"seed {seed} failed at commit {commit()}: {problem}",
            "",
            f"The world: {options}",
            "",
            "The last events:",
            str(story),
            "",
            f"To see it again: just sim {seed}{extra}",
        ]
    )
    return SimFailure(seed, problem, told)
