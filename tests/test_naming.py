"""Pod names and addresses."""

from __future__ import annotations

import pytest

from raftzmq.errors import InvalidRequest
from raftzmq.naming import (
    CLUSTER_CHARS,
    PodName,
    client_address,
    descendant,
    descends,
    parse_address,
    parse_peers,
    parse_pod_name,
    service_address,
)


@pytest.mark.parametrize(
    ("text", "base", "ordinal"),
    [("raft-0", "raft", 0), ("my-raft-12", "my-raft", 12), ("0-0", "0", 0)],
)
def test_a_pod_name_is_a_name_and_an_ordinal(text: str, base: str, ordinal: int) -> None:
    assert parse_pod_name(text) == PodName(base, ordinal)
    assert str(parse_pod_name(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", "raft", "raft-x", "-1", "raft-", "Raft-0", "raft-01", "raft--", "ra_ft-0", "raft-0\n"],
)
def test_anything_else_is_refused_and_told_what_a_pod_name_looks_like(text: str) -> None:
    with pytest.raises(InvalidRequest, match="such as raft-0"):
        parse_pod_name(text)


def test_ordinals_order_as_numbers() -> None:
    assert min(["raft-10", "raft-9"], key=parse_pod_name) == "raft-9"


@pytest.mark.parametrize(
    "text", ["", "host", ":1", "host:", "host:0", "host:65536", "a b:1", "h:\u0661"]
)
def test_a_bad_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="HOST:PORT"):
        parse_address(text)


def test_the_client_port_is_the_next_one() -> None:
    assert client_address("raft-0.raft-service:6000") == "raft-0.raft-service:6001"


def test_peers_are_names_with_addresses() -> None:
    assert parse_peers("raft-0=a:6000, raft-1=b:6010,") == {"raft-0": "a:6000", "raft-1": "b:6010"}


@pytest.mark.parametrize("text", ["raft-0", "raft=a:1", "raft-0=a", "raft-0=a:1,raft-0=b:1"])
def test_bad_peers_are_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        parse_peers(text)


def test_service_names_are_those_of_a_headless_service() -> None:
    assert service_address("raft-1", "raft-service", None) == "raft-1.raft-service:6000"
    assert (
        service_address("raft-1", "raft-service", "prod")
        == "raft-1.raft-service.prod.svc.cluster.local:6000"
    )


def test_an_id_names_the_clusters_that_it_comes_from_as_far_as_there_is_room() -> None:
    ids = [f"{number:016x}" for number in range(5)]
    chain = ""
    for ident in ids:
        chain = descendant(ident, chain)
    assert chain == ".".join(reversed(ids[2:]))
    assert len(chain) <= CLUSTER_CHARS
    assert descends(chain, ids[4])
    assert descends(chain, f"{ids[3]}.{ids[2]}")
    assert not descends(chain, ids[1])
    assert not descends(chain, "")
    assert not descends(ids[3], chain)
