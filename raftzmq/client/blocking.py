"""The blocking client: usable from any number of threads. How it waits is in blocking_shell.py."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import wraps
from typing import Concatenate, ParamSpec, Self, TypeVar

from raftzmq.access.key_files import KeyPath
from raftzmq.client.base import TTL_S, BaseClient
from raftzmq.client.blocking_shell import BlockingShell
from raftzmq.client.handles import claims, lease, snapshot, watch
from raftzmq.client.operations import cluster, keys, leases, queues, transactions
from raftzmq.client.operations.arguments import NodeRequest, Operation, milliseconds
from raftzmq.client.results import Deleted, Event, Leader
from raftzmq.client.session.leases import HeldLease
from raftzmq.client.shell import OnLost, blocking, finish, run_steps
from raftzmq.client.signatures import present
from raftzmq.errors import RaftzmqError

T = TypeVar("T")
P = ParamSpec("P")
ClaimT = TypeVar("ClaimT", bound=claims.Claim)


def _or_nothing(
    method: Callable[Concatenate[ClaimT, P], T],
) -> Callable[Concatenate[ClaimT, P], T]:
    """If the method raises, it has taken nothing: an interrupt may come when it was taken already,
    and then the caller has nothing to give back with."""

    @wraps(method)
    def taking(self: ClaimT, /, *args: P.args, **kwargs: P.kwargs) -> T:
        kept = tuple(self._places)
        try:
            return method(self, *args, **kwargs)
        except BaseException:
            self._acquiring.leave()
            self._give_up_all_but(kept)
            raise

    return taking


class Lease(lease.Lease):
    """A lease that is kept alive in the background until it is closed: use it with `with`, or
    `close` it. `lost` is set once it has ended: also when the cluster says so, or when the cluster
    did not confirm it within its time to live by this process's own clock; then `on_lost` is called
    too."""

    lost: threading.Event

    revoke = blocking(lease.Lease._revoke)

    def __enter__(self) -> Self:
        return self._enter()

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        """An interrupt may come before anybody has it, or before the first step of `__exit__`."""
        if self._is_forgotten() or (self._entered and not self.lost.is_set()):
            with suppress(RaftzmqError):
                self.close()


class _Claim(claims.Claim):
    lost: threading.Event
    _entered = False

    describe = blocking(claims.Claim._describe)

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        kept = tuple(self._places[:-1])
        try:
            self._exit(error)
        except BaseException:  # an interrupt, perhaps: the body is over all the same
            self._give_up_all_but(kept)
            raise

    def __del__(self) -> None:
        """An interrupt may come before the first step of `__exit__`."""
        if self._entered:
            with suppress(RaftzmqError):
                self._give_up_all_but(())


class Lock(_Claim, claims.Lock):
    """A lock: one holder at a time, in the order of asking. Made by `Client.lock`."""

    acquire = _or_nothing(blocking(claims.Lock._acquire))
    release = blocking(claims.Lock._release)

    @_or_nothing
    def __enter__(self) -> Self:
        self._entered = True
        return self.acquire()


class Election(_Claim, claims.Election):
    """An election: the first candidate in line leads until it resigns or its lease ends. Made by
    `Client.election`."""

    campaign = _or_nothing(blocking(claims.Election._campaign))
    resign = blocking(claims.Election._resign)
    leader = blocking(claims.Election._leader)

    def observe(self) -> Iterator[Leader | None]:
        """Who leads, and then each who leads after that; None when nobody does. Leaders of whom
        none was seen in between may be left out. Never ends by itself."""
        term = 0
        while True:
            seen = finish(self._leader_after(term))
            term = 0 if seen is None else seen.term
            yield seen

    @_or_nothing
    def __enter__(self) -> Self:
        self._entered = True
        self.campaign()
        return self


class Semaphore(_Claim, claims.Semaphore):
    """A semaphore, first come first served. Made by `Client.semaphore`."""

    wait = _or_nothing(blocking(claims.Semaphore._wait))
    signal = blocking(claims.Semaphore._signal)
    resize = blocking(claims.Semaphore._resize)

    @_or_nothing
    def __enter__(self) -> Self:
        self._entered = True
        self.wait()
        return self


class PlainSemaphore(_Claim, claims.PlainSemaphore):
    """A plain counting semaphore: waiting takes permits for good, and anybody may add some. Made
    by `Client.semaphore` with `plain=True`."""

    wait = _or_nothing(blocking(claims.PlainSemaphore._wait))
    signal = blocking(claims.PlainSemaphore._signal)


class Watch(watch.Watch):
    """What happens to a key, or to all that begin with a prefix: every change, in order, each
    once, whatever happens to nodes meanwhile. Made by `Client.watch`.

    An iterator that waits for the next event, for one thread. Iterating opens it, as `with` does;
    `close` ends it, from another thread too, and so does the garbage collector when nobody has it
    any more. Raises WatchLost when events are missing: `start` is the first revision from which one
    can watch again; Denied once its user may not read all that it watches; Overloaded beyond 2,000
    watches of one client.
    """

    open = blocking(watch.Watch._open)
    next = blocking(watch.Watch._next)
    batch = blocking(watch.Watch._batch)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        event = self.next()
        if event is None:
            raise StopIteration
        return event

    def __enter__(self) -> Self:
        return finish(self._enter())

    def __exit__(self, *_: object) -> None:
        self.close()


class Snapshot(snapshot.Snapshot):
    """The whole state of the cluster at one revision, no older than the newest write that was
    answered before: keys, leases, queues, sessions, and the membership as information. Made by
    `Client.snapshot`. An iterator of the bytes of a file that `raftzmq snapshot` reads.

    It comes from one node, a follower if there is one. `with` begins it, and so does iterating.
    Raises Denied for who is no admin, Refused where the nodes are too old, Overloaded if too many
    snapshots are under way, Unavailable also when the node goes in the middle: take another then.
    """

    open = blocking(snapshot.Snapshot._open)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        piece = finish(self._next())
        if piece is None:
            raise StopIteration
        return piece

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is to be given back: the node forgets."""


