"""`raftzmq client incr`: keys that hold a number."""

from __future__ import annotations

from typing import Annotated

import typer

from raftzmq_cli.client.invocation import SHARED, ClientInvocation
from raftzmq_cli.client.options import Fence, fences
from raftzmq_cli.common.commands import Commands
from raftzmq_cli.common.values import Key, text, written_document

commands = Commands(shared=SHARED)


@commands.command(
    "incr",
    """
    raftzmq client incr visits
    raftzmq client incr stock/apples --by -3
    raftzmq client incr calls/7/12:03 --ttl 120 -w json
    """,
    writes=True,
)
def incr(
    run: ClientInvocation,
    key: Key,
    *,
    by: Annotated[int, typer.Option("--by", metavar="N", help="Add N, which may be below 0.")] = 1,
    ttl: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS", help="If the key is missing: delete the new one after SECONDS."
        ),
    ] = None,
    lease: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="LEASE",
            help="If the key is missing: delete the new one with this lease.",
        ),
    ] = None,
    fence: Fence = None,
) -> None:
    """Add to the number that a key holds, and print the sum.

    A missing key counts as 0. Another keeps its time to live or lease.
    """
    result = run.client.incr(
        text(key, "key"), by, ttl=ttl, lease=lease, fence=fences(fence), timeout=run.timeout_s
    )
    run.show({"value": result.value, **written_document(result)}, [str(result.value)])
