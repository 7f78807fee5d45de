"""The scenario on a platform that is only pretended: what it does, and what it lets nobody pass."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance import scenario
from tests.acceptance.__main__ import play
from tests.acceptance.expectation import Done, Unmet
from tests.acceptance.platforms import Platform, replica_names
from tests.acceptance.pretended import PretendedWriter, be_impatient
from tests.acceptance.report import Narrator, Report
from tests.acceptance.scenario import STEPS
from tests.acceptance.view import Status


class Pretended(PretendedWriter, Platform):
    """A cluster in which everything goes well at once. Tests derive what does not."""

    name = "pretended"

    def __init__(self, say: Callable[[str], None]) -> None:
        Platform.__init__(self, say)
        PretendedWriter.__init__(self)
        self.term = 1
        self.replicas = 3
        self.away: set[str] = set()
        self.instances: dict[str, int] = {}

    @property
    def leader(self) -> str:
        there = [name for name in replica_names(self.replicas) if name not in self.away]
        return there[self.term % len(there)]

    def elect(self, away: set[str]) -> None:
        self.away = away
        self.term += 1

    def replaced(self, node: str) -> None:
        self.instances[node] = self.instances.get(node, 0) + 1

    def deploy(self) -> None:
        self.done.append("deploy")

    def kill(self, node: str) -> None:
        self.done.append(f"kill {'leader' if node == self.leader else node}")
        self.elect({node})

    def replace(self, node: str) -> None:
        self.away = set()
        self.replaced(node)

    def stop_worker(self, node: str) -> str:
        self.done.append(f"stop the worker of {'leader' if node == self.leader else node}")
        self.elect({node})
        return "worker"

    def stuck(self, node: str) -> str | None:
        return None

    def start_worker(self, node: str) -> None:
        self.done.append("start worker")
        self.away = set()

    def scale(self, replicas: int) -> None:
        self.done.append(f"scale to {replicas}")
        self.replicas = replicas

    def surplus(self, replicas: int) -> str | None:
        return None

    def kill_all(self) -> None:
        self.done.append("kill all")
        self.term += 1
        for name in replica_names(3):
            self.replaced(name)

    def roll(self) -> None:
        self.done.append("roll")
        for name in replica_names(3):
            self.replaced(name)

    def instance(self, node: str) -> str:
        return "" if node in self.away else f"instance {self.instances.get(node, 0)}"

    def address(self, node: str) -> str | None:
        return None

    def unready(self, node: str) -> str | None:
        return None

    def client(self, *arguments: str) -> Done:
        raise AssertionError("everything is pretended")

    def check(self) -> str:
        self.done.append("check")
        return "all 16 steps passed"

    def statuses(self) -> list[Status]:
        return [self.status(name) for name in replica_names(self.replicas)]

    def status(self, name: str) -> Status:
        if name in self.away:
            return {"node": name, "error": "no answer", "commit_index": None, "applied_index": None}
        return {
            "node": name,
            "role": "leader" if name == self.leader else "follower",
            "term": self.term,
            "leader": self.leader,
            "members": [{"name": n, "voter": True} for n in replica_names(self.replicas)],
            "commit_index": 5,
            "applied_index": 5,
            "waiting": None,
            "healthy": True,
        }

    def contents(self, node: str) -> Any:
        return [{"key": "a", "value": "1", "revision": 1}]


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    be_impatient(monkeypatch, scenario)


def played(kind: type[Pretended], evidence: Path) -> tuple[Report, Pretended]:
    made: list[Pretended] = []

    def make(say: Callable[[str], None]) -> Platform:
        made.append(kind(say))
        return made[0]

    return play(make, Narrator(io.StringIO()), evidence), made[0]


def test_all_goes_well_in_this_order(tmp_path: Path) -> None:
    report, platform = played(Pretended, tmp_path)
    assert report.failure is None
    assert report.passed
    assert [step.name for step in report.steps] == [name for name, _, _ in STEPS]
    assert platform.done == [
        "deploy",
        "writer",
        "check",
        *("kill leader", "check"),
        *("stop the worker of leader", "check"),
        "start worker",
        *("scale to 5", "kill leader", "check", "scale to 3", "check"),
        *("kill all", "check"),
        *("roll", "check"),
        "close",
    ]


class LosesOne(Pretended):
    def findings(self) -> dict[str, Any] | None:
        found = super().findings()
        return found and found | {"lost": 1, "examples": ["key 7 is not there"]}


class Differs(Pretended):
    def contents(self, node: str) -> Any:
        return [{"key": "a", "value": node, "revision": 1}]


class ReplacesTheStuck(Pretended):
    def stuck(self, node: str) -> str | None:
        return f"{node} is another pod"


class NeverElects(Pretended):
    def elect(self, away: set[str]) -> None:
        self.away = away


class NobodyReplaces(Pretended):
    def replaced(self, node: str) -> None:
        pass


class StaysFive(Pretended):
    def scale(self, replicas: int) -> None:
        self.replicas = 5


class NotReady(Pretended):
    def unready(self, node: str) -> str | None:
        return "503"


class CheckFails(Pretended):
    def check(self) -> str:
        raise Unmet("the Pod client-check in the phase Succeeded", "Failed")


class WriterDies(Pretended):
    def writer_report(self) -> str | None:
        if self.orders["step"] == "scale":
            raise Unmet("a writer that works", "it has ended")
        return super().writer_report()


class WriterIsStuck(Pretended):
    def writer_report(self) -> str | None:
        if self.orders["step"] == "kill all":
            self.acknowledged -= 1
        return super().writer_report()


@pytest.mark.parametrize(
    ("kind", "step", "told"),
    [
        (NotReady, "deploy", "503"),
        (CheckFails, "check", "Failed"),
        (NeverElects, "kill leader", "none yet"),
        (NobodyReplaces, "kill leader", "is still instance 0"),
        (ReplacesTheStuck, "stop worker", "is another pod"),
        (Differs, "start worker", "raft-0"),
        (WriterDies, "scale", "it has ended"),
        (StaysFive, "scale", "raft-4"),
        (WriterIsStuck, "kill all", "none in step"),
        (LosesOne, "read back", "1 lost"),
    ],
)
def test_what_goes_wrong_ends_the_run_and_is_told_with_evidence(
    kind: type[Pretended], step: str, told: str, tmp_path: Path
) -> None:
    report, platform = played(kind, tmp_path)
    assert not report.passed
    assert report.failure is not None
    assert report.failure.step == step
    assert told in report.failure.seen
    assert (tmp_path / "evidence.txt").read_text() == "what was seen"
    assert platform.done[-1] == "close"
