"""A state machine of users' own comes into force when all members have it, and not before."""

from __future__ import annotations

from typing import Any

import pytest

from examples.bank import Bank
from examples.counter import Counter
from raftzmq.access.users import User
from raftzmq.errors import MissingProgram
from raftzmq.state_machine import StateMachine, replicated
from raftzmq.state_machine.host import Host
from raftzmq.storage import StorageConfig
from raftzmq.versions import Spoken
from tests.node.world import World

SMALL = StorageConfig(segment_bytes=2_000, snapshot_entries=30, keep_entries=10)


class Old(StateMachine, name="tally"):
    def __init__(self) -> None:
        self.count = 0

    @replicated
    def add(self) -> int:
        self.count += 1
        return self.count


class New(StateMachine, name="tally", version=2):
    def __init__(self) -> None:
        self.count = 0

    def migrate(self, version: int) -> None:
        self.steps = [version]

    @replicated
    def add(self) -> int:
        self.count += 1
        return self.count

    @replicated(since=2)
    def step(self) -> list[int]:
        self.steps.append(self.count)
        return self.steps


def in_force(world: World) -> set[tuple[str, int]]:
    programs = [node.machine.state.program for node in world.nodes.values()]
    return {(program.name, program.version) for program in programs}


def begun(cls: type[StateMachine], **options: Any) -> World:
    world = World(program=Host(cls), **options)
    world.formed()
    world.until(lambda: in_force(world) == {(cls._name, cls._version)})
    return world


def restart(world: World, name: str, cls: type[StateMachine] | None) -> None:
    world.kill(name)
    world.programs[name] = None if cls is None else Host(cls)
    world.start(name)
    world.until(world.leader)


