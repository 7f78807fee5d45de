"""How a run of all tests is divided among workers (pytest-xdist), for most of its time is waiting.

A worker takes a *unit* at a time: the tests of a file, which share what is dear to make; or of all
files that share a cluster or an engine; or one test, where tests are long and share nothing. Ports,
networks and directories are each test's own in any case.
"""

from __future__ import annotations

import os
from typing import Any, Final

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.amounts import are_picked

WORKERS_PER_CPU: Final = 2
"""A test that starts processes leaves a core idle about half the time. With more workers, nodes
wait for the processor, and elections for their turn."""

SHARED: Final = {
    "tests/acceptance/test_acceptance.py::test_on_containers": "a Docker Engine",
    "tests/acceptance/test_acceptance.py::test_the_older_design_on_containers": "a Docker Engine",
    "tests/cli/cluster/test_kind.py": "a Docker Engine",
    "tests/containers/": "a Docker Engine",
    "tests/contrib/": "the cluster of tests/contrib",
    "tests/acceptance/test_acceptance.py::test_on_kubernetes": "a Kubernetes",
    "tests/acceptance/test_acceptance.py::test_the_older_design_on_kubernetes": "a Kubernetes",
    "tests/kube/test_chart_on_a_server.py": "a Kubernetes",
    "tests/kube/test_on_a_server.py": "a Kubernetes",
    "tests/kube/test_on_call.py": "a Kubernetes",
    "tests/cli/client/test_commands.py": "the cluster of tests/cli",
    "tests/cli/client/test_exports.py": "the cluster of tests/cli",
    "tests/cli/client/test_locks.py": "the cluster of tests/cli",
    "tests/cli/client/test_shell.py": "the cluster of tests/cli",
    "tests/cli/client/test_watches.py": "the cluster of tests/cli",
    "tests/cli/test_docstrings.py": "the cluster of tests/cli",
    "tests/cli/test_examples.py": "the cluster of tests/cli",
    "tests/cli/test_faults.py": "the cluster of tests/cli",
    "tests/cli/test_first_steps.py": "the cluster of tests/cli",
    "tests/cli/test_hostile_texts.py": "the cluster of tests/cli",
    "tests/cli/test_postgres_fence.py": "the cluster of tests/cli",
    "tests/cli/test_surroundings.py": "the cluster of tests/cli",
    "tests/cli/top/test_top.py": "the cluster of tests/cli",
    "tests/system/test_hostile_messages.py": "a cluster that nothing disturbs",
    "tests/system/test_workload.py": "a recorded workload",
}
"""What tests share, by the beginnings of their names: one worker has all of them."""

ALONE: Final = (
    "tests/acceptance/test_acceptance.py",
    "tests/bench/test_systems.py",
    "tests/planted/",
    "tests/system/",
    "tests/views/sim/",
)
"""Where tests are long and share nothing: each is a unit."""

FIRST: Final = (
    "tests/acceptance/test_acceptance.py",
    "tests/containers/",
    "tests/cli/client/test_commands.py",
    "tests/client/test_real_cluster.py",
    "tests/views/test_processes.py",
    "tests/views/test_cli.py",
    "tests/sim/test_seeds.py",
    "tests/system/",
    "tests/planted/",
    "tests/bench/test_systems.py",
)
"""The longest units, in the order in which they are dealt out before all others: what came last
would keep one worker busy, and the others idle."""


class Units(LoadScopeScheduling):  # type: ignore[misc]
    """Deals out one unit after the other, in the order of the tests."""

    def __init__(self, config: pytest.Config, log: Any) -> None:
        config.option.loadscopereorder = False
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        return unit(nodeid)


def unit(nodeid: str) -> str:
    """The name of the unit that a test belongs to."""
    for beginning, shared in SHARED.items():
        if nodeid.startswith(beginning):
            return shared
    return nodeid if nodeid.startswith(ALONE) else nodeid.partition("::")[0]


def place(nodeid: str) -> int:
    """Where a test stands in the order; those of the same place keep theirs."""
    places = (k for k, beginning in enumerate(FIRST) if nodeid.startswith(beginning))
    return next(places, len(FIRST))


def encodable(report: Any) -> Any:
    """The same report, or part of one, with bytes that are no text, as Python holds them, escaped:
    pytest-xdist sends UTF-8."""
    if isinstance(report, str):
        return report.encode(errors="backslashreplace").decode()
    if isinstance(report, dict):
        return {encodable(key): encodable(value) for key, value in report.items()}
    if isinstance(report, list | tuple):
        return type(report)(map(encodable, report))
    return report


def workers(config: pytest.Config) -> int:
    """Some for all tests; none for those that somebody picks, or whose output he wants to see."""
    if are_picked(config) or config.option.capture == "no":
        return 0
    return WORKERS_PER_CPU * len(os.sched_getaffinity(0))
