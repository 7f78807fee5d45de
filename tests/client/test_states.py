"""Objects used twice, or in the wrong place: each cell of the tables in the client's DESIGN.md."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

import raftzmq.client
from raftzmq import LeaseExpired, RaftzmqError
from tests.client.conftest import Connect, InThread, until
from tests.client.fake_cluster import FakeCluster

DESIGN: Final = Path(raftzmq.client.__file__).with_name("DESIGN.md")

Row = dict[str, str]


def read_tables() -> dict[str, dict[str, Row]]:
    """What each call gives, by object, state and call."""
    section = DESIGN.read_text().partition("\n## States\n")[2].partition("\n## ")[0]
    tables: dict[str, dict[str, Row]] = {}
    for block in re.findall(r"(?:^\|.*\n)+", section, re.MULTILINE):
        rows = [[cell.strip(" `") for cell in line.split("|")[1:-1]] for line in block.split("\n")]
        (kinds, *calls), _, *states, _ = rows
        for kind in kinds.split(", "):
            tables[kind] = {state: dict(zip(calls, cells, strict=True)) for state, *cells in states}
    return tables


class Scene:
    """A client under test, another that works, and what is to be cleared up."""

    def __init__(self, connect: Connect, cluster: FakeCluster, other: Any) -> None:
        self.connect = connect
        self.cluster = cluster
        self.other = other
        self.db = connect(cluster.endpoints)
        self.db.put("k", "v")
        self.ends = contextlib.ExitStack()
        self.names = (f"n{i}" for i in itertools.count())
        self.name = ""
        self.threads: list[threading.Thread] = []

    @property
    def is_asyncio(self) -> bool:
        return isinstance(self.db, InThread)

    def close_client(self) -> None:
        """Close the client of what was made; the next is made with another."""
        self.db.close()

    def renew(self) -> None:
        self.db = self.connect(self.cluster.endpoints)
        self.db.put("k", "v")

    def in_background(self, call: Callable[[], object]) -> None:
        def run() -> None:
            with contextlib.suppress(RaftzmqError, asyncio.CancelledError):
                call()

        thread = threading.Thread(target=run)
        thread.start()
        self.threads.append(thread)

    @contextlib.contextmanager
    def cell(self) -> Iterator[None]:
        """What is made within gets a name of its own, and is cleared up after that."""
        self.name = next(self.names)
        with contextlib.ExitStack() as self.ends:
            yield
        while self.threads:
            self.threads.pop().join(60)

    def lose(self, thing: Any) -> None:
        """Have its lease end, and let the client know without a wait for its next keep."""
        bare = getattr(thing, "_inner", thing)
        state = bare._state if hasattr(bare, "_state") else bare._places[-1].lease
        self.other.lease_revoke(state.id)

        def end(session: Any, now_ms: int) -> None:
            session.leases.end(state, LeaseExpired("it ended"), now_ms)

        self.in_loop(lambda: bare._shell.post(end))
        until(thing.lost.is_set)

    def in_loop(self, call: Callable[[], object]) -> None:
        self.db._call(call) if self.is_asyncio else call()

    def unopened(self) -> Any:
        assert isinstance(self.db, InThread)
        return InThread(self.db._loop, self.db._inner.lease(10))


Make = Callable[[Scene], Any]


def lock(scene: Scene, **options: Any) -> Any:
    return scene.db.lock(scene.name, **options)


def election(scene: Scene, **options: Any) -> Any:
    return scene.db.election(scene.name, **options)


def semaphore(scene: Scene, **options: Any) -> Any:
    return scene.db.semaphore(scene.name, 3, **options)


def acquire(claim: Any, timeout: float | None = 60) -> Any:
    """Acquire one, whatever that is called."""
    for name in ("acquire", "campaign", "wait"):
        if hasattr(getattr(claim, "_inner", claim), name):
            return getattr(claim, name)(timeout=timeout)
    raise AssertionError


def release(claim: Any) -> Any:
    for name in ("release", "resign", "signal"):
        if hasattr(getattr(claim, "_inner", claim), name):
            return getattr(claim, name)()
    raise AssertionError


def enter(thing: Any) -> None:
    with thing:
        pass


def claims_of(make: Callable[..., Any], kind: str) -> dict[str, Make]:
    """How to bring a claim into each state."""

    def held(scene: Scene) -> Any:
        claim = make(scene)
        acquire(claim)
        return claim

    def waits(scene: Scene) -> Any:
        holder = scene.other.semaphore(scene.name, 3, count=3)
        if kind != "semaphore":
            holder = getattr(scene.other, kind)(scene.name)
        acquire(holder)
        claim = make(scene, timeout=0)
        scene.ends.callback(release, holder)
        scene.in_background(lambda: acquire(claim))
        until(lambda: scene.other.describe(kind, scene.name).waiting)
        return claim

    def released(scene: Scene) -> Any:
        claim = held(scene)
        release(claim)
        return claim

    def lost(scene: Scene) -> Any:
        claim = held(scene)
        scene.lose(claim)
        return claim

    def again(scene: Scene) -> Any:
        claim = lost(scene)
        acquire(claim)
        return claim

    def its_lease_closed(scene: Scene) -> Any:
        lease = scene.db.lease(10)
        claim = make(scene, lease=getattr(lease, "_inner", lease))
        lease.close()
        return claim

    return {
        "new": make,
        "being acquired by another": waits,
        "waited for by another": waits,
        "held": held,
        "released": released,
        "lost": lost,
        "acquired after a loss": again,
        "new, its lease closed": its_lease_closed,
        "held, the client closed": closing_client(held),
        "new, the client closed": closing_client(make),
    }


def closing_client(make: Make) -> Make:
    def made(scene: Scene) -> Any:
        thing = make(scene)
        scene.close_client()
        return thing

    return made


def plain(scene: Scene) -> Any:
    return scene.db.semaphore(scene.name, 1, plain=True, timeout=0)


def plain_waited_for(scene: Scene) -> Any:
    made = plain(scene)
    made.wait()
    scene.ends.callback(lambda: scene.other.signal(scene.name, 1))
    scene.in_background(lambda: made.wait(timeout=60))
    until(lambda: scene.other.describe("counter", scene.name).waiting)
    return made


def granted(scene: Scene) -> Any:
    return scene.db.lease(10)


def being_opened(scene: Scene) -> Any:
    scene.ends.enter_context(scene.cluster.held())
    lease = scene.unopened()
    scene.in_background(lease.open)
    until(lambda: lease._inner._opening._inside)
    return lease


def cancelled(scene: Scene) -> Any:
    with scene.cluster.held():
        lease = scene.unopened()
        opening = asyncio.run_coroutine_threadsafe(lease._inner.open(), scene.db._loop)
        until(lambda: lease._inner._opening._inside)
        opening.cancel()
        until(lease.lost.is_set)
    return lease


def after(act: Callable[[Any], object], make: Make) -> Make:
    def made(scene: Scene) -> Any:
        thing = make(scene)
        act(thing)
        return thing

    return made


def entered(scene: Scene) -> Any:
    lease = granted(scene)
    scene.ends.push(lease)
    lease.__enter__()
    return lease


def lost_lease(scene: Scene) -> Any:
    lease = granted(scene)
    scene.lose(lease)
    return lease


def watch(scene: Scene) -> Any:
    return scene.db.watch("k", start=1)


def open_watch(scene: Scene) -> Any:
    return watch(scene).open()


def watch_waited_for(scene: Scene) -> Any:
    made = scene.db.watch("never written").open()
    scene.ends.callback(made.close)
    scene.in_background(lambda: made.next(timeout=60))
    until(lambda: getattr(made, "_inner", made)._waiting._inside)
    return made


def lost_watch(scene: Scene) -> Any:
    scene.cluster.watches.forgotten = 100
    scene.ends.callback(lambda: setattr(scene.cluster.watches, "forgotten", 0))
    return open_watch(scene)


def unopened_mirror(scene: Scene) -> Any:
    assert isinstance(scene.db, InThread)
    return InThread(scene.db._loop, scene.db._inner.mirror("k"))


def mirror(scene: Scene) -> Any:
    return scene.db.mirror("k")


def client(scene: Scene) -> Any:
    return scene.connect(scene.cluster.endpoints)


STATES: Final[dict[str, dict[str, Make]]] = {
    "lock": claims_of(lock, "lock"),
    "election": claims_of(election, "election"),
    "semaphore": claims_of(semaphore, "semaphore"),
    "plain semaphore": {
        "new": plain,
        "waited for by another": plain_waited_for,
        "new, the client closed": closing_client(plain),
    },
    "lease": {
        "new (asyncio)": Scene.unopened,
        "being opened by another (asyncio)": being_opened,
        "cancelled (asyncio)": cancelled,
        "closed before it was open (asyncio)": after(lambda lease: lease.close(), Scene.unopened),
        "granted": granted,
        "entered": entered,
        "lost": lost_lease,
        "closed": after(lambda lease: lease.close(), granted),
        "revoked": after(lambda lease: lease.revoke(), granted),
        "granted, the client closed": closing_client(granted),
    },
    "watch": {
        "new": watch,
        "open": open_watch,
        "waited for by another": watch_waited_for,
        "closed": after(lambda watch: watch.close(), open_watch),
        "closed before it was open": after(lambda watch: watch.close(), watch),
        "lost": lost_watch,
        "open, the client closed": closing_client(
            lambda scene: scene.db.watch("never written").open()
        ),
        "new, the client closed": closing_client(watch),
    },
    "mirror": {
        "new (asyncio)": unopened_mirror,
        "closed before it was open (asyncio)": after(lambda one: one.close(), unopened_mirror),
        "open": mirror,
        "closed": after(lambda one: one.close(), mirror),
        "open, the client closed": closing_client(mirror),
        "new, the client closed (asyncio)": closing_client(unopened_mirror),
    },
    "client": {
        "new": client,
        "used": after(lambda db: db.get("k"), client),
        "closed": after(lambda db: db.close(), after(lambda db: db.get("k"), client)),
        "closed before it was used": after(lambda db: db.close(), client),
    },
}

CALLS: Final[dict[str, Callable[[Scene, Any], object]]] = {
    "acquire": lambda _, claim: acquire(claim, 60),
    "try_acquire": lambda _, lock: lock.try_acquire(),
    "try_wait": lambda _, semaphore: semaphore.try_wait(),
    "with": lambda _, thing: enter(thing),
    "release": lambda _, claim: release(claim),
    "check": lambda _, thing: thing.check(),
    "token": lambda _, claim: claim.token,
    "held": lambda _, claim: claim.held,
    "fence=": lambda scene, claim: scene.db.put("k", "v", fence=claim),
    "wait": lambda _, claim: claim.wait(timeout=0),
    "signal": lambda _, claim: claim.signal(),
    "open": lambda _, thing: thing.open(),
    "id": lambda _, lease: lease.id,
    "alive": lambda _, lease: lease.alive,
    "revoke": lambda _, lease: lease.revoke(),
    "close": lambda _, thing: thing.close(),
    "lease=": lambda scene, lease: scene.db.lock(scene.name, lease=lease, timeout=0.3).acquire(),
    "next": lambda _, watch: watch.next(timeout=5),
    "batch": lambda _, watch: watch.batch(timeout=5),
    "copy": lambda _, mirror: mirror.copy(),
    "age": lambda _, mirror: mirror.age,
    "current": lambda _, mirror: mirror.current,
    "get": lambda _, db: db.get("k"),
    "put": lambda _, db: db.put("k", "v"),
    "lease": lambda _, db: db.lease(10),
}


def outcome(call: Callable[[], object]) -> str:
    try:
        returned = call()
    except RaftzmqError as error:
        return type(error).__name__ if str(error).count("\n") == 0 else repr(error)
    return str(returned) if isinstance(returned, bool) else "ok"


@pytest.fixture
def scene(connect: Connect, cluster: FakeCluster) -> Scene:
    return Scene(connect, cluster, connect(cluster.endpoints))


TABLES: Final = read_tables()
ROWS: Final = [(kind, state) for kind, states in TABLES.items() for state in states]


def test_each_table_has_all_states() -> None:
    assert {kind: set(states) for kind, states in TABLES.items()} == {
        kind: {state for state in states if state in TABLES[kind]}
        for kind, states in STATES.items()
    }
    assert len(ROWS) == 57


@pytest.mark.parametrize(("kind", "state"), ROWS)
def test_each_call_in_each_state(kind: str, state: str, scene: Scene) -> None:
    if state.endswith("(asyncio)") and not scene.is_asyncio:
        pytest.skip("the blocking client has it granted, or read, when it is made")
    found = {}
    for call in TABLES[kind][state]:
        if call == "open" and kind in ("lease", "mirror") and not scene.is_asyncio:
            continue
        if "client closed" in state:
            scene.renew()
        with scene.cell():
            thing = STATES[kind][state](scene)
            found[call] = outcome(lambda call=call, thing=thing: CALLS[call](scene, thing))  # type: ignore[misc]
    wanted = {call: cell for call, cell in TABLES[kind][state].items() if call in found}
    assert found == wanted
