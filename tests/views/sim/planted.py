"""Planted bugs: each breaks one rule of the design, and worlds must show it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import pytest

from raftzmq.machine.tables.sessions import Result
from raftzmq.views import service as service_module
from raftzmq.views.messages import Entry, Forward
from raftzmq.views.recovery import Found, Report
from raftzmq.views.replica import Replica
from raftzmq.views.replication import AsBackup, ToBackup
from raftzmq.views.service import ViewService
from raftzmq.views.store import Store
from raftzmq.views.view import Server, View
from tests.sim.story import SimFailure
from tests.views.sim.world import run

Patch = pytest.MonkeyPatch
LOST: Final = "is lost|not linearizable|go together|has less|answers as primary"
TWICE: Final = "executed twice|not linearizable|go together"
SEEDS: Final = 2000
"""So many worlds may be tried before a bug counts as not caught: ten times what the hardest takes
on average, so that the worlds may change without a test that fails by chance."""


@dataclass(frozen=True, slots=True)
class Defect:
    """A bug: what is wrong, how to plant it, and what the problem must match when a world shows
    it."""

    title: str
    plant: Callable[[Patch], None]
    told: str


@dataclass(frozen=True, slots=True)
class Caught:
    """How many worlds it took, and what the last one showed."""

    seeds: int
    problem: str


def catch(defect: Defect) -> Caught:
    """Plant the bug and play worlds until one shows it. Raises AssertionError if none does, or if
    one fails for another reason."""
    with pytest.MonkeyPatch.context() as patch:
        defect.plant(patch)
        for tried in range(SEEDS):
            try:
                run(tried)
            except SimFailure as failure:
                problem = failure.problem
                assert re.search(defect.told, problem), f"{defect.title}: {problem}"
                return Caught(tried + 1, problem)
    raise AssertionError(f"not caught in {SEEDS} worlds: {defect.title}")


def answer_before_the_backup(patch: Patch) -> None:
    def release(replica: Replica) -> None:
        while replica._pending:
            first = replica._pop()
            replica.out.answers.append((first.client, first.reply))

    owe = Replica._owe

    def owe_nobody(replica: Replica, pending: Any) -> None:
        owe(replica, pending)
        release(replica)

    patch.setattr(Replica, "_owe", owe_nobody)


def promote_an_idle_server(patch: Patch) -> None:
    change = ViewService._change

    def hasty(service: ViewService, view: View) -> None:
        if service._acknowledged and not service._lives(view.primary):
            following = service._next(view, view.primary)
            if following.backup is not None:
                service._take(replace(following, primary=following.backup, backup=None))
                return
        change(service, view)

    patch.setattr(ViewService, "_change", hasty)


def change_without_acknowledgement(patch: Patch) -> None:
    take = ViewService._take

    def hasty(service: ViewService, view: View) -> None:
        take(service, view)
        service._acknowledged = True

    patch.setattr(ViewService, "_take", hasty)


def promote_before_the_transfer(patch: Patch) -> None:
    hear = ViewService._hear_primary

    def hasty(service: ViewService) -> None:
        hear(service)
        service._synced = service._acknowledged

    patch.setattr(ViewService, "_hear_primary", hasty)


def read_without_consent(patch: Patch) -> None:
    owe = Replica._owe

    def owe_shortly(replica: Replica, pending: Any) -> None:
        owe(replica, pending)
        replica._release()

    patch.setattr(Replica, "_owe", owe_shortly)
    patch.setattr(ToBackup, "ask", lambda _: 0)


def forget_results_in_the_transfer(patch: Patch) -> None:
    records = Store.records

    def without(store: Store) -> Iterator[list[Any]]:
        return (record for record in records(store) if record[0] != "result")

    patch.setattr(Store, "records", without)


def execute_retries(patch: Patch) -> None:
    apply = Store.apply

    def again(store: Store, entry: Entry) -> Result:
        session = store.state.sessions.table.get(entry.session)
        if session is not None:
            session.results.pop(entry.op[0], None)
        return apply(store, entry)

    patch.setattr(Store, "apply", again)


def ignore_incarnations(patch: Patch) -> None:
    patch.setattr(
        Server, "is_same", lambda one, other: other is not None and one.name == other.name
    )


def follow_with_gaps(patch: Patch) -> None:
    forward = AsBackup.forward

    def careless(backup: AsBackup, message: Forward) -> Any:
        if backup.store is not None and message.first > backup.store.index:
            message = replace(message, first=backup.store.index + 1)
        return forward(backup, message)

    patch.setattr(AsBackup, "forward", careless)


def begin_anew(patch: Patch) -> None:
    def hasty(service: ViewService) -> None:
        for known in service._known.values():
            service._take(View(service._service, service.reign, 1, known.server, None))
            return

    patch.setattr(ViewService, "_begin", hasty)


def believe_a_primary_alone(patch: Patch) -> None:
    def hasty(reports: list[Report]) -> Found:
        views = [report.view for report in reports if report.view is not None]
        newest = max(views, key=lambda view: view.number, default=None)
        return Found(newest, newest.number + 1 if newest else 0, newest is None, "")

    patch.setattr(service_module, "recover", hasty)


DEFECTS: Final = (
    Defect("answers before the backup has it", answer_before_the_backup, LOST),
    Defect("promotes an idle server", promote_an_idle_server, "was not the backup"),
    Defect("changes an unacknowledged view", change_without_acknowledgement, "acknowledged"),
    Defect("promotes without the state", promote_before_the_transfer, "not have the state"),
    Defect("reads without the backup's consent", read_without_consent, LOST),
    Defect("forgets results in the transfer", forget_results_in_the_transfer, TWICE),
    Defect("executes a retry again", execute_retries, TWICE),
    Defect("takes a restarted server for the old one", ignore_incarnations, LOST + "|ackn"),
    Defect("a backup skips what it has not got", follow_with_gaps, LOST),
    Defect("a restarted view server begins anew", begin_anew, "begun a new service"),
    Defect("it asks no backup", believe_a_primary_alone, LOST + "|was not the backup"),
)
