"""The asyncio client: the same names and results as the blocking one, and no threads. How it waits
is in aio_shell.py."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Self, TypeVar

from raftzmq.client.aio_claims import Election, Lock, PlainSemaphore, Semaphore
from raftzmq.client.aio_groups import Barrier, Group, Member
from raftzmq.client.aio_leases import Lease
from raftzmq.client.aio_mirrors import Mirror
from raftzmq.client.aio_shell import AsyncShell
from raftzmq.client.aio_views import JsonView, Scan, Views
from raftzmq.client.base import TTL_S, BaseClient
from raftzmq.client.handles import snapshot, watch
from raftzmq.client.handles.notices import OnChange
from raftzmq.client.operations import cluster, keys, leases, queues, transactions
from raftzmq.client.operations.arguments import NodeRequest, Operation, milliseconds
from raftzmq.client.operations.machines import call_of
from raftzmq.client.results import Deleted, Event
from raftzmq.client.session.leases import HeldLease
from raftzmq.client.shell import OnLost, run_steps
from raftzmq.client.signatures import present

if TYPE_CHECKING:
    from raftzmq.access.key_files import KeyPath
    from raftzmq.state_machine.definition import StateMachine

__all__ = [
    "AsyncClient",
    "Barrier",
    "Election",
    "Group",
    "JsonView",
    "Lease",
    "Lock",
    "Member",
    "Mirror",
    "PlainSemaphore",
    "Scan",
    "Semaphore",
    "Snapshot",
    "Watch",
]

T = TypeVar("T")
P = ParamSpec("P")
MachineT = TypeVar("MachineT", bound="StateMachine")


class Watch(watch.Watch):
    """What happens to a key, or to all that begin with a prefix: every change, in order, each
    once, whatever happens to nodes meanwhile. Made by `AsyncClient.watch`.

    An asynchronous iterator that waits for the next event, for one task. Iterating opens it, as
    `async with` does; `close` ends it, from another task too, and so does the garbage collector
    when nobody has it any more. Raises WatchLost when events are missing: `start` is the first
    revision from which one can watch again; Denied once its user may not read all that it watches;
    Overloaded beyond 2,000 watches of one client.
    """

    open = watch.Watch._open
    next = watch.Watch._next
    batch = watch.Watch._batch

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        event = await self.next()
        if event is None:
            raise StopAsyncIteration
        return event

    async def __aenter__(self) -> Self:
        return await self._enter()

    async def __aexit__(self, *_: object) -> None:
        self.close()


class Snapshot(snapshot.Snapshot):
    """The whole state of the cluster at one revision, no older than the newest write that was
    answered before: keys, leases, queues, sessions, and the membership as information. Made by
    `AsyncClient.snapshot`. An asynchronous iterator of the bytes of a file that `raftzmq snapshot`
    reads.

    It comes from one node, a follower if there is one. `async with` begins it, and so does
    iterating. Raises Denied for who is no admin, Refused where the nodes are too old, Overloaded if
    too many snapshots are under way, Unavailable also when the node goes in the middle: take
    another then.
    """

    open = snapshot.Snapshot._open

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        piece = await self._next()
        if piece is None:
            raise StopAsyncIteration
        return piece

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing is to be given back: the node forgets."""


def call(
    asks: Callable[P, Operation[T] | NodeRequest[T]],
) -> Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, T]]:
    """A method of the client that is one call."""

    # A hot path: AsyncShell.run is written out here, because a second coroutine would cost each
    # call its microsecond.
    async def method(self: AsyncClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        if self._timeout is not None and "timeout" not in kwargs:
            kwargs["timeout"] = self._timeout
        shell = self._shell
        call = shell.submit(asks(*args, **kwargs))
        try:
            await call.waiter
        except BaseException:
            shell.cancel(call)
            raise
        result: T = call.result()
        return result

    present(method, asks, "AsyncClient")
    return method


def deletion(
    asks: Callable[P, Operation[Deleted]],
) -> Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, Deleted]]:
    """A method of the client that makes as many calls as a deletion has steps."""

    async def method(self: AsyncClient, /, *args: P.args, **kwargs: P.kwargs) -> Deleted:
        if self._timeout is not None and "timeout" not in kwargs:
            kwargs["timeout"] = self._timeout
        return await run_steps(self._shell, asks(*args, **kwargs))

    present(method, asks, "AsyncClient")
    return method


