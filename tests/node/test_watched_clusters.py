"""Watches across what happens to nodes: other leaders, restarts, snapshots, being cut off."""

from __future__ import annotations

from raftzmq import limits
from raftzmq.node import Node
from raftzmq.storage import StorageConfig
from tests.node.watcher import Watcher
from tests.node.world import World

SMALL = StorageConfig(
    segment_bytes=2048, segment_entries=8, snapshot_bytes=2048, snapshot_entries=20, keep_entries=2
)


class Watched:
    """A world whose keys are written one after the other, and watchers anywhere in it."""

    def __init__(self, storage: StorageConfig | None = None) -> None:
        self.world = World(3, storage=storage)
        self.world.formed()
        self.written = 0
        self.session = 0
        self.watchers = 0

    @property
    def leader(self) -> Node:
        leader = self.world.leader()
        assert leader is not None
        return leader

    @property
    def followers(self) -> list[str]:
        return sorted(set(self.world.nodes) - {self.leader.name})

    def write(self, count: int) -> None:
        """Write the next numbers to a key, each once."""
        name = self.leader.name
        self.session = self.session or self.world.session(name)
        for _ in range(count):
            value = str(self.written)
            done = self.world.operate(name, "put", "k", value, session=self.session)
            assert done[1] == "ok", done
            self.written += 1

    def watch(self, name: str, start: int | None = None) -> Watcher:
        self.watchers += 1
        client = b"watcher-%d" % self.watchers
        watcher = Watcher("k", start=start, cluster=self.world.nodes[name].cluster if start else "")
        self.world.listeners[client] = watcher.hears
        self.world.ask(name, watcher.request, client)
        return watcher

    def hears_all(self, *watchers: Watcher, since: int = 0) -> None:
        wanted = [str(n) for n in range(since, self.written)]
        for watcher in watchers:
            self._hears(watcher, wanted)

    def _hears(self, watcher: Watcher, wanted: list[str]) -> None:
        self.world.until(lambda: [event[2] for event in watcher.events] == wanted)


def test_every_node_tells_the_same_and_goes_on_with_another_leader() -> None:
    watched = Watched()
    first = watched.leader.name
    there = {name: watched.watch(name) for name in watched.world.nodes}
    watched.write(10)
    watched.hears_all(*there.values())
    watched.world.kill(first)
    watched.world.until(watched.world.leader)
    watched.write(10)
    del there[first]
    watched.hears_all(*there.values())
    one, other = there.values()
    assert one.events == other.events


def test_who_goes_on_at_another_node_where_it_left_off_misses_nothing() -> None:
    watched = Watched()
    here, elsewhere = watched.followers
    watcher = watched.watch(here)
    watched.write(5)
    watched.hears_all(watcher)
    watched.world.kill(here)
    watched.write(5)
    assert watcher.position is not None
    again = watched.watch(elsewhere, watcher.position + 1)
    watched.hears_all(again, since=5)


def test_a_node_cut_off_is_silent_and_catches_up_later() -> None:
    watched = Watched()
    name = watched.followers[0]
    watcher = watched.watch(name)
    watched.write(1)
    watched.hears_all(watcher)
    watched.world.cut.add(name)
    watched.world.run(1)  # until it has noticed
    quiet = watcher.progress
    watched.write(5)
    watched.world.run(5)
    assert (watcher.progress, len(watcher.events)) == (quiet, 1)
    watched.world.cut.clear()
    watched.hears_all(watcher)
    watched.world.run(2)
    assert watcher.progress > quiet


def test_a_node_that_starts_again_remembers_what_its_log_has() -> None:
    watched = Watched()
    watched.write(10)
    name = watched.followers[0]
    watched.world.run(0.5)
    watched.world.kill(name)
    watched.world.start(name)
    watcher = watched.watch(name, 1)
    watched.hears_all(watcher)


def test_a_node_that_starts_from_a_snapshot_says_from_where_it_remembers() -> None:
    watched = Watched(SMALL)
    watched.write(60)
    name = watched.followers[0]
    watched.world.run(0.5)
    watched.world.kill(name)
    node = watched.world.start(name)
    watcher = watched.watch(name, 1)
    watched.world.run(0.1)
    assert watcher.lost is not None
    assert watcher.lost.code == "compacted"
    assert watcher.lost.start == node.watches.history.floor + 1 > 1
    again = watched.watch(name, watcher.lost.start)
    watched.world.until(lambda: again.events and again.events[-1][2] == "59")
    numbers = [int(event[2]) for event in again.events]
    assert numbers == list(range(numbers[0], 60))


def test_a_node_that_is_sent_a_snapshot_ends_its_watches() -> None:
    watched = Watched(SMALL)
    name = watched.followers[0]
    watcher = watched.watch(name)
    watched.write(1)
    watched.hears_all(watcher)
    watched.world.cut.add(name)
    watched.write(100)
    watched.world.cut.clear()
    watched.world.until(lambda: watcher.lost)
    assert watcher.lost is not None
    assert watcher.lost.code == "compacted"
    again = watched.watch(name, watcher.lost.start)
    watched.write(5)
    watched.world.until(lambda: again.events and again.events[-1][2] == str(watched.written - 1))
    assert [event[2] for event in again.events[-5:]] == [str(n) for n in range(101, 106)]


def test_a_key_that_ends_by_itself_is_an_event_like_others() -> None:
    watched = Watched()
    name = watched.leader.name
    watcher = watched.watch(watched.followers[0])
    session = watched.world.session(name)
    watched.world.operate(name, "put_ttl", "k", "v", limits.LEASE_TTL_MIN_MS, session=session)
    watched.world.until(lambda: len(watcher.events) == 2)
    assert [event[1:3] for event in watcher.events] == [["k", "v"], ["k", None]]
