"""The shared options: what they accept, and what they are when they are not given."""

import pytest

from raftzmq.errors import InvalidRequest
from raftzmq_cli.common.settings import Output, Settings, default_endpoints, parse_endpoints

LOCAL = ("127.0.0.1:6001", "127.0.0.1:6011", "127.0.0.1:6021")


def test_on_a_laptop_the_default_is_the_local_cluster() -> None:
    assert default_endpoints({}) == LOCAL


def test_inside_a_pod_of_the_cluster_the_nodes_are_found_by_its_own_name() -> None:
    assert default_endpoints({"MINOMBREPOD": "kv-2"}) == (
        "kv-0.kv-service:6001",
        "kv-1.kv-service:6001",
        "kv-2.kv-service:6001",
    )


def test_inside_any_other_pod_the_environment_names_the_cluster() -> None:
    environ = {
        "KUBERNETES_SERVICE_HOST": "10.0.0.1",
        "RAFTZMQ_SERVICE": "stores",
        "RAFTZMQ_NAMESPACE": "prod",
        "RAFTZMQ_REPLICAS": "1",
    }
    assert default_endpoints(environ) == ("raft-0.stores.prod.svc.cluster.local:6001",)


def test_a_replica_count_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="RAFTZMQ_REPLICAS"):
        default_endpoints({"MINOMBREPOD": "raft-0", "RAFTZMQ_REPLICAS": "many"})


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
