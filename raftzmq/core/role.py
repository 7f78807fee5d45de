"""The part that a node plays in its term."""

from __future__ import annotations

from enum import Enum


class Role(Enum):
    """The values are the words of PROTOCOL.md. A learner is a follower that is not a voter."""

    FOLLOWER = "follower"
    PRE_CANDIDATE = "pre-candidate"
    CANDIDATE = "candidate"
    LEADER = "leader"
