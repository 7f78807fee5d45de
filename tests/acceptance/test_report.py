"""What the acceptance run tells: the verdict, the sums, the document, the lines for people."""

from __future__ import annotations

import io

from tests.acceptance.report import Failure, Narrator, Report, StepReport
from tests.acceptance.writer import Tally


def step(number: int, passed: bool = True, writer: Tally | None = None) -> StepReport:
    return StepReport(number, f"step {number}", passed, "seen", 1.26, writer or Tally(10))


def passed_report() -> Report:
    steps = [step(1, writer=Tally(1000, 2, 3, 40.4)), step(2, writer=Tally(500, 0, 1, 612.6))]
    return Report("local", steps, lost=0, wrong=0)


def test_a_run_passes_when_all_steps_pass_and_nothing_is_lost() -> None:
    assert passed_report().passed


def test_a_run_does_not_pass_with_a_lost_write() -> None:
    report = passed_report()
    report.lost = 1
    assert not report.passed


def test_a_run_does_not_pass_with_a_wrong_value() -> None:
    report = passed_report()
    report.wrong = 1
    assert not report.passed


def test_a_run_does_not_pass_when_nothing_was_read_back() -> None:
    report = passed_report()
    report.lost = None
    assert not report.passed
    assert any("not read back" in line for line in report.lines())


def test_a_run_does_not_pass_with_a_step_that_did_not() -> None:
    report = passed_report()
    report.steps.append(step(3, passed=False))
    assert not report.passed


def test_a_run_without_steps_does_not_pass() -> None:
    assert not Report("local", lost=0, wrong=0).passed


def test_the_totals_are_sums_and_the_longest_pause_of_any_step() -> None:
    assert passed_report().totals == Tally(1500, 2, 4, 612.6)


def test_the_document_has_the_accounts_of_the_run_and_of_each_step() -> None:
    document = passed_report().document
    steps = document.pop("steps")
    assert document == {
        "platform": "local",
        "passed": True,
        "seconds": 2.5,
        "acknowledged": 1500,
        "unknown": 2,
        "refused": 4,
        "longest_pause_ms": 613,
        "lost": 0,
        "wrong": 0,
        "examples": [],
        "failure": None,
    }
    assert steps[1] == {
        "number": 2,
        "name": "step 2",
        "passed": True,
        "seen": "seen",
        "seconds": 1.3,
        "acknowledged": 500,
        "unknown": 0,
        "refused": 1,
        "longest_pause_ms": 613,
    }


def test_the_lines_end_with_the_verdict() -> None:
    report = passed_report()
    assert report.lines()[-1] == "acceptance run on local: PASSED"
    assert "1,500 acknowledged, 0 lost, 0 wrong" in "\n".join(report.lines())


def test_a_failure_is_told_with_what_was_expected_and_seen_and_where_the_evidence_is() -> None:
    report = passed_report()
    report.failure = Failure("step 2", "three voters", "two", "/evidence")
    lines = "\n".join(report.lines())
    assert all(text in lines for text in ("three voters", "two", "/evidence", "NOT PASSED"))
    assert report.document["failure"] == {
        "step": "step 2",
        "expected": "three voters",
        "seen": "two",
        "evidence": "/evidence",
    }


def test_a_person_reads_what_a_step_is_about_and_how_it_ended() -> None:
    stream = io.StringIO()
    narrator = Narrator(stream)
    done = step(3, writer=Tally(1234, longest_pause_ms=567.8))
    narrator.begins(done, 8, "the leader is deleted by force.")
    narrator.say("raft-1 is killed")
    narrator.passed(done)
    told = " ".join(stream.getvalue().split())
    assert told == (
        "3/8 step 3: the leader is deleted by force. raft-1 is killed "
        "passed after 1.3 s: seen. 1,234 writes, longest pause 568 ms"
    )
