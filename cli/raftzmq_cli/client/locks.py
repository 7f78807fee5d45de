"""`raftzmq client lock | elect | sem run`: hold something while COMMAND runs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from raftzmq.errors import (
    InvalidRequest,
    LeaseExpired,
    NotAcquired,
    NotHeld,
    RaftzmqError,
)
from raftzmq_cli.client.subprocess_runner import LOST, Ended, News, ending_with_signals, run_command
from raftzmq_cli.common import exits
from raftzmq_cli.common.exits import NotInTime
from raftzmq_cli.common.invocation import Invocation
from raftzmq_cli.common.settings import TIMEOUT_S

if TYPE_CHECKING:
    from raftzmq.client.blocking import Election, Lock, Semaphore

    Held = Lock | Election | Semaphore

GRACE_S: Final = 5.0


def lock(run: Invocation, name: str, words: Sequence[str], *, ttl_s: float, grace_s: float) -> int:
    """Hold a lock while COMMAND runs; return its exit code. Raises as `hold`."""
    make = partial(run.client.lock, name, ttl=ttl_s, timeout=run.settings.waiting_s())
    return hold(run, make, "LOCK", words, grace_s)


def semaphore(
    run: Invocation,
    name: str,
    words: Sequence[str],
    *,
    size: int | None,
    permits: int,
    ttl_s: float,
    grace_s: float,
) -> int:
    """Hold permits of a semaphore while COMMAND runs; return its exit code. Raises as `hold`."""
    waiting_s = run.settings.waiting_s()
    make = partial(run.client.semaphore, name, size or 0, permits, ttl=ttl_s, timeout=waiting_s)
    return hold(run, make, "SEMAPHORE", words, grace_s)


def elect(
    run: Invocation,
    name: str,
    words: Sequence[str],
    *,
    value: str,
    ttl_s: float,
    grace_s: float,
) -> int:
    """Lead while COMMAND runs; return its exit code. Raises as `hold`."""
    waiting_s = run.settings.waiting_s()
    make = partial(run.client.election, name, value, ttl=ttl_s, timeout=waiting_s)
    return hold(run, make, "ELECTION", words, grace_s)


def hold(
    run: Invocation,
    make: Callable[..., Held],
    prefix: str,
    words: Sequence[str],
    grace_s: float,
) -> int:
    """Acquire what `make` makes, run COMMAND, give it back; return COMMAND's exit code.

    COMMAND finds name and token in RAFTZMQ_<prefix>_NAME and _TOKEN. Raises NotInTime if it is not
    to be had in time, LeaseExpired if it was lost while COMMAND ran, which then has ended too.
    """
    if not words:
        raise InvalidRequest("give a COMMAND to run, after --, such as: -- sh -c 'sleep 10'")
    if not 0 <= grace_s <= 86_400:
        raise InvalidRequest(f"--grace must be a number of seconds from 0 on, not {grace_s:g}")
    news = News()
    held = make(on_lost=partial(news.put, LOST))
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
                words, variables, news, grace_s=grace_s, stdin=stdin_of_command(run)
            )
        except BaseException:
            with suppress(RaftzmqError):
                _give_back(held, wait=False)
            raise
        return _after(run, held, ended)


def stdin_of_command(run: Invocation) -> int | None:
    """Standard input is COMMAND's, but not the lines of a shell that reads them from a pipe."""
    return subprocess.DEVNULL if run.in_shell and not sys.stdin.isatty() else None


def _after(run: Invocation, held: Held, ended: Ended) -> int:
    try:
        if ended.lost:
            held.check()
        _give_back(held, timeout_s=run.settings.answer_s())
    except (LeaseExpired, NotHeld) as error:
        fate = "ended" if ended.lost else "had ended by itself"
        raise LeaseExpired(
            f"{held.kind} {held.name!r} was lost while COMMAND ran, which {fate} with exit code "
            f"{ended.code}: {error}"
        ) from None
    except RaftzmqError as error:
        exits.say(
            f"raftzmq: {held.kind} {held.name!r} is not given back yet, and will be at the latest "
            f"when its time to live ends: {error}"
        )
    return ended.code


def _give_back(held: Held, *, wait: bool = True, timeout_s: float = TIMEOUT_S) -> None:
    give = {"lock": "release", "election": "resign", "semaphore": "signal"}[held.kind]
    getattr(held, give)(wait=wait, timeout=timeout_s)
