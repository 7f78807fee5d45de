"""What the acceptance run tells: line by line while it runs, and one document at its end."""

from __future__ import annotations

import sys
import textwrap
from dataclasses import asdict, dataclass, field
from typing import Any, Final, TextIO

from tests.acceptance.writer import Tally

WIDTH: Final = 96
INDENT: Final = " " * 5


@dataclass(slots=True)
class StepReport:
    """A step: what was done and seen, and what the writer met meanwhile."""

    number: int
    name: str
    passed: bool = False
    seen: str = ""
    seconds: float = 0.0
    writer: Tally = field(default_factory=Tally)

    @property
    def document(self) -> dict[str, Any]:
        return {
            "number": self.number,
            "name": self.name,
            "passed": self.passed,
            "seen": self.seen,
            "seconds": round(self.seconds, 1),
            **asdict(self.writer),
            "longest_pause_ms": round(self.writer.longest_pause_ms),
        }


@dataclass(frozen=True, slots=True)
class Failure:
    """Why the run did not pass, and where the evidence lies."""

    step: str
    expected: str
    seen: str
    evidence: str


@dataclass(slots=True)
class Report:
    """The whole run. Lost and wrong are None as long as nothing was read back."""

    platform: str
    steps: list[StepReport] = field(default_factory=list)
    lost: int | None = None
    wrong: int | None = None
    examples: list[str] = field(default_factory=list)
    failure: Failure | None = None

    @property
    def passed(self) -> bool:
        return (
            self.failure is None
            and bool(self.steps)
            and all(step.passed for step in self.steps)
            and (self.lost, self.wrong) == (0, 0)
        )

    @property
    def totals(self) -> Tally:
        """The writer's accounts of all steps together."""
        return Tally(
            sum(step.writer.acknowledged for step in self.steps),
            sum(step.writer.unknown for step in self.steps),
            sum(step.writer.refused for step in self.steps),
            max((step.writer.longest_pause_ms for step in self.steps), default=0.0),
        )

    @property
    def document(self) -> dict[str, Any]:
        """Everything as plain values, for `-w json`."""
        return {
            "platform": self.platform,
            "passed": self.passed,
            "seconds": round(sum(step.seconds for step in self.steps), 1),
            **asdict(self.totals),
            "longest_pause_ms": round(self.totals.longest_pause_ms),
            "lost": self.lost,
            "wrong": self.wrong,
            "examples": self.examples,
            "steps": [step.document for step in self.steps],
            "failure": asdict(self.failure) if self.failure else None,
        }

    def lines(self) -> list[str]:
        """The same for people: a table of the steps, the accounts, and the verdict."""
        lines = [f"{'STEP':16} {'SECONDS':>8} {'WRITES':>8} {'LONGEST PAUSE':>14}  SEEN"]
        for step in self.steps:
            lines.append(
                f"{step.number} {step.name:14} {step.seconds:8.1f} "
                f"{step.writer.acknowledged:8,} {step.writer.longest_pause_ms:11,.0f} ms  "
                + (step.seen if step.passed else "NOT PASSED")
            )
        totals = self.totals
        kept = (
            "not read back"
            if self.lost is None
            else f"{self.lost:,} lost, {self.wrong or 0:,} wrong"
        )
        lines.append(
            f"writes: {totals.acknowledged:,} acknowledged, {kept}; "
            f"{totals.unknown:,} of unknown outcome, {totals.refused:,} refused; "
            f"longest pause {totals.longest_pause_ms:,.0f} ms"
        )
        lines += self.examples
        if self.failure:
            lines += [
                f"expected: {self.failure.expected}",
                f"seen:     {self.failure.seen}",
                f"evidence: {self.failure.evidence}",
            ]
        verdict = "PASSED" if self.passed else "NOT PASSED"
        lines.append(f"acceptance run on {self.platform}: {verdict}")
        return lines


class Narrator:
    """Tells a person what goes on, while it does."""

    def __init__(self, stream: TextIO = sys.stderr) -> None:
        self._stream = stream

    def begins(self, step: StepReport, of: int, sentence: str) -> None:
        self._print(f"{step.number}/{of}  {step.name}: {sentence}")

    def say(self, text: str) -> None:
        """Something that happens within a step."""
        self._print(f"{INDENT}{text}")

    def passed(self, step: StepReport) -> None:
        tally = step.writer
        self._print(
            f"{INDENT}passed after {step.seconds:.1f} s: {step.seen}. "
            f"{tally.acknowledged:,} writes, longest pause {tally.longest_pause_ms:,.0f} ms"
        )

    def failed(self, failure: Failure) -> None:
        self._print(f"{INDENT}NOT PASSED. Expected: {failure.expected}")
        self._print(f"{INDENT}Seen: {failure.seen}")
        self._print(f"{INDENT}Evidence: {failure.evidence}")

    def _print(self, text: str) -> None:
        print(
            textwrap.fill(text, WIDTH, subsequent_indent=INDENT, break_long_words=False),
            file=self._stream,
            flush=True,
        )
