"""What a command of `raftzmq client` works with: the shared options, and a client."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from raftzmq.errors import RaftzmqError, Unavailable
from raftzmq_cli.client.reachability import why_silent
from raftzmq_cli.common.invocation import Invocation
from raftzmq_cli.common.settings import (
    CommandEndpoints,
    CommandKey,
    CommandOutput,
    CommandTimeout,
    Output,
)

if TYPE_CHECKING:
    from raftzmq import Client, NodeStatus

_ASK_S: Final = 0.5
"""Wait for a status, after no answer has come in time."""

SHARED: Final[Mapping[str, Any]] = {
    "endpoints": CommandEndpoints,
    "timeout": CommandTimeout,
    "output": CommandOutput,
    "key_file": CommandKey,
}
"""The options that every command of the group takes."""


@dataclass(slots=True)
class ClientInvocation(Invocation):
    """The shared options of a command, and its clients, which the commands of a shell share.

    `group` is the context of `raftzmq client`, in which a shell runs its commands.
    """

    clients: dict[tuple[tuple[str, ...], Path | None], Client] = field(default_factory=dict)
    group: Any = None
    in_shell: bool = False

    def overridden(
        self,
        endpoints: str | None,
        timeout: float | None,
        output: Output | None,
        key_file: Path | None = None,
    ) -> Self:
        """The same with the options given here in place of the earlier ones."""
        return replace(
            self, settings=self.settings.overridden(endpoints, timeout, output, key_file)
        )

    @property
    def client(self) -> Client:
        """The client of the endpoints, made when it is first needed."""
        from raftzmq import Client

        wanted = self.settings.endpoints, self.settings.key
        if wanted not in self.clients:
            self.clients[wanted] = Client(wanted[0], key=wanted[1])
        return self.clients[wanted]

    def call(self, command: Callable[..., int | None], **options: Any) -> int | None:
        """Run a command; if there was no answer, say what is wrong with which endpoint."""
        try:
            return Invocation.call(self, command, **options)
        except Unavailable as error:
            found = self.why_silent() if type(error) is Unavailable else {}
            if not found:
                raise
            said = "; ".join(f"{endpoint}: {why}" for endpoint, why in found.items())
            raise Unavailable(f"{error}; {said}") from None

    def why_silent(self) -> dict[str, str]:
        """Which endpoints do not answer, and why."""
        with suppress(RaftzmqError):
            return {
                asked.endpoint: self.why_silent_at(asked.endpoint)
                for asked in self._ask(self.settings.endpoints)
                if asked.status is None
            }
        return {}

    def why_silent_at(self, endpoint: str) -> str:
        return why_silent(endpoint, self._ask)

    def _ask(self, endpoints: Sequence[str]) -> Sequence[NodeStatus]:
        return self.client.statuses(endpoints, timeout=_ASK_S)

    def close(self) -> None:
        while self.clients:
            self.clients.popitem()[1].close()
