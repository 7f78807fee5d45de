"""What clients asked for and were told, with the moments of both."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from raftzmq.client.session.packer import READ_IDS

OK, REFUSED, FAILED, UNKNOWN = "ok", "refused", "failed", "unknown"
"""How an operation ended; refused: it was executed, and its result says no. See Op.code."""

READS = frozenset(
    {
        *("get", "item", "prefix", "range", "count", "keys"),
        *("lease", "leases", "describe", "queues", "await", "observe", "ask"),
    }
)

ODD = "odd"
"""The name of an operation that is ill-formed: `arguments` are all that was sent."""


@dataclass(slots=True)
class Op:
    """One operation. `asked` and `told` are moments in one order for the whole world; an answer
    that never came has `told` None.

    `name` and `arguments` are those of PROTOCOL.md. For a cas, `expected` is the value that the
    client had seen at the revision it compares with: None for absence, NEVER for no value ever.
    """

    client: str
    name: str
    arguments: list[Any]
    asked: int
    stale: bool = False
    expected: Any = None
    told: int | None = None
    outcome: str = UNKNOWN
    index: int = 0
    compared: bool = True
    body: Any = None
    session: int = 0
    serial: int = 0
    error: str = ""
    code: str = ""
    """Of a refusal, as on the wire."""

    @property
    def is_write(self) -> bool:
        return self.name not in READS

    def __str__(self) -> str:
        stale = "stale " if self.stale else ""
        answer = f"{self.outcome} {self.error}"
        if self.outcome == OK:
            answer = f"{self.body} at {self.index}" + ("" if self.compared else ", compare failed")
        return (
            f"{self.client}: {stale}{self.name} {self.arguments} -> {answer} "
            f"(session {self.session}, serial {self.serial}, moments {self.asked} to {self.told})"
        )


NEVER = ("never",)

COUNTER: Final = "count"
"""The key that clients count in, and do nothing else with."""


@dataclass(slots=True)
class History:
    ops: list[Op] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    """All keys that are used."""

    def ended(self) -> list[Op]:
        return [op for op in self.ops if op.outcome == OK]


def key_names(count: int) -> list[str]:
    """Names of keys, all with one prefix; some need more than ASCII, or an escape."""
    ends = ("", "", "\u00e9", "", "\U0001f40d", '"\\')
    return [f"k{n}{ends[n % len(ends)]}" for n in range(count)]


def is_serial(number: int) -> bool:
    """Whether an id on the wire is the serial of a write."""
    return 0 < number < READ_IDS
