"""`raftzmq client lease`: leases by their numbers, for scripts that keep them alive themselves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from raftzmq_cli.common.exits import AnswerIsNo
from raftzmq_cli.common.invocation import Invocation, command, examples_text
from raftzmq_cli.common.printers import aligned
from raftzmq_cli.common.settings import CommandEndpoints, CommandOutput, CommandTimeout

if TYPE_CHECKING:
    from raftzmq import LeaseInfo

TTL_HELP = "Seconds to live unless kept alive: 0.5 to a day."

Lease = Annotated[int, typer.Argument(metavar="LEASE", min=1, help="The lease's number.")]

_HEADINGS: Final = {
    "lease": "LEASE",
    "ttl_s": "TTL, S",
    "remaining_s": "REMAINING, S",
    "keys": "KEYS",
    "places": "PLACES",
}

app = typer.Typer(
    name="lease",
    help="Leases: what belongs to one goes when it ends.",
    epilog=examples_text(
        """
        lease=$(raftzmq client lease grant --ttl 60)
        raftzmq client put workers/7 busy --lease $lease     (deleted when the lease ends)
        raftzmq client lease keep $lease                     (another 60 seconds)
        raftzmq client lease revoke $lease
        """
    ),
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.callback()
def group(
    ctx: typer.Context,
    endpoints: CommandEndpoints = None,
    timeout: CommandTimeout = None,
    output: CommandOutput = None,
) -> None:
    settings = ctx.obj.settings.overridden(endpoints, timeout, output)
    ctx.obj = replace(ctx.obj, settings=settings)


@command(app, "grant", "raftzmq client lease grant --ttl 60", prefix="LEASE_GRANT")
def grant(
    run: Invocation,
    *,
    ttl: Annotated[float, typer.Option(metavar="SECONDS", help=TTL_HELP)],
) -> None:
    """Grant a lease and print its number. It ends after its time unless `lease keep` is run."""
    lease = run.client.lease_grant(ttl, timeout=run.timeout_s)
    run.show({"lease": lease, "ttl_s": ttl}, [str(lease)])


@command(app, "keep", "raftzmq client lease keep 12", prefix="LEASE_KEEP")
def keep(run: Invocation, lease: Lease) -> None:
    """Let a lease's time begin anew. Exit code 4 if it has ended."""
    ttl_s = run.client.lease_keep(lease, timeout=run.timeout_s)
    run.show({"lease": lease, "ttl_s": ttl_s}, [f"lease {lease} lives {ttl_s:g} s from now"])


@command(app, "revoke", "raftzmq client lease revoke 12", prefix="LEASE_REVOKE")
def revoke(run: Invocation, lease: Lease) -> None:
    """End a lease now: its keys are deleted, what it holds is given up. Exit code 4 if it has
    ended already."""
    run.client.lease_revoke(lease, timeout=run.timeout_s)
    run.show({"lease": lease}, [f"lease {lease} has ended"])


@command(app, "list", "raftzmq client lease list -w json", prefix="LEASE_LIST")
def list_leases(run: Invocation) -> None:
    """List all leases: time to live, what remains of it, how many keys and places go with it."""
    rows = [_document(lease) for lease in _all(run)]
    run.show(rows, aligned(rows, _HEADINGS), list(_HEADINGS))


@command(app, "show", "raftzmq client lease show 12", prefix="LEASE_SHOW")
def show(run: Invocation, lease: Lease) -> None:
    """Show one lease. Exit code 1 if it has ended."""
    found = run.client.lease_info(lease, timeout=run.timeout_s)
    if found is None:
        raise AnswerIsNo(f"there is no lease {lease}: it has ended, or never was")
    document = _document(found)
    run.show(document, aligned([document], _HEADINGS), list(_HEADINGS))


def _all(run: Invocation) -> Iterator[LeaseInfo]:
    """All leases, read a page at a time."""
    after, more = 0, True
    while more:
        page = run.client.leases(after, timeout=run.timeout_s)
        yield from page
        more = page.more
        after = page.items[-1].id if page.items else after


def _document(lease: LeaseInfo) -> dict[str, Any]:
    return {
        "lease": lease.id,
        "ttl_s": lease.ttl,
        "remaining_s": lease.remaining,
        "keys": lease.keys,
        "places": lease.places,
    }
