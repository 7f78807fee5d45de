"""With -w json an error is a JSON document too, on stderr."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from raftzmq import errors
from raftzmq_cli.common import exits
from raftzmq_cli.common.exits import AnswerIsNo
from raftzmq_cli.main import run


@pytest.mark.parametrize(
    "words",
    [
        ["client", "get", "k", "-w", "json"],
        ["client", "-wjson", "get", "k"],
        ["client", "--output=json", "get", "k"],
        ["client", "-w", "table", "get", "k", "--output", "json"],
        ["client", "get", "k", "-w", "json", "--no-such-option"],
    ],
)
def test_the_output_that_was_asked_for_counts_for_errors(words: Sequence[str]) -> None:
    assert exits.wants_json(words, {})
    assert exits.wants_json(words, {"RAFTZMQ_OUTPUT": "table"})


def test_what_stands_behind_two_dashes_is_no_option() -> None:
    assert not exits.wants_json(["client", "put", "k", "--", "-wjson"], {})
    assert exits.wants_json(["client", "put", "k", "--", "-5"], {"RAFTZMQ_OUTPUT": "json"})
    assert not exits.wants_json(["client", "get", "k", "-w", "simple"], {"RAFTZMQ_OUTPUT": "json"})


@pytest.mark.parametrize(
    ("error", "code", "number"),
    [
        (errors.InvalidRequest("a key is text"), "invalid", 2),
        (errors.OutcomeUnknown("no answer to the write"), "outcome_unknown", 3),
        (errors.LeaseExpired("lock 'n' was lost"), "lease_expired", 4),
        (AnswerIsNo("there is no key 'k'"), "no", 1),
    ],
)
def test_an_error_has_text_code_and_exit_code(
    error: Exception, code: str, number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exits.report(error, as_json=True) == number
    said = json.loads(capsys.readouterr().err)
    assert (said["code"], said["exit_code"]) == (code, number)
    assert str(error) in said["error"]


def test_wrong_usage_is_json_as_well(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["client", "get", "-w", "json"]) == 2
    said = json.loads(capsys.readouterr().err)
    assert (said["code"], said["exit_code"]) == ("usage", 2)
    assert "KEY" in said["error"]
