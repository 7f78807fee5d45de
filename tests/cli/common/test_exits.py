"""Each kind of error has its exit code and its one line."""

import pytest
import typer

from raftzmq import errors
from raftzmq_cli.common.exits import AnswerIsNo, describe, exit_code, report


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (AnswerIsNo("no"), 1),
        (errors.DataError("damaged"), 1),
        (PermissionError(13, "Permission denied", "/data"), 1),
        (errors.InvalidRequest("too long"), 2),
        (typer.BadParameter("not a number"), 2),
        (errors.Unavailable("nobody answered"), 3),
        (errors.OutcomeUnknown("sent, not answered"), 3),
        (errors.NotLeader("ask raft-1"), 3),
        (errors.Refused("a change is under way"), 4),
        (errors.Forming("raft-2 is missing"), 4),
        (errors.Overloaded("try again"), 4),
        (errors.DiskFull("no room"), 4),
        (errors.StoreFull("no room"), 4),
        (errors.SessionExpired("gone"), 4),
        (errors.Unsupported("upgrade"), 4),
        (KeyboardInterrupt(), 130),
        (BrokenPipeError(), 141),
        (typer.Exit(7), 7),
        (ZeroDivisionError(), None),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_exit_code(error: BaseException, code: int | None) -> None:
    assert exit_code(error) == code


def test_every_error_of_the_library_has_a_code() -> None:
    def kinds(kind: type[BaseException]) -> list[type[BaseException]]:
        return [kind, *(each for sub in kind.__subclasses__() for each in kinds(sub))]

    for kind in kinds(errors.RaftzmqError):
        assert exit_code(kind.__new__(kind)) in (1, 2, 3, 4)


def test_an_unknown_outcome_is_called_unknown_and_not_failed() -> None:
    text = describe(errors.OutcomeUnknown("no answer to the write within 2 s"))
    assert "unknown" in text
    assert "failed" not in text


def test_an_unavailable_cluster_comes_with_what_to_do() -> None:
    assert "--endpoints" in describe(errors.Unavailable("no leader answered within 5 s"))


def test_an_error_is_one_line_on_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    assert report(errors.Unavailable("a: silent\nb: silent")) == 3
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("raftzmq: a: silent b: silent; ")
    assert captured.err.count("\n") == 1


def test_a_defect_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        report(ZeroDivisionError())


def test_an_interruption_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    assert report(KeyboardInterrupt()) == 130
    assert capfd.readouterr().err == ""


def test_what_the_system_says_of_a_file_is_told_without_its_number() -> None:
    error = FileNotFoundError(2, "No such file or directory", "backup")
    assert describe(error) == "raftzmq: backup: No such file or directory"
    assert describe(OSError("the terminal is gone")) == "raftzmq: the terminal is gone"
