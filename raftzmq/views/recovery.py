"""How a view server that has just started finds the view that is in force. Pure.

It keeps nothing on disk: it asks the servers, whose pings carry the newest view that each has seen.
That is safe for three reasons. A server that has answered to this run of the view server obeys no
earlier one any more, so what it reports cannot be overtaken by a late word of another. Only the
primary of a view acts in it, and not before it has seen it. And the primary of the view after V is
the primary or the backup of V. So let V be the highest view that its own primary reports. If all
members of V report, and none of them is primary of a higher view (V is the highest), then nobody
acts, or ever will act, in a later view than V. The earlier run may have made one, V + 1, that its
primary has not seen; that number is not used again. If some server has seen it, that server refuses
what is of V: so the members of V get a view with a number above it.

If a member of V does not report, this view server waits: it cannot know that the other one has
not been made primary of a view that it has not heard of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from raftzmq.views.view import Server, View


class Report(NamedTuple):
    """A server that has joined this run of the view server, and the newest view it has seen."""

    server: Server
    view: View | None


class Found(NamedTuple):
    """`view` is in force, and views above `highest` are new; or there never was any (`is_new`); or
    neither is known yet. `reason` says what is waited for."""

    view: View | None
    highest: int
    is_new: bool
    reason: str


def recover(reports: Sequence[Report]) -> Found:
    """Return what follows from the reports of the servers that live."""
    seen = [report.view for report in reports if report.view is not None]
    if not seen:
        return Found(None, 0, True, "waits for the first storage server")
    services = {view.service for view in seen}
    if len(services) > 1:
        return _wait(
            f"the storage servers are of {len(services)} different services: "
            "stop those that are not wanted"
        )
    acting = [r.view for r in reports if r.view and r.server.is_same(r.view.primary)]
    if not acting:
        newest = max(seen, key=lambda view: view.number)
        return _wait(f"has restarted, and waits for {newest.primary.name}, a primary")
    view = max(acting, key=lambda acting_view: acting_view.number)
    if view.backup is not None and not any(r.server.is_same(view.backup) for r in reports):
        return _wait(
            f"has restarted, and waits for {view.backup.name}, the backup of view {view.number}, "
            "which may be primary of a later one"
        )
    highest = max(view.number + 1, *(other.number for other in seen))
    if any(other.number > view.number for other in seen):
        highest += 1
        view = replace(view, number=highest)
    return Found(view, highest, False, "")


def _wait(reason: str) -> Found:
    return Found(None, 0, False, reason)
