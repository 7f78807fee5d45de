"""How a view server that has just started finds the view that is in force. Pure.

It keeps nothing on disk. It asks the servers, whose pings carry the newest view that each has seen.
This is safe because a server that has answered to this run of the view server (which has joined
this reign) no longer obeys an earlier one. So no late message of another run can overtake its
report. Only the primary of a view acts in it, once it has seen it; call such a view acted. Every
view is made from an acted one, and its primary is the primary or the backup of that one.

Let V be the newest view that any server reports.

* If its primary reports it, V is acted. If V has an acted successor, the primary of that successor
  is a member of V and would report it. So if both members of V report, V is in force. There may be
  a view V + 1 that its primary has not seen. This reign does not use that number again; the next
  one may use it, because no server has acted in that view.
* If its primary reports an older view, V is not acted. It was made from a view U of which V's
  primary is a member. It is in force unless a later reign has gone on from U in another way, as
  the first case allows. Then V's primary would have joined that reign. So if the last reign that it
  had joined before this one is the one that made V, V is in force.

In all other cases this view server waits, because a server that it does not hear may act in a view
of which it does not know.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from raftzmq.views.view import Server, View


class Report(NamedTuple):
    """A server that has joined this reign, the newest view it has seen, and the reign that it had
    joined before."""

    server: Server
    view: View | None
    before: str


class Found(NamedTuple):
    """`view` is in force, and views above `highest` are new; or there never was any (`is_new`); or
    neither is known yet, and `reason` says what the view server waits for."""

    view: View | None
    highest: int
    is_new: bool
    reason: str


def recover(reports: Sequence[Report]) -> Found:
    """Return what follows from the reports of the live servers."""
    seen = [report.view for report in reports if report.view is not None]
    if not seen:
        return Found(None, 0, True, "waits for the first storage server")
    services = {view.service for view in seen}
    if len(services) > 1:
        return _wait(
            f"the storage servers are of {len(services)} different services: "
            "stop those that are not wanted"
        )
    view = max(seen, key=lambda one: one.number)
    primary = next((r for r in reports if r.server.is_same(view.primary)), None)
    if primary is None:
        return _wait(f"has restarted, and waits for the primary of {view}")
    if primary.view != view:
        if primary.before == view.reign:
            return Found(view, view.number, False, "")
        return _wait(f"has restarted more than once, and cannot know what follows on {view}")
    if view.backup is not None and not any(r.server.is_same(view.backup) for r in reports):
        return _wait(
            f"has restarted, and waits for the backup of {view}, which may act in a later one"
        )
    return Found(view, view.number + 1, False, "")


def _wait(reason: str) -> Found:
    return Found(None, 0, False, reason)
