"""The shared options: what they accept, and what they are when they are not given."""

import pytest

from raftzmq.errors import InvalidRequest
from raftzmq_cli.common.settings import Output, Settings, parse_endpoints


def test_endpoints_are_trimmed_and_named_once() -> None:
    assert parse_endpoints(" a:1, tcp://b:2,,a:1 ") == ("a:1", "b:2")


@pytest.mark.parametrize(
    "text", ["", ",", "host", "host:", "host:0", "host:65536", ":6001", "a b:1"]
)
def test_what_is_no_endpoint_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InvalidRequest, match=r"127\.0\.0\.1:6001"):
        parse_endpoints(text)


def test_an_option_after_the_command_wins_over_one_before_it() -> None:
    before = Settings().overridden("a:1", 9.0, Output.TABLE)
    after = before.overridden("b:2", None, Output.JSON)
    assert (after.endpoints, after.timeout_s(), after.output) == (("b:2",), 9.0, Output.JSON)


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf")])
def test_a_timeout_is_a_number_of_seconds_above_zero(seconds: float) -> None:
    with pytest.raises(InvalidRequest, match="--timeout"):
        Settings(given_timeout_s=seconds).timeout_s()


def test_an_empty_variable_is_an_error_and_not_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAFTZMQ_ENDPOINTS", "")
    with pytest.raises(InvalidRequest, match="RAFTZMQ_ENDPOINTS is empty"):
        _ = Settings().endpoints
    assert Settings(given_endpoints="a:6001").endpoints == ("a:6001",)
