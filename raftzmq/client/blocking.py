"""The blocking client: usable from any number of threads. How it waits is in blocking_shell.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Concatenate, ParamSpec, Self, TypeVar

from raftzmq.client.base import TTL_S, BaseClient
from raftzmq.client.blocking_claims import Election, Lock, PlainSemaphore, Semaphore
from raftzmq.client.blocking_groups import Barrier, Group, Member
from raftzmq.client.blocking_leases import Lease
from raftzmq.client.blocking_mirrors import Mirror
from raftzmq.client.blocking_shell import BlockingShell
from raftzmq.client.blocking_views import JsonView, Scan, Views
from raftzmq.client.handles import claim, snapshot, watch
from raftzmq.client.handles.notices import OnChange
from raftzmq.client.handles.rwlock import ReadWriteLock
from raftzmq.client.operations import cluster, keys, leases, queues, transactions
from raftzmq.client.operations.arguments import NodeRequest, Operation, milliseconds
from raftzmq.client.operations.machines import call_of
from raftzmq.client.results import Deleted, Event
from raftzmq.client.session.leases import HeldLease
from raftzmq.client.shell import OnLost, blocking, finish, run_steps
from raftzmq.client.signatures import present

if TYPE_CHECKING:
    from raftzmq.access.key_files import KeyPath
    from raftzmq.state_machine.definition import StateMachine

__all__ = [
    "Barrier",
    "Client",
    "Election",
    "Group",
    "JsonView",
    "Lease",
    "Lock",
    "Member",
    "Mirror",
    "PlainSemaphore",
    "ReadWriteLock",
    "Scan",
    "Semaphore",
    "Snapshot",
    "Watch",
]

T = TypeVar("T")
P = ParamSpec("P")
MachineT = TypeVar("MachineT", bound="StateMachine")
ClaimT = TypeVar("ClaimT", bound=claim.Claim)


class Watch(watch.Watch):
    """What happens to a key, or to all that begin with a prefix: every change, in order, each
    once, whatever happens to nodes meanwhile. Made by `Client.watch`.

    An iterator that waits for the next event, for one thread. Iterating opens it, as `with` does;
    `close` ends it, from another thread too, and so does the garbage collector when nobody has it
    any more. Raises WatchLost when events are missing: `start` is the first revision from which one
    can watch again; Denied once its user may not read all that it watches; Overloaded beyond 2,000
    watches of one client.

        with db.watch("greeting") as watch:
            db.put("greeting", "hello")
            for event in watch:
                print(event.revision, event.kind, event.value)
                break
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

        with db.snapshot() as snapshot, open(os.devnull, "wb") as file:
            file.writelines(snapshot)
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


class Client(BaseClient[Lock, Semaphore, PlainSemaphore, Election, Watch, Snapshot], Views):
    """A connection to a cluster. Opens sockets at the first call; `close` it, or use `with`.

    What the cluster answers by itself is waited for 5 seconds by default. What depends on others (a
    lock, permits, an election, the next event of a watch) is waited for however long it takes.
    `timeout` bounds either.

    Every call takes `timeout` in seconds, and raises InvalidRequest (nothing was sent), Refused
    (the cluster declined), Unavailable (nothing was done) or OutcomeUnknown (a write that may have
    been done, or be done yet). `fence` of a write is a lock, semaphore or election that is held, a
    name and a token, or several of these: it is refused (Fenced) unless all of them hold.

        with Client(timeout=2) as db:
            db.put("greeting", "hello")
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
    statuses = blocking(BaseClient._statuses)
    note_backup = blocking(BaseClient._note_backup)
    acquire = blocking(BaseClient._acquire)

    def lease(self, ttl: float = TTL_S, *, on_lost: OnLost = None, timeout: float = 5) -> Lease:
        """Grant a lease of `ttl` seconds and keep it alive in the background.
        For example:

            with db.lease(ttl=10) as lease:
                db.put("workers/7", "here", lease=lease)
        """
        state = HeldLease(milliseconds(ttl), timeout_s=timeout)
        lease = Lease(self._shell, state, on_lost)
        try:
            return finish(lease._open())
        except BaseException:  # an interrupt: nobody else knows of this one
            lease.close()
            raise

    def mirror(self, prefix: str, *, on_change: OnChange = None, timeout: float = 5) -> Mirror:
        """All keys that begin with `prefix`, as a mapping that follows the cluster; read within
        `timeout` seconds. `on_change` is called soon after changes, in a thread of its own: once
        for all that come meanwhile. Raises Overloaded if this client has too many watches.

            config = db.mirror("config/")
            print(config.get("color", "red"))
        """
        return finish(Mirror(self._shell, prefix, on_change, timeout)._enter())

    def group(self, name: str) -> Group:
        """A party of live members: `join` it with what others shall see, ask for its `members`,
        or follow them with `mirror`. Members are the keys that begin with NAME/.

            with db.group("workers").join("10.0.0.7:8000"):
                print(db.group("workers").members())
        """
        return Group(self._shell, name, self._timeout)

    def barrier(self, name: str, parties: int, *, ttl: float = TTL_S) -> Barrier:
        """Where `parties` wait for one another: `wait` returns once as many have arrived. One that
        dies before then has not arrived any more, `ttl` seconds later. It opens once: name each
        anew.

            db.barrier("start/7", parties=1).wait(timeout=60)
        """
        return Barrier(self._shell, name, parties, ttl, self._timeout)

    def call(
        self, method: Callable[Concatenate[MachineT, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Call a method of the cluster's state machine: one that is marked `@replicated`, which is
        done once like every write, or `@query`. Raises `Rejected` of raftzmq.state_machine if it
        declines, and `MethodFailed`.

            db.call(Counter.add, 5)
        """
        result: T = finish(self._shell.run(call_of(method, args, kwargs, self._timeout)))
        return result

    def close(self) -> None:
        """End the session, give up what is held, and close the sockets; calls in other threads
        fail. May be repeated.

            db = Client()
            db.get("greeting")
            db.close()
        """
        self._shell.close()

    def __enter__(self) -> Client:
        self._shell.check_open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