class Caller:
    """A session at whoever leads."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.number = world.session(world.until(world.leader).name)

    def call(self, machine: str, method: str, arguments: str = "[]", **options: Any) -> list[Any]:
        leader = self.world.until(self.world.leader).name
        return self.world.operate(
            leader, "call", machine, method, arguments, session=self.number, **options
        )[1:]


def test_a_call_is_an_entry_that_every_node_runs() -> None:
    world = begun(Counter)
    caller = Caller(world)
    assert [caller.call("Counter", "add")[2] for _ in range(3)] == [["1"], ["2"], ["3"]]
    world.run(1)
    assert {node.machine.state.program.text for node in world.nodes.values()} == {'{"count":3}'}
    leader = world.until(world.leader).name
    assert world.operate(leader, "ask", "Counter", "value", "[]")[3] == ["3"]
    assert world.operate(leader, "ask", "Counter", "value", "[]", stale=True)[3] == ["3"]


def test_what_the_class_does_not_have_never_reaches_the_log() -> None:
    world = begun(Counter)
    caller = Caller(world)
    revision = world.until(world.leader).machine.revision
    for machine, method, arguments, words in (
        ("Bank", "add", "[]", "the state machine of this cluster is Counter, not Bank"),
        ("Counter", "take", "[]", "no replicated method take; there are add"),
        ("Counter", "value", "[]", "no replicated method value"),
        ("Counter", "add", "[1, 2]", "too many positional arguments"),
        ("Counter", "add", "1", "must be a JSON array"),
    ):
        code, _, body = caller.call(machine, method, arguments)
        assert code == "invalid"
        assert words in body["message"]
    assert world.until(world.leader).machine.revision == revision
    leader = world.until(world.leader).name
    code, body = world.operate(leader, "ask", "Counter", "add", "[]")[1::2]
    assert (code, body["message"]) == ("invalid", "Counter has no query add; there are value")


def test_a_cluster_without_one_says_so() -> None:
    world = World()
    world.formed()
    world.run(2)
    caller = Caller(world)
    code, _, body = caller.call("Counter", "add")
    assert code == "unsupported"
    assert "every node needs --machine" in body["message"]
    leader = world.until(world.leader).name
    assert world.operate(leader, "ask", "Counter", "value", "[]")[1] == "unsupported"


def test_a_user_needs_the_right_to_the_name_of_the_method() -> None:
    world = begun(Counter)
    caller = Caller(world)
    users = {
        "all": User("ann", write=("Counter/",)),
        "one": User("ann", write=("Counter/add",)),
        "reads": User("ann", read=("Counter/",), write=("other/",)),
    }
    leader = world.until(world.leader).name
    for who, may in (("all", True), ("one", True), ("reads", False)):
        code = caller.call("Counter", "add", user=users[who])[0]
        assert code == ("ok" if may else "denied"), who
    for who, may in (("all", True), ("one", False), ("reads", True)):
        code = world.operate(leader, "ask", "Counter", "value", "[]", user=users[who])[1]
        assert code == ("ok" if may else "denied"), who


def test_it_comes_into_force_when_the_last_node_has_it() -> None:
    world = World()
    world.formed()
    for name in ("raft-0", "raft-1"):
        restart(world, name, Counter)
    world.run(3)
    assert in_force(world) == {("", 0)}
    restart(world, "raft-2", Bank)  # another one is none
    world.run(3)
    assert in_force(world) == {("", 0)}
    restart(world, "raft-2", Counter)
    world.until(lambda: in_force(world) == {("Counter", 1)})


def test_it_waits_for_the_cluster_version() -> None:
    world = World(program=Host(Counter), spoken=Spoken(1, 1))
    world.formed()
    world.run(3)
    assert in_force(world) == {("", 0)}


def test_a_later_version_is_in_force_when_the_last_node_has_it() -> None:
    world = begun(Old)
    caller = Caller(world)
    assert caller.call("tally", "add")[2] == ["1"]
    for name in ("raft-0", "raft-1"):
        restart(world, name, New)
    world.run(2)
    if world.until(world.leader).name == "raft-2":
        world.answer_transfer("raft-0")
        world.until(lambda: world.nodes["raft-0"].role == "leader")
    world.run(1)
    assert in_force(world) == {("tally", 1)}
    code, _, body = caller.call("tally", "step")
    assert code == "unsupported"
    assert "tally.step needs version 2 of the state machine, and 1 is in force" in body["message"]
    assert caller.call("tally", "add")[2] == ["2"]
    restart(world, "raft-2", New)
    world.until(lambda: in_force(world) == {("tally", 2)})
    assert caller.call("tally", "step")[2] == ["[2,2]"]


@pytest.mark.parametrize(
    ("cls", "has"), [(None, "none"), (Counter, "Counter version 1"), (Old, "tally version 1")]
)
@pytest.mark.parametrize("with_snapshot", [False, True])
def test_a_node_that_lacks_it_stops_rather_than_guess(
    cls: type[StateMachine] | None, has: str, with_snapshot: bool
) -> None:
    world = begun(New, storage=SMALL if with_snapshot else None)
    caller = Caller(world)
    if with_snapshot:
        for _ in range(60):
            caller.call("tally", "add")
        world.until(lambda: all(node.raft.snapshot_meta for node in world.nodes.values()))
    name = next(name for name in world.nodes if name != world.until(world.leader).name)

    def come_back() -> None:
        restart(world, name, cls)
        world.run(5)

    with pytest.raises(
        MissingProgram, match=f"tally version 2, and this process has {has}: give it"
    ):
        come_back()
    world.nodes.pop(name, None)
    assert caller.call("tally", "add")[0] == "ok", "the others go on"


def test_a_node_that_comes_from_a_snapshot_has_the_same_state() -> None:
    world = begun(Bank, storage=SMALL)
    caller = Caller(world)
    for k in range(60):
        caller.call("Bank", "deposit", f'["account {k % 7}",{k + 1}]')
    name = next(name for name in world.nodes if name != world.until(world.leader).name)
    world.kill(name)
    world.wipe(name)
    world.run(2)
    for k in range(60):
        caller.call("Bank", "deposit", f'["account {k % 7}",{k + 1}]')
    world.start(name)
    world.until(lambda: world.nodes[name].machine.applied_index > 100)
    world.until(lambda: len({node.machine.state_hash() for node in world.nodes.values()}) == 1)
    assert world.nodes[name].raft.snapshot_meta is not None
