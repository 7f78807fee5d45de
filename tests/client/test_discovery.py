"""Where a client that is not told finds its cluster: the environment, the pod, the local one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from raftzmq import AsyncClient, Client, InvalidRequest, Unavailable
from raftzmq.access.key_directory import KeyDirectory
from raftzmq.client.direct import DirectClient
from raftzmq.client.discovery import default_endpoints, find
from raftzmq_cli.common.settings import Settings

LOCAL = ("127.0.0.1:6001", "127.0.0.1:6011", "127.0.0.1:6021")


def test_on_a_laptop_the_default_is_the_local_cluster() -> None:
    assert default_endpoints({"RAFTZMQ_LOCAL_DIR": "nowhere"}) == LOCAL


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


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment that names no cluster, in a directory of its own."""
    for name in ("ENDPOINTS", "KEY", "NAME", "SERVICE", "NAMESPACE", "REPLICAS", "LOCAL_DIR"):
        monkeypatch.delenv(f"RAFTZMQ_{name}", raising=False)
    for name in ("MINOMBREPOD", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return monkeypatch


def has_local(directory: Path, document: Any) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    directory.joinpath("cluster.json").write_text(json.dumps(document))


def test_the_environment_comes_before_the_pod_and_that_before_the_local_cluster(
    alone: pytest.MonkeyPatch,
) -> None:
    assert Client().endpoints == LOCAL
    has_local(Path(".raftzmq/local"), {"format": 1, "nodes": 2, "base_port": 7000})
    assert Client().endpoints == ("127.0.0.1:7001", "127.0.0.1:7011")
    alone.setenv("MINOMBREPOD", "kv-2")
    assert Client().endpoints[0] == "kv-0.kv-service:6001"
    alone.setenv("RAFTZMQ_ENDPOINTS", "raft-service.kv:6001, b:2")
    assert Client().endpoints == ("raft-service.kv:6001", "b:2")
    assert Client("c:3").endpoints == Client(["c:3"]).endpoints == ("c:3",)


def test_both_clients_and_the_command_have_the_same_rule(alone: pytest.MonkeyPatch) -> None:
    has_local(Path("cluster"), {"nodes": 1, "base_port": 7000})
    for given in ({"RAFTZMQ_ENDPOINTS": "a:1"}, {"RAFTZMQ_LOCAL_DIR": "cluster"}):
        with alone.context() as patch:
            for name, value in given.items():
                patch.setenv(name, value)
            found = Client().endpoints
            assert len(found) == 1
            assert AsyncClient().endpoints == Settings().endpoints == found
            DirectClient().close()


def test_a_cluster_of_the_older_design_is_none(tmp_path: Path) -> None:
    has_local(tmp_path, {"design": "views", "nodes": 2, "base_port": 7000})
    assert default_endpoints({"RAFTZMQ_LOCAL_DIR": str(tmp_path)}) == LOCAL


@pytest.mark.parametrize(
    "document",
    [
        *(None, [], 5, {}, {"nodes": "x", "base_port": 1}),
        *({"nodes": 1, "base_port": 70_000}, {"nodes": 10**9, "base_port": 6000}),
    ],
)
def test_a_damaged_local_cluster_is_one_error(tmp_path: Path, document: Any) -> None:
    has_local(tmp_path, document)
    with pytest.raises(InvalidRequest, match="is damaged: set RAFTZMQ_ENDPOINTS, or") as caught:
        find(None, {"RAFTZMQ_LOCAL_DIR": str(tmp_path)})
    assert "\n" not in str(caught.value)


def test_a_local_cluster_that_cannot_be_read_is_one_error(tmp_path: Path) -> None:
    tmp_path.joinpath("cluster.json").mkdir()
    with pytest.raises(InvalidRequest, match="cannot be read"):
        find(None, {"RAFTZMQ_LOCAL_DIR": str(tmp_path)})


@pytest.mark.parametrize("value", ["", " ", ",", "host", "a:1;b:2"])
def test_a_variable_that_is_no_endpoint_is_an_error_and_not_the_default(value: str) -> None:
    with pytest.raises(InvalidRequest, match=r"127\.0\.0\.1:6001|name at least one"):
        find(None, {"RAFTZMQ_ENDPOINTS": value})


def test_the_key_comes_from_the_environment_where_the_endpoints_do(
    alone: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    alone.setenv("RAFTZMQ_KEY", "nowhere.key")
    assert find("a:1").key is None
    assert find(None).key == Path("nowhere.key")
    with pytest.raises(InvalidRequest, match=r"nowhere\.key"):
        Client()
    Client(["a:1"]).close()
    keys = KeyDirectory(tmp_path / "keys")
    keys.create()
    Client(key=keys.file_of("admin")).close()


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({}, "this is no pod, and .raftzmq/local has no local cluster: set it, or start one"),
        ({"RAFTZMQ_LOCAL_DIR": "cluster"}, "so this is the local cluster in cluster"),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "the nodes of the Service raft-service"),
    ],
)
def test_an_error_says_where_endpoints_come_from_that_nobody_gave(
    alone: pytest.MonkeyPatch, environ: dict[str, str], words: str
) -> None:
    has_local(Path("cluster"), {"nodes": 1, "base_port": 1})
    for name, value in environ.items():
        alone.setenv(name, value)
    with Client() as db, pytest.raises(Unavailable, match="RAFTZMQ_ENDPOINTS is not set") as caught:
        db.get("k", timeout=0.2)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_error_says_no_such_thing_of_endpoints_that_were_given() -> None:
    with Client("127.0.0.1:1") as db, pytest.raises(Unavailable) as caught:
        db.get("k", timeout=0.2)
    assert "RAFTZMQ_ENDPOINTS" not in str(caught.value)
