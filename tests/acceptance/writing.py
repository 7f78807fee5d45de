"""The runner's side of the writer: gives it orders, and does not believe that it still works."""

from __future__ import annotations

import json
import time
from typing import Any, Final

from tests.acceptance.expectation import PATIENCE_S, Unmet, until
from tests.acceptance.platforms import Place
from tests.acceptance.writer import Tally

STANDSTILL_S: Final = 30.0
"""A writer whose report does not change for so long is stuck: a write takes it two seconds."""


class Writing:
    """A writer at work."""

    def __init__(self, platform: Place, prefix: str) -> None:
        self._platform = platform
        self._step = ""
        self._turn = 0
        self._turned_s = time.monotonic()
        platform.start_writer(prefix)

    def begin(self, step: str) -> None:
        """From now on its accounts are for this step. Returns when it has written in it."""
        self._step = step
        self._order("write")
        self.progress()

    def progress(self) -> None:
        """Wait until it has written once more. Raises Unmet if it does not."""
        before = self._acknowledged()
        until(
            "a write that is acknowledged",
            lambda: None if self._acknowledged() > before else f"none in step {self._step}",
        )

    def hold(self) -> None:
        """Have it write nothing for now."""
        self._order("hold")

    def resume(self) -> None:
        self._order("write")

    def tally(self, step: str) -> Tally:
        """What happened in a step."""
        return Tally(**self._report()["steps"].get(step, {}))

    def findings(self) -> dict[str, Any]:
        """Have it read back all that it wrote; return how many keys it found, lost and found
        wrong."""
        self._order("verify")
        found: list[dict[str, Any]] = []

        def look() -> str | None:
            findings = self._report()["findings"]
            if findings is None:
                return "it is still reading"
            found.append(findings)
            return None

        # It says nothing while it reads.
        until("that the writer reads everything back", look, 2 * PATIENCE_S)
        return found[0]

    def _acknowledged(self) -> int:
        return self.tally(self._step).acknowledged

    def _order(self, do: str) -> None:
        self._turned_s = time.monotonic()
        self._platform.order_writer(json.dumps({"step": self._step, "do": do}))

        def look() -> str | None:
            report = self._report()
            obeys = (report["step"], report["doing"]) == (self._step, do)
            return None if obeys else f"it does '{report['doing']}' in step '{report['step']}'"

        until(f"that the writer does '{do}' in step '{self._step}'", look, 2 * PATIENCE_S)

    def _report(self) -> dict[str, Any]:
        """Its newest report. Raises Unmet when it has failed or stands still."""
        text = self._platform.writer_report()
        report: dict[str, Any] = json.loads(text) if text else dict(_NOTHING)
        if report["error"]:
            raise Unmet("a writer that works", str(report["error"]))
        now_s = time.monotonic()
        if report["turn"] != self._turn:
            self._turn, self._turned_s = report["turn"], now_s
        elif now_s - self._turned_s > STANDSTILL_S and report["doing"] != "verify":
            raise Unmet("a writer that works", f"its report stands still for {STANDSTILL_S:g} s")
        return report


_NOTHING: Final = {
    "turn": 0,
    "step": "",
    "doing": "start",
    "steps": {},
    "findings": None,
    "error": None,
}
