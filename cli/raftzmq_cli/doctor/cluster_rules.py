"""The rules about the cluster as a whole: who answers, who votes, who leads, what is on the way.

Each is a function from the facts to a check, or to None where there is nothing to judge.
"""

from __future__ import annotations

from typing import Final

from raftzmq import limits
from raftzmq_cli.client.statuses import refuse_all
from raftzmq_cli.common.messages import one_line
from raftzmq_cli.doctor.facts import Facts, figures, number
from raftzmq_cli.doctor.verdicts import Check, Mark, attention, failing, ok

BACKUP_HOURS: Final = 48
"""An older one is too old; as for the alert."""

LEADER_CHANGES: Final = 5
"""More in a quarter of an hour are too many; as for the alert."""


def answers(facts: Facts) -> Check | None:
    """Whether the nodes answer, and if not, what is in the way."""
    if not facts.nodes:
        return None
    silent = facts.silent
    found = [f"{n['node'] or 'a node'} at {n['endpoint']}: {one_line(n['error'])}" for n in silent]
    if not facts.answering and refuse_all(facts.nodes):
        told = one_line(facts.nodes[0]["error"])
        cure = "give the key of one of its users with --key"
        return Check("answers", Mark.FAILING, f"no node lets this client in: {told}", cure, True)
    if not facts.answering:
        return failing(
            "answers",
            f"no node answers ({'; '.join(found)})",
            "start a cluster, such as with `raftzmq local up`, or name the nodes of yours with "
            "--endpoints HOST:PORT,...",
        )
    if silent:
        return attention("answers", "; ".join(found), " ".join(_cures(facts)))
    return ok("answers", f"all {len(facts.nodes)} nodes answer")


def _cures(facts: Facts) -> list[str]:
    """What to do about silent nodes, each cure once."""
    errors = " ".join(node["error"] for node in facts.silent)
    cures = {
        "resolve": "See to its name in the DNS or the Service, or correct --endpoints.",
        "nothing listens": "Start it there, or correct --endpoints.",
        "that is": "Correct --endpoints.",
        "does not answer": "It stands still: see its processor, its disk and its log, and restart "
        "it.",
        "no answer from the host": "See to its machine, the network and firewalls.",
    }
    return [cure for sign, cure in cures.items() if sign in errors] or ["See its log."]


def quorum(facts: Facts) -> Check | None:
    """Whether enough voters answer, and who is missing."""
    voters, missing = facts.voters, facts.missing_voters
    if not voters:
        return None
    alive = len(voters) - len(missing)
    who = ", ".join(missing)
    if alive < facts.majority:
        return failing(
            "quorum",
            f"{alive} of {len(voters)} voters answer, {facts.majority} are needed: {who} missing, "
            "writes are refused",
            f"bring back {facts.majority - alive} of them; if their disks are gone for good: "
            "docs/runbook.md, No quorum",
        )
    if missing:
        spare = alive - facts.majority
        bears = f"{spare} more may fail" if spare else "no other may fail"
        return attention(
            "quorum",
            f"{alive} of {len(voters)} voters answer, {who} missing: {bears}",
            f"start {who} again; remove a node that never comes back with `raftzmq client member "
            f"remove {missing[0]}`",
        )
    return ok("quorum", f"{alive} of {len(voters)} voters answer, {facts.majority} are needed")


def leader(facts: Facts) -> Check | None:
    """Whether there is a leader that the others know."""
    if not facts.answering:
        return None
    found = facts.leader
    if found is None:
        return failing(
            "leader",
            "no node leads, so writes wait",
            "see quorum, members and addresses here; if an election takes more than seconds, see "
            "the nodes' logs",
        )
    lost = [n["node"] for n in facts.answering if n["leader"] is None and n["role"] != "joining"]
    if lost:
        return attention(
            "leader",
            f"{found['node']} leads in term {found['term']}, and {', '.join(lost)} knows no leader",
            "see whether it reaches the others, and its log",
        )
    return ok("leader", f"{found['node']} leads in term {found['term']}")


