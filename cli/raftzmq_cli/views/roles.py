"""Who is primary, backup or idle, as the view server says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Roles:
    """A view, and who is what in it. `incarnations`: by name, the run of each server that is known.
    `is_healthy`: the primary acts, and its backup has the whole state."""

    view: int
    primary: str | None
    backup: str | None
    idle: tuple[str, ...]
    is_healthy: bool
    reason: str
    incarnations: Mapping[str, str]

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """Read the answer of `views client status -w json`. Raises KeyError or TypeError for
        another document."""
        return cls(
            view=document["view"],
            primary=document["primary"],
            backup=document["backup"],
            idle=tuple(document["idle"]),
            is_healthy=document["healthy"],
            reason=document["reason"],
            incarnations={server["name"]: server["incarnation"] for server in document["servers"]},
        )

    def role(self, name: str) -> str | None:
        """primary, backup or idle; None for one that the view server does not know."""
        if name in self.idle:
            return "idle"
        return {self.primary: "primary", self.backup: "backup"}.get(name)

    def lacking(self, servers: int) -> str | None:
        """What speaks against a primary, a backup with the whole state, and all others of so many
        servers idle; None: nothing."""
        if self.primary is None:
            return self.reason or "no primary yet"
        if servers > 1 and self.backup is None:
            return self.reason or f"{self.primary} is primary, and has no backup yet"
        if servers > 1 and not self.is_healthy:
            return self.reason or f"{self.backup} does not have everything yet"
        if len(self.idle) < servers - 2:
            return f"{len(self.idle)} of {servers - 2} spares are known to the view server"
        return None

    def __str__(self) -> str:
        parts = [f"view {self.view}", f"primary {self.primary}"]
        parts += [f"backup {self.backup}"] if self.backup else []
        parts += [f"idle {', '.join(self.idle)}"] if self.idle else []
        return ", ".join(parts)
