"""Who belongs to the cluster: voters, learners, and the members it still waits for to be formed.

Membership changes one voter at a time (thesis 4.1), so any two successive majorities intersect.
Every change is a new Membership value, carried whole in a CONFIG entry.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from raftzmq.core.identity import NodeId


@dataclass(frozen=True, slots=True)
class Member:
    """A member. `address` is HOST:PORT of its node port, HOST a name wherever there is one."""

    id: NodeId
    address: str
    voter: bool


@dataclass(frozen=True, slots=True)
class Membership:
    """The members, at most one incarnation of each name.

    `forming` names the initial members that have not been voters yet; until it is empty the
    cluster takes no client writes.
    """

    members: tuple[Member, ...] = ()
    forming: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Member]:
        return iter(self.members)

    def __len__(self) -> int:
        return len(self.members)

    @property
    def voters(self) -> frozenset[NodeId]:
        return frozenset(m.id for m in self.members if m.voter)

    @property
    def learners(self) -> frozenset[NodeId]:
        return frozenset(m.id for m in self.members if not m.voter)

    @property
    def ids(self) -> frozenset[NodeId]:
        return frozenset(m.id for m in self.members)

    def named(self, name: str) -> Member | None:
        """The member of that name, whatever its incarnation."""
        for member in self.members:
            if member.id.name == name:
                return member
        return None

    def with_learner(self, node: NodeId, address: str) -> Membership:
        """Add `node` as a learner; an earlier incarnation of its name leaves with the same step."""
        kept = tuple(m for m in self.members if m.id.name != node.name)
        members = (*kept, Member(node, address, voter=False))
        return Membership(tuple(sorted(members, key=lambda m: m.id)), self.forming)

    def promoted(self, name: str) -> Membership:
        """Make the learner `name` a voter."""
        members = tuple(
            Member(m.id, m.address, voter=True) if m.id.name == name else m for m in self.members
        )
        return Membership(members, tuple(f for f in self.forming if f != name))

    def without(self, name: str) -> Membership:
        """Remove the member `name`."""
        return Membership(
            tuple(m for m in self.members if m.id.name != name),
            tuple(f for f in self.forming if f != name),
        )

    def to_body(self) -> dict[str, Any]:
        """The JSON form: the body of a CONFIG entry, and part of a snapshot's header."""
        return {
            "members": [
                {**m.id._asdict(), "address": m.address, "voter": m.voter} for m in self.members
            ],
            "forming": list(self.forming),
        }

    @classmethod
    def from_body(cls, body: dict[str, Any]) -> Membership:
        """The inverse of to_body. Raises KeyError or TypeError on anything else."""
        members = tuple(map(_member, body["members"]))
        return cls(members, tuple(map(str, body["forming"])))


def _member(body: dict[str, Any]) -> Member:
    node = NodeId(str(body["name"]), str(body["incarnation"]))
    return Member(node, str(body["address"]), bool(body["voter"]))


def is_single_change(old: Membership, new: Membership) -> bool:
    """Whether `new` differs from `old` by at most one voter, so that their majorities intersect."""
    return len(old.voters ^ new.voters) <= 1
