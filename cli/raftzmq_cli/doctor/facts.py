"""What the doctor's rules judge. Nothing here asks anybody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from raftzmq_cli.client.statuses import Document, leader_of, newest_members


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryFacts:
    """A data directory, looked at from outside. `node` is whose it is, None if it does not say.
    `held_by` is the process that runs on it, in words. `damage` is what is wrong, with its place
    and the cure."""

    path: str
    node: str | None = None
    exists: bool = True
    empty: bool = False
    held_by: str | None = None
    damage: str | None = None
    readable_by_others: Sequence[str] = ()
    free_bytes: int | None = None
    size_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFacts:
    """A directory of keys. `problem` is what is wrong with its files, with the cure; `rotating` are
    the keys of which an old or a coming one is still accepted."""

    path: str
    problem: str | None = None
    rotating: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """`nodes` has a document for each node, as `client status` does; those of silent ones have an
    `error`. They were asked between `asked_ms` and `answered_ms`, by the wall clock of this
    machine."""

    nodes: Sequence[Document] = ()
    asked_ms: int = 0
    answered_ms: int = 0
    directory: DirectoryFacts | None = None
    keys: KeyFacts | None = None

    @property
    def answering(self) -> list[Document]:
        return [node for node in self.nodes if "error" not in node]

    @property
    def silent(self) -> list[Document]:
        return [node for node in self.nodes if "error" in node]

    @property
    def leader(self) -> Document | None:
        return leader_of(self.answering)

    @property
    def voters(self) -> list[str]:
        """The names of the voters, as the node with the newest log has them."""
        return [m["name"] for m in newest_members(self.answering) if m["voter"]]

    @property
    def missing_voters(self) -> list[str]:
        return sorted(set(self.voters) - {node["node"] for node in self.answering})

    @property
    def majority(self) -> int:
        return len(self.voters) // 2 + 1


def figures(node: Mapping[str, Any]) -> Mapping[str, Any]:
    """The figures of a node; empty for an older one, which tells none."""
    found = node.get("figures")
    return found if isinstance(found, Mapping) else {}


def number(node: Mapping[str, Any], *path: str) -> float | None:
    """A number among a node's figures; None if it does not tell that."""
    found: Any = figures(node)
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found if isinstance(found, int | float) and not isinstance(found, bool) else None