class AsyncClient(BaseClient[Lock, Semaphore, PlainSemaphore, Election, Watch, Snapshot], Views):
    """A connection to a cluster, for one event loop: that of the first call. `await close()` it,
    or use `async with`.

    What the cluster answers by itself is waited for 5 seconds by default. What depends on others (a
    lock, permits, an election, the next event of a watch) is waited for however long it takes.
    `timeout` bounds either.

    Every call takes `timeout` in seconds, and raises InvalidRequest (nothing was sent), Refused
    (the cluster declined), Unavailable (nothing was done) or OutcomeUnknown (a write that may have
    been done, or be done yet). A call whose task is cancelled may have been done too. `fence` of a
    write is a lock, semaphore or election that is held, a name and a token, or several of these: it
    is refused (Fenced) unless all of them hold.

        async def greet() -> None:
            async with AsyncClient(timeout=2) as db:
                await db.put("greeting", "hello")

        asyncio.run(greet())
    """

    _shell: AsyncShell
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
            from raftzmq.client.otel import TracedAsyncShell

            self._shell = TracedAsyncShell(*found)
        else:
            self._shell = AsyncShell(*found)

    # Below `leases` and `queues`, these names are the methods.
    put = call(keys.put)
    get = call(keys.get)
    delete = call(keys.delete)
    delete_prefix = deletion(keys.delete_prefix)
    cas = call(keys.cas)
    put_if_absent = call(keys.put_if_absent)
    incr = call(keys.incr)
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
    statuses = BaseClient._statuses
    note_backup = BaseClient._note_backup
    acquire = BaseClient._acquire

    def lease(self, ttl: float = TTL_S, *, on_lost: OnLost = None, timeout: float = 5) -> Lease:
        """A lease of `ttl` seconds that is kept alive in the background: granted by `async with`,
        or by awaiting it, within `timeout` seconds.

            async with db.lease(ttl=10) as lease:
                await db.put("workers/7", "here", lease=lease)
        """
        state = HeldLease(milliseconds(ttl), timeout_s=timeout)
        return Lease(self._shell, state, on_lost)

    def mirror(self, prefix: str, *, on_change: OnChange = None, timeout: float = 5) -> Mirror:
        """All keys that begin with `prefix`, as a mapping that follows the cluster: read within
        `timeout` seconds by `async with`, or by awaiting it. `on_change` is called soon after
        changes, in the event loop, and may be a coroutine function: once for all that come
        meanwhile. Raises Overloaded if this client has too many watches."""
        return Mirror(self._shell, prefix, on_change, timeout)

    def group(self, name: str) -> Group:
        """A party of live members: `join` it with what others shall see, ask for its `members`,
        or follow them with `mirror`. Members are the keys that begin with NAME/.

            async with db.group("workers").join("10.0.0.7:8000"):
                print(await db.group("workers").members())
        """
        return Group(self._shell, name, self._timeout)

    def barrier(self, name: str, parties: int, *, ttl: float = TTL_S) -> Barrier:
        """Where `parties` wait for one another: `wait` returns once as many have arrived. One that
        dies before then has not arrived any more, `ttl` seconds later. It opens once: name each
        anew.

            await db.barrier("start/7", parties=1).wait(timeout=60)
        """
        return Barrier(self._shell, name, parties, ttl, self._timeout)

    async def call(
        self, method: Callable[Concatenate[MachineT, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Call a method of the cluster's state machine: one that is marked `@replicated`, which is
        done once like every write, or `@query`. Raises `Rejected` of raftzmq.state_machine if it
        declines, and `MethodFailed`.

            await db.call(Counter.add, 5)
        """
        result: T = await self._shell.run(call_of(method, args, kwargs, self._timeout))
        return result

    async def close(self) -> None:
        """End the session, give up what is held, and close the sockets; calls in other tasks
        fail. May be repeated."""
        await self._shell.close()

    async def __aenter__(self) -> AsyncClient:
        self._shell.check_open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
