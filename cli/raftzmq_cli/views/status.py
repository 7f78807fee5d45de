"""`raftzmq views client status`, and what `local status` shows of the older design."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from raftzmq_cli.common import exits, printers
from raftzmq_cli.common.commands import Commands
from raftzmq_cli.common.invocation import Invocation
from raftzmq_cli.common.settings import Output
from raftzmq_cli.views.invocation import SHARED, ViewsInvocation

if TYPE_CHECKING:
    from raftzmq.views.client import ViewsClient

TIMEOUT_S: Final = 2.0
"""Wait for a view server that does not answer, unless --timeout says otherwise."""

HEADINGS: Final = {
    "name": "SERVER",
    "role": "ROLE",
    "view": "VIEW",
    "keys": "KEYS",
    "healthy": "HEALTHY",
    "address": "ADDRESS",
}

commands = Commands(shared=SHARED)


@commands.command("status", "raftzmq views client status\nraftzmq views client status -w json")
def status(run: ViewsInvocation) -> int:
    """Show the view and every server: role, view, keys, health.

    Exit code 0 if the primary serves and its backup has all data, 1 if not, 3 if the view server
    does not answer.
    """
    document = ask(run.client, run.settings.timeout_s(TIMEOUT_S))
    show(run, document)
    return verdict(document)


def ask(client: ViewsClient, timeout_s: float) -> dict[str, Any]:
    """Return the view server's document: view, primary, backup, idle, healthy, servers. Raises
    Unavailable."""
    return client.status(timeout=timeout_s)


def verdict(document: dict[str, Any]) -> int:
    """Return the exit code: 0 all is well, 1 it is not."""
    return exits.DONE if document["healthy"] else exits.NO


def summary(document: dict[str, Any]) -> str:
    """The view in a few words."""
    idle = ",".join(document["idle"]) or "none"
    text = (
        f"view {document['view']}: primary {document['primary'] or 'none'}, "
        f"backup {document['backup'] or 'none'}, idle {idle}"
    )
    return f"{text}; {document['reason']}" if document["reason"] else text


def show(run: Invocation, document: dict[str, Any], with_pid: bool = False) -> None:
    """Print it; as a table, one row a server."""
    headings = {"pid": "PID", **HEADINGS} if with_pid else HEADINGS
    servers = document["servers"]
    if run.settings.output is Output.TABLE:
        printers.write_table(servers, list(headings))
        return
    run.show(document, [summary(document), *printers.aligned(servers, headings)])
