"""What /livez and /readyz say: one line a check, `ok name` or `FAILED name: why, and what to do`.

Liveness says whether the process works, and nothing about other nodes, because a restart does not
bring peers back. Readiness says whether the node has caught up, under a leader that hears it, as a
member whose vote counts. A rolling update waits for that. Then the next node may be stopped without
costing the cluster its majority or its data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from raftzmq import limits
from raftzmq.node.admin import BEHIND_MS
from raftzmq.server.vitals import Vitals

LOOP_STALLED_MS: Final = 15_000
"""A loop that has published nothing for this long hangs, or its disk does. Putting a large snapshot
in place, or waiting for a slow disk, may take some seconds."""

READY_LED_TIMEOUTS: Final = 2
"""A restarted node is ready only after it has known a leader for this many election timeouts, each
some heartbeats long. By then the leader has asked what its log holds, and has sent some of what it
lacks. Before that, the node does not know that it lacks anything."""


class Check(NamedTuple):
    """`remark`: for a failure, why and what to do; otherwise what is worth knowing, or nothing."""

    name: str
    passed: bool
    remark: str = ""

    def __str__(self) -> str:
        remark = f": {self.remark}" if self.remark else ""
        return f"{'ok' if self.passed else 'FAILED'} {self.name}{remark}"


def report(checks: Sequence[Check]) -> tuple[bool, str]:
    """Whether all have passed, and a text with a line for each."""
    return all(check.passed for check in checks), "".join(f"{check}\n" for check in checks)


def liveness(vitals: Vitals, parts: Mapping[str, bool], now_ms: int) -> list[Check]:
    """`parts` says for each thread besides the loop whether it is alive."""
    threads = [
        Check(name, lives, "" if lives else "its thread has died: restart the node")
        for name, lives in parts.items()
    ]
    return [_loop(vitals, now_ms), *threads]


def readiness(vitals: Vitals, now_ms: int) -> list[Check]:
    """See the module. A node with a full disk is ready, because it can be read from."""
    return [
        _loop(vitals, now_ms),
        Check(
            "running",
            not vitals.stopping,
            "the node was told to stop, and its membership stays" if vitals.stopping else "",
        ),
        _member(vitals),
        _formed(vitals),
        _leader(vitals),
        _caught_up(vitals),
        _store(vitals),
        _disk(vitals),
    ]


def _loop(vitals: Vitals, now_ms: int) -> Check:
    silent_ms = now_ms - vitals.at_ms
    if silent_ms <= LOOP_STALLED_MS:
        return Check("loop", passed=True)
    return Check(
        "loop",
        passed=False,
        remark=f"it stands still for {silent_ms / 1000:.0f} s: look at the disk and the "
        "processor, and restart the node if they are well",
    )


def _member(vitals: Vitals) -> Check:
    if not vitals.is_member:
        why = _refusal(vitals) or vitals.waiting or "waiting to be admitted"
        return Check("member", passed=False, remark=why)
    if not vitals.is_voter:
        return Check(
            "member",
            passed=False,
            remark="only a learner yet: wait, the leader makes it a voter when it has caught up",
        )
    return Check("member", passed=True)


def _refusal(vitals: Vitals) -> str:
    return "; ".join(f"{peer} refuses this node: it {why}" for peer, why in vitals.refusing)


def _formed(vitals: Vitals) -> Check:
    if not vitals.forming:
        return Check("formed", passed=True)
    missing = ", ".join(vitals.forming)
    return Check(
        "formed",
        passed=False,
        remark=f"no writes before {missing} has joined: start it, or remove it with "
        "`raftzmq client member remove`",
    )


def _leader(vitals: Vitals) -> Check:
    if vitals.leader is not None:
        remark = vitals.unheard or f"{vitals.leader} in term {vitals.term}"
        return Check("leader", passed=not vitals.unheard, remark=remark)
    why = (
        _refusal(vitals)
        or vitals.waiting
        or (
            f"none is known in term {vitals.term}: a majority of the {vitals.voters} voters "
            "must run and reach one another"
        )
    )
    return Check("leader", passed=False, remark=why)


def _caught_up(vitals: Vitals) -> Check:
    why = ""
    patience_ms = READY_LED_TIMEOUTS * vitals.election_timeout_ms
    lag = vitals.known_commit_index - vitals.applied_index
    if vitals.receiving_snapshot:
        why = "it receives a snapshot from the leader: wait"
    elif vitals.led_ms is None or vitals.led_ms < patience_ms:
        why = "just started, the leader has yet to say what is missing here: wait"
    elif lag > limits.LAG_ENTRIES:
        why = f"{lag} of {vitals.known_commit_index} committed entries are not applied: wait"
    elif vitals.behind_ms >= BEHIND_MS:
        why = (
            f"{lag} of {vitals.known_commit_index} committed entries are not applied, and some "
            f"have been missing for {vitals.behind_ms / 1000:.0f} s: look at the network to the "
            "leader, and at the disk"
        )
    return Check("caught_up", passed=not why, remark=why)


def _store(vitals: Vitals) -> Check:
    full = "full, writes that add are refused until something is deleted or --quota is raised"
    return Check("store", passed=True, remark=full if vitals.store_full else "")


def _disk(vitals: Vitals) -> Check:
    remark = "full, writes are refused until there is room" if vitals.disk_full else ""
    if vitals.out_of_files:
        remark = "too many files are open, writes are refused until some are closed"
    return Check("disk", passed=True, remark=remark)
