"""A world is recorded as it is, and is no other for being recorded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from raftzmq.page.recording import decode, encode, facts_of
from tests.page.replaying import play
from tests.show.world import RecordedWorld, describe
from tests.sim.options import FAULTS, chosen, plain
from tests.sim.world import World


class Compared(RecordedWorld):
    """Keeps, now and then, what all nodes were after so many events."""

    def begin(self) -> None:
        self.kept: dict[int, dict[str, tuple[dict[str, Any], list[int]] | None]] = {}
        super().begin()

    def happen(self, what: Callable[[], None]) -> None:
        super().happen(what)
        self.kept[len(self.recorder.events)] = {
            process.name: None
            if process.node is None
            else (
                facts_of(process.node.raft),
                [entry.term for entry in process.node.raft.log.entries],
            )
            for process in self.processes.values()
        }


@pytest.mark.parametrize("drawn", [False, True], ids=["plain", "drawn"])
def test_recording_a_world_changes_nothing_in_it(drawn: bool) -> None:
    options = None if drawn else plain(3)
    seed = 7
    plays = World(seed, 3, options=options).run()
    assert RecordedWorld(seed, 3, options).run().story.digest == plays.story.digest


@pytest.mark.parametrize("seed", [3, 42])
def test_the_recording_is_at_each_event_what_the_nodes_were(seed: int) -> None:
    """Seed 3 is drawn, so that nodes join, snapshots are installed and disks are lost."""
    world = Compared(seed, 4, plain(4) if seed == 42 else None)
    world.run()
    document = decode(encode(world.recorder.document()))
    moments = list(world.kept)
    for events in moments[:: max(1, len(moments) // 40)]:
        nodes = play(document, events)
        for name, state in world.kept[events].items():
            facts, row = nodes[name]
            assert facts["up"] == (state is not None)
            if state is not None:
                was, terms = state
                assert {key: facts.get(key) for key in was} == was
                assert [cell.term for cell in row.cells] == terms


def test_a_plain_world_is_quiet() -> None:
    world = RecordedWorld(42, 5, plain(5)).run()
    assert set(world.faults_done) <= {"kill"}
    assert len(world.initial) == 3
    assert not world.stranger.present
    assert not world.builds.began_mixed


def test_the_first_world_has_a_kill_and_then_an_election() -> None:
    """`just show 42` is what newcomers are told to try."""
    events = RecordedWorld(42, 5, plain(5)).run().recorder.document()["events"]
    texts = [event.get("text", "") for event in events]
    killed = next(n for n, text in enumerate(texts) if text.endswith("is killed"))
    assert any(text.endswith("wins, and leads term 3") for text in texts[killed:])


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ((7, 1, [[1, "put", "k", "v"]]), "put k v"),
        (
            [[7, 1, [[1, "put", "k", "v"], [2, "delete", "k"]]], [8, 2, [[4, "incr", "n", 1]]]],
            "put k v; delete k; incr n 1",
        ),
        (None, ""),
        ("x = 1", "x = 1"),
        ([3, 4], "[3, 4]"),
    ],
)
def test_a_command_is_described_by_its_operations(body: object, words: str) -> None:
    assert describe(body) == words


def test_a_world_has_the_nodes_and_the_faults_that_one_asks_for() -> None:
    options = chosen(42, 2, nodes=5, faults=["kill", "isolate"])
    assert options is not None
    assert options.size == 5
    assert set(options.faults) == {"kill", "isolate"}
    assert chosen(42, 2) is None, "what a swarm plays"


def test_a_kind_of_fault_that_there_is_not_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ValueError, match=f"'kil'; there are {', '.join(FAULTS)}"):
        chosen(42, 2, faults=["kil"])
