"""Playing a scenario: its steps with a writer under all of them, and the accounts in the end."""

from __future__ import annotations

import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.acceptance.expectation import Unmet
from tests.acceptance.platforms import Place
from tests.acceptance.report import Failure, Narrator, Report, StepReport
from tests.acceptance.writing import Writing

Step = tuple[str, str, Callable[[], str]]
"""A step's name, what it is in a sentence, and what plays it and returns what it saw. It raises
Unmet where something is not as it has to be, and that is the end of the run."""


class Playing(ABC):
    """One run of a scenario on one platform."""

    def __init__(self, place: Place, narrator: Narrator, evidence: Path) -> None:
        self.report = Report(place.name)
        self._place = place
        self._narrator = narrator
        self._evidence = evidence
        self._writing: Writing | None = None
        self._at = ""  # the step

    @property
    @abstractmethod
    def steps(self) -> Sequence[Step]:
        """In the order in which they are played."""

    def run(self) -> Report:
        """Play the steps; the first that does not pass is the last."""
        try:
            for number, (name, sentence, play) in enumerate(self.steps, 1):
                self._perform(StepReport(number, name), sentence, play)
            self._read_back()
        except Unmet as unmet:
            self._fail(unmet.expected, unmet.seen)
        except Exception as error:
            self._fail("a run without errors of its own", f"{type(error).__name__}: {error}")
            raise
        return self.report

    def _begin_writing(self) -> None:
        """Start the writer; it writes nothing yet."""
        self._writing = Writing(self._place, f"acceptance/{secrets.token_hex(4)}/")

    def _write_in(self, step: str) -> None:
        """Have it write, for the accounts of this step."""
        assert self._writing
        self._writing.begin(step)

    def _perform(self, step: StepReport, sentence: str, play: Callable[[], str]) -> None:
        self.report.steps.append(step)
        self._at = step.name
        self._narrator.begins(step, len(self.steps), sentence)
        began_s = time.monotonic()
        try:
            if self._writing:
                self._writing.begin(step.name)
            step.seen = play()
            assert self._writing
            self._writing.progress()
            step.passed = True
        finally:
            step.seconds = time.monotonic() - began_s
            self._take_tally(step)
        self._narrator.passed(step)

    def _take_tally(self, step: StepReport) -> None:
        if self._writing:
            try:
                step.writer = self._writing.tally(step.name)
            except Unmet:
                if step.passed:
                    raise

    def _read_back(self) -> None:
        """The end of the accounts: every key that was acknowledged must be there."""
        assert self._writing
        self._at = "read back"
        self._say("the writer reads back all that it wrote")
        findings = self._writing.findings()
        self.report.lost, self.report.wrong = findings["lost"], findings["wrong"]
        self.report.examples = findings["examples"]
        totals = self.report.totals
        if findings["lost"] or findings["wrong"]:
            raise Unmet(
                f"all {totals.acknowledged:,} acknowledged writes, and nothing else",
                f"{findings['lost']:,} lost, {findings['wrong']:,} wrong",
            )

    def _fail(self, expected: str, seen: str) -> None:
        self.report.failure = Failure(self._at, expected, seen, str(self._evidence))
        self._evidence.mkdir(parents=True, exist_ok=True)
        try:
            self._place.gather(self._evidence)
        except Unmet as unmet:
            self._say(f"not all evidence could be kept: {unmet}")
        self._narrator.failed(self.report.failure)

    def _say(self, text: str) -> None:
        self._narrator.say(text)
