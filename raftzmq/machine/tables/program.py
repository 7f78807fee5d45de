"""The state of a state machine of the users' own, and what runs its methods.

Users write a class; here it is called a program, because the machine is what this package is. The
program is handed in (raftzmq/state_machine makes it of the class): nothing here imports it.
"""

from __future__ import annotations

from typing import Any, Protocol

from raftzmq.machine.memory import memory_of

Ran = tuple[str, Any, str | None]
"""A code, a body, and the state afterwards; None: nothing has changed."""


class Program(Protocol):
    """What runs the methods of a state machine. States, arguments and results are JSON, as text.

    Each method depends on its arguments alone, and raises nothing on purpose but MissingProgram: an
    entry is from a program that this one is not.
    """

    @property
    def name(self) -> str:
        """What the state machine is called, in every version."""

    @property
    def version(self) -> int:
        """The newest version that this program is."""

    def first(self, version: int) -> Ran:
        """The state at the beginning, in that version."""

    def migrate(self, text: str, before: int, version: int) -> Ran:
        """The state in a later version."""

    def call(
        self, text: str, version: int, method: str, arguments: str, time_ms: int, revision: int
    ) -> Ran:
        """Run a method that may change the state."""

    def ask(
        self, text: str, version: int, method: str, arguments: str, time_ms: int, revision: int
    ) -> tuple[str, Any]:
        """Run a method that changes nothing."""

    def check(self, version: int, method: str, arguments: str, *, writes: bool) -> None:
        """Raises InvalidRequest for what cannot be called, and Unsupported for a method that a
        later version has."""


class ProgramState:
    """The program that is in force, by name and version, and its state; "" and 0: there is none."""

    __slots__ = ("memory", "name", "text", "version")

    def __init__(self, name: str = "", version: int = 0, text: str = "") -> None:
        self.name = name
        self.version = version
        self.memory = 0
        """About how many bytes it takes, as memory.py counts."""
        self.replace(text)

    def replace(self, text: str) -> None:
        """Have another state."""
        self.text = text
        self.memory = memory_of(text)
