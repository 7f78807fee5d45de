"""The cluster version in the state: `cluster_version` sets it.

Only a leader proposes it (node/upgrades.py). A build that does not speak the version stops at the
entry. To lower it is refused while the state holds something that the lower one does not have.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from raftzmq import limits
from raftzmq.errors import UnknownEntry
from raftzmq.machine.commands.checks import check_flag, check_integer
from raftzmq.machine.commands.operation import Command
from raftzmq.machine.commands.outcomes import Outcome, refused
from raftzmq.machine.state import State
from raftzmq.machine.values import expect_integers, unknown_argument
from raftzmq.versions import FIRST, since

HOLDINGS: Final[dict[str, Callable[[State], str]]] = {
    "record key/5": lambda _: "",  # nothing is in the way: the versions of keys are forgotten
}
"""A record of a snapshot that is newer than version 1, and what the state has that would be written
so, in words for a person: "" if nothing. tests/upgrade/test_table.py says which are missing."""


def cluster_version(state: State, _number: int, version: int, pinned: bool) -> Outcome:
    """`cluster_version version pinned`: from the next entry on the cluster has that version.
    `pinned`: no leader raises it by itself."""
    expect_integers(version)
    if type(pinned) is not bool:
        raise unknown_argument()
    if version not in state.spoken:
        raise UnknownEntry(
            f"it sets the cluster version to {version}, and this build speaks {state.spoken}"
        )
    if version < state.version:
        held = holdings_above(state, version)
        if held:
            return refused("refused", why_held(version, held))
        state.lowered_index = state.applied_index
    state.version = version
    state.pinned = pinned
    return "ok", version


def check_version(version: Any, what: str) -> None:
    """Raises InvalidRequest unless it can be a cluster version."""
    check_integer(version, what, FIRST.lowest, limits.INDEX_MAX)


def holdings_above(state: State, version: int) -> list[str]:
    """What the state has that a cluster of that version cannot have, in words."""
    if version >= state.version:
        return []
    found = [held(state) for record, held in HOLDINGS.items() if since(record) > version]
    return [held for held in found if held]


def why_held(version: int, held: list[str]) -> str:
    """Why the cluster version cannot be lowered, and what to do."""
    return (
        f"cluster version {version} has no form for what the state holds: {'; '.join(held)}: "
        "remove that first"
    )


COMMANDS: Final = (
    Command(
        name="cluster_version",
        arguments={"version": check_version, "pinned": check_flag},
        run=cluster_version,
        internal=True,
    ),
)
