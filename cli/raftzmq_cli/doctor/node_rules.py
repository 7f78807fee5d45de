"""The rules about each node: its disk, clock, memory, files, and the keys it was started with."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from raftzmq import limits
from raftzmq_cli.client.statuses import Document
from raftzmq_cli.doctor.facts import Facts, figures, number
from raftzmq_cli.doctor.verdicts import Check, attention, failing, ok

TIMEOUT_SHARE: Final = 0.5
"""An fsync of one in a hundred that takes this share of the election timeout is slow: a leader
whose saves take longer than all of it is replaced."""

CLOCK_S: Final = 5.0
"""Wall clocks that differ by more make times in logs hard to compare."""

DISK_FREE_SHARE: Final = 0.15
MEMORY_SHARE: Final = 0.9
STORE_SHARE: Final = 0.8
FILES_SHARE: Final = 0.8
"""As for the alerts: from then on there is little room."""


def fsync(facts: Facts) -> Check | None:
    """How long the disks take, against the time after which a leader is replaced."""
    told = _told(facts, "fsync_ms", "p99")
    if not told:
        return None
    slow = {n: ms for n, (ms, timeout_ms) in told.items() if ms >= TIMEOUT_SHARE * timeout_ms}
    unfit = [n for n, (ms, timeout_ms) in told.items() if ms >= timeout_ms and n in facts.voters]
    found = ", ".join(f"{name} {_ms(ms)}" for name, ms in slow.items())
    cure = (
        "move it to a faster disk, or give it one of its own; then raise --election-timeout-ms "
        "(docs/runbook.md, A volume is slow)"
    )
    timeout = _ms(max(timeout_ms for _, timeout_ms in told.values()))
    if len(facts.voters) - len(unfit) < facts.majority:
        return failing("fsync", f"p99 of {found}, beyond the election timeout, {timeout}", cure)
    if slow:
        return attention("fsync", f"p99 of {found}, and the election timeout is {timeout}", cure)
    slowest = max(ms for ms, _ in told.values())
    return ok("fsync", f"p99 up to {_ms(slowest)} in the last minute; election timeout {timeout}")


def pauses(facts: Facts) -> Check | None:
    """Whether a node stood still, for the processor, the disk, or because it was stopped."""
    told = _told(facts, "paused_ms")
    if not told:
        return None
    late = {name: ms for name, (ms, timeout_ms) in told.items() if ms >= timeout_ms}
    if late:
        found = ", ".join(f"{name} for {_ms(ms)}" for name, ms in late.items())
        return attention(
            "pauses",
            f"stood still in the last minute: {found}, longer than the election timeout",
            "give it more of a processor (limits.cpu, other load), see fsync, or raise "
            "--election-timeout-ms",
        )
    return ok(
        "pauses", f"no node stood still for more than {_ms(max(m for m, _ in told.values()))}"
    )


def clocks(facts: Facts) -> Check | None:
    """Whether the wall clocks agree with the one here; Raft itself does not use them."""
    off: dict[str, float] = {}
    for node in facts.answering:
        if (time_ms := number(node, "time_ms")) is not None:
            ahead = time_ms - facts.answered_ms
            behind = facts.asked_ms - time_ms
            off[node["node"]] = max(ahead, 0.0) - max(behind, 0.0)
    if not off:
        return None
    wrong = {name: ms for name, ms in off.items() if abs(ms) > CLOCK_S * 1000}
    if wrong:
        found = ", ".join(
            f"{name} is {abs(ms) / 1000:,.0f} s {'ahead' if ms > 0 else 'behind'}"
            for name, ms in wrong.items()
        )
        return attention(
            "clocks",
            f"against the clock here {found}",
            "set the clocks by NTP: leases do not depend on them, times in logs and audit do",
        )
    return ok("clocks", f"within {CLOCK_S:g} s of the clock here")


def disk(facts: Facts) -> Check | None:
    """Room on the file systems of the data directories."""
    full = [n["node"] for n in facts.answering if n.get("disk_full")]
    cure = "free space or give the volume more (docs/runbook.md, A volume is full)"
    if full:
        leader = facts.leader
        writes = leader is None or leader["node"] in full
        says = failing if writes else attention
        end = "writes are refused" if writes else "others take the writes"
        return says(
            "disk", f"full on {', '.join(full)}: {end}", f"{cure}; writes resume by themselves"
        )
    free = _shares(facts.answering, "disk_free_bytes", "disk_bytes")
    if not free:
        return None
    low = {name: share for name, share in free.items() if share < DISK_FREE_SHARE}
    if low:
        found = ", ".join(f"{_percent(share)} on {name}" for name, share in low.items())
        return attention("disk", f"free: {found}", cure)
    return ok("disk", f"at least {_percent(min(free.values()))} free")


def memory(facts: Facts) -> Check | None:
    """Whether the processes, and the quotas that their stores may grow to, fit into memory."""
    used = _shares(facts.answering, "memory_bytes", "memory_limit_bytes")
    if not used:
        return None
    high = {name: share for name, share in used.items() if share > MEMORY_SHARE}
    if high:
        found = ", ".join(f"{name} takes {_percent(share)}" for name, share in high.items())
        return attention(
            "memory",
            f"{found} of what it may",
            "raise its memory limit, or delete what is not needed",
        )
    for node in facts.answering:
        limit, quota = number(node, "memory_limit_bytes"), node.get("quota_bytes")
        if limit is not None and quota and quota + limits.EMPTY_NODE_BYTES > limit:
            from raftzmq.server.quota import quota_within

            fitting = quota_within(int(limit))
            return attention(
                "memory",
                f"the quota of {node['node']}, {_mib(quota)}, does not fit into its {_mib(limit)}: "
                "the system ends it before the store is full",
                f"raise its memory limit, or start it with --quota {_mib(fitting)}",
            )
    return ok("memory", f"at most {_percent(max(used.values()))} of what a node may take")


def quota(facts: Facts) -> Check | None:
    """Room in the store. The leader's quota decides."""
    leader = facts.leader
    if leader is None or not leader.get("quota_bytes"):
        return None
    taken, most = leader["store_bytes"], leader["quota_bytes"]
    cure = (
        "delete what is not needed, or start every node with more memory and a larger --quota "
        "(docs/runbook.md, The store is full)"
    )
    found = f"the store takes {_mib(taken)} of {_mib(most)}"
    if leader.get("store_full"):
        return failing("quota", f"{found}: what adds is refused", cure)
    if taken > STORE_SHARE * most:
        return attention("quota", found, cure)
    quotas = {node["node"]: node.get("quota_bytes") for node in facts.answering}
    smaller = [name for name, bytes_ in quotas.items() if bytes_ and bytes_ < most / 2]
    if smaller:
        return attention(
            "quota",
            f"{', '.join(smaller)} may take less than half of what the leader takes on",
            "give all nodes the same memory and --quota: each must hold what the leader has taken",
        )
    return ok("quota", f"{found}")


