"""The machine stops between any two file operations, and nothing acknowledged is lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raftzmq.core.ready import HardState
from raftzmq.storage import MemoryFiles, MemoryStorage

from .helpers import NODE, SMALL, entries, opened, records
from .script import SCRIPT, Save, Seen, Step, TakeSnapshot, next_save, seen, stages


class Crash(BaseException):
    """Not an Exception: no handler of the code under test may act on it."""


def crash_at(number: int) -> Callable[[str, Path], None]:
    """A hook that lets `number` operations pass; from then on the machine is dead."""
    passed = 0

    def before(operation: str, path: Path) -> None:
        nonlocal passed
        if passed == number:
            raise Crash
        passed += 1

    return before


def count_operations() -> int:
    files = MemoryFiles()
    done = 0

    def before(operation: str, path: Path) -> None:
        nonlocal done
        done += 1

    files.before = before
    storage, _ = opened(files)
    for step in SCRIPT:
        step.do(storage)
    return done


OPERATIONS = count_operations()


def live(files: MemoryFiles) -> list[Seen]:
    """Go through the script until it ends or the machine stops; what may be found then."""
    expected = [Seen()]
    try:
        storage = MemoryStorage(files, config=SMALL)
        storage.open(NODE)
        for step, before in stages():
            expected = step.outcomes(before)
            step.do(storage)
            expected = expected[-1:]
    except Crash:
        pass
    return expected


def check(files: MemoryFiles, expected: list[Seen]) -> None:
    """The directory opens, holds something expected, and can be used."""
    storage, restored = opened(files)
    found = seen(restored)
    assert found in expected
    index, _ = found.snapshot
    assert list(storage.snapshot_records()) == records(index)
    step, after = next_save(found)
    step.do(storage)
    files.crash()
    _, restored = opened(files)
    assert seen(restored) == after


def unlimited(operation: str, path: Path) -> None:
    pass


def test_the_script_is_long_enough() -> None:
    assert OPERATIONS > 150
    files = MemoryFiles()
    expected = live(files)
    files.crash()
    check(files, expected)
    assert [state.last_index for state in expected] == [42]


@pytest.mark.parametrize("kept", ["lost", "kept"])
def test_a_crash_between_any_two_operations(kept: str) -> None:
    for number in range(OPERATIONS):
        files = MemoryFiles()
        files.before = crash_at(number)
        expected = live(files)
        files.before = unlimited
        files.crash(keep=kept == "kept")
        check(files, expected)


@pytest.mark.parametrize("seed", range(4))
def test_a_crash_that_keeps_part_of_what_was_not_synced_and_another_while_recovering(
    seed: int,
) -> None:
    for number in range(OPERATIONS):
        random = Random(f"{seed} {number}")
        files = MemoryFiles()
        files.before = crash_at(number)
        expected = live(files)
        files.crash(random)
        files.before = crash_at(random.randrange(12))
        try:
            opened(files)
        except Crash:
            files.crash(random)
        files.before = unlimited
        files.crash(random)
        check(files, expected)


def test_what_a_killed_process_left_unsynced_is_durable_once_the_next_has_read_it() -> None:
    for number in range(OPERATIONS):
        files = MemoryFiles()
        files.before = crash_at(number)
        expected = live(files)
        files.before = unlimited
        files.kill()
        _, restored = opened(files)
        found = seen(restored)
        assert found in expected
        files.crash()
        _, again = opened(files)
        assert seen(again) == found
        assert again.incarnation == restored.incarnation


@st.composite
def scripts(draw: st.DrawFn) -> list[Step]:
    """Appends, conflicts, elections and snapshots in any order."""
    steps: list[Step] = []
    state = Seen(hard_state=HardState(1))
    steps.append(Save(state.hard_state))
    for _ in range(draw(st.integers(1, 8))):
        covered = state.snapshot[0]
        step: Step
        if state.last_index > covered and draw(st.integers(0, 4)) == 0:
            index = draw(st.integers(covered + 1, state.last_index))
            step = TakeSnapshot(index, state.log[index - covered - 1].term)
        else:
            first = draw(st.integers(covered + 1, state.last_index + 1))
            term = state.hard_state.term + draw(st.integers(0, 1))
            last = first + draw(st.integers(0, 6))
            step = Save(HardState(term), entries(first, last, term))
        steps.append(step)
        state = step.outcomes(state)[-1]
    return steps


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(scripts(), st.randoms(use_true_random=False))
def test_any_script_survives_a_crash_anywhere(script: list[Step], random: Random) -> None:
    files = MemoryFiles()
    storage, _ = opened(files)
    files.before = crash_at(random.randrange(80))
    expected = [Seen()]
    try:
        for step, before in stages(script):
            expected = step.outcomes(before)
            step.do(storage)
            expected = expected[-1:]
    except Crash:
        pass
    files.before = unlimited
    files.crash(random)
    check(files, expected)
