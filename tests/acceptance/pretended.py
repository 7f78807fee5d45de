"""What the pretended platforms of both designs have in common: a writer that loses nothing."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.acceptance import expectation, writing


class PretendedWriter:
    """Acknowledges a write whenever it is asked how far it is. `done` is what was asked for."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.orders = {"step": "", "do": "start"}
        self.turn = self.acknowledged = 0

    def start_writer(self, prefix: str) -> None:
        self.done.append("writer")

    def order_writer(self, orders: str) -> None:
        self.orders = json.loads(orders)

    def writer_report(self) -> str | None:
        self.turn += 1
        self.acknowledged += self.orders["do"] == "write"
        steps = {self.orders["step"]: {"acknowledged": self.acknowledged}}
        report = {"turn": self.turn, "steps": steps, "error": None, "findings": self.findings()}
        return json.dumps(report | {"step": self.orders["step"], "doing": self.orders["do"]})

    def findings(self) -> dict[str, Any] | None:
        found = {"found": self.acknowledged, "lost": 0, "wrong": 0, "examples": []}
        return found if self.orders["do"] == "verify" else None

    def gather(self, directory: Path) -> None:
        (directory / "evidence.txt").write_text("what was seen")

    def whereabouts(self) -> str:
        return "nowhere"

    def close(self) -> None:
        self.done.append("close")


def be_impatient(monkeypatch: pytest.MonkeyPatch, scenario: ModuleType) -> None:
    """What is pretended comes at once or never."""
    for module in (expectation, scenario, writing):
        monkeypatch.setattr(module, "PATIENCE_S", 0.0)
    monkeypatch.setattr(expectation, "POLL_S", 0.0)
    monkeypatch.setattr(expectation.until, "__defaults__", (0.0,))
