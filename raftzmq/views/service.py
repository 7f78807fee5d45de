"""The view service: who is primary, who is backup, and when that changes. Pure.

The rules are those of the second laboratory of MIT's course 6.824 (2012 to 2015):

1. A view does not change before its primary has acknowledged it, by a ping that carries it.
2. Only the backup of a view becomes primary of the next one, and only once the primary has said
   that the backup has the whole state. (The laboratory leaves the second half to the servers.)
3. A server that was not heard for a while is dead. One that comes back as another process is
   another server, and the first one is dead at once.
4. A new backup is taken from the idle servers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from raftzmq.views.messages import Ping, Pong
from raftzmq.views.recovery import Report, recover
from raftzmq.views.view import BACKUP, IDLE, PRIMARY, Server, Timing, View

SERVERS_MOST: Final = 64
"""The most servers known at a time; the next one waits until one has been forgotten."""

PAST_MOST: Final = 16
"""Late pings of this many earlier incarnations of a name are recognised."""

FORGET_FACTOR: Final = 10
"""A dead server outside of the view is forgotten after `dead_ms` times this."""


@dataclass(slots=True)
class Known:
    """What is known about the newest process of a name. `view` and `synced` are from its last ping
    after it had `joined` this run of the view server."""

    server: Server
    since_ms: int
    heard_ms: int
    serial: int = -1
    joined: bool = False
    before: str = ""
    view: View | None = None
    synced: bool = False
    keys: int = 0
    past: list[str] = field(default_factory=list)


class ViewService:
    """One run of the view server. `reign` and `service` are random ids: of this run, and of the
    service that this run may start."""

    def __init__(self, reign: str, service: str, timing: Timing, now_ms: int) -> None:
        self.reign = reign
        self.timing = timing
        self.view: View | None = None
        self.reason = "has just started, and waits for pings of storage servers"
        self._service = service
        self._known: dict[str, Known] = {}
        self._began_ms = now_ms
        self._ticked_ms = now_ms
        self._now_ms = now_ms
        self._acknowledged = False  # the view, by its primary, which may have died since
        self._synced = False  # its backup has the whole state, the primary said
        self._highest = 0  # the number of every view that can exist is this or less

    # -- inputs -----------------------------------------------------------------------------------

    def ping(self, ping: Ping, now_ms: int) -> Pong | None:
        """Take a ping; return the answer, or None for one that a later ping has overtaken."""
        self.tick(now_ms)
        known = self._known_as(ping.server)
        if known is None:
            reason = f"{len(self._known)} servers are known, and more are not taken"
            return Pong(ping.serial, self.reign, None, reason, False)
        if not ping.server.is_same(known.server):
            return Pong(ping.serial, self.reign, None, "", True)
        if ping.serial <= known.serial:
            return None
        known.serial = ping.serial
        known.heard_ms = now_ms
        known.keys = ping.keys
        # What it says counts only once it obeys this run alone: see recovery.py.
        known.joined = ping.reign == self.reign
        known.before = ping.before
        known.view = ping.view
        known.synced = ping.synced
        self._hear_primary()
        self._advance()
        return Pong(ping.serial, self.reign, self.view, "" if self.view else self.reason, False)

    def tick(self, now_ms: int) -> None:
        """Let time pass. Call it at least every `ping_ms`."""
        silent_ms = now_ms - self._ticked_ms
        if silent_ms > self.timing.dead_ms // 2:
            # The view server itself stood still, so silence in that time does not count.
            for known in self._known.values():
                known.heard_ms += silent_ms
            self._began_ms += silent_ms if self.view is None else 0
        self._ticked_ms = now_ms
        self._now_ms = now_ms
        forget_ms = now_ms - FORGET_FACTOR * self.timing.dead_ms
        for name, known in list(self._known.items()):
            if known.heard_ms < forget_ms and self._role(known) == IDLE:
                del self._known[name]
        self._advance()

    # -- the current state ------------------------------------------------------------------------

    @property
    def next_deadline_ms(self) -> int:
        """When `tick` is due."""
        return self._ticked_ms + self.timing.ping_ms

    @property
    def is_acknowledged(self) -> bool:
        """Whether the primary has acknowledged the view."""
        return self._acknowledged

    @property
    def is_healthy(self) -> bool:
        """Whether the primary is alive and acts, and has a backup with the whole state."""
        view = self.view
        return (
            view is not None
            and self._synced
            and self._lives(view.primary)
            and self._lives(view.backup)
        )

    def status(self) -> dict[str, Any]:
        """The whole service, for people and programs."""
        view = self.view
        servers = [self._status_of(known) for _, known in sorted(self._known.items())]
        return {
            "view": view.number if view else 0,
            "primary": view.primary.name if view else None,
            "backup": view.backup.name if view and view.backup else None,
            "idle": [s["name"] for s in servers if s["role"] == IDLE and s["healthy"]],
            "acknowledged": self.is_acknowledged,
            "healthy": self.is_healthy,
            "reason": self.reason,
            "service": view.service if view else "",
            "reign": self.reign,
            "servers": servers,
        }

    def _status_of(self, known: Known) -> dict[str, Any]:
        role = self._role(known)
        lives = self._lives(known.server)
        right = {PRIMARY: self._acknowledged, BACKUP: self._synced, IDLE: True}[role]
        return {
            "name": known.server.name,
            "address": known.server.address,
            "role": role if lives or role != IDLE else "dead",
            "view": known.view.number if known.view else 0,
            "keys": known.keys,
            "healthy": lives and right,
            "incarnation": known.server.incarnation,
            "silent_ms": max(0, self._now_ms - known.heard_ms),
        }

    # -- the rules --------------------------------------------------------------------------------

    def _known_as(self, server: Server) -> Known | None:
        """The newest process of that name, which may be this one; None if the table is full."""
        known = self._known.get(server.name)
        if known is None:
            if len(self._known) >= SERVERS_MOST:
                return None
            known = Known(server, self._now_ms, self._now_ms)
            self._known[server.name] = known
        elif not server.is_same(known.server) and server.incarnation not in known.past:
            past = [*known.past, known.server.incarnation][-PAST_MOST:]
            known = Known(server, self._now_ms, self._now_ms, past=past)
            self._known[server.name] = known
        return known

    def _advance(self) -> None:
        if self.view is None:
            self._begin()
        else:
            self._change(self.view)

    def _begin(self) -> None:
        """Find the view that is in force, or start the service."""
        if self._now_ms < self._began_ms + self.timing.forming_ms:
            return
        reports = [
            Report(known.server, known.view, known.before)
            for _, known in sorted(self._known.items())
            if known.joined and self._lives(known.server)
        ]
        found = recover(reports)
        self.reason = found.reason
        if found.view is not None:
            self._take(found.view)
            self._highest = found.highest
            self._hear_primary()
            self._change(found.view)
        elif found.is_new and reports and not any(k.view for k in self._known.values()):
            self._take(View(self._service, self.reign, 1, reports[0].server, None))

    def _change(self, view: View) -> None:
        """Make the next view, if there is a reason and the rules allow it."""
        if not self._acknowledged:
            self.reason = (
                f"the view's primary, {view.primary.name}, has not acknowledged it: "
                "until it has, nothing can change"
            )
            return
        self.reason = ""
        if not self._lives(view.primary):
            if view.backup is None or not self._synced or not self._lives(view.backup):
                self.reason = _stuck(view)
                return
            self._take(self._next(view, view.backup))
        elif not self._lives(view.backup):
            following = self._next(view, view.primary)
            if view.backup is not None or following.backup is not None:
                self._take(following)
        if self.view is view and not self._synced and view.backup is not None:
            self.reason = f"the backup, {view.backup.name}, does not have the whole state yet"

    def _next(self, view: View, primary: Server) -> View:
        idle = [
            known
            for known in self._known.values()
            if self._lives(known.server) and view.role_of(known.server) == IDLE
        ]
        chosen = min(idle, key=lambda known: (known.since_ms, known.server.name), default=None)
        backup = chosen.server if chosen else None
        return View(view.service, self.reign, self._highest + 1, primary, backup)

    def _take(self, view: View) -> None:
        self.view = view
        self._highest = view.number
        self._acknowledged = False
        self._synced = False
        self.reason = "the new view is not acknowledged yet"

    def _hear_primary(self) -> None:
        """Note what the primary says about the view, once it has seen it."""
        if self.view is None:
            return
        known = self._known.get(self.view.primary.name)
        if (
            known is not None
            and known.joined
            and known.server.is_same(self.view.primary)
            and known.view == self.view
        ):
            self._acknowledged = True
            self._synced |= known.synced

    def _lives(self, server: Server | None) -> bool:
        if server is None:
            return False
        known = self._known.get(server.name)
        return (
            known is not None
            and server.is_same(known.server)
            and known.joined
            and self._now_ms - known.heard_ms < self.timing.dead_ms
        )

    def _role(self, known: Known) -> str:
        return self.view.role_of(known.server) if self.view else IDLE


def _stuck(view: View) -> str:
    primary = view.primary.name
    if view.backup is None:
        return f"the primary, {primary}, does not answer, and there is no backup to take its place"
    return (
        f"the primary, {primary}, does not answer, and the backup, {view.backup.name}, "
        "is dead too or does not have the whole state"
    )