def leader_changes(facts: Facts) -> Check | None:
    """Whether the leader stays."""
    counts = [c for n in facts.answering if (c := number(n, "leader_changes")) is not None]
    if not counts:
        return None
    most = int(max(counts))
    if most > LEADER_CHANGES:
        return attention(
            "leader changes",
            f"the leader changed {most} times in the last 15 minutes",
            "see fsync and pauses here: disks first, then processors, then the network; otherwise "
            "raise --election-timeout-ms",
        )
    times = "once" if most == 1 else f"{most} times"
    return ok("leader changes", f"found a leader {times} in the last 15 minutes")


def forming(facts: Facts) -> Check | None:
    """Whether initial members have yet to join."""
    missing = sorted({name for node in facts.answering for name in node.get("forming") or ()})
    if missing:
        who = ", ".join(missing)
        return failing(
            "forming",
            f"the cluster waits for {who} to join, and refuses writes until then",
            f"start {who} with the same --peers, or go on without: `raftzmq client member remove "
            f"{missing[0]}`",
        )
    return None


def members(facts: Facts) -> Check | None:
    """Whether all that run are members with a vote, and none was told to stop."""
    found, cures = [], []
    for node in facts.answering:
        name = node["node"]
        if node.get("stopping"):
            found.append(f"{name} was told to stop, and still runs")
            cures.append("wait until it has ended, and start it again if it should run")
        elif node["role"] == "joining":
            found.append(f"{name} is no member: {one_line(node.get('waiting') or 'it is joining')}")
            cures.append(f"wait, or admit it with `raftzmq client member add {name}`")
        elif node["role"] == "learner":
            found.append(f"{name} is a learner, without a vote yet")
            cures.append("wait until it has caught up")
        elif node.get("waiting"):
            found.append(f"{name}: {one_line(node['waiting'])}")
            cures.append(f"see the log of {name}")
    if found:
        return attention("members", "; ".join(found), "; ".join(dict.fromkeys(cures)))
    return ok("members", "all that run are voters") if facts.answering else None


def twins(facts: Facts) -> Check | None:
    """Whether a data directory was copied, and both copies run."""
    found = {k: v for node in facts.answering for k, v in (node.get("twice") or {}).items()}
    if not found:
        return None
    where = ", ".join(f"{name} also at {address}" for name, address in found.items())
    return failing(
        "copies",
        f"two processes run with copies of one data directory: {where}",
        "stop one of the two and delete its copy",
    )


def lag(facts: Facts) -> Check | None:
    """How far the followers are behind the leader, as the leader hears from them."""
    leading = facts.leader
    if leading is None:
        return None
    away = set(facts.missing_voters)
    behind = {n: k for n, k in (figures(leading).get("lags") or {}).items() if n not in away}
    for node in facts.answering:
        behind[node["node"]] = max(behind.get(node["node"], 0), node.get("lag") or 0)
    late = {name: entries for name, entries in behind.items() if entries > limits.LAG_ENTRIES}
    if late:
        found = ", ".join(f"{name} is {k:,} entries behind" for name, k in late.items())
        return attention(
            "lag",
            found,
            "see its disk and processor, and whether its answers reach the leader (port of the "
            "nodes, both ways); it does not help a majority until it has caught up",
        )
    most = max(behind.values(), default=0)
    return ok("lag", f"at most {most:,} entries behind" if most else "no node is behind")


def voters(facts: Facts) -> Check | None:
    """Whether their number is odd."""
    count = len(facts.voters)
    if not count:
        return None
    bears = (count - 1) // 2
    if count % 2 == 0:
        return attention(
            "voters",
            f"{count} voters bear the loss of {bears}, as {count - 1} would",
            "add or remove one: `raftzmq client member`, or `kubectl scale statefulset`",
        )
    return ok("voters", f"{count}, which bear the loss of {bears}" if bears else "one, no spare")


