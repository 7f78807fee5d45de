"""How all tests are divided among workers, and what a run with --proof tells meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import progress
from tests.amounts import VARIABLE, sample
from tests.parallel import ALONE, FIRST, SHARED, encodable, place, unit
from tests.progress import EVERY_S, counted

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("beginning", [*SHARED, *ALONE, *FIRST])
def test_what_is_named_is_there(beginning: str) -> None:
    path, _, function = beginning.partition("::")
    files = list(ROOT.glob(f"{path}*"))
    assert files
    assert all(f"def {function}" in file.read_text() for file in files if function)


def test_a_unit_is_a_file_or_what_files_share_or_a_long_test() -> None:
    assert unit("tests/core/test_parts.py::test_one[1]") == "tests/core/test_parts.py"
    assert unit("tests/cli/client/test_locks.py::test_a") == unit(
        "tests/cli/test_faults.py::test_b"
    )
    assert unit("tests/system/test_disks.py::test_a[b]") == "tests/system/test_disks.py::test_a[b]"
    assert unit("tests/system/test_workload.py::test_one") == "a recorded workload"


def test_a_report_with_any_text_can_be_sent() -> None:
    report = {
        "sections": [("Captured \udcff", "é\ud800")],
        "keys\udcfe": {"n": 1, "t": ("a", None)},
    }
    sent = encodable(report)
    assert sent["sections"] == [("Captured \\udcff", "é\\ud800")]
    assert sent["keys\\udcfe"] == {"n": 1, "t": ("a", None)}
    str(sent).encode()


def test_what_is_long_is_dealt_out_first() -> None:
    others = ["tests/core/test_parts.py::test_one", "tests/test_lines.py::test_one"]
    long = [f"{beginning}::test_one" for beginning in FIRST]
    assert sorted(others + long, key=place) == long + others


def test_of_a_table_everybodys_run_takes_a_sample_and_a_proof_the_rest() -> None:
    parameters = sample([*range(10), ("pair", 1)], 3)
    assert [one.values for one in parameters] == [*[(k,) for k in range(10)], ("pair", 1)]
    assert [one.values[0] for one in parameters if not one.marks] == [0, 3, 7]
    assert all(mark.name == "proof" for one in parameters for mark in one.marks)


def test_a_proof_tells_now_and_then_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    now_s = 0.0
    monkeypatch.setenv(VARIABLE, "1")
    monkeypatch.setattr(progress, "write", told.append)
    monkeypatch.setattr(progress, "monotonic", lambda: now_s)
    for _ in counted("worlds", range(5)):
        now_s += 0.4 * EVERY_S
    assert told == ["proof: worlds 3 of 5, 18 s"]
    monkeypatch.delenv(VARIABLE)
    for _ in counted("worlds", range(5)):
        now_s += EVERY_S
    assert len(told) == 1
