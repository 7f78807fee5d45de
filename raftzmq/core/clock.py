"""The node's own clock, as far as it can be judged without another one.

Time is handed in, and a clock can be broken: it stands still, goes back, or jumps. A clock that
merely runs fast or slow cannot be told from a true one.
"""

from __future__ import annotations

from typing import Final

from raftzmq.core.state import RaftState

STILL_TICKS: Final = 1024
"""A clock that has not moved by a millisecond in so many ticks stands still: the work of so many
turns takes many times as long. It is counted because there is no other clock to ask. While
the node has nothing to do nobody hears it, so nothing has to be noticed."""


def read(raft: RaftState, now_ms: int) -> None:
    """Take the time that the clock shows. What it jumps back is ignored.

    Replicated time, which ends leases, does not follow a leader's clock that jumps ahead by more
    than the longest silence of a leader. Either the leader was paused, and nobody could renew a
    lease meanwhile, or the time has not passed.
    """
    ahead_ms = now_ms - raft.now_ms - 2 * raft.config.election_timeout_ms
    raft.leader_since_ms += max(0, ahead_ms)
    raft.now_ms = max(raft.now_ms, now_ms)


def tick(raft: RaftState) -> None:
    """Count the ticks of one moment."""
    raft.still_ticks = raft.still_ticks + 1 if raft.now_ms == raft.ticked_ms else 0
    raft.ticked_ms = raft.now_ms


def stands_still(raft: RaftState) -> bool:
    """Whether the clock is broken: no timer fires, no lease ends, no silence is noticed. Such a
    node neither leads nor stands for election, and takes no leader for alive; it can vote."""
    return raft.still_ticks >= STILL_TICKS
