"""A driver of tooz: locks, groups and leaders for OpenStack's services, and all that use tooz.

    coordinator = get_coordinator("raftzmq://db-0:6001,db-1:6001,db-2:6001", b"worker-7")
    coordinator.start(start_heart=True)

Options stand behind the nodes, as `?timeout=10&namespace=tooz/`: `timeout`, seconds after which
what a member that died had is free; `membership_timeout` (for groups and leadership) and
`lock_timeout`, each in its place; `namespace`, how the names of keys and locks begin; `key`, the
file of a user. Without nodes they are those that `Client()` finds.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, TypeVar
from urllib.parse import unquote_to_bytes

from raftzmq import (
    Client,
    Compare,
    Delete,
    Get,
    Item,
    LeaseExpired,
    NotAcquired,
    NotHeld,
    Put,
    RaftzmqError,
)
from raftzmq.contrib import missing
from raftzmq.contrib.tooz_locks import RaftzmqLock, escaped, translated

try:
    from tooz import ToozError, coordination, utils
    from tooz.coordination import Characteristics, CoordinatorResult
except ModuleNotFoundError as error:
    raise missing("tooz", "tooz") from error

T = TypeVar("T")

TIMEOUT_S: Final = 10.0
BEATS: Final = 3
"""So often does a heart beat while a membership lives."""

log = logging.getLogger(__name__)


def _loaded(item: Item) -> Any:
    """The capabilities of a member."""
    return utils.loads(utils.to_binary(item.value))


class RaftzmqDriver(
    coordination.CoordinationDriverCachedRunWatchers, coordination.CoordinationDriverWithExecutor
):
    """A coordinator. Its memberships and leaderships live while it beats; its locks while it
    reaches the cluster. Every answer is that of a majority of the nodes."""

    CHARACTERISTICS = (
        Characteristics.DISTRIBUTED_ACROSS_THREADS,
        Characteristics.DISTRIBUTED_ACROSS_PROCESSES,
        Characteristics.DISTRIBUTED_ACROSS_HOSTS,
        Characteristics.LINEARIZABLE,
        Characteristics.SEQUENTIAL,
        Characteristics.CAUSAL,
        Characteristics.SERIALIZABLE,
        Characteristics.SAME_VIEW_UNDER_PARTITIONS,
        Characteristics.SAME_VIEW_ACROSS_CLIENTS,
    )

    def __init__(self, member_id: bytes, parsed_url: Any, options: dict[str, Any]) -> None:
        """As `get_coordinator` makes it. Raises ToozError for what is wrong with the options."""
        super().__init__(utils.to_binary(member_id), parsed_url, options)
        given = utils.collapse(options)
        self._endpoints = parsed_url.netloc or None
        self._key = given.get("key")
        self.namespace = str(given.get("namespace", "tooz/"))
        self.member = escaped(member_id)
        try:
            both_s = float(given.get("timeout", TIMEOUT_S))
            self.membership_timeout_s = float(given.get("membership_timeout", both_s))
            self.lock_timeout_s = float(given.get("lock_timeout", both_s))
        except ValueError as error:
            raise ToozError(f"a timeout is a number of seconds: {error}") from error
        if not self.member or not self.namespace:
            raise ToozError("a member's id and a namespace are not empty")
        self._client: Client | None = None
        self._lease = 0
        self._renewing = threading.Lock()
        self._leads: dict[bytes, tuple[int, int]] = {}  # group: lease and token

    @property
    def client(self) -> Client:
        """The client of this coordinator. Raises ToozError unless it is started."""
        if self._client is None:
            raise ToozError("the coordinator is not started")
        return self._client

    def _start(self) -> None:
        super()._start()
        with translated():
            self._client = Client(self._endpoints, key=self._key)
            try:
                self._lease = self._client.lease_grant(self.membership_timeout_s)
            except BaseException:
                self._client.close()
                self._client = None
                raise

    def _stop(self) -> None:
        super()._stop()
        client, self._client = self.client, None
        self._leads.clear()
        with suppress(RaftzmqError):
            client.lease_revoke(self._lease)  # at once; without a cluster it ends by itself
        client.close()

    def _later(self, work: Callable[[], T]) -> CoordinatorResult[T]:
        def working() -> T:
            with translated():
                return work()

        return CoordinatorResult(self._executor.submit(working))

    # -- the lease of what lives while the heart beats ---------------------------------------------

    def heartbeat(self) -> float:
        """Stay alive as a member; in how many seconds to do that again. What was lost meanwhile is
        not had again by that: join anew, as `run_watchers` stands for election anew."""
        with translated():
            lease = self._lease
            try:
                self.client.lease_keep(lease)
            except LeaseExpired:
                self._renew(lease)
        return self.membership_timeout_s / BEATS

    def _renew(self, ended: int) -> None:
        with self._renewing:
            if self._lease == ended:
                log.warning("%s has lost its memberships, for it did not beat", self.member)
                self._joined_groups.clear()
                self._lease = self.client.lease_grant(self.membership_timeout_s)

    def _under_lease(self, work: Callable[[int], T]) -> T:
        lease = self._lease
        try:
            return work(lease)
        except LeaseExpired:
            self._renew(lease)
            return work(self._lease)

    # -- groups: a key each, and one of each member behind it --------------------------------------

    @property
    def _groups(self) -> str:
        return f"{self.namespace}groups/"

    def _group(self, group_id: bytes) -> str:
        return f"{self._groups}{escaped(group_id)}/"

    def _member(self, group_id: bytes, member_id: bytes) -> str:
        return self._group(group_id) + escaped(member_id)

    def _read(self, group_id: bytes) -> tuple[Item, dict[bytes, Item]]:
        """A group and its members, as they were at one moment."""
        key = self._group(group_id)
        with self.client.scan(key) as found:
            items = list(found)
        if not items or items[0].key != key:
            raise coordination.GroupNotCreated(group_id)
        return items[0], {unquote_to_bytes(i.key[len(key) :]): i for i in items[1:]}

    def create_group(self, group_id: bytes) -> CoordinatorResult[None]:
        def create() -> None:
            if not self.client.put(self._group(group_id), "", if_absent=True).succeeded:
                raise coordination.GroupAlreadyExist(group_id)

        return self._later(create)

    def delete_group(self, group_id: bytes) -> CoordinatorResult[None]:
        def delete() -> None:
            deleted = False
            while not deleted:  # each who joins writes the group anew
                group, members = self._read(group_id)
                if members:
                    raise coordination.GroupNotEmpty(group_id)
                same = Compare(group.key, "revision", "=", group.revision)
                deleted = self.client.txn([same], [Delete(group.key)]).succeeded

        return self._later(delete)

    def get_groups(self) -> CoordinatorResult[list[bytes]]:
        def read() -> list[bytes]:
            with self.client.scan(self._groups, keys_only=True) as keys:
                names = [key[len(self._groups) :] for key in keys]
            return [unquote_to_bytes(name[:-1]) for name in names if name.endswith("/")]

        return self._later(read)

    def join_group(
        self, group_id: bytes, capabilities: dict[str, Any] | None = None
    ) -> CoordinatorResult[None]:
        group, member = self._group(group_id), self._member(group_id, self._member_id)

        def join(lease: int) -> None:
            joined = self.client.txn(
                [Compare(group, "revision", ">", 0), Compare(member, "revision", "=", 0)],
                [Put(group, ""), Put(member, utils.dumps(capabilities), lease=lease)],
                [Get(group)],
            )
            if joined.succeeded:
                self._joined_groups.add(group_id)
            elif joined.results[0] is None:
                raise coordination.GroupNotCreated(group_id)
            else:
                raise coordination.MemberAlreadyExist(group_id, self._member_id)

        return self._later(lambda: self._under_lease(join))

    def leave_group(self, group_id: bytes) -> CoordinatorResult[None]:
        member = self._member(group_id, self._member_id)

        def leave() -> None:
            self._joined_groups.discard(group_id)
            if not self.client.delete(member).count:
                raise coordination.MemberNotJoined(group_id, self._member_id)

        return self._later(leave)

    def get_members(self, group_id: bytes) -> CoordinatorResult[set[bytes]]:
        return self._later(lambda: set(self._read(group_id)[1]))

    def _capabilities(self, group_id: bytes, member_id: bytes) -> Any:
        item = self.client.get(self._member(group_id, member_id))
        if item is None:
            raise coordination.MemberNotJoined(group_id, member_id)
        return _loaded(item)

    def get_member_capabilities(self, group_id: bytes, member_id: bytes) -> CoordinatorResult[Any]:
        return self._later(lambda: self._capabilities(group_id, member_id))

    def get_members_with_capabilities(self, group_id: bytes) -> CoordinatorResult[dict[bytes, Any]]:
        def read() -> dict[bytes, Any]:
            _, members = self._read(group_id)
            return {member: _loaded(item) for member, item in members.items()}

        return self._later(read)

    def get_member_info(
        self, group_id: bytes, member_id: bytes
    ) -> CoordinatorResult[dict[str, Any]]:
        return self._later(lambda: {"capabilities": self._capabilities(group_id, member_id)})

    def update_capabilities(
        self, group_id: bytes, capabilities: dict[str, Any]
    ) -> CoordinatorResult[None]:
        member = self._member(group_id, self._member_id)

        def update() -> None:
            written = self.client.txn(
                [Compare(member, "revision", ">", 0)],
                [Put(member, utils.dumps(capabilities), keep_end=True)],
            )
            if not written.succeeded:
                raise coordination.MemberNotJoined(group_id, self._member_id)

        return self._later(update)

    # -- leaders -----------------------------------------------------------------------------------

    def _election(self, group_id: bytes) -> str:
        return f"{self.namespace}leaders/{escaped(group_id)}"

    def run_watchers(self, timeout: float | None = None) -> list[Any]:
        return super().run_watchers(timeout) + self._elect()

    def run_elect_coordinator(self) -> None:
        self._elect()

    def _elect(self) -> list[Any]:
        """Stand for election where somebody watches for it. What the watchers returned."""
        results = []
        for group_id, hooks in tuple(self._hooks_elected_leader.items()):
            lease, _ = self._leads.get(group_id, (0, 0))
            if lease != self._lease and self._campaign(group_id):
                results += hooks.run(coordination.LeaderElected(group_id, self._member_id))
        return results

    def _campaign(self, group_id: bytes) -> bool:
        def win(lease: int) -> tuple[int, int]:
            name = self._election(group_id)
            won = self.client.acquire("election", name, lease, value=self.member, timeout=0)
            return lease, won

        with translated():
            try:
                self._leads[group_id] = self._under_lease(win)
            except NotAcquired:
                return False
        return True

    def stand_down_group_leader(self, group_id: bytes) -> bool:
        if group_id not in self._leads:
            return False
        _, token = self._leads[group_id]
        self._leads[group_id] = 0, token  # if nobody knows whether it leads, it may do this again
        stood_down = True
        with translated():
            try:
                self.client.release("election", self._election(group_id), token)
            except NotHeld:
                stood_down = False
        self._leads.pop(group_id, None)
        return stood_down

    def get_leader(self, group_id: bytes) -> CoordinatorResult[Any]:
        def read() -> bytes | None:
            leader = self.client.election(self._election(group_id)).leader()
            return None if leader is None else unquote_to_bytes(leader.value or "")

        return self._later(read)

    # -- locks -------------------------------------------------------------------------------------

    def get_lock(self, name: bytes) -> RaftzmqLock:
        with translated():
            return RaftzmqLock(
                self.client,
                name,
                namespace=self.namespace,
                ttl_s=self.lock_timeout_s,
                owner=self.member,
            )
