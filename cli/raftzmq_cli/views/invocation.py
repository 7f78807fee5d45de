"""What a command of `raftzmq views client` works with: the shared options, and a client."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from raftzmq.client.discovery import in_pod
from raftzmq.errors import Unavailable
from raftzmq_cli.common.invocation import Invocation
from raftzmq_cli.common.settings import (
    CommandKey,
    CommandOutput,
    CommandTimeout,
    Output,
)

if TYPE_CHECKING:
    from raftzmq.views.client import ViewsClient

PORT: Final = 7000
VIEW_SERVER_HELP: Final = (
    "HOST:PORT of the view server (default: view-server:7000 in a pod, else 127.0.0.1:7000). "
    "[RAFTZMQ_VIEW_SERVER]"
)
CommandViewServer = Annotated[
    str | None,
    typer.Option(
        "--view-server", allow_from_autoenv=False, show_envvar=False, help=VIEW_SERVER_HELP
    ),
]
SHARED: Final[Mapping[str, Any]] = {
    "view_server": CommandViewServer,
    "timeout": CommandTimeout,
    "output": CommandOutput,
    "key_file": CommandKey,
}
"""The options that every command of the group takes."""


class NoPrimary(Unavailable):
    """Nobody answered; the text says whom to look at."""


@dataclass(slots=True)
class ViewsInvocation(Invocation):
    """The shared options of a command, and a client of the view server while it runs."""

    view_server: str | None = None
    opened: ViewsClient | None = None

    def overridden(
        self,
        view_server: str | None,
        timeout: float | None,
        output: Output | None,
        key_file: Path | None = None,
    ) -> ViewsInvocation:
        """The same with the options given here in place of the earlier ones."""
        settings = self.settings.overridden(None, timeout, output, key_file)
        return ViewsInvocation(settings, view_server or self.view_server)

    @property
    def address(self) -> str:
        """HOST:PORT of the view server."""
        host = "view-server" if in_pod(os.environ) else "127.0.0.1"
        return self.view_server or f"{host}:{PORT}"

    @property
    def client(self) -> ViewsClient:
        assert self.opened is not None, "a command has a client only while it runs"
        return self.opened

    def call(self, command: Callable[..., int | None], **options: Any) -> int | None:
        """Run a command with a client; return its exit code. Raises NoPrimary for Unavailable."""
        from raftzmq.views.client import ViewsClient

        with ViewsClient(self.address, key=self.settings.key) as self.opened:
            try:
                return command(self, **options)
            except Unavailable as error:
                if type(error) is not Unavailable:
                    raise
                raise NoPrimary(
                    f"{error}; is the --view-server right, {self.address}, and are it and the "
                    "storage servers up? See 'raftzmq views client status'"
                ) from None
