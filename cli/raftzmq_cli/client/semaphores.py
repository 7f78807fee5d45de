"""`raftzmq client sem`: semaphores, first come first served."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from raftzmq import limits
from raftzmq_cli.client.leases import TTL_HELP
from raftzmq_cli.common.invocation import Invocation, command, examples_text
from raftzmq_cli.common.settings import CommandEndpoints, CommandOutput, CommandTimeout

Name = Annotated[str, typer.Argument(metavar="NAME", help="The semaphore's name.")]
Size = Annotated[
    int | None,
    typer.Option(
        "-n",
        "--size",
        min=1,
        max=limits.PERMITS,
        metavar="N",
        help="How many permits there are in all; it is made if there is none of this name.",
    ),
]
Permits = Annotated[
    int, typer.Option(min=1, max=limits.PERMITS, metavar="K", help="How many permits to take.")
]
Ttl = Annotated[
    float,
    typer.Option(metavar="SECONDS", help="What a dead holder held is free after so long."),
]
Grace = Annotated[
    float,
    typer.Option(
        metavar="SECONDS", help="From SIGTERM to SIGKILL, for COMMAND once what it needs is lost."
    ),
]
Command = Annotated[
    list[str] | None,
    typer.Argument(metavar="-- COMMAND", show_default=False, help="What to run, after --."),
]
Plain = Annotated[
    bool,
    typer.Option(
        "--plain", help="The plain kind: permits are taken for good, and anybody may add some."
    ),
]

app = typer.Typer(
    name="sem",
    help="Semaphores: at most N at a time, first come first served.",
    epilog=examples_text(
        """
        raftzmq client sem run api -n 3 -- curl https://api.example.com/
        raftzmq client sem describe api
        raftzmq client sem resize api 5
        raftzmq client sem signal jobs --plain --permits 2     (the plain counting kind)
        raftzmq client sem wait jobs --plain
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


@command(
    app,
    "run",
    """
    raftzmq client sem run api -n 3 -- curl https://api.example.com/
    raftzmq client sem run api -n 3 --permits 2 --timeout 60 -- ./upload.sh
    """,
    prefix="SEM_RUN",
)
def run_with(
    run: Invocation,
    name: Name,
    words: Command = None,
    *,
    size: Size = None,
    permits: Permits = 1,
    ttl: Ttl = 10.0,
    grace: Grace = 5.0,
) -> int:
    """Wait for permits, run COMMAND, give them back; the exit code is COMMAND's.

    As 'raftzmq client lock', also in its exit codes 3, 4, 126 and 127. COMMAND finds
    RAFTZMQ_SEMAPHORE_NAME and RAFTZMQ_SEMAPHORE_TOKEN.
    """
    from raftzmq_cli.client import locks as holding

    return holding.semaphore(
        run, name, words or [], size=size, permits=permits, ttl_s=ttl, grace_s=grace
    )


@command(
    app,
    "wait",
    """
    raftzmq client sem wait api -n 3 --lease 12
    raftzmq client sem wait api -n 3 --ttl 600 -w json
    raftzmq client sem wait jobs --plain --timeout 60
    """,
    prefix="SEM_WAIT",
)
def wait(
    run: Invocation,
    name: Name,
    *,
    size: Size = None,
    permits: Permits = 1,
    ttl: Annotated[
        float | None, typer.Option(metavar="SECONDS", help=f"Of a lease made for it. {TTL_HELP}")
    ] = None,
    lease: Annotated[
        int | None, typer.Option(min=1, metavar="LEASE", help="The lease to hold them under.")
    ] = None,
    plain: Plain = False,
) -> None:
    """Wait for permits (P), and hold them beyond the end of this command.

    They are held under a lease, which is kept alive while waiting and from then on is the caller's
    to keep ('raftzmq client lease keep'): without --lease a new one, of --ttl seconds. Prints token
    and lease. Exit code 3 if they are not to be had within --timeout (0: at once).
    """
    from raftzmq_cli.client import permits as held

    held.wait(run, name, size=size, permits=permits, ttl_s=ttl, lease=lease, plain=plain)


@command(
    app,
    "signal",
    """
    raftzmq client sem signal api --token 17
    raftzmq client sem signal jobs --plain --permits 2
    """,
    prefix="SEM_SIGNAL",
)
def signal(
    run: Invocation,
    name: Name,
    *,
    token: Annotated[
        int | None,
        typer.Option(min=1, metavar="TOKEN", help="What 'sem wait' printed: who gives back."),
    ] = None,
    permits: Annotated[
        int, typer.Option(min=1, max=limits.PERMITS, metavar="K", help="How many to add, --plain.")
    ] = 1,
    plain: Plain = False,
) -> None:
    """Give permits back (V). A token that still waits leaves the line; one that holds nothing is
    refused, exit code 4."""
    from raftzmq_cli.client import permits as held

    held.signal(run, name, token=token, permits=permits, plain=plain)


@command(app, "describe", "raftzmq client sem describe api -w json", prefix="SEM_DESCRIBE")
def describe(run: Invocation, name: Name, plain: Plain = False) -> None:
    """Show who holds permits, and who waits in which order. Exit code 1 if it is not there."""
    from raftzmq_cli.client import queues

    queues.describe(run, "counter" if plain else "semaphore", name)


@command(app, "resize", "raftzmq client sem resize api 5", prefix="SEM_RESIZE")
def resize(
    run: Invocation,
    name: Name,
    size: Annotated[
        int, typer.Argument(metavar="N", min=1, max=limits.PERMITS, help="Permits in all.")
    ],
) -> None:
    """Let a semaphore have N permits; it is made if there is none. Nobody's are taken away."""
    run.client.resize(name, size, timeout=run.timeout_s)
    run.show({"name": name, "capacity": size}, [f"semaphore {name} has {size} permits"])


@command(app, "forget", "raftzmq client sem forget api", prefix="SEM_FORGET")
def forget(run: Invocation, name: Name, plain: Plain = False) -> None:
    """Remove a semaphore. Refused, exit code 4, while somebody holds or waits."""
    run.client.forget("counter" if plain else "semaphore", name, timeout=run.timeout_s)
    run.show({"name": name}, [f"{name} is forgotten"])
