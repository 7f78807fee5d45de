"""Each of the doctor's checks: the facts, the mark, what it finds, and the cure."""

from __future__ import annotations

from typing import Any

import pytest

from raftzmq_cli.doctor import cluster_rules, node_rules, place_rules
from raftzmq_cli.doctor.facts import DirectoryFacts, Facts, KeyFacts
from raftzmq_cli.doctor.rules import RULES, Rule, examine
from raftzmq_cli.doctor.verdicts import Mark, exit_code, verdict
from tests.cli.doctor.facts import FIGURES, MEMBERS, NOW_MS, facts, node, silent

SECURITY = FIGURES["security"]
GONE = facts(silent("raft-1"), silent("raft-2"))
NOBODY = Facts(nodes=[silent(None), silent(None)])
SHUT_OUT = Facts(nodes=[{**silent(None, "does not know the key"), "code": "unauthorized"}])


def secured(**changes: Any) -> dict[str, Any]:
    return {"security": {**SECURITY, **changes}}


ILL: list[tuple[Rule, Facts, Mark, str, str]] = [
    (
        cluster_rules.backup,
        facts(
            node("raft-0", last_backup={"revision": 1, "time_s": NOW_MS // 1000 - 90 * 3600}),
            node("raft-1", last_backup={"revision": 2, "time_s": NOW_MS // 1000 - 50 * 3600}),
        ),
        Mark.ATTENTION,
        "the newest good backup is 50 hours old",
        "see why the job fails",
    ),
    (cluster_rules.answers, facts(silent("raft-1")), Mark.ATTENTION, "raft-1 at db-9", "Start it"),
    (
        cluster_rules.answers,
        facts(silent("raft-1", "the name db-9 does not resolve")),
        Mark.ATTENTION,
        "does not resolve",
        "DNS",
    ),
    (
        cluster_rules.answers,
        facts(silent("raft-1", "that is the nodes' port; the client port is db-1:6001")),
        Mark.ATTENTION,
        "the client port is db-1:6001",
        "Correct --endpoints",
    ),
    (
        cluster_rules.answers,
        facts(silent("raft-1", "is connected, but does not answer")),
        Mark.ATTENTION,
        "does not answer",
        "stands still",
    ),
    (cluster_rules.answers, NOBODY, Mark.FAILING, "no node answers", "raftzmq local up"),
    (cluster_rules.answers, SHUT_OUT, Mark.FAILING, "does not know the key", "--key"),
    (cluster_rules.quorum, facts(silent("raft-2")), Mark.ATTENTION, "raft-2 missing", "start raft"),
    (
        cluster_rules.quorum,
        GONE,
        Mark.FAILING,
        "1 of 3 voters answer, 2 are needed",
        "bring back 1",
    ),
    (
        cluster_rules.leader,
        facts(node("raft-0", role="candidate", leader=None)),
        Mark.FAILING,
        "no node leads",
        "quorum",
    ),
    (
        cluster_rules.leader,
        facts(node("raft-2", leader=None)),
        Mark.ATTENTION,
        "raft-2 knows no leader",
        "reaches the others",
    ),
    (
        cluster_rules.leader_changes,
        facts(node("raft-1", figures={"leader_changes": 6})),
        Mark.ATTENTION,
        "changed 6 times",
        "--election-timeout-ms",
    ),
    (
        cluster_rules.forming,
        facts(node("raft-0", forming=["raft-2"])),
        Mark.FAILING,
        "waits for raft-2",
        "member remove raft-2",
    ),
    (
        cluster_rules.members,
        facts(node("raft-3", role="joining", waiting="is not an initial member")),
        Mark.ATTENTION,
        "raft-3 is no member: is not an initial member",
        "member add raft-3",
    ),
    (
        cluster_rules.members,
        facts(node("raft-2", role="learner")),
        Mark.ATTENTION,
        "learner",
        "caught up",
    ),
    (
        cluster_rules.members,
        facts(node("raft-2", stopping=True)),
        Mark.ATTENTION,
        "told to stop",
        "start it again",
    ),
    (
        cluster_rules.twins,
        facts(node("raft-0", twice={"raft-1": "db-8:6000"})),
        Mark.FAILING,
        "raft-1 also at db-8:6000",
        "delete its copy",
    ),
    (
        cluster_rules.voters,
        facts(node("raft-0", members=MEMBERS[:2])),
        Mark.ATTENTION,
        "2 voters bear the loss of 0, as 1 would",
        "add or remove one",
    ),
    (
        cluster_rules.lag,
        facts(node("raft-0", figures={"lags": {"raft-1": 35_000, "raft-2": 3}})),
        Mark.ATTENTION,
        "raft-1 is 35,000 entries behind",
        "reach the leader",
    ),
    (
        cluster_rules.lag,
        facts(node("raft-2", lag=12_345)),
        Mark.ATTENTION,
        "raft-2 is 12,345 entries behind",
        "disk and processor",
    ),
    (
        cluster_rules.versions,
        facts(node("raft-2", version="0.3.0")),
        Mark.ATTENTION,
        "0.2.0: raft-0 and raft-1, 0.3.0: raft-2",
        "finish the upgrade",
    ),
    (
        cluster_rules.versions,
        facts(
            node(
                "raft-0",
                cluster_version=1,
                spoken=[1, 2],
                members_spoken={"raft-0": [1, 2], "raft-1": None, "raft-2": [1, 1]},
            )
        ),
        Mark.ATTENTION,
        "the cluster version stays 1, because raft-2 speaks no higher one",
        "docs/upgrading.md",
    ),
    (
        cluster_rules.versions,
        facts(node("raft-0", cluster_version=1, cluster_version_pinned=True)),
        Mark.ATTENTION,
        "stays 1 since a downgrade",
        "upgrade finish",
    ),
    (
        cluster_rules.addresses,
        facts(node("raft-2", unheard="the leader does not hear this node")),
        Mark.ATTENTION,
        "raft-2: the leader does not hear this node",
        "both ways",
    ),
    (
        cluster_rules.addresses,
        facts(node("raft-1", unresolved={"raft-2": "db-2"})),
        Mark.ATTENTION,
        "raft-1 cannot resolve db-2, the name of raft-2",
        "--advertise",
    ),
    (
        cluster_rules.addresses,
        facts(node("raft-1", refusing={"raft-2": "does not know its key"})),
        Mark.ATTENTION,
        "raft-2 refuses raft-1: it does not know its key",
        "same keys",
    ),
    (
        cluster_rules.addresses,
        facts(node("raft-0", figures={"silent": {"raft-1": "db-1:6000"}})),
        Mark.ATTENTION,
        "raft-0 hears no answer from raft-1 at db-1:6000",
        "firewalls",
    ),
    (
        cluster_rules.replicas,
        facts(node("raft-0", figures={"replicas_problem": "forbidden: may not get statefulsets"})),
        Mark.ATTENTION,
        "may not get statefulsets",
        "RoleBinding",
    ),
    (
        cluster_rules.replicas,
        facts(node("raft-0", replicas=5)),
        Mark.ATTENTION,
        "wants 5, and there are 3 voters",
        "the leader's log",
    ),
    (
        node_rules.fsync,
        facts(node("raft-1", figures={"fsync_ms": {"p99": 200.0}})),
        Mark.ATTENTION,
        "p99 of raft-1 200 ms, and the election timeout is 300 ms",
        "faster disk",
    ),
    (
        node_rules.fsync,
        facts(*(node(f"raft-{k}", figures={"fsync_ms": {"p99": 900.0}}) for k in (1, 2))),
        Mark.FAILING,
        "raft-1 900 ms, raft-2 900 ms, beyond the election timeout, 300 ms",
        "faster disk",
    ),
    (
        node_rules.pauses,
        facts(node("raft-1", figures={"paused_ms": 4_000})),
        Mark.ATTENTION,
        "raft-1 for 4,000 ms",
        "processor",
    ),
    (
        node_rules.clocks,
        facts(node("raft-1", figures={"time_ms": NOW_MS + 3_600_000})),
        Mark.ATTENTION,
        "raft-1 is 3,600 s ahead",
        "NTP",
    ),
    (
        node_rules.clocks,
        facts(node("raft-1", figures={"time_ms": NOW_MS - 60_000})),
        Mark.ATTENTION,
        "raft-1 is 60 s behind",
        "NTP",
    ),
    (
        node_rules.disk,
        facts(node("raft-0", disk_full=True)),
        Mark.FAILING,
        "full on raft-0: writes are refused",
        "free space",
    ),
    (
        node_rules.disk,
        facts(node("raft-1", disk_full=True)),
        Mark.ATTENTION,
        "others take the writes",
        "free space",
    ),
    (
        node_rules.disk,
        facts(node("raft-1", figures={"disk_free_bytes": 10**9})),
        Mark.ATTENTION,
        "10% on raft-1",
        "give the volume more",
    ),
    (
        node_rules.memory,
        facts(node("raft-1", figures={"memory_bytes": 95 * 10**7})),
        Mark.ATTENTION,
        "raft-1 takes 95%",
        "memory limit",
    ),
    (
        node_rules.memory,
        facts(node("raft-1", quota_bytes=2 * 1024**3)),
        Mark.ATTENTION,
        "the quota of raft-1, 2,048MiB, does not fit into its 954MiB",
        "--quota 572MiB",
    ),
    (
        node_rules.quota,
        facts(node("raft-0", store_full=True, store_bytes=10**8)),
        Mark.FAILING,
        "the store takes 95MiB of 95MiB: what adds is refused",
        "larger --quota",
    ),
    (
        node_rules.quota,
        facts(node("raft-0", store_bytes=9 * 10**7)),
        Mark.ATTENTION,
        "the store takes 86MiB of 95MiB",
        "delete",
    ),
    (
        node_rules.quota,
        facts(node("raft-2", quota_bytes=10**7)),
        Mark.ATTENTION,
        "raft-2 may take less than half",
        "the same memory",
    ),
    (
        node_rules.open_files,
        facts(node("raft-1", figures={"open_files": 900})),
        Mark.ATTENTION,
        "raft-1 has 88% of its limit",
        "ulimit -n",
    ),
    (
        node_rules.open_files,
        facts(node("raft-1", out_of_files=True)),
        Mark.ATTENTION,
        "raft-1 could not open a file",
        "ulimit -n",
    ),
    (
        node_rules.keys,
        facts(node("raft-1", figures=secured(keys=False, exposed=True))),
        Mark.ATTENTION,
        "raft-1 can be reached from other machines without keys",
        "raftzmq keys create",
    ),
    (
        node_rules.keys,
        facts(node("raft-1", figures=secured(also_plain=True))),
        Mark.ATTENTION,
        "raft-1 lets in also who has no key",
        "--also-plain",
    ),
    (
        node_rules.keys,
        facts(node("raft-1", figures=secured(rotating=["server"]))),
        Mark.ATTENTION,
        "a change of keys is unfinished (server)",
        "`raftzmq keys rotate server`",
    ),
    (
        node_rules.keys,
        facts(node("raft-1", figures=secured(fault=True))),
        Mark.ATTENTION,
        "raft-1 cannot read its changed key files",
        "raftzmq doctor --keys DIR",
    ),
    (
        place_rules.directory,
        Facts(directory=DirectoryFacts(path="/d", exists=False)),
        Mark.ATTENTION,
        "/d does not exist",
        "--data-dir",
    ),
    (
        place_rules.directory,
        Facts(directory=DirectoryFacts(path="/d", empty=True)),
        Mark.ATTENTION,
        "there is no node's data in /d",
        "node.json",
    ),
    (
        place_rules.directory,
        Facts(directory=DirectoryFacts(path="/d", damage="/d/log/1.jsonl, line 3, byte 99: torn")),
        Mark.FAILING,
        "line 3, byte 99",
        "A volume is lost",
    ),
    (
        place_rules.room,
        Facts(directory=DirectoryFacts(path="/d", free_bytes=1, size_bytes=100)),
        Mark.ATTENTION,
        "1% of the file system of /d is free",
        "free space",
    ),
    (
        place_rules.file_modes,
        Facts(directory=DirectoryFacts(path="/d", readable_by_others=("log",))),
        Mark.ATTENTION,
        "others may read log in /d",
        "chmod -R o-rwx /d",
    ),
    (
        place_rules.key_files,
        Facts(keys=KeyFacts(path="/k", problem="others can read /k/node.key: `chmod 600`")),
        Mark.FAILING,
        "others can read /k/node.key",
        "docs/keys.md",
    ),
    (
        place_rules.key_files,
        Facts(keys=KeyFacts(path="/k", rotating=("node",))),
        Mark.ATTENTION,
        "unfinished: node",
        "`raftzmq keys rotate node",
    ),
]


@pytest.mark.parametrize(
    ("rule", "ill", "mark", "finding", "cure"),
    ILL,
    ids=[f"{rule.__name__}-{finding[:30]}" for rule, _, _, finding, _ in ILL],
)
def test_what_is_wrong_is_found_with_its_cure(
    rule: Rule, ill: Facts, mark: Mark, finding: str, cure: str
) -> None:
    check = rule(ill)
    assert check is not None
    assert check.mark is mark
    assert finding in check.finding
    assert cure in check.cure
    assert "\n" not in str(check)
    assert str(check) == f"{mark} {check.name}: {check.finding}; {check.cure}"


def test_every_rule_has_a_row_above() -> None:
    assert {rule for rule, *_ in ILL} == set(RULES)


WELL = facts(
    node("raft-1", last_backup={"time_s": NOW_MS // 1000 - 3600}),
    directory=DirectoryFacts(path="/d", node="raft-0", free_bytes=50, size_bytes=100),
    keys=KeyFacts(path="/k"),
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_no_rule_complains_where_all_is_well(rule: Rule) -> None:
    check = rule(WELL)
    assert check is None or (check.mark is Mark.OK and not check.cure)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_no_rule_needs_the_figures_that_an_older_node_does_not_tell(rule: Rule) -> None:
    older = facts()
    for document in older.nodes:
        del document["figures"]
    check = rule(older)
    assert check is None or check.mark is Mark.OK


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_no_rule_fails_over_figures_of_another_form(rule: Rule) -> None:
    strange = facts()
    for document in strange.nodes:
        document["figures"] = dict.fromkeys(FIGURES)
    rule(strange)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_rule_without_any_facts_says_nothing(rule: Rule) -> None:
    assert rule(Facts()) is None


def test_a_node_that_is_known_to_be_away_is_not_said_to_lag_too() -> None:
    away = facts(silent("raft-2"), node("raft-0", figures={"lags": {"raft-2": 99_999}}))
    check = cluster_rules.lag(away)
    assert check is not None
    assert check.mark is Mark.OK


@pytest.mark.parametrize(
    ("ill", "code", "first"),
    [
        (facts(), 0, "OK: "),
        (facts(silent("raft-1")), 1, "ATTENTION: it works, and needs a look at answers, quorum"),
        (GONE, 3, "FAILING: quorum (1 more to look at)"),
        (NOBODY, 3, "FAILING: answers"),
        (SHUT_OUT, 4, "FAILING: answers"),
        (Facts(), 0, "OK: 0 checks"),
    ],
    ids=["well", "attention", "no quorum", "nobody", "shut out", "nothing"],
)
def test_the_worst_check_decides(ill: Facts, code: int, first: str) -> None:
    checks = examine(ill)
    assert exit_code(checks) == code
    assert verdict(checks).startswith(first)
