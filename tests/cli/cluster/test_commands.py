"""`raftzmq cluster apply`, `scale`, `status`, `remove`, `test` against a kubectl that is played."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from raftzmq_cli.cluster import tools
from raftzmq_cli.cluster.deployment import Deployment
from raftzmq_cli.cluster.views_deployment import ViewsDeployment
from tests.cli.conftest import Program
from tests.cli.programs import Programs, documents, pod, statefulset

VOTERS = ["raft-0", "raft-1", "raft-2", "raft-3", "raft-4"]


@pytest.fixture(autouse=True)
def rendering(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is rendered is not what these tests are about."""
    monkeypatch.setattr(Deployment, "render", lambda *_, **__: "rendered")


def test_apply_says_what_it_runs_and_ends_when_all_are_voters(
    kubernetes: Programs, program: Program
) -> None:
    result = program("cluster", "apply", "--registry", "example.com")
    assert result.code == 0, result
    assert "$ kubectl --context there --namespace team apply -f -\n" in result.err
    assert kubernetes.calls("kubectl", "apply")[0][1] == "rendered"
    assert "the cluster is up: 3 nodes" in result.out
    assert not kubernetes.calls("kubectl", "create")


def test_apply_ends_when_a_write_has_just_been_acknowledged(
    kubernetes: Programs, program: Program
) -> None:
    done = {"succeeded": True, "results": []}
    kubernetes.on("kubectl exec --stdin", "", "no JSON", documents(VOTERS[:3]), done)
    result = program("cluster", "apply", "--registry", "example.com")
    assert result.code == 0, result
    assert result.out.count("  no write is acknowledged yet\n") == 1
    assert "the cluster is up" in result.lines[result.lines.index("waiting for a first write") + 2]
    assert {text for _, text in kubernetes.calls("kubectl", "--stdin")} == {"{}"}


@pytest.mark.parametrize("code", [1, 3])
def test_apply_does_not_say_up_without_a_write(
    code: int, kubernetes: Programs, program: Program
) -> None:
    """Exit code 3: no leader answered; 1: the command could not be run in that pod."""
    kubernetes.on("kubectl exec --stdin", "", code=code)
    result = program("cluster", "apply", "--registry", "example.com", "--timeout", "1")
    assert result.code == 3
    assert "no write is acknowledged yet" in result.err
    asked = {call[0][6] for call in kubernetes.calls("kubectl", "--stdin")}
    assert asked == ({"client"} if code == 3 else {"client", *VOTERS[:3]})
    assert "the cluster is up" not in result.out


def test_apply_makes_a_namespace_that_is_not_there(kubernetes: Programs, program: Program) -> None:
    kubernetes.on("kubectl get namespace", "")
    kubernetes.on("kubectl get serviceaccount default", '{"kind": "ServiceAccount"}')
    assert program("cluster", "apply", "--registry", "example.com", "-n", "new").code == 0
    (call,) = kubernetes.calls("kubectl", "create", "namespace")
    assert call[0][-1] == "new"
    (labelled,) = kubernetes.calls("kubectl", "label", "namespace")
    assert labelled[0][-2:] == ["new", "pod-security.kubernetes.io/enforce=restricted"]
    # Without it the server refuses every pod.
    assert kubernetes.calls("kubectl", "get", "serviceaccount")


def test_a_namespace_for_the_overlay_with_a_root_container_is_less_strict(
    kubernetes: Programs, program: Program
) -> None:
    kubernetes.on("kubectl get namespace", "")
    kubernetes.on("kubectl get serviceaccount default", '{"kind": "ServiceAccount"}')
    options = ("--registry", "example.com", "-n", "new", "--overlay", "hostpath")
    assert program("cluster", "apply", *options).code == 0
    (labelled,) = kubernetes.calls("kubectl", "label", "namespace")
    assert labelled[0][-1] == "pod-security.kubernetes.io/enforce=baseline"


CHANGED_POD = (
    'service/raft-service unchanged\nThe Pod "{}" is invalid: spec: Forbidden: pod updates may not '
    "change fields other than `spec.containers[*].image`\n  core.PodSpec{{\n  }}\n"
)


