"""`raftzmq client lock | elect | watch | queues`: who holds what, and what happens to keys."""

from __future__ import annotations

from typing import Annotated

import typer

from raftzmq_cli.client import leases, semaphores
from raftzmq_cli.client.semaphores import Command, Grace, Ttl
from raftzmq_cli.common.invocation import Invocation, command

Limit = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="End after so many, with exit code 0.")
]


def register(app: typer.Typer) -> None:
    """Add the commands to the group `raftzmq client`."""
    command(
        app,
        "lock",
        """
        raftzmq client lock nightly -- ./report.sh
        raftzmq client lock nightly --timeout 0 -- ./report.sh    (only if it is free)
        raftzmq client lock deploy --ttl 30 --grace 10 -- sh -c 'make && make install'
        raftzmq client lock nightly --describe
        """,
    )(lock)
    app.add_typer(semaphores.app, name="sem")
    command(
        app,
        "elect",
        """
        raftzmq client elect scheduler --value $HOSTNAME -- python scheduler.py
        raftzmq client elect scheduler --observe
        raftzmq client elect scheduler --describe -w json
        """,
    )(elect)
    command(
        app,
        "watch",
        """
        raftzmq client watch greeting
        raftzmq client watch config/ --prefix --from 120 -w json
        raftzmq client watch config/ --prefix -- sh -c 'echo "$RAFTZMQ_WATCH_KEY changed"'
        """,
    )(watch)
    app.add_typer(leases.app, name="lease")
    command(app, "queues", "raftzmq client queues\nraftzmq client queues jobs/ --kind lock")(queues)


def lock(
    run: Invocation,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The lock's name.")],
    words: Command = None,
    *,
    ttl: Ttl = 10.0,
    grace: Grace = 5.0,
    describe: Annotated[
        bool, typer.Option("--describe", help="Show who holds it and who waits; run nothing.")
    ] = False,
) -> int:
    """Wait for a lock, run COMMAND while it is held, release it; the exit code is COMMAND's.

    Waits as long as it takes, or for --timeout seconds (0: only if it is free). COMMAND finds
    RAFTZMQ_LOCK_NAME and RAFTZMQ_LOCK_TOKEN, for --fence of put, delete and txn. It is ended when
    the lock is lost. Exit code 3: not acquired in time, or no cluster; 4: the lock was lost; 126
    and 127: COMMAND cannot be run; 128 and more: ended by a signal.
    """
    from raftzmq_cli.client import locks as holding

    if describe:
        return _describe(run, "lock", name, words)
    return holding.lock(run, name, words or [], ttl_s=ttl, grace_s=grace)


def elect(
    run: Invocation,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The election's name.")],
    words: Command = None,
    *,
    value: Annotated[
        str | None,
        typer.Option(metavar="VALUE", help="What others see of this candidate; else the host."),
    ] = None,
    ttl: Ttl = 10.0,
    grace: Grace = 5.0,
    observe: Annotated[
        bool, typer.Option("--observe", help="Show who leads, and each who leads after that.")
    ] = False,
    limit: Limit = None,
    describe: Annotated[
        bool, typer.Option("--describe", help="Show who leads and who stands by; run nothing.")
    ] = False,
) -> int:
    """Wait to be elected, run COMMAND while leading, resign; the exit code is COMMAND's.

    As 'raftzmq client lock', also in its exit codes. COMMAND finds RAFTZMQ_ELECTION_NAME and
    RAFTZMQ_ELECTION_TOKEN, which is the term and a token for --fence.
    """
    import socket

    from raftzmq.errors import InvalidRequest
    from raftzmq_cli.client import locks as holding
    from raftzmq_cli.client import watches as watching

    if describe or observe:
        if describe and observe:
            raise InvalidRequest("--describe and --observe exclude each other")
        if describe:
            return _describe(run, "election", name, words)
        _without_command(words)
        watching.observe(run, name, limit)
        return 0
    if limit is not None:
        raise InvalidRequest("--limit goes with --observe")
    value = socket.gethostname() if value is None else value
    return holding.elect(run, name, words or [], value=value, ttl_s=ttl, grace_s=grace)


def watch(
    run: Invocation,
    key: Annotated[str, typer.Argument(metavar="KEY", help="The key.")],
    words: Command = None,
    *,
    prefix: Annotated[
        bool, typer.Option("--prefix", help="All keys that start with KEY, which may be empty.")
    ] = False,
    start: Annotated[
        int | None,
        typer.Option(
            "--from", min=1, metavar="REVISION", help="Begin there; else with what comes."
        ),
    ] = None,
    # A variable of that name would be one of COMMAND's.
    previous: Annotated[
        bool,
        typer.Option("--previous", allow_from_autoenv=False, help="Show the values before, too."),
    ] = False,
    limit: Limit = None,
) -> int:
    """Show every change of a key, in order, each once; or run COMMAND for each.

    Each line has revision, put or delete, key and value; -w json prints a document a line. COMMAND
    finds RAFTZMQ_WATCH_KEY, _KIND, _REVISION and _VALUE, and the value, of any length, as standard
    input too; if it fails, the watch ends with its exit code. Exit code 4: changes were missed, the
    text says where to go on.
    """
    from raftzmq_cli.client import watches as watching

    return watching.watch(
        run, key, words or [], prefix=prefix, start=start, previous=previous, limit=limit
    )


def queues(
    run: Invocation,
    prefix: Annotated[
        str, typer.Argument(metavar="PREFIX", help="Only names that start with it.")
    ] = "",
    *,
    kind: Annotated[
        str | None, typer.Option(metavar="lock|semaphore|counter|election", help="Only these.")
    ] = None,
    limit: Annotated[
        int, typer.Option(min=1, max=10_000, help="At most so many of each kind.")
    ] = 1000,
) -> None:
    """List locks, semaphores, plain semaphores (counters) and elections, with how many hold and
    wait."""
    from raftzmq_cli.client import queues as listed

    listed.list_queues(run, prefix, kind, limit)


def _describe(run: Invocation, kind: str, name: str, words: list[str] | None) -> int:
    from raftzmq_cli.client import queues as shown

    _without_command(words)
    shown.describe(run, kind, name)
    return 0


def _without_command(words: list[str] | None) -> None:
    from raftzmq.errors import InvalidRequest

    if words:
        raise InvalidRequest("--describe and --observe run no COMMAND")