def open_files(facts: Facts) -> Check | None:
    """Room for connections: each takes a descriptor."""
    out = [node["node"] for node in facts.answering if node.get("out_of_files")]
    cure = "raise its limit of open files (ulimit -n, LimitNOFILE), and see who is connected"
    if out:
        return attention("open files", f"{', '.join(out)} could not open a file to save to", cure)
    used = _shares(facts.answering, "open_files", "open_files_limit")
    if not used:
        return None
    high = {name: share for name, share in used.items() if share > FILES_SHARE}
    if high:
        found = ", ".join(
            f"{name} has {_percent(share)} of its limit" for name, share in high.items()
        )
        return attention("open files", found, cure)
    return ok("open files", f"at most {_percent(max(used.values()))} of a node's limit")


def keys(facts: Facts) -> Check | None:
    """Whether only those with a key are let in, and whether a change of keys was finished."""
    states = {n["node"]: figures(n).get("security") for n in facts.answering}
    told: dict[str, Any] = {name: state for name, state in states.items() if state}
    if not told:
        return None

    def where(holds: Callable[[Any], object]) -> str:
        return ", ".join(name for name, state in told.items() if holds(state))

    found, cures = [], []
    if names := where(lambda state: state.get("exposed")):
        found.append(f"{names} can be reached from other machines without keys")
        cures.append("make keys with `raftzmq keys create` and start all nodes with --keys")
    if names := where(lambda state: state.get("also_plain")):
        found.append(f"{names} lets in also who has no key")
        cures.append("start the nodes without --also-plain once all clients have keys")
    rotating = sorted({kind for state in told.values() for kind in state.get("rotating") or ()})
    if rotating:
        found.append(f"a change of keys is unfinished ({', '.join(rotating)}): old ones are let in")
        cures.append(f"`raftzmq keys rotate {_rotated(rotating)}` until step 3 of 3, docs/keys.md")
    if names := where(lambda state: state.get("fault")):
        found.append(f"{names} cannot read its changed key files, and uses the earlier ones")
        cures.append("see its log, and `raftzmq doctor --keys DIR` there")
    if found:
        return attention("keys", "; ".join(found), "; ".join(cures))
    kept = any(state.get("keys") for state in told.values())
    return ok(
        "keys", "only who has a key is let in" if kept else "none; only this machine reaches it"
    )


def _rotated(kinds: Iterable[str]) -> str:
    first = next(iter(kinds))
    return "USER" if first == "users" else first


def _told(facts: Facts, *path: str) -> dict[str, tuple[float, float]]:
    """Of each node that tells it: a figure in milliseconds, and its election timeout."""
    found = {}
    for node in facts.answering:
        ms, timeout_ms = number(node, *path), number(node, "election_timeout_ms")
        if ms is not None and timeout_ms:
            found[node["node"]] = (ms, timeout_ms)
    return found


def _shares(nodes: Iterable[Document], part: str, whole: str) -> dict[str, float]:
    found = {}
    for node in nodes:
        some, all_ = number(node, part), number(node, whole)
        if some is not None and all_:
            found[node["node"]] = some / all_
    return found


def _ms(ms: float) -> str:
    return f"{ms:.1f} ms" if ms < 10 else f"{ms:,.0f} ms"


def _mib(size: float) -> str:
    return f"{size / 1024**2:,.0f}MiB" if size < 10 * 1024**3 else f"{size / 1024**3:,.0f}GiB"


def _percent(share: float) -> str:
    return "under 1%" if 0 < share < 0.01 else f"{share:.0%}"
