"""How the commands of `raftzmq` are declared, and how a group finds them.

A file declares its commands in `commands`, each above the function that does it:

    commands = Commands(shared=SHARED)

    @commands.command("stop", "raftzmq client stop raft-2")
    def stop(run: ClientInvocation, node: Node) -> None:
        ...

A `Group` names the files of its commands. They are imported when they are named on the command
line, or listed: so that `raftzmq client get` imports what it needs, and nothing of the others.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Any, Final, TypeVar, get_type_hints

import typer
from typer.core import TyperGroup

from raftzmq_cli.common.coercion import use_plain_coercion
from raftzmq_cli.common.exits import CommandMissing
from raftzmq_cli.common.metavars import use_plain_metavars
from raftzmq_cli.common.standard_output import CannotWrite

_SUMMARY: Final = 1000
"""More characters than any summary has."""

Function = TypeVar("Function", bound=Callable[..., int | None])


class Commands:
    """The commands of one file.

    `variables` is the prefix of the environment variables that give their options; without it,
    none do: an option of one command is no setting of a whole shell. `shared` are options that each
    of them takes besides its own. They override those given before the command's name, and the
    function gets what they make: `ctx.obj.overridden(...)`, an Invocation, is its first argument.
    """

    def __init__(
        self, *, variables: str | None = None, shared: Mapping[str, Any] | None = None
    ) -> None:
        self._variables = variables
        self._shared = shared
        self._app = typer.Typer(rich_markup_mode=None)

    def command(
        self, name: str, examples: str = "", *, writes: bool = False, **settings: Any
    ) -> Callable[[Function], Function]:
        """Declare a command: a function of its arguments and options, which returns an exit code.

        `writes`: it prints only when its write to the cluster was acknowledged. `settings` are
        click's context settings.
        """
        if self._variables is not None:
            settings["auto_envvar_prefix"] = self._variables

        def declare(function: Function) -> Function:
            called = (
                function if self._shared is None else _with_shared(function, self._shared, writes)
            )
            epilog = examples_text(examples)
            self._app.command(name, epilog=epilog, context_settings=settings)(called)
            return function

        return declare

    def built(self) -> Mapping[str, Any]:
        """What is declared here, as click commands by their names."""
        made = typer.main.get_group(self._app)
        use_plain_coercion(made)
        use_plain_metavars(made)
        _keep_summaries(made)
        return made.commands


class Group(Commands):
    """A group of commands: declared in the same file, or found in `files`, a file for each name.

    `callback` takes the options of the group itself; without it these are the shared ones.
    """

    def __init__(
        self,
        name: str,
        text: str,
        examples: str = "",
        *,
        files: Mapping[str, str] | None = None,
        callback: Callable[..., None] | None = None,
        completion: bool = False,
        variables: str | None = None,
        shared: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(variables=variables, shared=shared)
        self._name = name
        self._files = files
        self._app = typer.Typer(
            name=name,
            cls=_CommandGroup,
            help=text,
            epilog=examples_text(examples),
            add_completion=completion,
            rich_markup_mode=None,
            pretty_exceptions_enable=False,
        )
        self._app.callback()(callback or _overriding(shared or {}))

    def built(self) -> Mapping[str, Any]:
        """The group alone, as a click command."""
        made: Any = typer.main.get_command(self._app)
        use_plain_coercion(made)
        use_plain_metavars(made)
        _keep_summaries(made)
        if self._files is not None:
            made.commands = _Imported(self._files)
        return {self._name: made}


class _CommandGroup(TyperGroup):
    """A group that is an error when it is called bare, with whichever click: before 8.2, click's
    own `no_args_is_help` ends with 0."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args and not ctx.resilient_parsing:
            raise CommandMissing(ctx.get_help())
        return super().parse_args(ctx, args)


class _Imported(Mapping[str, Any]):
    """Click commands by name, each imported from its file when it is asked for."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self._files = files
        self._found: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._found:
            commands: Commands = import_module(self._files[name]).commands
            self._found |= commands.built()
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


def _keep_summaries(command: Any) -> None:
    """Let a list of commands have the whole first sentence of each, also on a narrow terminal."""
    command.short_help = command.get_short_help_str(_SUMMARY)
    for nested in getattr(command, "commands", {}).values():
        _keep_summaries(nested)


def examples_text(examples: str) -> str | None:
    """The end of a help text, with its lines kept as they are."""
    if not examples:
        return None
    lines = [f"  {line}" for line in inspect.cleandoc(examples).splitlines()]
    return "\n".join(["\b", "Examples:", *lines])


def _with_shared(
    function: Callable[..., int | None], shared: Mapping[str, Any], writes: bool
) -> Any:
    """A function that takes the shared options besides those of `function`."""

    def called(ctx: typer.Context, **options: Any) -> int | None:
        given = {name: options.pop(name) for name in shared}
        try:
            code: int | None = ctx.obj.overridden(**given).call(function, **options)
        except CannotWrite as error:
            error.after_write = error.after_write or writes
            raise
        return code

    hints = get_type_hints(function, include_extras=True)
    own = [
        parameter.replace(annotation=hints[parameter.name], kind=inspect.Parameter.KEYWORD_ONLY)
        for parameter in list(inspect.signature(function).parameters.values())[1:]
    ]
    called.__name__ = function.__name__
    called.__doc__ = function.__doc__
    return _with_signature(called, own, shared)


def _overriding(shared: Mapping[str, Any]) -> Callable[..., None]:
    """The callback of a group whose own options are the shared ones."""

    def callback(ctx: typer.Context, **given: Any) -> None:
        if shared:
            ctx.obj = ctx.obj.overridden(**given)

    return _with_signature(callback, [], shared)


def _with_signature(
    function: Callable[..., Any], own: list[inspect.Parameter], shared: Mapping[str, Any]
) -> Callable[..., Any]:
    """Give a function of a context the options that Typer is to read from its signature."""
    context = inspect.Parameter(
        "ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context
    )
    keyword = inspect.Parameter.KEYWORD_ONLY
    others = [
        inspect.Parameter(name, keyword, default=None, annotation=annotation)
        for name, annotation in shared.items()
    ]
    parameters = [context, *own, *others]
    function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    function.__annotations__ = {p.name: p.annotation for p in parameters}
    return function
