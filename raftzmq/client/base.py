"""What both clients have in common besides the methods that are one call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TypeVar, overload

from raftzmq.client import discovery
from raftzmq.client.handles.claims import Election, Lock, PlainSemaphore, Semaphore
from raftzmq.client.handles.lease import held_lease
from raftzmq.client.handles.rwlock import READERS, ReadWriteLock
from raftzmq.client.handles.snapshot import Snapshot
from raftzmq.client.handles.watch import Watch
from raftzmq.client.leased import AnyLease
from raftzmq.client.operations import cluster, snapshots
from raftzmq.client.operations.arguments import call_ms, timeout_ms
from raftzmq.client.owner import this_process
from raftzmq.client.results import NodeStatus
from raftzmq.client.session.acquisition import Acquisition
from raftzmq.client.session.calls import Call
from raftzmq.client.session.subscriptions import Subscription
from raftzmq.client.shell import OnLost, Shell
from raftzmq.errors import RaftzmqError, Unauthorized

if TYPE_CHECKING:
    from raftzmq.access.key_files import ClientKeyFile, KeyPath

TTL_S: Final = 10.0

LockT = TypeVar("LockT", bound=Lock)
SemaphoreT = TypeVar("SemaphoreT", bound=Semaphore)
PlainT = TypeVar("PlainT", bound=PlainSemaphore)
ElectionT = TypeVar("ElectionT", bound=Election)
WatchT = TypeVar("WatchT", bound=Watch)
SnapshotT = TypeVar("SnapshotT", bound=Snapshot)


class BaseClient(Generic[LockT, SemaphoreT, PlainT, ElectionT, WatchT, SnapshotT]):
    """A client whose locks, semaphores, plain ones, elections, watches and snapshots are of these
    kinds.

    What is held needs a lease. Without `lease` it is the client's own, one for each `ttl`: granted
    when first needed, kept alive in the background, ended soon after nothing needs it any more.
    Without `timeout` one waits for others however long it takes; 0: only what is free at once.
    """

    endpoints: tuple[str, ...]
    _timeout: float | None
    """Seconds that a call takes which names none; None: what its operation says."""
    _shell: Shell
    _lock: type[LockT]
    _semaphore: type[SemaphoreT]
    _plain_semaphore: type[PlainT]
    _election: type[ElectionT]
    _watch: type[WatchT]
    _snapshot: type[SnapshotT]

    def _find(
        self, endpoints: Sequence[str] | str | None, key: KeyPath, timeout: float | None
    ) -> tuple[tuple[str, ...], ClientKeyFile | None, str]:
        """Note where the cluster is and how long calls may take; return what a shell is made with:
        endpoints, key file, and where the endpoints come from. Raises InvalidRequest."""
        if timeout is not None:
            call_ms(timeout)  # what is wrong with it, the caller learns now
        self._timeout = timeout
        place = discovery.find(endpoints)
        self.endpoints = place.endpoints
        key = place.key if key is None else key
        return place.endpoints, _key_file(key), place.guess

    def lock(
        self,
        name: str,
        *,
        ttl: float = TTL_S,
        lease: AnyLease | None = None,
        timeout: float | None = None,
        on_lost: OnLost = None,
        owner: str | None = None,
        cancel_on_loss: bool = False,
    ) -> LockT:
        """A lock, to be held with `with` or `acquire`, within `timeout` seconds (0: at once;
        None: however long it takes). If this process dies, it is free `ttl` seconds later. `owner`
        is what `describe` shows of this claimant; None: the host and the number of this process.
        `cancel_on_loss`, of AsyncClient: the body of the `async with` is cancelled when the lock is
        lost, which then raises LeaseExpired.

        It is a decorator too:

            @db.lock("report-{day}")
            def report(day: str) -> None: ...
        """
        return self._lock(
            self._shell,
            name,
            ttl=ttl,
            lease=lease,
            timeout=timeout,
            on_lost=on_lost,
            value=this_process() if owner is None else owner,
            cancel_on_loss=cancel_on_loss,
        )

    @overload
    def semaphore(
        self,
        name: str,
        permits: int = 0,
        count: int = 1,
        *,
        plain: Literal[False] = False,
        ttl: float = TTL_S,
        lease: AnyLease | None = None,
        timeout: float | None = None,
        on_lost: OnLost = None,
        owner: str | None = None,
        cancel_on_loss: bool = False,
    ) -> SemaphoreT: ...

    @overload
    def semaphore(
        self,
        name: str,
        permits: int = 0,
        count: int = 1,
        *,
        plain: Literal[True],
        ttl: float = TTL_S,
        lease: AnyLease | None = None,
        timeout: float | None = None,
        on_lost: OnLost = None,
        owner: str | None = None,
        cancel_on_loss: bool = False,
    ) -> PlainT: ...

    def semaphore(
        self,
        name: str,
        permits: int = 0,
        count: int = 1,
        *,
        plain: bool = False,
        ttl: float = TTL_S,
        lease: AnyLease | None = None,
        timeout: float | None = None,
        on_lost: OnLost = None,
        owner: str | None = None,
        cancel_on_loss: bool = False,
    ) -> SemaphoreT | PlainT:
        """A semaphore of which `count` permits are held with `with` or `wait`. It is created with
        `permits` if there is none; 0: it must be there, or NotFound is raised. `plain`: one of the
        counting kind, whose permits are taken for good, and which anybody may signal. `owner` is
        what `describe` shows of this claimant; None: the host and the number of this process.
        `cancel_on_loss`: see `lock`.

            with db.semaphore("api", permits=3):
                print("one of three")
        """
        make: type[SemaphoreT | PlainT] = self._plain_semaphore if plain else self._semaphore
        return make(
            self._shell,
            name,
            ttl=ttl,
            lease=lease,
            timeout=timeout,
            on_lost=on_lost,
            permits=count,
            capacity=permits,
            value=this_process() if owner is None else owner,
            cancel_on_loss=cancel_on_loss,
        )

    def rwlock(
        self,
        name: str,
        *,
        ttl: float = TTL_S,
        lease: AnyLease | None = None,
        timeout: float | None = None,
        on_lost: OnLost = None,
        owner: str | None = None,
        cancel_on_loss: bool = False,
    ) -> ReadWriteLock[SemaphoreT]:
        """A read/write lock, with the options of `lock`: `read()` and `write()` make claims, to be
        held with `with`. It is the semaphore of that name, of READERS permits.

            with db.rwlock("catalog").read():
                print(db.get("catalog/1"))
        """
        options: dict[str, Any] = {
            "ttl": ttl,
            "lease": lease,
            "timeout": timeout,
            "on_lost": on_lost,
            "owner": owner,
            "cancel_on_loss": cancel_on_loss,
        }

        def claim_to(count: int) -> SemaphoreT:
            claim: SemaphoreT = self.semaphore(name, READERS, count, **options)
            return claim

        claim_to(1)  # what is wrong with it, the caller learns now
        return ReadWriteLock(claim_to)

    def election(
        self,
        name: str,
        value: str | None = None,
        *,
        ttl: float = TTL_S,
        lease: AnyLease | None = None,
        timeout: float | None = None,
        on_lost: OnLost = None,
        cancel_on_loss: bool = False,
    ) -> ElectionT:
        """An election, to campaign in with `with` or `campaign`, or to observe. `value` is what
        others see of this candidate: its address, for instance. `cancel_on_loss`: see `lock`.

            with db.election("chief", value="10.0.0.7") as won:
                print("leading in term", won.term)
        """
        return self._election(
            self._shell,
            name,
            ttl=ttl,
            lease=lease,
            timeout=timeout,
            on_lost=on_lost,
            value=value,
            cancel_on_loss=cancel_on_loss,
        )

    def watch(
        self,
        key: str | None = None,
        *,
        prefix: str | None = None,
        start: int | None = None,
        previous: bool = False,
    ) -> WatchT:
        """Watch a key, or all that begin with `prefix`, from the revision `start` on (None: from
        now on), with the values before if `previous`.

            with db.watch(prefix="config/") as watch:
                db.put("config/limits", "4")
                print(watch.next())
        """
        return self._watch(self._shell, Subscription(key, prefix, start, previous))

    def snapshot(
        self, *, endpoint: str | None = None, stale: bool = False, timeout: float = 5
    ) -> SnapshotT:
        """Everything in the cluster at one moment, as the bytes of a file that `raftzmq snapshot
        restore` makes a cluster of. They come from the node at `endpoint`; None: from a follower,
        if there is one. With `stale` the state is what that node has applied so far, and no other
        is asked. Each piece is waited for `timeout` seconds.

            with db.snapshot() as snapshot, open("backup", "wb") as file:
                file.writelines(snapshot)
        """
        return self._snapshot(self._shell, self._statuses, endpoint, timeout, stale=stale)

    async def _note_backup(self, revision: int, time_s: int) -> int:
        """Tell each endpoint of a good backup, taken so many seconds after 1970: their status and
        metrics have the newest. Returns how many took note. It takes an admin.

            with db.snapshot() as snapshot, open(os.devnull, "wb") as file:
                file.writelines(snapshot)
            db.note_backup(snapshot.revision, int(time.time()))
        """
        works = [snapshots.note(endpoint, revision, time_s) for endpoint in self.endpoints]
        return sum(call.error is None for call in await self._shell.run_all(works))

    async def _statuses(
        self, endpoints: Sequence[str] | None = None, *, timeout: float = 1
    ) -> list[NodeStatus]:
        """The status of each endpoint, asked all at once, or why there is none.
        For example:

            for node in db.statuses():
                print(node.endpoint, node.error or node.status)
        """
        asked = self.endpoints if endpoints is None else list(endpoints)
        works = [cluster.status(endpoint, timeout=timeout) for endpoint in asked]
        calls = await self._shell.run_all(works)
        return [_node_status(e, call) for e, call in zip(asked, calls, strict=True)]

    async def _acquire(
        self,
        kind: str,
        name: str,
        lease: AnyLease,
        *,
        permits: int = 1,
        capacity: int = 0,
        value: str | None = None,
        timeout: float | None = None,
    ) -> int:
        """Wait for a place to hold, under a lease; return its token. Raises as `Lock.acquire`;
        of a lease that is a number the client does not know when it ends. The permits of a counter
        are taken then, and there is nothing to release.

            lease = db.lease_grant(60)
            token = db.acquire("lock", "nightly", lease, timeout=5)
            db.release("lock", "nightly", token)
        """
        place = Acquisition(
            kind,
            name,
            timeout_ms=timeout_ms(timeout),
            lease=held_lease(lease),
            permits=permits,
            capacity=capacity,
            value=value,
        )
        try:
            await self._shell.perform(place)
            return place.token  # it is the caller's now
        except BaseException:
            self._shell.post(lambda session, now: session.abandon(place, now))
            raise
        finally:
            self._shell.post(lambda session, _: session.places.given_back(place))


def _key_file(path: KeyPath) -> ClientKeyFile | None:
    """A user's key file, if one is given. Raises KeyFileError."""
    if path is None:
        return None
    from raftzmq.access.key_files import ClientKeyFile  # most clients have no key

    return ClientKeyFile(path)


def _node_status(endpoint: str, call: Call) -> NodeStatus:
    """The outcome of a status call as a value, whether it succeeded or not."""
    try:
        return NodeStatus(endpoint, call.result(), None)
    except RaftzmqError as error:
        return NodeStatus(endpoint, None, str(error), isinstance(error, Unauthorized))
