"""Clients that coordinate: the real session with its leases, places and watches.

Besides its claims and watchers, such a client asks what SimClient asks, in the history that is
judged: each command and read of leases and queues, in right and in wrong places. Its process
sometimes stands still, in the middle of whatever it does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import TYPE_CHECKING, Any, Final

from raftzmq import limits
from raftzmq.client.operations import fences, keys, leases, queues
from raftzmq.client.operations.arguments import Work
from raftzmq.client.session.acquisition import Acquisition
from raftzmq.client.session.leases import HeldLease
from raftzmq.client.session.mirrors import Mirrored
from raftzmq.client.session.session import Session
from raftzmq.client.session.subscriptions import Subscription
from raftzmq.client.session.tasks import Task
from raftzmq.machine.tables.places import COUNTER, ELECTION, KINDS, SEMAPHORE, SIZED
from tests.sim.claims import Claim
from tests.sim.clients import SimClient, wire
from tests.sim.history import Op
from tests.sim.ledger import REGISTER
from tests.sim.mirrors import Mirroring
from tests.sim.pool import CAPACITY, Account
from tests.sim.watchers import Watcher

if TYPE_CHECKING:
    from tests.sim.world import World

WEIGHTS: Final = {
    "lease_grant": 3,
    "lease_keep": 3,
    "lease_revoke": 1,
    "put_leased": 4,
    "put_ttl": 4,
    "put over": 2,
    "acquire": 6,
    "release": 4,
    "cancel": 2,
    "signal": 2,
    "resize": 3,
    "forget": 1,
    "fenced": 2,
    "lease": 1,
    "leases": 1,
    "describe": 2,
    "queues": 1,
    "await": 3,
    "observe": 2,
    "put": 3,
    "delete_prefix": 0.5,
    "txn of two": 1,
}
"""What it asks for besides, in the history."""

DEAF: Final = 4
"""Nodes notice when so many messages wait for a client."""


class Coordinator(SimClient):
    """See the module."""

    session: Session

    def __init__(self, world: World, name: str) -> None:
        self._tasks: dict[Task, Callable[[], None]] = {}
        self._watched: dict[Subscription, Watcher] = {}
        self._leases = [1]
        """Numbers of leases that it was granted; and one that is none."""
        self._tokens: list[tuple[str, str, int]] = []
        self._asleep_until_ms = 0
        self._backlog: list[tuple[str, str, list[bytes]]] = []
        self.newest = 1
        """A revision that it knows of."""
        self.account = Account()
        """What its claims have taken from the pool."""
        super().__init__(world, name)
        self._claims = [Claim(self) for _ in range(world.options.claims)]
        self._watchers = [Watcher(self) for _ in range(self.random.choice([1, 2, 3]))]
        self._mirroring = Mirroring(self)

    def _session(self, endpoints: list[str], random: Random) -> Session:
        return Session(endpoints, random, self.secrets, learns_members=False)

    def _calls_at_once(self) -> int:
        return 1

    def _weights(self) -> Mapping[str, float]:
        return WEIGHTS

    # -- for the rules --------------------------------------------------------------------------

    def leases(self) -> list[HeldLease]:
        """What it keeps alive."""
        return list(self.session.leases._kept)

    def places(self) -> list[Acquisition]:
        """What it holds or waits for."""
        return [claim.place for claim in self._claims if claim.place is not None]

    def caught_up(self, revision: int) -> bool:
        """Whether all its watchers have everything up to a revision."""
        for one in self._watchers:
            one.news()  # without events there is none, and yet time goes on
        self._mirroring.look()
        watched = all(one.done_to >= revision for one in self._watchers)
        return watched and self._mirroring.has(revision)

    def lagging(self) -> str:
        """Its watchers and its mirror, and how far they are, for a person."""
        return ", ".join(map(str, [*self._watchers, self._mirroring]))

    # -- for claims and watchers ----------------------------------------------------------------

    def begin(self, task: Task, done: Callable[[], None]) -> None:
        self._tasks[task] = done
        self.session.begin(task, self.world.now_ms)
        self.turn()

    def give_up(self, task: Task) -> None:
        self.session.abandon(task, self.world.now_ms)
        self.turn()

    def subscribe(self, watcher: Watcher) -> None:
        self._watched[watcher.subscription] = watcher
        self.session.subscribe(watcher.subscription, self.world.now_ms)
        self.turn()

    def unsubscribe(self, watcher: Watcher) -> None:
        del self._watched[watcher.subscription]
        self.session.unsubscribe(watcher.subscription, self.world.now_ms)
        self.turn()

    def keep(self, mirror: Mirrored) -> None:
        self.session.mirror(mirror, self.world.now_ms)
        self.turn()

    def keep_no_more(self, mirror: Mirrored) -> None:
        self.session.mirror_no_more(mirror, self.world.now_ms)
        self.turn()

    def read_register(self, done: Callable[[Op], None], timeout: float) -> None:
        op = self._op("get", REGISTER)
        self.perform(op, keys.get(REGISTER), timeout, done)

    def operation(self, name: str, *arguments: Any) -> Op:
        return self._op(name, *arguments)

    def finish(self) -> None:
        """Give everything up, for good."""
        for claim in self._claims:
            claim.finish()

    # -- standing still -------------------------------------------------------------------------

    def pause(self, ms: int) -> None:
        """Do nothing for so long: what comes meanwhile is found afterwards."""
        self.world.counts["clients paused"] += 1
        self._asleep_until_ms = max(self._asleep_until_ms, self.world.now_ms + ms)
        self.world.at(ms, self._wake_up)

    @property
    def _asleep(self) -> bool:
        return self.world.now_ms < self._asleep_until_ms

    @property
    def deaf(self) -> bool:
        return len(self._backlog) >= DEAF

    def awake(self, what: Callable[[], None]) -> Callable[[], None]:
        """The same, but put off to when it does not stand still."""

        def then() -> None:
            if self._asleep:
                self.world.at(self._asleep_until_ms - self.world.now_ms, then)
            elif not self.dead:
                what()

        return then

    def _wake_up(self) -> None:
        if self._asleep:
            return
        backlog, self._backlog = self._backlog, []
        for arrived in backlog:
            super().message(*arrived)
        self.turn()

    def message(self, sender: str, to: str, frames: list[bytes]) -> None:
        if self._asleep:
            self._backlog.append((sender, to, frames))
        else:
            super().message(sender, to, frames)

    def turn(self) -> None:
        """As of SimClient; and what is done or new is handed to claims and watchers."""
        if self._asleep or self.dead:
            return
        super().turn()
        while self.session.has_other:
            for task in self.session.take_tasks():
                done = self._tasks.pop(task, None)
                if done is not None:
                    done()
            for subscription in self.session.take_news():
                watcher = self._watched.get(subscription)
                if watcher is not None:
                    watcher.news()
                elif subscription is self._mirroring.mirror:
                    self._mirroring.look()
            super().turn()

    # -- what it asks for besides ---------------------------------------------------------------

    def _remember(self, op: Op) -> None:
        super()._remember(op)
        self.newest = max(self.newest, op.index)
        if op.name == "lease_grant":
            self._leases.append(op.body)
        elif op.name == "acquire":
            self._tokens.append((op.arguments[0], op.arguments[1], op.body[0]))
        del self._leases[:-5], self._tokens[:-5]

    def _draw(self, kind: str) -> tuple[Op, Work]:
        random = self.random
        ttl_ms = random.choice(self.world.options.lease_ttls_ms)
        lease = random.choice(self._leases)
        key = f"t{random.randrange(3)}"
        match kind:
            case "lease_grant":
                return self._op(kind, ttl_ms), leases.lease_grant(ttl_ms / 1000)
            case "lease_keep":
                return self._op(kind, lease), leases.lease_keep(lease)
            case "lease_revoke":
                return self._op(kind, lease), leases.lease_revoke(lease)
            case "put_leased":
                value = self._value()
                return self._op(kind, key, wire(value), lease), keys.put(key, value, lease=lease)
            case "put_ttl":
                value = self._value()
                work = keys.put(key, value, ttl=ttl_ms / 1000)
                return self._op(kind, key, wire(value), ttl_ms), work
            case "put over":
                value = self._value()
                return self._op("put", key, wire(value)), keys.put(key, value)
            case "leases" if self.user.admin:
                return self._op(kind, 0, 100), leases.leases(0, 100)
            case "lease" | "leases":
                return self._op("lease", lease), leases.lease_info(lease)
        return self._draw_of_queue(kind, lease)

    def _draw_of_queue(self, kind: str, lease: int) -> tuple[Op, Work]:
        random = self.random
        of = random.choice(KINDS)
        name = f"{of}-{random.choice([0, 0, 1])}"
        permits = random.randint(1, CAPACITY) if of in SIZED else 1
        mine, at, token = random.choice([*self._tokens, (of, name, 1)])
        match kind:
            case "acquire":
                capacity = random.choice([0, CAPACITY]) if of in SIZED else 0
                wait, value = random.random() < 0.7, random.choice([None, self.name])
                op = self._op(kind, of, name, lease, permits, capacity, wait, value)
                return op, queues.acquire(
                    of, name, lease, permits=permits, capacity=capacity, wait=wait, value=value
                )
            case "release":
                return self._op(kind, mine, at, token), queues.release(mine, at, token)
            case "cancel":
                return self._op(kind, mine, at, token), queues.cancel(mine, at, token)
            case "signal":
                name = f"{COUNTER}-0"
                return self._op(kind, name, permits), queues.signal(name, permits)
            case "resize":
                name, permits = f"{SEMAPHORE}-0", random.choice([1, 2, CAPACITY, CAPACITY])
                return self._op(kind, name, permits), queues.resize(name, permits)
            case "forget":
                of = random.choice(SIZED)
                return self._op(kind, of, f"{of}-1"), queues.forget(of, f"{of}-1")
            case "fenced":
                value = self._value()
                guards, inner = [[at, token]], ["put", "t0", wire(value)]
                work = fences.fenced([(at, token)], keys.put("t0", value))
                return self._op(kind, guards, inner), work
            case "describe":
                return self._op(kind, of, name), queues.describe(of, name)
            case "queues":
                return self._op(kind, of, "", 2), queues.queues(of, "", 2)
            case "await":
                op = self._op(kind, mine, at, token, limits.AWAIT_MS)
                return op, queues.await_place(mine, at, token)
            case "observe":
                name = f"{ELECTION}-0"
                token = random.choice([0, token])
                op = self._op(kind, name, token, limits.AWAIT_MS)
                return op, queues.observe(name, token)
        return super()._draw(kind)
