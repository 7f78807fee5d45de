"""`raftzmq client sem`: semaphores, first come first served."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Annotated, Final

import typer

from raftzmq import limits
from raftzmq.errors import InvalidRequest, LeaseExpired, NotAcquired, RaftzmqError
from raftzmq_cli.client import queues
from raftzmq_cli.client.invocation import SHARED, ClientInvocation
from raftzmq_cli.client.locks import hold
from raftzmq_cli.client.options import TTL_HELP, Grace, Ttl, Words
from raftzmq_cli.client.subprocess_runner import GRACE_S, ending_with_signals
from raftzmq_cli.common.commands import Group
from raftzmq_cli.common.exits import NotInTime

if TYPE_CHECKING:
    from raftzmq import Client

_KEEPS_IN_TTL: Final = 3
"""How often a lease is kept alive within its time to live."""

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
Plain = Annotated[
    bool,
    typer.Option(
        "--plain", help="The plain kind: permits are taken for good, and anybody may add some."
    ),
]

commands = Group(
    "sem",
    "Semaphores: at most N at a time, first come first served.",
    """
    raftzmq client sem run api -n 3 -- curl https://api.example.com/
    raftzmq client sem describe api
    raftzmq client sem resize api 5
    raftzmq client sem signal jobs --plain --permits 2     (the plain counting kind)
    raftzmq client sem wait jobs --plain
    """,
    variables="RAFTZMQ_SEM_{}",
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
    grace: Grace = GRACE_S,
) -> int:
    """Wait for permits, run COMMAND, give them back; the exit code is COMMAND's.

    As 'raftzmq client lock', also in its exit codes 3, 4, 126 and 127. COMMAND finds
    RAFTZMQ_SEMAPHORE_NAME and RAFTZMQ_SEMAPHORE_TOKEN.
    """
    waiting_s = run.settings.waiting_s()
    make = partial(run.client.semaphore, name, size or 0, permits, ttl=ttl, timeout=waiting_s)
    return hold(run, make, "SEMAPHORE", words or [], grace)


@commands.command(
    "wait",
    """
    raftzmq client sem wait api -n 3 --lease 12
    raftzmq client sem wait api -n 3 --ttl 600 -w json
    raftzmq client sem wait jobs --plain --timeout 60
    """,
)
def wait(
    run: ClientInvocation,
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
    if plain and (ttl is not None or lease is not None):
        raise InvalidRequest("--plain permits are taken for good: they need no --lease or --ttl")
    if not plain and (ttl is None) is (lease is None):
        raise InvalidRequest("give --lease, or --ttl for a new one, to hold the permits under")
    with ending_with_signals():
        try:
            if plain:
                _take(run, name, size, permits)
            else:
                _hold(run, name, size, permits, ttl, lease)
        except NotAcquired as error:
            raise NotInTime(str(error)) from None


@commands.command(
    "signal",
    """
    raftzmq client sem signal api --token 17
    raftzmq client sem signal jobs --plain --permits 2
    """,
)
def signal(
    run: ClientInvocation,
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
    if plain is (token is not None):
        raise InvalidRequest("give the --token that 'sem wait' has printed, or --plain")
    if token is None:
        count = run.client.signal(name, permits, timeout=run.timeout_s)
        run.show({"name": name, "free": count}, [f"{name} has {count} permits"])
        return
    if permits != 1:
        raise InvalidRequest("--permits goes with --plain: a token gives back all that it holds")
    run.client.release("semaphore", name, token, timeout=run.timeout_s)
    run.show({"name": name, "token": token}, [f"token {token} of {name} is given back"])


@commands.command("describe", "raftzmq client sem describe api -w json")
def describe(run: ClientInvocation, name: Name, plain: Plain = False) -> None:
    """Show who holds permits, and who waits in which order. Exit code 1 if it is not there."""
    queues.describe(run, "counter" if plain else "semaphore", name)


@commands.command("resize", "raftzmq client sem resize api 5")
def resize(
    run: ClientInvocation,
    name: Name,
    size: Annotated[
        int, typer.Argument(metavar="N", min=1, max=limits.PERMITS, help="Permits in all.")
    ],
) -> None:
    """Let a semaphore have N permits; it is made if there is none. Nobody's are taken away."""
    run.client.resize(name, size, timeout=run.timeout_s)
    run.show({"name": name, "capacity": size}, [f"semaphore {name} has {size} permits"])


@commands.command("forget", "raftzmq client sem forget api")
def forget(run: ClientInvocation, name: Name, plain: Plain = False) -> None:
    """Remove a semaphore. Refused, exit code 4, while somebody holds or waits."""
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
