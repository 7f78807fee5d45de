"""`raftzmq client sem wait | signal`: permits that are held beyond the end of a command."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from raftzmq.errors import InvalidRequest, LeaseExpired, NotAcquired, RaftzmqError
from raftzmq_cli.client.subprocess_runner import ending_with_signals
from raftzmq_cli.common.exits import NotInTime
from raftzmq_cli.common.invocation import Invocation

if TYPE_CHECKING:
    from raftzmq import Client

_KEEPS_IN_TTL = 3


def wait(
    run: Invocation,
    name: str,
    *,
    size: int | None,
    permits: int,
    ttl_s: float | None,
    lease: int | None,
    plain: bool,
) -> None:
    """Wait for permits and print the token. Raises NotInTime, and LeaseExpired."""
    if plain and (ttl_s is not None or lease is not None):
        raise InvalidRequest("--plain permits are taken for good: they need no --lease or --ttl")
    if not plain and (ttl_s is None) is (lease is None):
        raise InvalidRequest("give --lease, or --ttl for a new one, to hold the permits under")
    with ending_with_signals():
        try:
            if plain:
                _take(run, name, size, permits)
            else:
                _hold(run, name, size, permits, ttl_s, lease)
        except NotAcquired as error:
            raise NotInTime(str(error)) from None


def signal(run: Invocation, name: str, *, token: int | None, permits: int, plain: bool) -> None:
    """Give back what a token holds, or add permits to a plain semaphore. Raises NotHeld."""
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


def _take(run: Invocation, name: str, size: int | None, permits: int) -> None:
    semaphore = run.client.semaphore(
        name, size or 0, permits, plain=True, timeout=run.settings.waiting_s()
    )
    token = semaphore.wait()
    run.show({"name": name, "token": token, "permits": permits}, [f"token {token}"])


def _hold(
    run: Invocation,
    name: str,
    size: int | None,
    permits: int,
    ttl_s: float | None,
    lease: int | None,
) -> None:
    client, answer_s = run.client, run.settings.answer_s()
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
