"""Each planted bug is caught, soon, and for the right reason.

That the same worlds hold when nothing is planted: tests/sim/test_seeds.py. Bugs on real processes:
test_processes.py.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.planted import consensus, coordination, processes, programs, service, strangers, upgrades
from tests.planted.defect import Defect, catch
from tests.planted.processes import ProcessDefect
from tests.sim.world import World

DEFECTS = sorted(
    (
        *consensus.DEFECTS,
        *service.DEFECTS,
        *coordination.DEFECTS,
        *strangers.DEFECTS,
        *upgrades.DEFECTS,
        *programs.DEFECTS,
    ),
    key=lambda d: (d.number, d.half),
)
MANY = 20
"""So many worlds may take long: a defect that may take as many is for --proof."""
PLANTED: list[Defect | ProcessDefect] = [*DEFECTS, *processes.DEFECTS]


def name(defect: Defect) -> str:
    return f"{defect.number:02}{defect.half}-{defect.title.replace(' ', '-')}"


@pytest.mark.parametrize(
    "defect",
    [pytest.param(d, id=name(d), marks=[pytest.mark.proof] * (d.seeds >= MANY)) for d in DEFECTS],
)
def test_is_caught(defect: Defect, record_property: Callable[[str, object], None]) -> None:
    caught = catch(defect)
    record_property("seeds", caught.seeds)
    record_property("told", caught.problem.splitlines()[0])


def test_a_lock_without_fences_does_not_keep_a_register_right() -> None:
    catch(coordination.CONTROL)  # and with fences it is right: tests/sim/test_seeds.py


def test_all_are_planted() -> None:
    assert {defect.number for defect in PLANTED} == set(range(1, 43))
    names = [(defect.number, defect.half) for defect in PLANTED]
    assert len(set(names)) == len(names)


def test_a_defect_that_nothing_shows_is_not_called_caught() -> None:
    harmless = Defect(0, "nothing is wrong", lambda _monkeypatch: None, ".", seeds=1, seconds=3)
    with pytest.raises(AssertionError, match="not caught in 1 worlds"):
        catch(harmless)


def test_a_defect_that_is_caught_for_another_reason_is_not_called_caught() -> None:
    defect = Defect(0, "a bug", _fail_at_once, "the bug's own words", seeds=1, seconds=3)
    with pytest.raises(AssertionError, match="not for this reason: something else"):
        catch(defect)


def _fail_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def play(_world: World) -> None:
        raise AssertionError("something else")

    monkeypatch.setattr(World, "_play", play)
