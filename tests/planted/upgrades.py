"""Bugs of versions: something that a member's build does not know is used all the same.

Two of them are no change of code: a form that leaders or snapshots use without asking is said to be
later than it is, as a new one would be for which nobody has written the question.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from raftzmq.node.upgrades import Upgrades
from raftzmq.versions import SINCE
from tests.planted.defect import Defect

if TYPE_CHECKING:
    import pytest


def raised_before_all_speak_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def common(upgrades: Upgrades) -> int:
        return upgrades._node.settings.spoken.highest

    def blocked(upgrades: Upgrades) -> list[str]:
        raft = upgrades._node.raft
        free = raft.term_committed and raft.transferring_to is None and not upgrades._is_pending
        return [] if free and not raft.membership.forming else ["not now"]

    monkeypatch.setattr(Upgrades, "_common", common)
    monkeypatch.setattr(Upgrades, "blocked", blocked)


def form_proposed_without_asking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SINCE, "operation open/1", 2)


def record_written_without_asking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SINCE, "record session/4", 2)


def put_on_a_condition_at_any_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Upgrades, "require", lambda *_: None)


DEFECTS: Final = (
    Defect(
        32,
        "the cluster version is raised before all members speak it",
        raised_before_all_speak_it,
        r"cluster version (to )?2",
        seeds=40,
    ),
    Defect(
        33,
        "a leader proposes a later form without asking for the cluster version",
        form_proposed_without_asking,
        r"refuses a directory that nothing has harmed: log entry \d+: operation open/1",
        seeds=40,
    ),
    Defect(
        34,
        "a snapshot has a later record, whatever the cluster version",
        record_written_without_asking,
        r"refuses a directory that nothing has harmed: .* of a kind unknown here: session",
        seeds=60,
    ),
    Defect(
        35,
        "a leader proposes a newer write, whatever the cluster version",
        put_on_a_condition_at_any_version,
        r"refuses a directory that nothing has harmed: log entry \d+: (operation|branch) put_if",
        seeds=40,
    ),
)
