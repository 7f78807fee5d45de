"""What the checks make of the facts: a mark each, and one verdict on them all. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from raftzmq_cli.common import exits


class Mark(StrEnum):
    """How a check went, from the best to the worst."""

    OK = "✓"
    ATTENTION = "!"
    FAILING = "✗"

    @property
    def word(self) -> str:
        """The mark as `-w json` has it: ok, attention, failing."""
        return self.name.lower()


_SEVERITY: Final = {mark: k for k, mark in enumerate(Mark)}
_EXIT_CODES: Final = {
    Mark.OK: exits.DONE,
    Mark.ATTENTION: exits.NO,
    Mark.FAILING: exits.UNAVAILABLE,
}


@dataclass(frozen=True, slots=True)
class Check:
    """One line: what was found, and what to do about it, which is "" if all is well. `refused`: no
    node lets this client in."""

    name: str
    mark: Mark
    finding: str
    cure: str = ""
    refused: bool = False

    def __str__(self) -> str:
        cure = f"; {self.cure}" if self.cure else ""
        return f"{self.mark} {self.name}: {self.finding}{cure}"

    def document(self) -> dict[str, Any]:
        return {
            "check": self.name,
            "result": self.mark.word,
            "finding": self.finding,
            "cure": self.cure or None,
        }


def ok(name: str, finding: str) -> Check:
    return Check(name, Mark.OK, finding)


def attention(name: str, finding: str, cure: str) -> Check:
    """It works, and somebody should look."""
    return Check(name, Mark.ATTENTION, finding, cure)


def failing(name: str, finding: str, cure: str) -> Check:
    """Something that somebody relies on does not work."""
    return Check(name, Mark.FAILING, finding, cure)


def worst(checks: Sequence[Check]) -> Mark:
    """The worst mark; without any check all is well."""
    return max((check.mark for check in checks), key=_SEVERITY.__getitem__, default=Mark.OK)


def exit_code(checks: Sequence[Check]) -> int:
    """0 all is well, 1 something needs attention, 3 something does not work, 4 no node lets this
    client in."""
    if any(check.refused for check in checks):
        return exits.REFUSED
    return _EXIT_CODES[worst(checks)]


def verdict(checks: Sequence[Check]) -> str:
    """All of it in one line."""
    mark = worst(checks)
    if mark is Mark.OK:
        return f"OK: {len(checks)} checks, nothing to do"
    names = ", ".join(check.name for check in checks if check.mark is mark)
    if mark is Mark.ATTENTION:
        return f"ATTENTION: it works, and needs a look at {names}"
    others = sum(check.mark is Mark.ATTENTION for check in checks)
    return f"FAILING: {names}" + (f" ({others} more to look at)" if others else "")