def versions(facts: Facts) -> Check | None:
    """Whether all nodes are of one build, and whether the cluster version is what they speak."""
    by_version: dict[str, list[str]] = {}
    for node in facts.answering:
        by_version.setdefault(node["version"], []).append(node["node"])
    if not by_version:
        return None
    if len(by_version) > 1:
        found = ", ".join(f"{v}: {' and '.join(names)}" for v, names in sorted(by_version.items()))
        cure = "finish the upgrade, or take it back: `raftzmq client upgrade status`"
        return attention("versions", found, cure)
    status = facts.leader or {}
    version, build = status.get("cluster_version"), f"all nodes are {next(iter(by_version))}"
    if version is None:
        return ok("versions", build)
    if status.get("cluster_version_pinned"):
        return attention(
            "versions",
            f"{build}, and the cluster version stays {version} since a downgrade",
            "`raftzmq client upgrade finish` raises it again",
        )
    spoken = (status.get("members_spoken") or {}).items()
    old = [name for name, most in spoken if most and most[-1] <= version < status["spoken"][-1]]
    if old:
        return attention(
            "versions",
            f"the cluster version stays {version}, because {', '.join(old)} speaks no higher one",
            "run the newer build there, or remove it: docs/upgrading.md",
        )
    return ok("versions", f"{build}, cluster version {version}")


def backup(facts: Facts) -> Check | None:
    """How old the newest good backup is. A cluster that was told of none is not judged: it may be
    backed up otherwise, or its nodes have restarted since."""
    noted = [node.get("last_backup") for node in facts.answering]
    times_s = [note["time_s"] for note in noted if isinstance(note, dict)]
    if not times_s:
        return None
    hours = (facts.asked_ms / 1000 - max(times_s)) / 3600
    found = f"the newest good backup is {max(hours, 0):.0f} hours old"
    if hours <= BACKUP_HOURS:
        return ok("backup", found)
    return attention("backup", found, "see why the job fails: docs/runbook.md#a-backup-is-old")


def addresses(facts: Facts) -> Check | None:
    """Whether the nodes reach one another."""
    found, cures = [], []
    answering = {node["node"] for node in facts.answering}
    for node in facts.answering:
        if node.get("unheard"):
            found.append(f"{node['node']}: {one_line(node['unheard'])}")
            cures.append("see firewalls and network policies between the two, both ways")
        for peer, host in (node.get("unresolved") or {}).items():
            found.append(f"{node['node']} cannot resolve {host}, the name of {peer}")
            cures.append("see to the DNS or the Service, or start it with another --advertise")
        for peer, why in (node.get("refusing") or {}).items():
            found.append(f"{peer} refuses {node['node']}: it {one_line(why)}")
            cures.append("give both the same keys, docs/keys.md")
        for peer, address in (figures(node).get("silent") or {}).items():
            if peer in answering:
                found.append(f"{node['node']} hears no answer from {peer} at {address}")
                cures.append("see firewalls and network policies on that port, both ways")
    if found:
        return attention("addresses", "; ".join(found), "; ".join(dict.fromkeys(cures)))
    return ok("addresses", "the nodes reach one another") if facts.answering else None


def replicas(facts: Facts) -> Check | None:
    """Whether the nodes may read, and follow, what the StatefulSet wants."""
    problems = {
        one_line(problem)
        for node in facts.answering
        if (problem := figures(node).get("replicas_problem"))
    }
    if problems:
        return attention(
            "replicas",
            "; ".join(sorted(problems)),
            "see that the Role and RoleBinding of the ServiceAccount are there (kube/base)",
        )
    wanted = {r for node in facts.answering if (r := node.get("replicas")) is not None}
    if not wanted:
        return None
    most = max(wanted)
    if most and most != len(facts.voters):
        return attention(
            "replicas",
            f"the StatefulSet wants {most}, and there are {len(facts.voters)} voters",
            "wait some seconds; the leader's log says what it waits for",
        )
    return ok("replicas", f"the StatefulSet wants {most}")
