"""What a command works with, however it was called: the shared options, and how to answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from raftzmq_cli.common.printers import Document, show
from raftzmq_cli.common.settings import Output, Settings


@dataclass(slots=True)
class Invocation:
    """The shared options of a command. Subclasses have a client as well."""

    settings: Settings = field(default_factory=Settings)

    @property
    def timeout_s(self) -> float:
        return self.settings.timeout_s()

    @property
    def is_json(self) -> bool:
        return self.settings.output is Output.JSON

    @property
    def is_simple(self) -> bool:
        return self.settings.output is Output.SIMPLE

    @property
    def is_table(self) -> bool:
        return self.settings.output is Output.TABLE

    def show(
        self,
        document: Document,
        lines: Iterable[str | bytes],
        columns: Sequence[str] | None = None,
    ) -> None:
        show(self.settings.output, document, lines, columns)

    def call(self, command: Callable[..., int | None], **options: Any) -> int | None:
        """Run a command with this; return its exit code."""
        return command(self, **options)
