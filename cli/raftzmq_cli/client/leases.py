"""`raftzmq client lease`: leases by their numbers, for scripts that keep them alive themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from raftzmq_cli.client.invocation import SHARED, ClientInvocation
from raftzmq_cli.client.options import TTL_HELP
from raftzmq_cli.common.commands import Group
from raftzmq_cli.common.exits import AnswerIsNo
from raftzmq_cli.common.printers import aligned

if TYPE_CHECKING:
    from raftzmq import LeaseInfo

Lease = Annotated[int, typer.Argument(metavar="LEASE", min=1, help="The lease's number.")]

_HEADINGS: Final = {
    "lease": "LEASE",
    "ttl_s": "TTL, S",
    "remaining_s": "REMAINING, S",
    "keys": "KEYS",
    "places": "PLACES",
}

commands = Group(
    "lease",
    "Leases: keys and places that end with their owner.",
    """
    lease=$(raftzmq client lease grant --ttl 60)
    raftzmq client put workers/7 busy --lease $lease     (deleted when the lease ends)
    raftzmq client lease keep $lease                     (another 60 seconds)
    raftzmq client lease revoke $lease
    """,
    shared=SHARED,
)


@commands.command("grant", "raftzmq client lease grant --ttl 60", writes=True)
def grant(
    run: ClientInvocation,
    *,
    ttl: Annotated[float, typer.Option(metavar="SECONDS", help=TTL_HELP)],
) -> None:
    """Grant a lease and print its number. It expires after --ttl unless `lease keep` renews it."""
    lease = run.client.lease_grant(ttl, timeout=run.timeout_s)
    run.show({"lease": lease, "ttl_s": ttl}, [str(lease)])


@commands.command("keep", "raftzmq client lease keep 12", writes=True)
def keep(run: ClientInvocation, lease: Lease) -> None:
    """Renew a lease. Exit code 4 if it has ended."""
    ttl_s = run.client.lease_keep(lease, timeout=run.timeout_s)
    run.show({"lease": lease, "ttl_s": ttl_s}, [f"lease {lease} lives {ttl_s:g} s from now"])


@commands.command("revoke", "raftzmq client lease revoke 12", writes=True)
def revoke(run: ClientInvocation, lease: Lease) -> None:
    """End a lease now.

    Its keys are deleted, and what it holds is released. Exit code 4 if it has already ended.
    """
    run.client.lease_revoke(lease, timeout=run.timeout_s)
    run.show({"lease": lease}, [f"lease {lease} has ended"])


@commands.command("list", "raftzmq client lease list -w json")
def list_leases(run: ClientInvocation) -> None:
    """List all leases: time to live, time left, keys, places."""
    rows = [_document(lease) for lease in _all(run)]
    run.show(rows, aligned(rows, _HEADINGS), list(_HEADINGS))


@commands.command("show", "raftzmq client lease show 12")
def show(run: ClientInvocation, lease: Lease) -> None:
    """Show one lease. Exit code 1 if it has ended."""
    found = run.client.lease_info(lease, timeout=run.timeout_s)
    if found is None:
        raise AnswerIsNo(f"there is no lease {lease}: it has ended or never existed")
    document = _document(found)
    run.show(document, aligned([document], _HEADINGS), list(_HEADINGS))


def _all(run: ClientInvocation) -> Iterator[LeaseInfo]:
    """All leases, read a page at a time."""
    after = 0
    more = True
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