def call(asks: Callable[P, Operation[T] | NodeRequest[T]]) -> Callable[Concatenate[Client, P], T]:
    """A method of the client that is one call."""

    def method(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> T:
        if self._timeout is not None and "timeout" not in kwargs:
            kwargs["timeout"] = self._timeout
        return finish(self._shell.run(asks(*args, **kwargs)))

    present(method, asks, "Client")
    return method


def deletion(asks: Callable[P, Operation[Deleted]]) -> Callable[Concatenate[Client, P], Deleted]:
    """A method of the client that makes as many calls as a deletion has steps."""

    def method(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> Deleted:
        if self._timeout is not None and "timeout" not in kwargs:
            kwargs["timeout"] = self._timeout
        return finish(run_steps(self._shell, asks(*args, **kwargs)))

    present(method, asks, "Client")
    return method


class Client(BaseClient[Lock, Semaphore, PlainSemaphore, Election, Watch, Snapshot]):
    """A connection to a cluster. Opens sockets at the first call; `close` it, or use `with`.

    What the cluster answers by itself is waited for 5 seconds by default. What depends on others (a
    lock, permits, an election, the next event of a watch) is waited for however long it takes.
    `timeout` bounds either.

    Every call takes `timeout` in seconds, and raises InvalidRequest (nothing was sent), Refused
    (the cluster declined), Unavailable (nothing was done) or OutcomeUnknown (a write that may have
    been done, or be done yet). `fence` of a write is a lock, semaphore or election that is held, a
    name and a token, or several of these: it is refused (Fenced) unless all of them hold.
    """

    _shell: BlockingShell
    _lock = Lock
    _semaphore = Semaphore
    _plain_semaphore = PlainSemaphore
    _election = Election
    _watch = Watch
    _snapshot = Snapshot

    def __init__(
        self,
        endpoints: Sequence[str] | str | None = None,
        *,
        key: KeyPath = None,
        timeout: float | None = None,
        tracing: bool = False,
    ) -> None:
        """`endpoints`: HOST:PORT of the nodes' client ports, in a list or separated by commas; by
        default those of RAFTZMQ_ENDPOINTS, in a pod else those of the Service, and else those of
        the local cluster. `key`: the file NAME.key of a user, for nodes that run with keys; with
        it, only they are spoken to. It may come from RAFTZMQ_KEY where endpoints are not given
        either. `timeout`: seconds that each call of this client takes at most where the call itself
        names none, in place of 5; not what a lock, lease, watch or snapshot asks afterwards.
        `tracing`: each call is a span of
        OpenTelemetry, with the extra raftzmq[otel]. Raises InvalidRequest without that, and for a
        file that is none, or that others can read. Calls raise Unauthorized where no endpoint lets
        this client in."""
        found = self._find(endpoints, key, timeout)
        if tracing:
            from raftzmq.client.otel import TracedBlockingShell

            self._shell = TracedBlockingShell(*found)
        else:
            self._shell = BlockingShell(*found)

    # Below `leases` and `queues`, these names are the methods.
    put = call(keys.put)
    get = call(keys.get)
    delete = call(keys.delete)
    delete_prefix = deletion(keys.delete_prefix)
    cas = call(keys.cas)
    put_if_absent = call(keys.put_if_absent)
    count = call(keys.count)
    range = call(keys.range_)
    prefix = call(keys.prefix)
    keys = call(keys.keys_)
    txn = call(transactions.txn)
    status = call(cluster.status)
    stop = call(cluster.stop)
    log_level = call(cluster.log_level)
    transfer = call(cluster.transfer)
    member_add = call(cluster.member_add)
    member_promote = call(cluster.member_promote)
    member_remove = call(cluster.member_remove)
    upgrade_finish = call(cluster.upgrade_finish)
    upgrade_downgrade = call(cluster.upgrade_downgrade)
    lease_grant = call(leases.lease_grant)
    lease_keep = call(leases.lease_keep)
    lease_revoke = call(leases.lease_revoke)
    lease_info = call(leases.lease_info)
    leases = call(leases.leases)
    release = call(queues.release)
    signal = call(queues.signal)
    resize = call(queues.resize)
    forget = call(queues.forget)
    describe = call(queues.describe)
    queues = call(queues.queues)
    statuses = blocking(BaseClient._statuses)
    note_backup = blocking(BaseClient._note_backup)
    acquire = blocking(BaseClient._acquire)

    def lease(self, ttl: float = TTL_S, *, on_lost: OnLost = None, timeout: float = 5) -> Lease:
        """Grant a lease of `ttl` seconds and keep it alive in the background."""
        state = HeldLease(milliseconds(ttl), timeout_s=timeout)
        lease = Lease(self._shell, state, on_lost)
        try:
            return finish(lease._open())
        except BaseException:  # an interrupt: nobody else knows of this one
            lease.close()
            raise

    def close(self) -> None:
        """End the session, give up what is held, and close the sockets; calls in other threads
        fail. May be repeated."""
        self._shell.close()

    def __enter__(self) -> Client:
        self._shell.check_open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
