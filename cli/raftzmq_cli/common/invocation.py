"""What one command of `raftzmq client` works with, and how such a command is declared."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, get_type_hints

import typer

from raftzmq_cli.common.printers import Document, show
from raftzmq_cli.common.settings import (
    CommandEndpoints,
    CommandOutput,
    CommandTimeout,
    Output,
    Settings,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from raftzmq import Client


@dataclass(slots=True)
class Invocation:
    """The shared options of a command, and its clients, which a shell's commands share.

    `group` is the context of `raftzmq client`, in which a shell runs its commands.
    """

    settings: Settings = field(default_factory=Settings)
    clients: dict[tuple[str, ...], Client] = field(default_factory=dict)
    group: Any = None
    in_shell: bool = False

    @property
    def client(self) -> Client:
        """The client of the endpoints, made when it is first needed."""
        from raftzmq import Client

        endpoints = self.settings.endpoints
        if endpoints not in self.clients:
            self.clients[endpoints] = Client(endpoints)
        return self.clients[endpoints]

    @property
    def timeout_s(self) -> float:
        return self.settings.timeout_s()

    @property
    def is_json(self) -> bool:
        return self.settings.output is Output.JSON

    @property
    def is_simple(self) -> bool:
        return self.settings.output is Output.SIMPLE

    def show(
        self,
        document: Document,
        lines: Iterable[str | bytes],
        columns: Sequence[str] | None = None,
    ) -> None:
        show(self.settings.output, document, lines, columns)

    def close(self) -> None:
        while self.clients:
            self.clients.popitem()[1].close()


def command(
    app: typer.Typer, name: str, examples: str = "", *, prefix: str | None = None, **extra: Any
) -> Callable[[Callable[..., int | None]], Callable[..., int | None]]:
    """Declare a command: a function of an Invocation and its own options; it returns an exit code.

    The shared options are added to its own, so that they are taken after the command as well.
    Its own are variables too, RAFTZMQ_<prefix>_<OPTION>; the prefix is its name if none is given.
    """

    def register(function: Callable[..., int | None]) -> Callable[..., int | None]:
        def run(
            ctx: typer.Context,
            endpoints: str | None,
            timeout: float | None,
            output: Output | None,
            **options: Any,
        ) -> int | None:
            base: Invocation = ctx.obj
            settings = base.settings.overridden(endpoints, timeout, output)
            return function(replace(base, settings=settings), **options)

        run.__name__ = function.__name__
        run.__doc__ = function.__doc__
        _set_signature(run, function)
        context = {"auto_envvar_prefix": f"RAFTZMQ_{prefix or name.upper()}"}
        app.command(name, epilog=examples_text(examples), context_settings=context, **extra)(run)
        return function

    return register


def examples_text(examples: str) -> str | None:
    """The end of a help text, with its lines kept as they are."""
    if not examples:
        return None
    lines = [f"  {line}" for line in inspect.cleandoc(examples).splitlines()]
    return "\n".join(["\b", "Examples:", *lines])


def _set_signature(run: Callable[..., Any], function: Callable[..., Any]) -> None:
    """Give `run` the options of `function`, which Typer reads from the signature."""
    hints = get_type_hints(function, include_extras=True)
    own = [
        parameter.replace(annotation=hints[parameter.name], kind=inspect.Parameter.KEYWORD_ONLY)
        for parameter in list(inspect.signature(function).parameters.values())[1:]
    ]
    shared = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        for name, annotation in (
            ("endpoints", CommandEndpoints),
            ("timeout", CommandTimeout),
            ("output", CommandOutput),
        )
    ]
    context = inspect.Parameter(
        "ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context
    )
    parameters = [context, *own, *shared]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters}
