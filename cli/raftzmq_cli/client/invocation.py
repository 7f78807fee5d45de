"""What a command of `raftzmq client` works with: the shared options, and a client."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Self

from raftzmq_cli.common.invocation import Invocation
from raftzmq_cli.common.settings import CommandEndpoints, CommandOutput, CommandTimeout, Output

if TYPE_CHECKING:
    from raftzmq import Client

SHARED: Final[Mapping[str, Any]] = {
    "endpoints": CommandEndpoints,
    "timeout": CommandTimeout,
    "output": CommandOutput,
}
"""The options that every command of the group takes."""


@dataclass(slots=True)
class ClientInvocation(Invocation):
    """The shared options of a command, and its clients, which the commands of a shell share.

    `group` is the context of `raftzmq client`, in which a shell runs its commands.
    """

    clients: dict[tuple[str, ...], Client] = field(default_factory=dict)
    group: Any = None
    in_shell: bool = False

    def overridden(
        self, endpoints: str | None, timeout: float | None, output: Output | None
    ) -> Self:
        """The same with the options given here in place of the earlier ones."""
        return replace(self, settings=self.settings.overridden(endpoints, timeout, output))

    @property
    def client(self) -> Client:
        """The client of the endpoints, made when it is first needed."""
        from raftzmq import Client

        endpoints = self.settings.endpoints
        if endpoints not in self.clients:
            self.clients[endpoints] = Client(endpoints)
        return self.clients[endpoints]

    def close(self) -> None:
        while self.clients:
            self.clients.popitem()[1].close()
