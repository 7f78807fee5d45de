"""`raftzmq client queues`, and what `lock --describe` and `sem describe` show of one queue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from raftzmq.errors import InvalidRequest
from raftzmq_cli.client.invocation import SHARED, ClientInvocation
from raftzmq_cli.common import messages
from raftzmq_cli.common.commands import Commands
from raftzmq_cli.common.escaping import quoted
from raftzmq_cli.common.exits import AnswerIsNo
from raftzmq_cli.common.printers import aligned
from raftzmq_cli.common.settings import Output
from raftzmq_cli.common.values import is_text

if TYPE_CHECKING:
    from raftzmq import Place, Queue

KINDS: Final = ("lock", "semaphore", "counter", "election")
MADE_ON_DEMAND: Final = ("lock", "election")
"""Kinds that are there as long as somebody holds or waits, and are free otherwise."""

_PLACE_HEADINGS: Final = {
    "state": "STATE",
    "token": "TOKEN",
    "lease": "LEASE",
    "permits": "PERMITS",
    "value": "VALUE",
}
_QUEUE_HEADINGS: Final = {
    "kind": "KIND",
    "name": "NAME",
    "capacity": "CAPACITY",
    "held": "HELD",
    "waiting": "WAITING",
}

commands = Commands(shared=SHARED)


@commands.command("queues", "raftzmq client queues\nraftzmq client queues jobs/ --kind lock")
def list_queues(
    run: ClientInvocation,
    prefix: Annotated[
        str,
        typer.Argument(
            metavar="PREFIX",
            help="Only names that start with PREFIX.",
            callback=is_text("prefix"),
        ),
    ] = "",
    *,
    kind: Annotated[
        str | None, typer.Option(metavar="lock|semaphore|counter|election", help="Only this kind.")
    ] = None,
    limit: Annotated[
        int, typer.Option(min=1, max=10_000, metavar="N", help="Return at most N of each kind.")
    ] = 1000,
) -> None:
    """List locks, semaphores, counters and elections.

    Shows how many hold and wait in each. Counters are plain semaphores.
    """
    if kind is not None and kind not in KINDS:
        raise InvalidRequest(f"--kind {kind!r} is not one of {', '.join(KINDS)}")
    rows: list[Mapping[str, Any]] = []
    for each in KINDS if kind is None else (kind,):
        page = run.client.queues(each, prefix, limit, timeout=run.timeout_s)
        rows += [
            {
                "kind": each,
                "name": queue.name,
                "capacity": queue.capacity,
                "held": queue.held,
                "waiting": queue.waiting,
            }
            for queue in page
        ]
        if page.more:
            messages.say(
                f"raftzmq: there are more of kind {each}: give a longer PREFIX or a higher --limit"
            )
    run.show(rows, aligned(rows, _QUEUE_HEADINGS), list(_QUEUE_HEADINGS))


def describe(run: ClientInvocation, kind: str, name: str) -> None:
    """Show who holds and who waits. Raises AnswerIsNo if there is no such semaphore."""
    queue = run.client.describe(kind, name, timeout=run.settings.answer_s())
    if queue is None and kind not in MADE_ON_DEMAND:
        raise AnswerIsNo(f"there is no {kind} {quoted(name)}")
    document = queue_document(kind, name, queue)
    rows = [{"state": "holds", **place} for place in document["holders"]]
    rows += [{"state": "waits", **place} for place in document["waiters"]]
    if run.settings.output is Output.TABLE:
        run.show(rows, [], list(_PLACE_HEADINGS))
        return
    free = f"{document['free']} of {document['capacity']} free"
    first = f"{kind} {name}: {free}, held {document['held']}, waiting {document['waiting']}"
    run.show(document, [first, *(aligned(rows, _PLACE_HEADINGS) if rows else [])])


def queue_document(kind: str, name: str, queue: Queue | None) -> dict[str, Any]:
    """A queue as it stands in JSON; None: one that nobody holds or waits for."""
    return {
        "kind": kind,
        "name": name,
        "capacity": queue.capacity if queue else 1,
        "free": queue.free if queue else 1,
        "held": queue.held if queue else 0,
        "waiting": queue.waiting if queue else 0,
        "holders": [_place(place) for place in queue.holders] if queue else [],
        "waiters": [_place(place) for place in queue.waiters] if queue else [],
    }


def _place(place: Place) -> dict[str, Any]:
    return {
        "token": place.token,
        "lease": place.lease,
        "permits": place.permits,
        "value": place.value,
    }
