"""`raftzmq client sem`: semaphores, first come first served."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from raftzmq import limits
from raftzmq.errors import InvalidRequest, LeaseExpired, NotAcquired, RaftzmqError
from raftzmq_cli.client import queues
from raftzmq_cli.client.invocation import SHARED, ClientInvocation
from raftzmq_cli.client.locks import hold
from raftzmq_cli.client.options import TTL_HELP, Grace, Owner, Ttl, Words
from raftzmq_cli.client.subprocess_runner import ending_with_signals
from raftzmq_cli.common.commands import Group
from raftzmq_cli.common.exits import NotInTime
from raftzmq_cli.common.values import is_text

if TYPE_CHECKING:
    from raftzmq import Client

_KEEPS_IN_TTL: Final = 3
"""How often a lease is kept alive within its time to live."""

Name = Annotated[
    str,
    typer.Argument(metavar="NAME", help="The semaphore's name.", callback=is_text("name")),
]
Size = Annotated[
    int | None,
    typer.Option(
        "-n",
        "--size",
        min=1,
        max=limits.PERMITS,
        metavar="N",
        help="Total number of permits. The semaphore is made if it does not exist.",
    ),
]
Permits = Annotated[
    int, typer.Option(min=1, max=limits.PERMITS, metavar="K", help="Number of permits to take.")
]
Plain = Annotated[
    bool,
    typer.Option(
        "--plain",
        help="A plain counting semaphore: permits are taken for good, and anyone may add some.",
    ),
]

commands = Group(
    "sem",
    "Semaphores: at most N at a time, first come first served.",
    """
    raftzmq client sem run api -n 3 -- curl https://api.example.com/
    raftzmq client sem describe api
    raftzmq client sem resize api 5
    raftzmq client sem signal jobs --plain --permits 2     (a plain counting semaphore)
    raftzmq client sem wait jobs --plain
    """,
    shared=SHARED,
)


@commands.command(
    "run",
    """
    raftzmq client sem run api -n 3 -- curl https://api.example.com/
    raftzmq client sem run api -n 3 --permits 2 --timeout 60 -- ./upload.sh
    """,
)
def run_with(
    run: ClientInvocation,
    name: Name,
    words: Words = None,
    *,
    size: Size = None,
    permits: Permits = 1,
    ttl: Ttl = 10.0,
    grace: Grace = None,
    owner: Owner = None,
) -> int:
    """Acquire permits, run COMMAND, then give them back. Exits with COMMAND's exit code.

    Works as 'raftzmq client lock', and has the same exit codes. COMMAND gets
    RAFTZMQ_SEMAPHORE_NAME and RAFTZMQ_SEMAPHORE_TOKEN in its environment.
    """
    waiting_s = run.settings.waiting_s()
    options: dict[str, Any] = {"ttl": ttl, "timeout": waiting_s, "owner": owner}
    make = partial(run.client.semaphore, name, size or 0, permits, **options)
    return hold(run, make, "SEMAPHORE", words or [], ttl, grace)


@commands.command(
    "wait",
    """
    raftzmq client sem wait api -n 3 --lease 12
    raftzmq client sem wait api -n 3 --ttl 600 -w json
    raftzmq client sem wait jobs --plain --timeout 60
    """,
    writes=True,
)
def wait(
    run: ClientInvocation,
    name: Name,
    *,
    size: Size = None,
    permits: Permits = 1,
    ttl: Annotated[
        float | None, typer.Option(metavar="SECONDS", help=f"Grant a new lease. {TTL_HELP}")
    ] = None,
    lease: Annotated[
        int | None,
        typer.Option(min=1, metavar="LEASE", help="The lease to hold the permits under."),
    ] = None,
    owner: Owner = None,
    plain: Plain = False,
) -> None:
    """Acquire permits (P), and keep them after this command has ended.

    They are held under a lease: that of --lease, or a new one of --ttl seconds. The lease is kept
    alive while this command waits; after that the caller renews it ('raftzmq client lease keep').
    Prints token and lease. Exit code 3 if the permits cannot be acquired within --timeout (0: at
    once).
    """
    if plain and (ttl is not None or lease is not None):
        raise InvalidRequest("--plain permits are taken for good: they need no --lease or --ttl")
    if plain and owner is not None:
        raise InvalidRequest("--plain permits are taken for good: nobody is their --owner")
    if not plain and (ttl is None) is (lease is None):
        raise InvalidRequest("give --lease, or --ttl for a new lease, to hold the permits under")
    with ending_with_signals():
        try:
            if plain:
                _take(run, name, size, permits)
            else:
                _hold(run, name, size, permits, ttl, lease, owner)
        except NotAcquired as error:
            raise NotInTime(str(error)) from None


@commands.command(
    "signal",
    """
    raftzmq client sem signal api --token 17
    raftzmq client sem signal jobs --plain --permits 2
    """,
    writes=True,
)
def signal(
    run: ClientInvocation,
    name: Name,
    *,
    token: Annotated[
        int | None,
        typer.Option(min=1, metavar="TOKEN", help="The token that 'sem wait' printed."),
    ] = None,
    permits: Annotated[
        int,
        typer.Option(
            min=1, max=limits.PERMITS, metavar="K", help="Number of permits to add, with --plain."
        ),
    ] = 1,
    plain: Plain = False,
) -> None:
    """Give permits back (V). A token that still waits leaves the queue; one that holds nothing is
    refused with exit code 4."""
    if plain is (token is not None):
        raise InvalidRequest("give the --token that 'sem wait' printed, or --plain")
    if token is None:
        count = run.client.signal(name, permits, timeout=run.timeout_s)
        run.show({"name": name, "free": count}, [f"{name} has {count} permits"])
        return
    if permits != 1:
        raise InvalidRequest("--permits requires --plain: a token gives back all that it holds")
    run.client.release("semaphore", name, token, timeout=run.timeout_s)
    run.show({"name": name, "token": token}, [f"token {token} of {name} is given back"])


@commands.command("describe", "raftzmq client sem describe api -w json")
def describe(run: ClientInvocation, name: Name, plain: Plain = False) -> None:
    """Show who holds permits and who waits, in order. Exit code 1 if the semaphore is missing."""
    queues.describe(run, "counter" if plain else "semaphore", name)


@commands.command("resize", "raftzmq client sem resize api 5", writes=True)
def resize(
    run: ClientInvocation,
    name: Name,
    size: Annotated[
        int, typer.Argument(metavar="N", min=1, max=limits.PERMITS, help="Total number of permits.")
    ],
) -> None:
    """Set the number of permits.

    Makes the semaphore if it does not exist. Holders keep theirs.
    """
    run.client.resize(name, size, timeout=run.timeout_s)
    run.show({"name": name, "capacity": size}, [f"semaphore {name} has {size} permits"])


@commands.command("forget", "raftzmq client sem forget api", writes=True)
def forget(run: ClientInvocation, name: Name, plain: Plain = False) -> None:
    """Delete a semaphore. Refused with exit code 4 while anyone holds or waits."""
    run.client.forget("counter" if plain else "semaphore", name, timeout=run.timeout_s)
    run.show({"name": name}, [f"{name} is forgotten"])


def _take(run: ClientInvocation, name: str, size: int | None, permits: int) -> None:
    semaphore = run.client.semaphore(
        name, size or 0, permits, plain=True, timeout=run.settings.waiting_s()
    )
    token = semaphore.wait()
    run.show({"name": name, "token": token, "permits": permits}, [f"token {token}"])


def _hold(
    run: ClientInvocation,
    name: str,
    size: int | None,
    permits: int,
    ttl_s: float | None,
    lease: int | None,
    owner: str | None,
) -> None:
    client = run.client
    answer_s = run.settings.answer_s()
    number = client.lease_grant(ttl_s, timeout=answer_s) if ttl_s is not None else lease
    assert number is not None
    try:
        with _kept_alive(client, number, answer_s) as whole_s:
            token = client.acquire(
                "semaphore",
                name,
                number,
                permits=permits,
                capacity=size or 0,
                value=owner,
                timeout=run.settings.waiting_s(),
            )
    except BaseException:
        if lease is None:
            with suppress(RaftzmqError):
                client.lease_revoke(number, timeout=answer_s)
        raise
    document = {
        "name": name,
        "token": token,
        "permits": permits,
        "lease": number,
        "ttl_s": whole_s,
    }
    run.show(document, [f"token {token}, lease {number}, which lives {whole_s:g} s unless kept"])


@contextmanager
def _kept_alive(client: Client, lease: int, timeout_s: float) -> Iterator[float]:
    """Keep a lease alive meanwhile; its whole time begins anew at the end. Gives that time, in
    seconds."""
    whole_s = client.lease_keep(lease, timeout=timeout_s)
    over = threading.Event()

    def keep() -> None:
        while not over.wait(whole_s / _KEEPS_IN_TTL):
            try:
                client.lease_keep(lease, timeout=whole_s)
            except LeaseExpired:
                return  # what waits under it is told so too
            except RaftzmqError:
                continue

    keeper = threading.Thread(target=keep, name="raftzmq-keep", daemon=True)
    keeper.start()
    try:
        yield whole_s
    finally:
        over.set()
    client.lease_keep(lease, timeout=timeout_s)
