"""`raftzmq cluster` where a program is missing, does not answer or fails: always one line."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import LIMIT_S, PROGRAM, Program, Result, environment
from tests.cli.programs import Programs, documents, pod

CRASHED = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting"}}
UNPULLED = {"waiting": {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "x"'}}


def complaint(result: Result) -> str:
    """The one line about what went wrong."""
    (line,) = [line for line in result.err.splitlines() if line.startswith("raftzmq: ")]
    assert "Traceback" not in result.err
    return line.removeprefix("raftzmq: ")


@pytest.mark.parametrize(
    ("command", "missing", "place"),
    [
        ("create", "docker", "docs.docker.com"),
        ("build", "docker", "docs.docker.com"),
        ("push", "docker", "docs.docker.com"),
        ("delete", "docker", "docs.docker.com"),
        ("up kind", "docker", "docs.docker.com"),
        ("apply", "kubectl", "kubernetes.io"),
        ("up k8s", "kubectl", "kubernetes.io"),
        ("scale 5", "kubectl", "kubernetes.io"),
        ("status", "kubectl", "kubernetes.io"),
        ("remove", "kubectl", "kubernetes.io"),
        ("test", "kubectl", "kubernetes.io"),
    ],
)
def test_a_missing_program_is_named_with_the_place_to_get_it(
    command: str, missing: str, place: str, programs: Programs, program: Program
) -> None:
    result = program("cluster", *command.split())
    assert result.code == 3
    line = complaint(result)
    assert line.startswith(f"{missing} is not on the PATH")
    assert place in line


def test_a_missing_kind_is_named(programs: Programs, program: Program) -> None:
    programs.on("docker version", "28.0\n")
    result = program("cluster", "create")
    assert result.code == 3
    assert complaint(result).startswith("kind is not on the PATH")
    assert "kind.sigs.k8s.io" in complaint(result)


@pytest.mark.parametrize("command", ["create", "build", "push", "delete", "up"])
def test_a_docker_that_does_not_answer_is_said(
    command: str, programs: Programs, program: Program
) -> None:
    programs.on("docker version", err="Cannot connect to the Docker daemon.\n", code=1)
    result = program("cluster", command)
    assert result.code == 3
    line = complaint(result)
    assert "docker does not answer: Cannot connect to the Docker daemon; start" in line


@pytest.mark.parametrize("command", ["apply", "status", "scale 5", "remove", "up k8s", "test"])
def test_a_kubernetes_that_does_not_answer_is_said(
    command: str, kubernetes: Programs, program: Program
) -> None:
    refused = "The connection to the server there:6443 was refused\n"
    kubernetes.on("kubectl version", {"clientVersion": {}}, err=refused, code=1)
    result = program("cluster", *command.split())
    assert result.code == 3
    assert "Kubernetes of context there does not answer: The connection" in complaint(result)


def test_without_a_context_the_ways_to_get_one_are_said(
    programs: Programs, program: Program
) -> None:
    programs.on("kubectl config current-context", err="error: not set\n", code=1)
    result = program("cluster", "status")
    assert result.code == 3
    assert "kubectl config use-context" in complaint(result)


def test_an_unknown_context_is_said(programs: Programs, program: Program) -> None:
    programs.on("kubectl config view", err="error: context was not found\n", code=1)
    result = program("cluster", "status", "--context", "elsewhere")
    assert result.code == 3
    assert "no context elsewhere" in complaint(result)


def test_what_kubernetes_does_not_permit_is_a_refusal(
    kubernetes: Programs, program: Program
) -> None:
    said = 'Error from server (Forbidden): statefulsets "raft" is forbidden\n'
    kubernetes.on("kubectl get statefulset", err=said, code=1)
    result = program("cluster", "status")
    assert result.code == 4
    assert "is forbidden" in complaint(result)


def test_a_build_that_fails_says_so_after_its_own_output(
    programs: Programs, program: Program
) -> None:
    programs.on("docker version", "28.0\n")
    programs.on("docker build", "Step 1\nStep 2\n", err="no space left on device\n", code=1)
    result = program("cluster", "build", "--tag", "x")
    assert result.code == 1
    assert "  Step 1\n" in result.err
    assert complaint(result) == "'docker build' failed: no space left on device"


def test_the_line_that_names_the_cause_is_told_and_not_the_hint_after_it(
    kubernetes: Programs, program: Program
) -> None:
    cause = 'error: no matches for kind "PodDisruptionBudget" in version "policy/v1"'
    said = f"service/raft-service created\n{cause}\nensure CRDs are installed first\n"
    kubernetes.on("kubectl apply", err=said, code=1)
    result = program("cluster", "apply", "--registry", "example.com")
    assert result.code == 1
    assert complaint(result) == f"'kubectl apply' failed: {cause}"


def test_a_permission_that_lacks_for_one_of_many_objects_is_a_refusal(
    kubernetes: Programs, program: Program
) -> None:
    said = 'Error from server (Forbidden): roles "raft" is forbidden\nservice/raft created\n'
    kubernetes.on("kubectl apply", err=said, code=1)
    result = program("cluster", "apply", "--registry", "example.com")
    assert result.code == 4
    assert 'roles "raft" is forbidden; ask for the permission' in complaint(result)


def test_an_overlay_that_is_not_there_is_wrong_usage(
    kubernetes: Programs, program: Program
) -> None:
    result = program("cluster", "apply", "--overlay", "nonsense")
    assert result.code == 2
    assert "no-volumes" in complaint(result)


def test_a_pod_that_cannot_start_is_explained_while_waiting_and_at_the_end(
    kubernetes: Programs, program: Program
) -> None:
    unplaced = {"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available"}
    pods = [
        pod("raft-0", ready=False, state=CRASHED),
        pod("raft-1", ready=False, state=UNPULLED, phase="Pending"),
        pod("raft-2", ready=False, phase="Pending", conditions=[unplaced]),
    ]
    kubernetes.on("kubectl get pods", {"items": pods})
    kubernetes.on("kubectl logs raft-0", "starting\nthe disk is full\n")
    result = program("cluster", "apply", "--registry", "example.com", "--timeout", "1")
    assert result.code == 3
    for text in (result.out, complaint(result)):
        assert "0 of 3 ready" in text
        assert "raft-0: CrashLoopBackOff: back-off" in text
        assert "its last words: the disk is full" in text
        assert "raft-1: ImagePullBackOff: Back-off pulling image" in text
        assert "raft-2: no worker for it: 0/1 nodes are available" in text


def test_a_pod_that_may_not_even_be_made_is_explained(
    kubernetes: Programs, program: Program
) -> None:
    kubernetes.on("kubectl get pods", {"items": [pod("raft-0"), pod("raft-1")]})
    kubernetes.on("kubectl get events", {"items": [{"message": "exceeded quota"}]})
    result = program("cluster", "apply", "--registry", "example.com", "--timeout", "1")
    assert result.code == 3
    assert "raft-2 not there yet: exceeded quota" in complaint(result)


def test_a_membership_that_does_not_come_about_is_explained(
    kubernetes: Programs, program: Program
) -> None:
    voters = ["raft-0", "raft-1", "raft-2"]
    kubernetes.on("kubectl exec client", documents(voters, learners=["raft-3"]))
    result = program("cluster", "scale", "5", "--timeout", "1")
    assert result.code == 3
    assert "raft-4 to be added; raft-3 catching up" in complaint(result)
    assert "client member" in complaint(result)


def test_a_registry_that_is_down_is_said_before_pushing(
    programs: Programs, program: Program, nobody: str
) -> None:
    programs.on("docker version", "28.0\n")
    address = nobody.replace("127.0.0.1", "localhost")
    result = program("cluster", "push", "--registry", address)
    assert result.code == 3
    assert f"no registry answers on {address}" in complaint(result)


def test_outside_of_a_checkout_the_need_for_one_is_said(
    programs: Programs, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("raftzmq_cli.cluster.checkout.__file__", "/usr/lib/python3/a/b/checkout.py")
    result = program("cluster", "build")
    assert result.code == 2
    assert "needs a checkout of raftzmq" in complaint(result)


def test_ctrl_c_ends_the_program_that_was_started(tmp_path: Path) -> None:
    """The stand-in for docker waits to be ended, and says so when it is."""
    directory = tmp_path / "bin"
    directory.mkdir()
    docker = directory / "docker"
    docker.write_text(
        "#!/bin/sh\n"
        '[ "$1" = build ] || { echo 28.0; exit 0; }\n'
        f"trap 'touch {tmp_path}/ended; exit 130' INT TERM\n"
        "echo building\n"
        "while :; do sleep 0.1; done\n"
    )
    docker.chmod(0o755)
    process = subprocess.Popen(
        [*PROGRAM, "cluster", "build"],
        env=environment(PATH=f"{directory}:{os.environ['PATH']}"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stderr is not None
        said = iter(process.stderr.readline, "")
        assert any("building" in line for line in said)
        process.send_signal(signal.SIGINT)
        assert process.wait(LIMIT_S) == 130
    assert (tmp_path / "ended").exists()
