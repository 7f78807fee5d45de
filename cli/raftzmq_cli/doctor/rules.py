"""All checks, in the order in which they are told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from raftzmq_cli.doctor import cluster_rules, node_rules, place_rules
from raftzmq_cli.doctor.facts import Facts
from raftzmq_cli.doctor.verdicts import Check

Rule = Callable[[Facts], Check | None]

RULES: Final[tuple[Rule, ...]] = (
    place_rules.directory,
    place_rules.file_modes,
    place_rules.room,
    place_rules.key_files,
    cluster_rules.answers,
    cluster_rules.quorum,
    cluster_rules.leader,
    cluster_rules.forming,
    cluster_rules.members,
    cluster_rules.twins,
    cluster_rules.voters,
    cluster_rules.lag,
    cluster_rules.leader_changes,
    node_rules.fsync,
    node_rules.pauses,
    node_rules.clocks,
    node_rules.disk,
    node_rules.memory,
    node_rules.quota,
    node_rules.open_files,
    cluster_rules.addresses,
    cluster_rules.versions,
    cluster_rules.backup,
    cluster_rules.replicas,
    node_rules.keys,
)


def examine(facts: Facts) -> list[Check]:
    """What every rule says that has something to judge."""
    return [check for rule in RULES if (check := rule(facts)) is not None]
