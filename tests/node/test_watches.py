"""Watches at one node: everything that concerns a watcher, once, in order, or word of the loss."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from raftzmq import limits
from raftzmq.machine import Machine
from raftzmq.node.state import with_observers
from raftzmq.node.watches import Watches, messages
from raftzmq.node.watches import watches as watches_module
from raftzmq.node.watches.history import weight
from raftzmq.node.watches.watches import RETRY_MOST_MS
from raftzmq.transport.client_wire import Reply, decode_reply, encode_reply
from raftzmq.transport.watch_wire import Encoded, UnwatchRequest, encode_events
from tests.node.watcher import Watcher
from tests.node.world import SECRET

CLUSTER = "6f1c0a5e9b7d4c21"


class Hub:
    """Watches at a node that is nothing but a state machine; also its way out."""

    def __init__(self) -> None:
        self.now_ms = 1_000
        self.machine = with_observers(Machine())
        self.raft = SimpleNamespace(leader="raft-0")
        node: Any = SimpleNamespace(
            name="raft-0",
            cluster=CLUSTER,
            stopping=False,
            is_member=True,
            lacks="",
            machine=self.machine,
            raft=self.raft,
            settings=SimpleNamespace(history_bytes=None),
        )
        self.index = self.serial = 0
        self.node = node
        self.watches = Watches(node, self.now_ms)
        self.heard_by: dict[tuple[bytes, int], Watcher] = {}
        self.told: list[list[Any]] = []  # every change there was, with the value before
        self.session = self.do(0, "open", SECRET)
        self.turn()

    # -- the outbox ---------------------------------------------------------------------------

    def reply(self, client: bytes, reply: Reply) -> bool:
        arrived: Any = decode_reply(encode_reply(reply))
        return self.heard_by[client, arrived.id].hears(arrived)

    def send(self, *_: Any) -> bool:
        raise AssertionError

    def greet(self, *_: Any) -> None:
        raise AssertionError

    # -- what happens -------------------------------------------------------------------------

    def do(self, session: int, *op: Any) -> Any:
        self.index += 1
        self.serial += 1
        body = [session, self.serial, [self.serial, *op]]
        code, _, result = self.machine.apply(self.index, self.index, body)
        assert code == "ok", result
        return result

    def write(self, *op: Any) -> int:
        """Apply an operation; return its revision."""
        self.do(self.session, *op)
        return self.machine.revision

    def put(self, key: str, value: Any = "v") -> int:
        return self.write("put", key, value)

    def turn(self, ms: int = 1) -> None:
        self.now_ms += ms
        self.watches.collect()
        self.watches.turn(self.now_ms, self)

    def run(self, ms: int) -> None:
        """Turn when a turn is due, and no more often than it should be."""
        end_ms, turns = self.now_ms + ms, 0
        while (due_ms := self.watches.next_deadline_ms) is not None and due_ms <= end_ms:
            self.turn(max(0, due_ms - self.now_ms))
            turns += 1
            assert turns < 1000 + ms, "it spins"
        self.now_ms = end_ms

    def watch(self, key: str = "", client: bytes = b"c", **how: Any) -> Watcher:
        known = sum(1 for one, _ in self.heard_by if one == client)
        watcher = Watcher(key, ident=known + 1, **how)
        self.heard_by[client, known + 1] = watcher
        self.watches.watch(client, watcher.request, self.now_ms)
        return watcher


@pytest.fixture
def hub() -> Hub:
    return Hub()


def few(monkeypatch: pytest.MonkeyPatch, events: int = 10) -> None:
    """Let the history be short."""
    monkeypatch.setattr(limits, "WATCH_HISTORY_EVENTS", events)


def test_a_key_or_a_prefix_and_nothing_else(hub: Hub) -> None:
    key, prefix = hub.watch("job/1", prefix=False), hub.watch("job/")
    everything = hub.watch("", previous=True)
    hub.put("before")
    hub.turn()
    first = hub.put("job/1", "a")
    second = hub.put("job/10", {"b64": "aGVsbG8="})
    third = hub.write("delete", "job/1")
    hub.put("jo")
    hub.turn()
    assert key.events == [[first, "job/1", "a", None], [third, "job/1", None, None]]
    assert prefix.events == [
        [first, "job/1", "a", None],
        [second, "job/10", {"b64": "aGVsbG8="}, None],
        [third, "job/1", None, None],
    ]
    assert [event[1:] for event in everything.events] == [
        ["before", "v", None],
        ["job/1", "a", None],
        ["job/10", {"b64": "aGVsbG8="}, None],
        ["job/1", None, "a"],
        ["jo", "v", None],
    ]


def test_what_a_transaction_or_a_prefix_changes_is_one_revision(hub: Hub) -> None:
    watcher = hub.watch()
    one = hub.write("txn", [], [["put", "a", "1"], ["put", "b", "2"], ["put", "a", "3"]], [])
    two = hub.write("delete_prefix", "")
    hub.turn()
    assert [event[0] for event in watcher.events] == [one] * 3 + [two] * 2
    assert [event[1:3] for event in watcher.events] == [
        *(["a", "1"], ["b", "2"], ["a", "3"]),
        *(["a", None], ["b", None]),
    ]


def test_a_watch_from_the_past_hears_all_since(hub: Hub) -> None:
    revisions = [hub.put(f"k{n % 3}", str(n)) for n in range(30)]
    hub.turn()
    watcher = hub.watch("k1", prefix=False, start=revisions[7], previous=True)
    hub.run(100)
    assert [event[2:] for event in watcher.events] == [
        [str(n), str(n - 3)] for n in range(7, 30) if n % 3 == 1
    ]
    last = hub.put("k1", "new")
    hub.turn()
    assert watcher.events[-1] == [last, "k1", "new", "28"]


def test_a_revision_that_is_yet_to_come_is_waited_for(hub: Hub) -> None:
    hub.put("k", "old")
    hub.turn()
    watcher, _ = hub.watch(start=hub.machine.revision + 3), hub.watch()
    hub.turn()
    assert watcher.position == hub.machine.revision + 2
    for n in range(4):
        hub.put("k", str(n))
        hub.turn()
    assert watcher.progress == 0
    hub.run(3 * limits.WATCH_PROGRESS_MS)
    assert [event[2] for event in watcher.events] == ["2", "3"]


def test_what_is_no_longer_remembered_is_said_with_from_where_to_go_on(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    few(monkeypatch)
    revisions = [hub.put("k", str(n)) for n in range(30)]
    hub.turn()
    watcher = hub.watch(start=revisions[5])
    hub.turn()
    assert watcher.lost is not None
    assert watcher.lost.code == "compacted"
    again = hub.watch(start=watcher.lost.start)
    hub.turn()
    assert [event[2] for event in again.events] == [str(n) for n in range(20, 30)]
    assert hub.watches.lost == {"compacted": 1}


def test_the_history_is_bounded_in_bytes_and_forgets_whole_revisions(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "WATCH_HISTORY_BYTES", 9_500)
    for _ in range(20):
        hub.write("txn", [], [["put", key, "v" * 300] for key in "abc"], [])
        hub.turn()
        history = hub.watches.history
        assert sum(map(weight, history.changes)) <= 10_700
        assert all(change[2] > history.floor for change in history.changes)
        assert len(history.changes) % 3 == 0
    assert len(history.changes) > 3


def test_a_revision_of_another_cluster_is_not_taken_for_one_of_this(hub: Hub) -> None:
    hub.put("k")
    hub.turn()
    assert hub.watch(start=1, cluster=CLUSTER).lost is None
    foreign = hub.watch(start=1, cluster="another")
    hub.turn()
    assert foreign.lost is not None
    assert foreign.lost.code == "compacted"


def test_who_cannot_be_told_is_told_later_and_the_others_now(hub: Hub) -> None:
    slow, quick = hub.watch(), hub.watch(client=b"d")
    hub.turn()
    slow.deaf = True
    for n in range(50):
        hub.put("k", str(n))
        hub.turn()
    assert len(quick.events) == 50
    assert hub.watches.lagging == 1
    slow.deaf = False
    hub.run(RETRY_MOST_MS)
    assert slow.events == quick.events
    assert hub.watches.lagging == 0
    assert slow.messages < 5, "together, as far as they go"


def test_who_cannot_be_told_until_it_is_forgotten_is_too_slow(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    few(monkeypatch)
    watcher = hub.watch()
    hub.put("k", "0")
    hub.turn()
    watcher.deaf = True
    for n in range(1, 40):
        hub.put("k", str(n))
        hub.turn(10)
    watcher.deaf = False
    hub.run(RETRY_MOST_MS)
    assert watcher.lost is not None
    assert watcher.lost.code == "slow"
    assert watcher.position is not None
    assert watcher.position + 1 < watcher.lost.start <= hub.watches.history.floor + 1
    assert len(watcher.events) == 1


def test_a_quiet_watch_is_not_lost_when_the_history_moves_on(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    few(monkeypatch)
    watcher = hub.watch("quiet")
    hub.turn()
    for n in range(40):
        hub.put("k", str(n))
        hub.turn()
    watcher.deaf = True  # also when its next event has to wait a little
    hub.put("quiet", "q")
    hub.turn()
    watcher.deaf = False
    hub.run(RETRY_MOST_MS)
    assert [event[2] for event in watcher.events] == ["q"]


def test_silence_means_that_the_node_is_cut_off(hub: Hub) -> None:
    watcher, other = hub.watch("quiet"), hub.watch("silent")
    for _ in range(10):
        hub.put("k")
        hub.run(500)
    assert 4 <= watcher.progress <= 6
    assert watcher.position is not None
    assert watcher.position >= hub.machine.revision - 2
    assert (other.progress, other.position) == (watcher.progress, watcher.position)
    hub.raft.leader = None
    before = watcher.progress
    hub.run(5_000)
    hub.turn()
    assert watcher.progress == before
    hub.raft.leader = "raft-1"
    hub.run(1)
    assert watcher.progress == other.progress == before + 1


def test_a_watch_that_is_not_confirmed_is_forgotten_and_one_that_is_stays(hub: Hub) -> None:
    there, gone = hub.watch(client=b"there"), hub.watch(client=b"gone")
    hub.turn()
    for _ in range(4):
        hub.run(limits.WATCH_CONFIRMED_MS // 3)
        hub.watches.watch(b"there", there.request, hub.now_ms)
        hub.turn()
    assert hub.watches.count == 1
    hub.put("k")
    hub.turn()
    assert (len(gone.events), len(there.events)) == (0, 1)


def test_an_id_is_of_one_watch(hub: Hub) -> None:
    watcher = hub.watch("a")
    other = Watcher("b", ident=watcher.request.id)
    hub.turn()
    hub.watches.watch(b"c", other.request, hub.now_ms)
    hub.turn()
    assert watcher.lost is not None
    assert watcher.lost.code == "invalid"
    assert hub.watches.count == 0


def test_an_ended_watch_hears_nothing_more_and_leaves_nothing_behind(hub: Hub) -> None:
    watchers = [hub.watch("k", previous=n % 2 == 0) for n in range(4)]
    hub.turn()
    hub.put("k")
    for watcher in watchers:
        hub.watches.unwatch(b"c", UnwatchRequest(watcher.request.id))
        hub.watches.unwatch(b"c", UnwatchRequest(watcher.request.id))
    hub.turn()
    assert [len(watcher.events) for watcher in watchers] == [0] * 4
    assert hub.watches.next_deadline_ms is None
    assert len(hub.watches.groups) == 0


def test_who_begins_where_others_have_just_ended_hears_nothing_of_theirs(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watches_module, "MEMBERS_PER_MS", 0.01)
    first, behind = hub.watch("k"), hub.watch("k")
    behind.deaf = True  # so that there is somebody left
    for n in range(2):
        hub.put("k", str(n))
        hub.turn()
    hub.watches.unwatch(b"c", UnwatchRequest(first.request.id))
    late = hub.watch("k")
    last = hub.put("k", "2")
    hub.run(1_000)
    assert late.events == [[last, "k", "2", None]]


@pytest.mark.parametrize("bound", ["WATCHES", "WATCHES_PER_CLIENT"])
def test_there_are_only_so_many(hub: Hub, monkeypatch: pytest.MonkeyPatch, bound: str) -> None:
    monkeypatch.setattr(limits, bound, 3)
    watchers = [hub.watch(f"{n}") for n in range(4)]
    hub.turn()
    assert [watcher.lost is None for watcher in watchers] == [True, True, True, False]
    assert watchers[3].lost is not None
    assert watchers[3].lost.code == "overloaded"


def test_a_node_without_a_cluster_and_one_that_stops_send_watchers_away(hub: Hub) -> None:
    there = hub.watch()
    hub.turn()
    hub.node.cluster = ""
    early = hub.watch()
    hub.node.cluster, hub.node.stopping = CLUSTER, True
    late = hub.watch()
    hub.turn()
    hub.watches.finish(hub)
    codes = [watcher.lost.code for watcher in (there, early, late) if watcher.lost]
    assert codes == ["stopping", "forming", "stopping"]
    assert there.lost is not None
    assert there.lost.start == there.position + 1 if there.position else False


def test_a_snapshot_ends_the_watches_that_lack_what_it_skips(hub: Hub) -> None:
    behind, ahead = hub.watch(), hub.watch(start=1000)
    hub.put("k")
    hub.turn()
    newer = Hub()
    newer.index = 500
    newer.put("k")
    hub.machine = hub.node.machine = with_observers(Machine.restore(newer.machine.snapshot()))
    hub.watches.restart()
    hub.turn()
    assert behind.lost is not None
    assert (behind.lost.code, behind.lost.start) == ("compacted", hub.machine.revision + 1)
    assert ahead.lost is None
    assert hub.watches.history.floor == hub.machine.revision == 501


def test_a_change_of_very_many_keys_comes_in_pieces(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "WATCH_MESSAGE_BYTES", 2_000)
    for n in range(100):
        hub.put(f"key-{n:04}")
    hub.turn()
    watcher, fitful = hub.watch("key"), hub.watch("key", client=b"d")
    hub.turn()
    hub.write("delete_prefix", "key")
    hub.put("key")
    hears = fitful.hears
    told = [0]

    def every_other(reply: Reply) -> bool:
        told[0] += 1
        return told[0] % 2 == 0 and hears(reply)

    monkeypatch.setattr(fitful, "hears", every_other)
    hub.run(10 * RETRY_MOST_MS)
    assert len(watcher.events) == 101
    assert watcher.messages > 3
    assert fitful.events == watcher.events


def test_an_estimate_that_was_too_low_is_put_right_and_one_event_too_long_ends_the_watch(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher, with_previous = hub.watch("k"), hub.watch("k", previous=True)
    hub.turn()
    longest = "\0" * (200 * 1024)
    monkeypatch.setattr(limits, "FRAME_BYTES", 2 * 1024 * 1024)
    hub.put("k", longest)
    revision = hub.put("k", longest)
    hub.turn()
    assert [len(event[2]) for event in watcher.events] == [len(longest)] * 2
    assert len(with_previous.events) == 1
    assert with_previous.lost is not None
    assert (with_previous.lost.code, with_previous.lost.start) == ("oversize", revision + 1)


def test_watchers_of_one_thing_share_the_matching_and_the_encoding(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[int] = []

    def counted(events: Sequence[Sequence[Any]]) -> tuple[Encoded, int]:
        encoded.append(len(events))
        return encode_events(events)

    monkeypatch.setattr(messages, "encode_events", counted)
    watchers = [hub.watch("k", client=b"%d" % n) for n in range(100)]
    hub.turn()
    for n in range(10):
        hub.put("k", str(n))
    hub.turn()
    assert {len(watcher.events) for watcher in watchers} == {10}
    assert encoded == [10]


def test_many_watchers_of_one_thing_are_told_less_often_and_of_more_at_once(hub: Hub) -> None:
    watchers = [hub.watch("k", client=b"%d" % n) for n in range(250)]
    hub.turn()
    for n in range(100):
        hub.put("k", str(n))
        hub.turn(1)
    hub.run(100)
    assert {len(watcher.events) for watcher in watchers} == {100}
    assert {watcher.messages for watcher in watchers} <= {5, 6}


@pytest.mark.parametrize("seed", range(12))
def test_whoever_watches_hears_exactly_what_it_asked_for(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any subjects and starts, with watchers that cannot be told for a while, small messages and
    small pieces of the history."""
    random = Random(seed)
    monkeypatch.setattr(limits, "WATCH_MESSAGE_BYTES", random.choice([1, 300, 100_000]))
    monkeypatch.setattr(watches_module, "SCAN_CHANGES", random.choice([1, 7, 1000]))
    monkeypatch.setattr(watches_module, "SCAN_TURN_CHANGES", 20)
    hub = Hub()
    keys = ["a", "ab", "abc", "b", "ba", "\U0001f511", "aé"]
    watchers: list[tuple[Watcher, int]] = []  # and from which revision on each is to be told
    record = hub.watch("", client=b"all", previous=True)
    hub.turn()
    for _ in range(250):
        for _ in range(random.randrange(3)):
            match random.randrange(4):
                case 0:
                    hub.write("delete", random.choice(keys))
                case 1:
                    hub.write("delete_prefix", random.choice(["", "a", "b"]))
                case 2:
                    pairs = [(random.choice(keys), str(random.random())) for _ in range(4)]
                    hub.write("txn", [], [["put", *pair] for pair in pairs], [])
                case _:
                    hub.put(random.choice(keys), str(random.random()))
        if random.random() < 0.1:
            start = random.choice([None, random.randrange(1, hub.machine.revision + 20)])
            watcher = hub.watch(
                random.choice([*keys, "x"]),
                client=b"%d" % random.randrange(5),
                prefix=random.random() < 0.6,
                start=start,
                previous=random.random() < 0.3,
            )
            watchers.append((watcher, start or hub.watches.history.through + 1))
        for watcher, _ in watchers:
            if random.random() < 0.2:
                watcher.deaf = not watcher.deaf
        hub.turn(random.randrange(50))
    for _ in range(40):  # beyond what the latest of them wait for
        hub.put("z")
    for watcher, _ in watchers:
        watcher.deaf = False
    hub.run(3 * limits.WATCH_PROGRESS_MS)
    assert record.events
    for watcher, since in watchers:
        assert watcher.lost is None
        key, prefix = watcher.request.key, watcher.request.prefix
        assert watcher.held == []
        wanted = [
            [*event[:3], event[3] if watcher.request.previous else None]
            for event in record.events
            if (event[1].startswith(key) if prefix else event[1] == key) and event[0] >= since
        ]
        assert watcher.events == wanted