@pytest.mark.parametrize("design", ["raft", "views"])
def test_apply_replaces_the_pod_that_cannot_be_changed_and_holds_nothing(
    design: str, kubernetes: Programs, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = "client" if design == "raft" else "views-client"
    monkeypatch.setattr(ViewsDeployment, "render", lambda *_, **__: "rendered")
    kubernetes.on("kubectl apply")
    kubernetes.fail_once("kubectl apply", CHANGED_POD.format(client))
    options = ("--registry", "example.com", "--timeout", "1", "--design", design)
    result = program("cluster", "apply", *options)
    assert f"the pod {client} is replaced" in result.out
    (deleted,) = kubernetes.calls("kubectl", "delete")
    assert deleted[0][-3:] == ["delete", "pod", client]
    assert len(kubernetes.calls("kubectl", "apply")) == 2


def test_apply_deletes_no_other_pod(kubernetes: Programs, program: Program) -> None:
    kubernetes.on("kubectl apply", err=CHANGED_POD.format("view-server"), code=1)
    result = program("cluster", "apply", "--registry", "example.com")
    assert result.code == 1
    assert 'The Pod "view-server" is invalid' in result.err.splitlines()[-1]
    assert not kubernetes.calls("kubectl", "delete")


@pytest.mark.parametrize("how", ["option", "variable", "neither"])
@pytest.mark.parametrize("command", ["create", "up kind"])
def test_the_image_of_kinds_nodes_can_be_chosen(
    command: str,
    how: str,
    kubernetes: Programs,
    program: Program,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kubernetes.on("docker")
    kubernetes.on("docker build", code=1)  # no further
    kubernetes.on("kind")
    image = "kindest/node:v1.29.0"
    if how == "variable":
        monkeypatch.setenv("RAFTZMQ_KIND_IMAGE", image)
    options = ["--kind-image", image] if how == "option" else []
    program("cluster", *command.split(), "--registry", "example.com", *options)
    ((words, config),) = kubernetes.calls("kind", "create", "cluster")
    chosen = [] if how == "neither" else ["--image", image]
    assert words == ["create", "cluster", "--name", "raftzmq", "--config", "-", *chosen]
    assert "role: control-plane" in config


@pytest.fixture
def record(tmp_path: Path) -> Path:
    """Where the record of deployments is, and the keys beside it."""
    return tmp_path / ".raftzmq"


def without_secrets(kubernetes: Programs, *names: str) -> None:
    for name in names:
        kubernetes.on(f"kubectl get secret {name}", "")


def test_apply_makes_keys_and_secrets_once_and_shows_neither(
    kubernetes: Programs, program: Program, record: Path
) -> None:
    without_secrets(kubernetes, "raft-keys", "raft-client")
    for _ in range(2):
        result = program("cluster", "apply", "--registry", "example.com")
        assert result.code == 0, result
        assert "-secret-" not in result.out + result.err
    keys = record / "cluster-keys" / "there" / "team"
    first, second = kubernetes.calls("kubectl", "create")
    assert first == second
    assert first[0] == ["--context", "there", "--namespace", "team", "create", "-f", "-"]
    made = {item["metadata"]["name"]: item["data"] for item in json.loads(first[1])["items"]}
    assert set(made) == {"raft-keys", "raft-client"}
    written = base64.b64decode(made["raft-keys"]["node.key"])
    assert written == (keys / "node.key").read_bytes()
    order = [call[0][4] for call in kubernetes.calls("kubectl", "-")]
    assert order.index("create") < order.index("apply")


def test_apply_leaves_secrets_that_are_there_as_they_are(
    kubernetes: Programs, program: Program, record: Path
) -> None:
    assert program("cluster", "apply", "--registry", "example.com").code == 0
    assert not kubernetes.calls("kubectl", "create")
    assert not (record / "cluster-keys").exists()


def test_apply_does_not_make_the_half_of_two_secrets_that_belong_together(
    kubernetes: Programs, program: Program, record: Path
) -> None:
    without_secrets(kubernetes, "raft-client")
    result = program("cluster", "apply", "--registry", "example.com")
    assert result.code == 2
    assert "there is a Secret raft-keys and no raft-client" in result.err
    assert not kubernetes.calls("kubectl", "create")
    assert not kubernetes.calls("kubectl", "apply")
    assert not (record / "cluster-keys").exists()


def test_apply_waits_while_the_old_revision_still_runs(
    kubernetes: Programs, program: Program
) -> None:
    rolling = statefulset(3)
    rolling["status"] |= {"updateRevision": "b", "updatedReplicas": 1}
    kubernetes.on("kubectl get statefulset raft", rolling, rolling, statefulset(3))
    result = program("cluster", "apply", "--registry", "example.com")
    assert result.code == 0
    assert "  1 of 3 run the new revision\n" in result.out


def test_scaling_waits_until_the_voters_are_those_wanted(
    kubernetes: Programs, program: Program
) -> None:
    kubernetes.on("kubectl get pods", {"items": [pod(name) for name in VOTERS]})
    kubernetes.on(
        "kubectl exec client",
        documents(VOTERS[:3]),
        documents(VOTERS[:3], learners=["raft-3"]),
        documents(VOTERS[:4]),
        documents(VOTERS),
    )
    result = program("cluster", "scale", "5")
    assert result.code == 0, result
    (call,) = kubernetes.calls("kubectl", "scale")
    assert call[0][-1] == "--replicas=5"
    progress = [line for line in result.lines if line.startswith("  ")]
    assert progress == [
        "  raft-3, raft-4 to be added",
        "  raft-4 to be added; raft-3 catching up",
        "  raft-4 to be added",
    ]
    assert result.lines[-1].startswith("the members are raft-0, raft-1, raft-2, raft-3, raft-4")


def test_an_even_number_is_warned_of(kubernetes: Programs, program: Program) -> None:
    kubernetes.on("kubectl get pods", {"items": [pod("raft-0"), pod("raft-1")]})
    kubernetes.on(
        "kubectl exec client",
        documents(["raft-0", "raft-1", "raft-2"]),
        documents(["raft-0", "raft-1"]),
    )
    result = program("cluster", "scale", "2")
    assert result.code == 0, result
    assert "warning: 2 nodes survive the loss of 0, as 1 would" in result.out
    assert "  raft-2 to be removed\n" in result.out


@pytest.mark.parametrize(
    ("volumes", "words"),
    [(True, "stay on the volumes"), (False, "when the last one stops, all data is lost")],
)
def test_scaling_to_none_says_what_becomes_of_the_data(
    volumes: bool, words: str, kubernetes: Programs, program: Program
) -> None:
    kubernetes.on("kubectl get statefulset raft", statefulset(3, volumes=volumes))
    kubernetes.on("kubectl get pods", {"items": [pod("raft-0")]}, {"items": []})
    result = program("cluster", "scale", "0")
    assert result.code == 0, result
    assert words in result.out
    assert "  raft-0 still there\n" in result.out
    assert "scale 3" in result.lines[-1]


def test_nodes_are_asked_when_the_client_pod_cannot_be(
    kubernetes: Programs, program: Program
) -> None:
    kubernetes.on("kubectl exec client", err="error dialing backend\n", code=1)
    kubernetes.on("kubectl exec raft-0", documents(VOTERS[:3]))
    assert program("cluster", "status").code == 0


def test_ready_pods_are_asked_before_those_that_are_not(
    kubernetes: Programs, program: Program
) -> None:
    kubernetes.on("kubectl get pod client", "")
    items = [pod("raft-0", ready=False), pod("raft-1"), pod("raft-2")]
    kubernetes.on("kubectl get pods", {"items": items})
    kubernetes.on("kubectl exec raft-1", documents(VOTERS[:3]))
    program("cluster", "status")
    assert [call[0][5] for call in kubernetes.calls("kubectl", "exec")] == ["raft-1"]


def test_a_passing_failure_does_not_end_the_waiting(kubernetes: Programs, program: Program) -> None:
    kubernetes.on("kubectl get pods", {"items": [pod("raft-0")]})
    kubernetes.fail_once("kubectl get pods", err="the server is restarting\n")
    kubernetes.on("kubectl exec client", documents(VOTERS[:1]))
    result = program("cluster", "scale", "1")
    assert result.code == 0, result
    assert "the server is restarting" in result.out


def test_status_joins_pods_and_what_nodes_say(kubernetes: Programs, program: Program) -> None:
    items = [pod("raft-0"), pod("raft-1", restarts=4, worker="worker7"), pod("raft-2")]
    kubernetes.on("kubectl get pods", {"items": items})
    result = program("cluster", "status", "-w", "json")
    assert result.code == 0
    second = result.json[1]
    assert (second["node"], second["role"], second["leader"]) == ("raft-1", "follower", "raft-0")
    assert (second["restarts"], second["worker"], second["ready"]) == (4, "worker7", True)


def test_status_is_not_well_with_a_node_that_is_silent(
    kubernetes: Programs, program: Program
) -> None:
    said = documents(VOTERS[:3])
    said[2] |= {"healthy": False, "error": "no answer"}
    gone = {"deletionTimestamp": "now"}
    items = [pod("raft-0"), pod("raft-1"), pod("raft-2", ready=False, metadata=gone)]
    kubernetes.on("kubectl get pods", {"items": items})
    kubernetes.on("kubectl exec client", json.dumps(said), code=1)
    result = program("cluster", "status")
    assert result.code == 1
    assert "raft-2: is being stopped\n" in result.out
    assert "raft-2: no answer\n" in result.out


@pytest.mark.parametrize(
    ("silent", "judgement"),
    [
        (0, "OK: 3 of 3 nodes healthy; leader raft-0"),
        (1, "DEGRADED: 2 of 3 nodes healthy; leader raft-0; writes go on"),
        (
            2,
            "NO QUORUM: 1 of 3 voters; writes are refused; raft-1 or raft-2 must come back",
        ),
        (3, "NO ANSWER: none of 3 nodes answers; see why the pods are not ready"),
    ],
)
@pytest.mark.parametrize("output", ["simple", "table"])
def test_status_ends_with_the_verdict_of_client_status(
    silent: int, judgement: str, output: str, kubernetes: Programs, program: Program
) -> None:
    said = documents(VOTERS[:3])
    for document in said[3 - silent :]:
        document |= {"healthy": False, "error": "no answer"}
    kubernetes.on("kubectl exec client", json.dumps(said), code=1)
    result = program("cluster", "status", "-w", output)
    assert result.out.splitlines()[-1] == judgement


def test_status_of_nothing_says_how_to_make_something(
    kubernetes: Programs, program: Program
) -> None:
    kubernetes.on("kubectl get statefulset", "")
    result = program("cluster", "status")
    assert result.code == 3
    assert "'raftzmq cluster apply'" in result.err


@pytest.mark.parametrize("purge", [False, True])
def test_remove_keeps_the_volumes_unless_told_otherwise(
    purge: bool, kubernetes: Programs, program: Program
) -> None:
    kubernetes.on("kubectl get persistentvolumeclaims", {"items": [{}]})
    kubernetes.on("kubectl get pods", {"items": [pod("raft-0")]}, {"items": []})
    result = program("cluster", "remove", *(["--purge"] if purge else []))
    assert result.code == 0, result
    assert kubernetes.calls("kubectl", "delete", "-f")[0][1] == "rendered"
    assert bool(kubernetes.calls("kubectl", "delete", "persistentvolumeclaims")) is purge
    assert bool(kubernetes.calls("kubectl", "delete", "raft-keys", "raft-client")) is purge
    assert ("cluster remove --purge" in result.out) is not purge
    assert not kubernetes.calls("kubectl", "delete", "namespace")


def test_the_acceptance_run_is_given_the_deployment(
    kubernetes: Programs, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[str] = []

    def hand_over(words: list[str], *_: object) -> int:
        given.extend(words)
        return 1

    monkeypatch.setattr(tools, "hand_over", hand_over)
    result = program(
        "cluster", "test", "k8s", "--tag", "7", "--worker-stop", "halt {}", "-w", "json"
    )
    assert result.code == 1
    assert given[1:4] == ["-m", "tests.acceptance", "k8s"]
    text = " ".join(given)
    for part in (
        "--context there",
        "--namespace team",
        "--tag 7",
        "--worker-stop halt {}",
        "-w json",
    ):
        assert part in text
