"""What the nodes say of themselves, as `raftzmq client status -w json` gathers it, and judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Status = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Leader:
    """Who leads, and in which term."""

    name: str
    term: int


def leader_among(statuses: Sequence[Status]) -> Leader | None:
    """The leader of the newest term, if a majority of its voters say so."""
    answered = [status for status in statuses if "error" not in status]
    term = max((status["term"] for status in answered), default=0)
    newest = [status for status in answered if status["term"] == term]
    for status in newest:
        if status["role"] == "leader":
            voters = {member["name"] for member in status["members"] if member["voter"]}
            agreeing = {s["node"] for s in newest if s["leader"] == status["node"]}
            if 2 * len(agreeing & voters) > len(voters):
                return Leader(status["node"], term)
    return None


def unsettled(
    statuses: Sequence[Status],
    members: Sequence[str],
    answering: Sequence[str],
    applied_index: int = 0,
) -> str | None:
    """What keeps the cluster from being settled, or None. It is settled when each of `answering` is
    healthy, follows the same leader or is it, knows `members` as the voters and nobody else, and
    has applied all up to `applied_index`."""
    by_name = {status["node"]: status for status in statuses}
    leader = leader_among(statuses)
    if leader is None:
        return f"no leader that a majority follows: {summary(statuses)}"
    for name in answering:
        status = by_name.get(name, {"error": "is not there"})
        amiss = _amiss(status, leader, members, applied_index)
        if amiss:
            return f"{name}: {amiss}"
    return None


def _amiss(
    status: Status, leader: Leader, members: Sequence[str], applied_index: int
) -> str | None:
    if "error" in status:
        return str(status["error"])
    if status["waiting"]:
        return str(status["waiting"])
    if status["role"] not in ("leader", "follower") or status["leader"] != leader.name:
        return f"is {status['role']} and takes {status['leader']} for the leader, not {leader.name}"
    voters = sorted(member["name"] for member in status["members"] if member["voter"])
    others = sorted(member["name"] for member in status["members"] if not member["voter"])
    if voters != sorted(members) or others:
        learning = f", and as learners {', '.join(others)}" if others else ""
        return f"knows as voters {', '.join(voters)}{learning}"
    if status["applied_index"] < applied_index:
        return f"has applied {status['applied_index']:,} of {applied_index:,}"
    return None if status["healthy"] else "says that it is not healthy"


def summary(statuses: Sequence[Status]) -> str:
    """All nodes in one line."""
    return "; ".join(
        f"{status['node'] or status['endpoint']} "
        + (
            f"({status['error']})"
            if "error" in status
            else f"{status['role']} in term {status['term']}, applied {status['applied_index']:,}"
        )
        for status in statuses
    )
