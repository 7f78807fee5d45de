"""The older design's scenario on a platform that is only pretended: what it lets nobody pass."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from raftzmq_cli.views.roles import Roles
from tests.acceptance import views_scenario
from tests.acceptance.__main__ import play
from tests.acceptance.expectation import Done
from tests.acceptance.pretended import PretendedWriter, be_impatient
from tests.acceptance.report import Narrator, Report
from tests.acceptance.views_platforms import ViewsPlatform
from tests.acceptance.views_scenario import STEPS


class Pretended(PretendedWriter, ViewsPlatform):
    """Servers whose view changes as it has to, and at once. Tests derive what does not."""

    name = "pretended"

    def __init__(self, say: Callable[[str], None]) -> None:
        ViewsPlatform.__init__(self, say)
        PretendedWriter.__init__(self)
        self.servers: list[str] = []  # primary, backup, spare
        self.runs: dict[str, int] = {}
        self.view = 1

    def deploy(self) -> None:
        for name in ("a", "b", "c"):
            self.replace(name)

    def kill(self, server: str) -> None:
        self.done.append(f"kill {('primary', 'backup', 'spare')[self.servers.index(server)]}")
        self.leave(server)

    def leave(self, server: str) -> None:
        self.servers.remove(server)
        self.view += 1

    def replace(self, server: str) -> None:
        self.servers.append(server)
        self.runs[server] = self.runs.get(server, 0) + 1
        self.view += len(self.servers) == 2

    def pause(self, server: str) -> None:
        self.done.append("pause")
        self.leave(server)

    def resume(self, server: str) -> None:
        self.servers.append(server)

    def roles(self) -> Roles:
        primary, backup, *idle = [*self.servers, None, None][: max(2, len(self.servers))]
        incarnations = {name: f"{name}{run}" for name, run in self.runs.items()}
        spares = tuple(name for name in idle if name)
        return Roles(self.view, primary, backup, spares, backup is not None, "", incarnations)

    def client(self, *arguments: str) -> Done:
        raise AssertionError("everything is pretended")

    def check(self) -> str:
        return "all 13 steps passed"


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    be_impatient(monkeypatch, views_scenario)


def played(kind: type[Pretended], evidence: Path) -> tuple[Report, Pretended]:
    made: list[Pretended] = []

    def make(say: Callable[[str], None]) -> ViewsPlatform:
        made.append(kind(say))
        return made[0]

    return play(make, Narrator(io.StringIO()), evidence), made[0]


def test_all_goes_well_in_this_order(tmp_path: Path) -> None:
    report, platform = played(Pretended, tmp_path)
    assert report.failure is None, report.failure
    assert report.passed
    assert [step.name for step in report.steps] == [name for name, _, _ in STEPS]
    kills = ["kill primary", "kill backup", "kill primary", "kill primary"]
    assert platform.done == ["writer", *kills, "pause", "close"]


class CannotPause(Pretended):
    can_pause = False


def test_where_nothing_can_be_paused_the_rest_is_played(tmp_path: Path) -> None:
    report, _ = played(CannotPause, tmp_path)
    assert report.passed
    assert [step.name for step in report.steps] == [name for name, _, _ in STEPS][:-1]


class PromotesTheSpare(Pretended):
    def leave(self, server: str) -> None:
        super().leave(server)
        self.servers.reverse()


class NeverCopies(Pretended):
    def roles(self) -> Roles:
        roles = super().roles()
        return Roles(roles.view, roles.primary, None, roles.idle, False, "", roles.incarnations)


class DoesNotReplace(Pretended):
    def replace(self, server: str) -> None:
        if len(self.runs) < 3:
            super().replace(server)


class BringsTheDeadBack(Pretended):
    def replace(self, server: str) -> None:
        super().replace(server)
        self.runs[server] = 1


class HasAnotherInPlaceOfThePaused(Pretended):
    def resume(self, server: str) -> None:
        self.servers.append("stranger")


class LosesOne(Pretended):
    def findings(self) -> dict[str, Any] | None:
        found = super().findings()
        return found and found | {"lost": 1}


@pytest.mark.parametrize(
    ("kind", "step", "told"),
    [
        (NeverCopies, "deploy", "a is primary, and has no backup yet"),
        (PromotesTheSpare, "kill primary", "not yet: view 3, primary c"),
        (DoesNotReplace, "kill primary", "0 of 1 spares are known"),
        (BringsTheDeadBack, "kill primary", "idle a"),
        (HasAnotherInPlaceOfThePaused, "pause primary", "idle stranger"),
        (LosesOne, "read back", "1 lost"),
    ],
)
def test_what_goes_wrong_ends_the_run_and_is_told_with_evidence(
    kind: type[Pretended], step: str, told: str, tmp_path: Path
) -> None:
    report, platform = played(kind, tmp_path)
    assert not report.passed
    assert report.failure is not None
    assert (report.failure.step, told in report.failure.seen) == (step, True), report.failure
    assert (tmp_path / "evidence.txt").read_text() == "what was seen"
    assert platform.done[-1] == "close"
