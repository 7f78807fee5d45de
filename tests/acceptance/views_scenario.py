"""The acceptance run of the older design: what its rules cover, and a writer under all of it.

In each step servers die, and as long as one that has everything is left nothing may be lost. What
the design does not survive, such as the death of primary and backup at once, is not played here:
`raftzmq views compare` does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from raftzmq_cli.views.roles import Roles
from tests.acceptance.expectation import PATIENCE_S, Unmet, until
from tests.acceptance.playing import Playing, Step
from tests.acceptance.report import Narrator
from tests.acceptance.views_platforms import SERVERS, ViewsPlatform


class ViewsScenario(Playing):
    """One run on one platform."""

    def __init__(self, platform: ViewsPlatform, narrator: Narrator, evidence: Path) -> None:
        super().__init__(platform, narrator, evidence)
        self._platform = platform

    @property
    def steps(self) -> Sequence[Step]:
        return [
            (name, sentence, partial(play, self))
            for name, sentence, play in STEPS
            if self._platform.can_pause or play is not ViewsScenario.pause_the_primary
        ]

    # -- the steps ------------------------------------------------------------------------------

    def deploy(self) -> str:
        self._platform.deploy()
        self._begin_writing()
        roles = self._settle()
        self._write_in("deploy")
        return str(roles)

    def check(self) -> str:
        return self._platform.check()

    def kill_the_primary(self) -> str:
        before = self._settle()
        primary, backup = _pair(before)
        self._kill(primary)
        after = self._await_change(before, backup, before.idle)
        self._platform.replace(primary)
        return f"{change_of(before, after)}; the spare is {self._replaced(before, primary)}"

    def kill_the_backup(self) -> str:
        before = self._settle()
        primary, backup = _pair(before)
        self._kill(backup)
        after = self._await_change(before, primary, before.idle)
        self._platform.replace(backup)
        return f"{change_of(before, after)}; the spare is {self._replaced(before, backup)}"

    def kill_in_turn(self) -> str:
        before = self._settle()
        primary, backup = _pair(before)
        self._kill(primary)
        between = self._await_change(before, backup, before.idle)
        assert self._writing
        self._writing.progress()
        self._kill(backup)
        # Where others take the places of the dead by themselves, one of those may be backup now.
        after = self._await_change(between, str(between.backup), None)
        self._writing.progress()
        for server in (primary, backup):
            self._platform.replace(server)
        spare = self._replaced(before, primary)
        return f"{change_of(before, after)}, which was the spare; now that is {spare}"

    def pause_the_primary(self) -> str:
        before = self._settle()
        primary, backup = _pair(before)
        self._platform.pause(primary)
        self._say(f"{primary} stands still, cut off")
        after = self._await_change(before, backup, before.idle)
        assert self._writing
        self._writing.progress()
        self._platform.resume(primary)
        roles = self._settle()
        if primary not in roles.idle:
            raise Unmet(f"{primary}, which is back, as the spare", str(roles))
        return f"{change_of(before, after)}; {primary} is back and is the spare"

    # -- what the steps are made of -------------------------------------------------------------

    def _kill(self, server: str) -> None:
        self._platform.kill(server)
        self._say(f"{server} is killed")

    def _settle(self) -> Roles:
        """Wait until there are a primary, a backup that has everything, and a spare."""
        return self._await(
            "a primary, a backup that has everything, and a spare",
            lambda roles: roles.lacking(SERVERS),
        )

    def _await_change(self, before: Roles, primary: str, backups: Sequence[str] | None) -> Roles:
        """Wait until this one is primary of a later view, and, unless `backups` is None, one of
        those is its backup and has everything. Then the service must pass its check."""

        def amiss(roles: Roles) -> str | None:
            if roles.view <= before.view or roles.primary != primary:
                return f"not yet: {roles}"
            if backups is None:
                return None
            right = roles.is_healthy and roles.backup in backups
            return None if right else roles.reason or f"not yet: {roles}"

        wanted = f"a view after {before.view} with {primary} as its primary"
        after = self._await(wanted, amiss)
        self._say(f"{after}")
        self._say(f"client check: {self._platform.check()}")
        return after

    def _replaced(self, before: Roles, killed: str) -> str:
        """Wait until three servers are in their places again; the spare must be one that was not
        there before. Returns its name."""
        roles = self._settle()
        (spare,) = roles.idle[:1]
        if roles.incarnations[spare] == before.incarnations.get(spare):
            raise Unmet(f"another server in place of {killed} as the spare", str(roles))
        return spare

    def _await(self, expected: str, amiss: Callable[[Roles], str | None]) -> Roles:
        found: list[Roles] = []

        def look() -> str | None:
            try:
                found.append(self._platform.roles())
            except Unmet as unmet:  # a view server that is being started does not answer yet
                return unmet.seen
            return amiss(found[-1])

        until(expected, look, 2 * PATIENCE_S)
        return found[-1]


STEPS: Final[Sequence[tuple[str, str, Callable[[ViewsScenario], str]]]] = (
    (
        "deploy",
        "a view server and three storage servers start; one is made primary, one its backup.",
        ViewsScenario.deploy,
    ),
    (
        "check",
        "a client writes, overwrites and reads back, and has to read what it wrote.",
        ViewsScenario.check,
    ),
    (
        "kill primary",
        "the backup has to be primary, the spare its backup, the replacement the spare.",
        ViewsScenario.kill_the_primary,
    ),
    (
        "kill backup",
        "the primary has to go on, with the spare as its backup.",
        ViewsScenario.kill_the_backup,
    ),
    (
        "kill in turn",
        "the primary and, once the next backup has everything, its successor are killed.",
        ViewsScenario.kill_in_turn,
    ),
    (
        "pause primary",
        "the primary is cut off and comes back later; it must not serve any more.",
        ViewsScenario.pause_the_primary,
    ),
)


def change_of(before: Roles, after: Roles) -> str:
    return (
        f"primary {before.primary} -> {after.primary}, backup {before.backup} -> {after.backup}, "
        f"view {before.view} -> {after.view}"
    )


def _pair(roles: Roles) -> tuple[str, str]:
    """Primary and backup of a view that has both."""
    assert roles.primary is not None
    assert roles.backup is not None
    return roles.primary, roles.backup
