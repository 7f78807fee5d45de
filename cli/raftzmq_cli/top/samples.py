"""What a cluster does, from two looks at it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from raftzmq_cli.client.statuses import Document, judgement, leader_of

LINES: Final = 20
"""The most queues that are named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A lock, semaphore, counter or election, and how many hold it and wait for it."""

    kind: str
    name: str
    held: int
    waiting: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What the nodes said at one moment. `lines` are the queues; `lines_remark` is why they are
    not known, or not all."""

    nodes: Sequence[Document]
    lines: Sequence[Line] = ()
    lines_remark: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRow:
    """A node in a frame. Rates are a second; what is not known is None."""

    node: str
    role: str
    writes_per_s: float | None
    reads_per_s: float | None
    fsync_p99_ms: float | None
    lag: int | None
    memory_bytes: int | None
    watches: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """All that is shown at a time. `slowest` is the follower that is furthest behind, with by how
    many entries."""

    verdict: str
    nodes: Sequence[NodeRow]
    writes_per_s: float | None
    reads_per_s: float | None
    commit_p50_ms: float | None
    commit_p99_ms: float | None
    slowest: str | None
    slowest_lag: int | None
    keys: int | None
    store_bytes: int | None
    quota_bytes: int | None
    leases: int | None
    sessions: int | None
    watches: int | None
    watches_behind: int | None
    lines: Sequence[Line]
    lines_remark: str | None

    def document(self) -> dict[str, Any]:
        """For `-w json`."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        fields["nodes"] = [_fields(row) for row in self.nodes]
        fields["lines"] = [_fields(line) for line in self.lines]
        return fields


def frame(before: Sample, after: Sample) -> Frame:
    """Compare two looks at a cluster; the later one may be years later, or the same."""
    earlier = {node["node"]: node for node in before.nodes}
    rows = [_row(earlier.get(node["node"]), node) for node in after.nodes]
    leader = leader_of(after.nodes)
    lead = {} if leader is None else _figures(leader)
    lags = dict(lead.get("lags") or {})
    slowest = max(lags, key=lambda name: (lags[name], name), default=None)
    status = leader or {}
    answered = [figures for node in after.nodes if (figures := _figures(node))]
    return Frame(
        verdict=judgement(after.nodes),
        nodes=rows,
        writes_per_s=_sum(row.writes_per_s for row in rows),
        reads_per_s=_sum(row.reads_per_s for row in rows),
        commit_p50_ms=(lead.get("commit_ms") or {}).get("p50"),
        commit_p99_ms=(lead.get("commit_ms") or {}).get("p99"),
        slowest=slowest,
        slowest_lag=None if slowest is None else lags[slowest],
        keys=lead.get("keys"),
        store_bytes=status.get("store_bytes"),
        quota_bytes=status.get("quota_bytes"),
        leases=lead.get("leases"),
        sessions=lead.get("sessions"),
        watches=_sum(figures.get("watches") for figures in answered),
        watches_behind=_sum(figures.get("watches_behind") for figures in answered),
        lines=longest(after.lines),
        lines_remark=after.lines_remark,
    )


def longest(lines: Sequence[Line]) -> list[Line]:
    """Those in which somebody waits, the longest line first."""
    waited = [line for line in lines if line.waiting]
    return sorted(waited, key=lambda line: (-line.waiting, line.kind, line.name))[:LINES]


def _row(before: Document | None, after: Document) -> NodeRow:
    figures = _figures(after)
    earlier = None if before is None or before.get("process") != after.get("process") else before
    return NodeRow(
        node=after["node"] or after["endpoint"],
        role="silent" if "error" in after else after["role"],
        writes_per_s=_rate(earlier, figures, "write"),
        reads_per_s=_rate(earlier, figures, "read", "stale_read"),
        fsync_p99_ms=(figures.get("fsync_ms") or {}).get("p99"),
        lag=after.get("lag"),
        memory_bytes=figures.get("memory_bytes"),
        watches=figures.get("watches"),
    )


def _rate(before: Document | None, after: Mapping[str, Any], *kinds: str) -> float | None:
    """Answered requests a second; None in another process, or without time in between."""
    figures = {} if before is None else _figures(before)
    if "at_ms" not in figures or "at_ms" not in after or after["at_ms"] <= figures["at_ms"]:
        return None
    counts: list[int] = [
        sum((each.get("requests") or {}).get(kind, 0) for kind in kinds)
        for each in (figures, after)
    ]
    elapsed_ms: int = after["at_ms"] - figures["at_ms"]
    return (counts[1] - counts[0]) * 1000 / elapsed_ms


def _figures(node: Document) -> Mapping[str, Any]:
    found = node.get("figures")
    return found if isinstance(found, Mapping) else {}


def _sum(numbers: Any) -> Any:
    known = [number for number in numbers if number is not None]
    return sum(known) if known else None


def _fields(row: NodeRow | Line) -> dict[str, Any]:
    return {name: getattr(row, name) for name in row.__slots__}
