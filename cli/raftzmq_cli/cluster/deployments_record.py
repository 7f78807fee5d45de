"""What `cluster up` has brought up, in .raftzmq/cluster.json, for `down` and `cluster test`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from raftzmq.errors import InvalidRequest
from raftzmq_cli.common.designs import Design

FILE: Final = Path(".raftzmq/cluster.json")


class Where(StrEnum):
    """Which Kubernetes: one that kind makes here, or one that kubectl reaches."""

    KIND = "kind"
    K8S = "k8s"


@dataclass(frozen=True, slots=True)
class Entry:
    """One deployment, with all that is needed to take it down again."""

    where: Where
    context: str
    namespace: str
    overlay: str
    registry: str
    tag: str
    cluster_name: str
    registry_name: str
    design: Design = Design.RAFT

    @property
    def place(self) -> tuple[str, str, Design]:
        """Where there can be only one: context, namespace and design."""
        return (self.context, self.namespace, self.design)

    def __str__(self) -> str:
        if self.where is Where.KIND:
            return f"kind cluster {self.cluster_name}"
        text = f"context {self.context}, namespace {self.namespace}"
        return text if self.design is Design.RAFT else f"{text}, design {self.design}"


def load() -> list[Entry]:
    """All that is up, the newest last. Raises InvalidRequest if the file is damaged."""
    try:
        document = json.loads(FILE.read_text())
        return [_read(entry) for entry in document["up"]]
    except FileNotFoundError:
        return []
    except (ValueError, KeyError, TypeError):
        raise InvalidRequest(
            f"{FILE} is damaged: remove it, and take down what is up with "
            "'raftzmq cluster remove' or 'raftzmq cluster delete'"
        ) from None


def add(new: Entry) -> None:
    """Remember one more."""
    _write([*_without(new), new])


def forget(gone: Entry) -> None:
    """Forget one that was taken down; of kind, all that was in its cluster."""
    _write(_without(gone))


def _read(entry: dict[str, str]) -> Entry:
    where = Where(entry["where"])
    design = Design(entry.get("design", Design.RAFT))
    return Entry(**{**entry, "where": where, "design": design})  # type: ignore[arg-type]


def _without(one: Entry) -> list[Entry]:
    return [entry for entry in load() if entry.place != one.place]


def _write(entries: Sequence[Entry]) -> None:
    if not entries:
        FILE.unlink(missing_ok=True)
        return
    FILE.parent.mkdir(parents=True, exist_ok=True)
    temporary = FILE.with_suffix(".new")
    document = {"format": 1, "up": [asdict(entry) for entry in entries]}
    temporary.write_text(json.dumps(document, indent=2) + "\n")
    temporary.replace(FILE)
