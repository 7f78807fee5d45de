"""`raftzmq up` and `down`, which choose: local, kind, or a Kubernetes that is there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from raftzmq_cli import main
from raftzmq_cli.cluster import deployments_record
from raftzmq_cli.cluster.deployment import Deployment
from raftzmq_cli.cluster.deployments_record import Entry, Where
from tests.cli.conftest import Program
from tests.cli.programs import Programs

ON_KIND = Entry(
    where=Where.KIND,
    context="kind-try",
    namespace="default",
    overlay="kind",
    registry="localhost:5999",
    tag="1",
    cluster_name="try",
    registry_name="try-registry",
)
ON_K8S = Entry(
    where=Where.K8S,
    context="there",
    namespace="team",
    overlay="base",
    registry="example.com",
    tag="1",
    cluster_name="",
    registry_name="",
)


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch, programs: Programs) -> list[list[str]]:
    """The commands that `up` goes on with, which are not run."""
    begun: list[list[str]] = []

    def run(words: list[str]) -> int:
        begun.append(words)
        return 0

    monkeypatch.setattr(main, "run", run)
    return begun


def test_up_is_local_without_docker_and_says_so_first(
    commands: list[list[str]], program: Program
) -> None:
    result = program("up")
    assert result.lines[0].startswith("up: local, processes on this machine, not kind: docker is")
    assert commands == [["local", "up"]]


def test_up_is_local_when_docker_does_not_answer(
    commands: list[list[str]], programs: Programs, program: Program
) -> None:
    programs.on("docker version", err="Is the docker daemon running?\n", code=1)
    assert "docker does not answer: Is the" in program("up").lines[0]
    assert commands == [["local", "up"]]


def test_up_is_kind_where_docker_kind_and_kubectl_answer(
    commands: list[list[str]], programs: Programs, program: Program
) -> None:
    for call in ("docker version", "kind version", "kubectl version"):
        programs.on(call, "1\n")
    assert program("up").lines[0].startswith("up: kind")
    assert commands == [["cluster", "up", "kind"]]


@pytest.mark.parametrize(
    ("given", "begun"),
    [
        ("local --nodes 5", "local up --nodes 5"),
        ("kind --cluster-name try", "cluster up kind --cluster-name try"),
        ("k8s --context there -n team", "cluster up k8s --context there -n team"),
    ],
)
def test_up_goes_where_it_is_told_with_the_options_given(
    given: str, begun: str, commands: list[list[str]], program: Program
) -> None:
    assert program("up", *given.split()).code == 0
    assert commands == [begun.split()]


def test_down_says_when_nothing_is_up(programs: Programs, program: Program) -> None:
    result = program("down")
    assert result.code == 0
    assert result.out == "no cluster is up\n"


def test_down_of_kind_deletes_cluster_and_registry(programs: Programs, program: Program) -> None:
    deployments_record.add(ON_KIND)
    made = {"Config": {"Labels": {"raftzmq.made": ""}}}
    programs.on("docker")
    programs.on("docker container inspect try-registry", [made])
    programs.on("kind")
    programs.on("kind get clusters", "other\ntry\n")
    result = program("down")
    assert result.code == 0, result
    assert "taking down: kind cluster try\n" in result.out
    assert programs.calls("kind", "delete")[0][0] == ["delete", "cluster", "--name", "try"]
    assert programs.calls("docker", "rm")[0][0][-1] == "try-registry"
    assert deployments_record.load() == []


def test_down_of_another_kubernetes_removes_only_what_was_applied(
    kubernetes: Programs, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Deployment, "render", lambda *_, **__: "rendered")
    deployments_record.add(ON_K8S)
    kubernetes.on("kubectl get pods", {"items": []})
    result = program("down")
    assert result.code == 0, result
    assert kubernetes.calls("kubectl", "delete", "-f")[0][1] == "rendered"
    assert not (kubernetes.directory / "kind").exists()
    assert deployments_record.load() == []


def test_what_could_not_be_taken_down_is_not_forgotten(
    programs: Programs, program: Program
) -> None:
    deployments_record.add(ON_KIND)
    assert program("down").code == 3
    assert deployments_record.load() == [ON_KIND]


def test_down_takes_the_local_cluster_too(programs: Programs, program: Program) -> None:
    directory = Path(".raftzmq/local")
    directory.mkdir(parents=True)
    (directory / "cluster.json").write_text(json.dumps({"nodes": 3, "base_port": 7000}))
    result = program("down")
    assert result.code == 0
    assert "no node was running\n" in result.out


def test_what_was_brought_up_is_read_back_once_for_each_place(programs: Programs) -> None:
    for entry in (ON_KIND, ON_K8S, ON_KIND):
        deployments_record.add(entry)
    assert deployments_record.load() == [ON_K8S, ON_KIND]
    deployments_record.forget(ON_KIND)
    assert deployments_record.load() == [ON_K8S]


def test_a_damaged_record_is_said(programs: Programs, program: Program) -> None:
    deployments_record.add(ON_KIND)
    deployments_record.FILE.write_text("{")
    result = program("down")
    assert result.code == 2
    assert "cluster.json is damaged" in result.err


def test_up_on_kind_is_written_down_before_it_is_made(programs: Programs, program: Program) -> None:
    programs.on("docker")
    programs.on("docker container inspect", code=1)
    programs.on("docker network inspect", code=1)
    programs.on("docker run", err="no such image\n", code=125)
    programs.on("kind")
    programs.on("kubectl")
    result = program("cluster", "up", "--registry", "localhost:5999")
    assert result.code == 1
    assert result.lines[0].startswith("on kind: cluster raftzmq, registry localhost:5999")
    assert [entry.context for entry in deployments_record.load()] == ["kind-raftzmq"]
