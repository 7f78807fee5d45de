"""Recovery from a log with calls of a state machine of users' own."""

from __future__ import annotations

from typing import Any, Final

import pytest

from examples.counter import Counter
from raftzmq.errors import MissingProgram
from raftzmq.offline.recovery import confirmation, recover
from raftzmq.offline.survivors import survey
from raftzmq.state_machine.host import Host
from raftzmq.storage import MemoryFiles
from tests.offline.remains import PATH, live

CALLS: Final[list[Any]] = [
    [[0, 0, [[0, "program", "Counter", 1]]]],
    [[2, 0, [[40, "call", "Counter", "add", "[5]"]]]],
    [[2, 0, [[41, "call", "Counter", "add", "[6]"]]]],
]


def test_its_calls_are_run_and_its_state_is_in_the_new_cluster() -> None:
    files = MemoryFiles()
    live(files, PATH, calls=CALLS)
    program = Host(Counter)
    found = survey(files, PATH, program)
    assert (found.damage, found.last_index) == ("", 15)
    confirm = confirmation(found.revision)
    for _ in range(2):  # the second time it is done already
        cluster = recover(files, PATH, confirm=confirm, program=program)
        own = cluster.machine.state.program
        assert (own.name, own.text) == ("Counter", '{"count":11}')
    assert survey(files, PATH).damage == "", "what it begins with is a snapshot: nothing is run"


def test_without_it_that_is_said_and_nothing_is_changed() -> None:
    files = MemoryFiles()
    live(files, PATH, calls=CALLS)
    damage = survey(files, PATH).damage
    assert "has the state machine Counter version 1, and this process has none: give it" in damage
    confirm = confirmation(survey(files, PATH, Host(Counter)).revision)
    with pytest.raises(MissingProgram):
        recover(files, PATH, confirm=confirm)
    assert survey(files, PATH, Host(Counter)).last_index == 15
