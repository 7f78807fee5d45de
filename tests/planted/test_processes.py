"""Real processes: a healthy node passes every probe, and each planted defect fails its own."""

from __future__ import annotations

import pytest

from tests.amounts import sample
from tests.planted import keys, processes
from tests.planted.processes import ProcessDefect

pytestmark = pytest.mark.system


DEFECTS = (*processes.DEFECTS, *keys.DEFECTS)


def name(defect: ProcessDefect) -> str:
    return defect.defect or defect.title


@pytest.mark.parametrize("defect", sample([*{d.probe: d for d in DEFECTS}.values()], 1), ids=name)
def test_a_healthy_node_passes_the_probe_of(defect: ProcessDefect) -> None:
    defect.passed()


@pytest.mark.parametrize("defect", sample(DEFECTS, 2), ids=name)
def test_is_caught(defect: ProcessDefect) -> None:
    print(defect.caught())
