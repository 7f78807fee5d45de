"""`raftzmq views client`: keys and values of the older design, and how it is."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from raftzmq.errors import Unavailable
from raftzmq_cli.common import exits
from raftzmq_cli.common.exits import AnswerIsNo
from raftzmq_cli.common.invocation import Invocation, examples_text
from raftzmq_cli.common.settings import (
    CommandOutput,
    CommandTimeout,
    GroupOutput,
    GroupTimeout,
    Output,
    Settings,
    in_pod,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from raftzmq.views.client import ViewsClient, Written

PORT: Final = 7000
VIEW_SERVER_HELP: Final = (
    "HOST:PORT of the view server; by default view-server:7000 inside a pod, else 127.0.0.1:7000. "
    "[RAFTZMQ_VIEW_SERVER]"
)

GroupViewServer = Annotated[
    str | None,
    typer.Option(
        "--view-server", envvar="RAFTZMQ_VIEW_SERVER", show_envvar=False, help=VIEW_SERVER_HELP
    ),
]
CommandViewServer = Annotated[
    str | None,
    typer.Option(
        "--view-server", allow_from_autoenv=False, show_envvar=False, help=VIEW_SERVER_HELP
    ),
]
Key = Annotated[str, typer.Argument(metavar="KEY", help="The key.")]
ValueArgument = Annotated[
    str,
    typer.Argument(
        metavar="VALUE", help="The value; @FILE takes a file's content, - standard input."
    ),
]
Literal = Annotated[bool, typer.Option("--literal", help="Take VALUE as it is, even - or @FILE.")]

app = typer.Typer(
    name="client",
    help="Talk to the older design: keys and values, and its state.",
    epilog=examples_text(
        """
        raftzmq views client put greeting hello
        raftzmq views client append greeting ', world'
        raftzmq views client get greeting -w json
        raftzmq views client --view-server 127.0.0.1:7000 status

        The options stand before or after the command. Exit codes: 0 done; 1 the answer
        is no; 2 wrong usage; 3 no primary or no answer in time; 4 refused.
        """
    ),
    no_args_is_help=True,
    rich_markup_mode=None,
)


class NoPrimary(Unavailable):
    """Nobody answered; the text says whom to look at."""


@dataclass(frozen=True, slots=True)
class Options:
    """The shared options, of which those after the command win over those before it."""

    view_server: str | None = None
    settings: Settings = field(default_factory=Settings)

    def overridden(
        self, view_server: str | None, timeout: float | None, output: Output | None
    ) -> Options:
        settings = self.settings.overridden(None, timeout, output)
        return Options(view_server or self.view_server, settings)

    @property
    def address(self) -> str:
        """HOST:PORT of the view server."""
        host = "view-server" if in_pod(os.environ) else "127.0.0.1"
        return self.view_server or f"{host}:{PORT}"


@app.callback()
def group(
    ctx: typer.Context,
    view_server: GroupViewServer = None,
    timeout: GroupTimeout = None,
    output: GroupOutput = None,
) -> None:
    ctx.obj = Options().overridden(view_server, timeout, output)


def get(
    run: Invocation,
    client: ViewsClient,
    key: Key,
    *,
    fail_missing: Annotated[
        bool, typer.Option("--fail-missing", help="Exit with 1 if there is no such key.")
    ] = False,
) -> int:
    """Print the value of a key; of a missing key, nothing. Reads are linearizable."""
    from raftzmq_cli.client import keys as data

    item = client.get(data.text(key, "key"), timeout=run.timeout_s)
    data.show_items(run, [] if item is None else [item], with_keys=False)
    if fail_missing and item is None:
        raise AnswerIsNo(f"there is no key {key!r}")
    return exits.DONE


def put(
    run: Invocation,
    client: ViewsClient,
    key: Key,
    value: ValueArgument,
    *,
    literal: Literal = False,
) -> int:
    """Write a value. What is not UTF-8 text is stored as bytes."""
    from raftzmq_cli.client import keys as data

    content = data.literal_value(value) if literal else data.read_value(value)
    _show_written(run, client.put(data.text(key, "key"), content, timeout=run.timeout_s))
    return exits.DONE


def append(
    run: Invocation,
    client: ViewsClient,
    key: Key,
    value: ValueArgument,
    *,
    literal: Literal = False,
) -> int:
    """Write VALUE behind what the key holds. Text with bytes becomes bytes."""
    from raftzmq_cli.client import keys as data

    content = data.literal_value(value) if literal else data.read_value(value)
    _show_written(run, client.append(data.text(key, "key"), content, timeout=run.timeout_s))
    return exits.DONE


def delete(run: Invocation, client: ViewsClient, key: Key) -> int:
    """Delete a key. A missing key is no error."""
    from raftzmq_cli.client import keys as data

    result = client.delete(data.text(key, "key"), timeout=run.timeout_s)
    document = {
        "deleted": result.count,
        "index": result.index,
        "view": result.term,
        "primary": result.leader,
    }
    keys = "key" if result.count == 1 else "keys"
    run.show(document, [f"{result.count} {keys} deleted, index {result.index}"])
    return exits.DONE


def status(run: Invocation, client: ViewsClient) -> int:
    """Show the view and every server: role, view, keys, whether it is well.

    Exit code 0 if the primary acts and its backup has everything, 1 if not, 3 if the view server
    does not answer.
    """
    from raftzmq_cli.views import status as views_status

    document = views_status.ask(client, run.settings.timeout_s(views_status.TIMEOUT_S))
    views_status.show(run, document)
    return views_status.verdict(document)


def check(run: Invocation, client: ViewsClient) -> int:
    """Write, read, append to and overwrite keys, and verify each; then delete them.

    Prints index, view and primary of every write; the last line says whether all passed.
    """
    from raftzmq_cli.views.check import check as run_check

    return run_check(run, client)


def _show_written(run: Invocation, written: Written) -> None:
    document = {
        "index": written.index,
        "view": written.view,
        "primary": written.primary,
        "revision": written.revision,
    }
    line = f"index {written.index}, view {written.view}, primary {written.primary}"
    run.show(document, [line])


def _register(function: Callable[..., int], examples: str) -> None:
    """Declare a command: a function of an Invocation, a client and its own options. The shared
    options are added to its own."""
    from inspect import Parameter, Signature, signature
    from typing import get_type_hints

    def run(
        ctx: typer.Context,
        view_server: str | None,
        timeout: float | None,
        output: Output | None,
        **own: Any,
    ) -> int:
        options: Options = ctx.obj.overridden(view_server, timeout, output)
        return call(function, options, **own)

    hints = get_type_hints(function, include_extras=True, localns={"ViewsClient": object})
    shared = {
        "view_server": CommandViewServer,
        "timeout": CommandTimeout,
        "output": CommandOutput,
    }
    own = list(signature(function).parameters.values())[2:]
    kind = Parameter.KEYWORD_ONLY
    parameters = [
        Parameter("ctx", Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context),
        *(p.replace(annotation=hints[p.name], kind=kind) for p in own),
        *(Parameter(n, kind, default=None, annotation=a) for n, a in shared.items()),
    ]
    run.__name__, run.__doc__ = function.__name__, function.__doc__
    run.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    context = {"auto_envvar_prefix": f"RAFTZMQ_VIEWS_{function.__name__.upper()}"}
    app.command(function.__name__, epilog=examples_text(examples), context_settings=context)(run)


def call(function: Callable[..., int], options: Options, **own: Any) -> int:
    """Run a command with a client of the view server; return its exit code."""
    from raftzmq.views.client import ViewsClient

    run = Invocation(options.settings)
    with ViewsClient(options.address) as client:
        try:
            return function(run, client, **own)
        except Unavailable as error:
            if type(error) is not Unavailable:
                raise
            raise NoPrimary(
                f"{error}; is the --view-server right, {options.address}, and are it and the "
                "storage servers up? See 'raftzmq views client status'"
            ) from None


_register(get, "raftzmq views client get greeting\nraftzmq views client get greeting -w json")
_register(put, "raftzmq views client put greeting hello\ndate | raftzmq views client put now -")
_register(append, "raftzmq views client append greeting ', world'")
_register(delete, "raftzmq views client delete greeting")
_register(status, "raftzmq views client status\nraftzmq views client status -w json")
_register(check, "raftzmq views client check")
