"""The view server as a process: `raftzmq views server`."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from raftzmq import __version__
from raftzmq.access.users import User
from raftzmq.errors import WireError
from raftzmq.server.text_log import TextLog
from raftzmq.views.loop import Loop, now_ms, random_id
from raftzmq.views.messages import (
    Message,
    Ping,
    StatusReply,
    StatusRequest,
    ViewReply,
    ViewRequest,
)
from raftzmq.views.service import ViewService
from raftzmq.views.view import Timing, View, parse_server_name

PORT: Final = 7000

REASON_MS: Final = 1000
"""After this time the log says why a view does not change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewServerConfig:
    """`listen` is a ZeroMQ endpoint. `keys` is a directory with node.key, server.key and
    users.toml. Without it the endpoint must be on a loopback address, unless `insecure`. Raises
    InvalidRequest for an invalid name."""

    name: str = "view-server"
    listen: str = f"tcp://*:{PORT}"
    keys: Path | None = None
    insecure: bool = False
    log_level: str = "INFO"
    log_format: str = "text"
    timing: Timing = field(default_factory=Timing)

    def __post_init__(self) -> None:
        parse_server_name(self.name)


def serve_views(config: ViewServerConfig) -> int:
    """Run the view server until SIGTERM or SIGINT. Returns the exit code 0. Raises InvalidRequest
    for a port that would be open to everybody, KeyFileError, PortTaken, ListenError."""
    with ExitStack() as stack:
        log = stack.enter_context(TextLog(config.name, config.log_level, config.log_format))
        _ViewServer(config, log, stack).run()
    return 0


class _ViewServer(Loop):
    def __init__(self, config: ViewServerConfig, log: TextLog, stack: ExitStack) -> None:
        super().__init__(config.listen, log, stack, keys=config.keys, insecure=config.insecure)
        self._name = config.name
        self._service = ViewService(random_id(), random_id(), config.timing, now_ms())
        self._view: View | None = None  # as last logged
        self._reason = ""
        self._reason_ms = self.now_ms  # since when
        self._reason_told = ""
        log(
            self.greeting,
            version=__version__,
            reign=self._service.reign,
            listens=self.endpoint,
            ping_ms=config.timing.ping_ms,
            dead_ms=config.timing.dead_ms,
            keys=config.keys or "none",
        )

    def due_ms(self) -> int:
        return self._service.next_deadline_ms

    def receive(self, client: bytes, message: Message, size: int, user: User) -> None:  # noqa: ARG002
        service = self._service
        match message:
            case Ping():
                pong = service.ping(message, self.now_ms)
                if pong is not None:
                    self.answer(client, pong)
                    if pong.superseded:
                        self.warn_once("heard an earlier process of a name", message.server.name)
            case ViewRequest(ident):
                reason = "" if service.view else service.reason
                self.answer(client, ViewReply(ident, service.view, reason))
            case StatusRequest(ident):
                self.answer(client, StatusReply(ident, self._status()))
            case _:
                asked = getattr(message, "id", None)
                ids = [asked] if type(asked) is int else None
                raise WireError("invalid", "a view server has no keys: ask the primary", ids)

    def _status(self) -> dict[str, Any]:
        return {"view_server": self._name, "version": __version__, **self._service.status()}

    def work(self) -> None:
        service = self._service
        service.tick(self.now_ms)
        self._tell(service.view, service.reason)

    def _tell(self, view: View | None, reason: str) -> None:
        """Log what has changed, and a reason to wait once that takes a while."""
        if view is not None and view != self._view:
            self._view = view
            backup = view.backup or "none"
            self.log("new view", view=view.number, primary=view.primary, backup=backup)
        if reason != self._reason:
            self._reason = reason
            self._reason_ms = self.now_ms
        lasts = self.now_ms - self._reason_ms >= REASON_MS
        if lasts and self._reason_told != reason:
            self._reason_told = reason
            self.log(reason or "no longer waiting")
