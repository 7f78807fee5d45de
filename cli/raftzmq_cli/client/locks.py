"""`raftzmq client lock`, and how lock, election and semaphore are held while COMMAND runs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from raftzmq.errors import (
    InvalidRequest,
    LeaseExpired,
    NotAcquired,
    NotHeld,
    RaftzmqError,
)
from raftzmq_cli.client import queues
from raftzmq_cli.client.invocation import SHARED, ClientInvocation
from raftzmq_cli.client.options import Grace, Owner, Ttl, Words, without_command
from raftzmq_cli.client.subprocess_runner import (
    GRACE_S,
    LOST,
    Ended,
    News,
    ending_with_signals,
    refuse_nul,
    run_command,
)
from raftzmq_cli.common import exits, messages
from raftzmq_cli.common.commands import Commands
from raftzmq_cli.common.escaping import quoted
from raftzmq_cli.common.exits import NotInTime
from raftzmq_cli.common.settings import TIMEOUT_S
from raftzmq_cli.common.values import is_text

if TYPE_CHECKING:
    from raftzmq.client.blocking import Election, Lock, Semaphore

    Held = Lock | Election | Semaphore

commands = Commands(shared=SHARED)


@commands.command(
    "lock",
    """
    raftzmq client lock nightly -- ./report.sh
    raftzmq client lock nightly --timeout 0 -- ./report.sh    (only if it is free)
    raftzmq client lock deploy --ttl 30 --grace 10 -- sh -c 'make && make install'
    raftzmq client lock nightly --owner 'report of 3 May' -- ./report.sh
    raftzmq client lock nightly --describe
    """,
)
def lock(
    run: ClientInvocation,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="The lock's name.", callback=is_text("name"))
    ],
    words: Words = None,
    *,
    ttl: Ttl = 10.0,
    grace: Grace = None,
    owner: Owner = None,
    describe: Annotated[
        bool, typer.Option("--describe", help="Show who holds the lock and who waits; run nothing.")
    ] = False,
) -> int:
    """Acquire a lock, run COMMAND while holding it, release it. Exits with COMMAND's exit code.

    Waits without limit, or for --timeout seconds (0: only if it is free). COMMAND gets
    RAFTZMQ_LOCK_NAME and RAFTZMQ_LOCK_TOKEN in its environment, for --fence of put, delete and
    txn. It is stopped if the lock is lost. Exit codes: 3 not acquired in time, or no cluster; 4 the
    lock was lost; 126 and 127 COMMAND cannot be run; 128 and more COMMAND was ended by a signal.
    """
    if describe:
        without_command(words)
        queues.describe(run, "lock", name)
        return exits.DONE
    waiting_s = run.settings.waiting_s()
    make = partial(run.client.lock, name, ttl=ttl, timeout=waiting_s, owner=owner)
    return hold(run, make, "LOCK", words or [], ttl, grace)


def hold(
    run: ClientInvocation,
    make: Callable[..., Held],
    prefix: str,
    words: Sequence[str],
    ttl_s: float,
    grace_s: float | None,
) -> int:
    """Acquire what `make` makes, run COMMAND, give it back; return COMMAND's exit code.

    COMMAND finds name and token in RAFTZMQ_<prefix>_NAME and _TOKEN. Raises NotInTime if it is not
    to be had in time, LeaseExpired if it was lost while COMMAND ran, which then has ended too.
    """
    if not words and run.in_shell and sys.stdin.isatty():
        return _hold_until_interrupt(run, make)
    if not words:
        raise InvalidRequest("give a COMMAND to run, after --, such as: -- sh -c 'sleep 10'")
    grace_s = grace_within(ttl_s, grace_s)
    news = News()
    held = make(on_lost=partial(news.put, LOST))
    refuse_nul([held.name, *words])
    with ending_with_signals():
        try:
            held.__enter__()
        except NotAcquired as error:
            raise NotInTime(f"{error}: COMMAND was not run") from None
        try:
            variables = {
                f"RAFTZMQ_{prefix}_NAME": held.name,
                f"RAFTZMQ_{prefix}_TOKEN": str(held.token),
            }
            ended = run_command(
                words,
                variables,
                news,
                grace_s=grace_s,
                remaining_s=lambda: held.remaining,
                stdin=stdin_of_command(run),
            )
        except BaseException:
            with suppress(RaftzmqError):
                _give_back(held, wait=False)
            raise
        return _after(run, held, ended)


def grace_within(ttl_s: float, grace_s: float | None) -> float:
    """The grace that leaves COMMAND time to end before the time to live does, and what is held time
    to be kept alive before that: a client does so at each third of it. Raises InvalidRequest."""
    if grace_s is None:
        return min(GRACE_S, ttl_s / 3)
    if not 0 <= grace_s <= ttl_s / 2:
        raise InvalidRequest(
            f"--grace must be a number of seconds from 0 to half of --ttl, here {ttl_s / 2:g}, so "
            f"that COMMAND has ended before the next holder begins; not {grace_s:g}"
        )
    return grace_s


def _hold_until_interrupt(run: ClientInvocation, make: Callable[..., Held]) -> int:
    """Hold it in the shell until Ctrl-C. Raises NotInTime, LeaseExpired."""
    held = make()
    try:
        held.__enter__()
    except NotAcquired as error:
        raise NotInTime(str(error)) from None
    try:
        messages.line(f"{_named(held)} is held, token {held.token}; Ctrl-C gives it back")
        held.lost.wait()
        held.check()
    except KeyboardInterrupt:
        messages.line("")
        _give_back(held, timeout_s=run.settings.answer_s())
        return exits.DONE
    except BaseException:
        with suppress(RaftzmqError):
            _give_back(held, wait=False)
        raise
    raise LeaseExpired(f"{_named(held)} was lost while held")


def stdin_of_command(run: ClientInvocation) -> int | None:
    """Standard input is COMMAND's, but not the lines of a shell that reads them from a pipe."""
    return subprocess.DEVNULL if run.in_shell and not sys.stdin.isatty() else None


def _after(run: ClientInvocation, held: Held, ended: Ended) -> int:
    try:
        if ended.lost:
            held.check()
        _give_back(held, timeout_s=run.settings.answer_s())
    except (LeaseExpired, NotHeld) as error:
        fate = "ended" if ended.lost else "had already ended"
        raise LeaseExpired(
            f"{_named(held)} was lost while COMMAND ran, which {fate} with exit code "
            f"{ended.code}: {error}"
        ) from None
    except RaftzmqError as error:
        messages.say(
            f"raftzmq: {_named(held)} is not released yet, and will be when its time to "
            f"live ends at the latest: {error}"
        )
    if ended.lost:
        raise LeaseExpired(
            f"{_named(held)} was lost while COMMAND ran, which ended with exit code "
            f"{ended.code}: the cluster had not confirmed it for so long that only --grace was left"
        )
    return ended.code


def _named(held: Held) -> str:
    return f"{held.kind} {quoted(held.name)}"


def _give_back(held: Held, *, wait: bool = True, timeout_s: float = TIMEOUT_S) -> None:
    give = {"lock": "release", "election": "resign", "semaphore": "signal"}[held.kind]
    getattr(held, give)(wait=wait, timeout=timeout_s)
