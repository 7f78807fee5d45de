"""`raftzmq cluster recover`, with a stand-in for kubectl: what it does, in which order, and how it
goes on after an interruption."""

from __future__ import annotations

import json
from typing import Any

import pytest

from raftzmq_cli.cluster.recovery import ANNOTATION, manifest
from tests.cli.conftest import Program
from tests.cli.programs import Programs, documents, pod, statefulset
from tests.runbook.blocks import block, words_of

CONFIRM = "lose everything after revision 11"
WORDS = ("cluster", "recover", "--from", "raft-2", "--confirm", CONFIRM)


def live(noted: str = "") -> dict[str, Any]:
    found = statefulset(0 if noted else 3)
    found["spec"]["template"]["spec"]["containers"][0]["image"] = "registry/raftzmq:9"
    if noted:
        found["metadata"]["annotations"] = {ANNOTATION: noted}
    return found


def claims(*names: str) -> dict[str, Any]:
    return {"items": [{"metadata": {"name": name}} for name in names]}


@pytest.fixture
def lost(kubernetes: Programs) -> Programs:
    """Three nodes whose StatefulSet can be stopped, recovered and started."""
    nodes = {"items": [pod(f"raft-{k}") for k in range(3)]}
    kubernetes.on("kubectl get statefulset raft", live())
    kubernetes.on("kubectl get pods", {"items": []}, nodes)
    kubernetes.on("kubectl get pod raft-recover", pod("raft-recover", phase="Succeeded"))
    kubernetes.on("kubectl logs raft-recover", '{"cluster":"c2.c1","repeated":false}\n')
    kubernetes.on("kubectl get pvc", claims("data-raft-0", "data-raft-1", "data-raft-2"))
    kubernetes.on("kubectl exec client", documents(["raft-2", "raft-0", "raft-1"]))
    return kubernetes


def changes(programs: Programs) -> list[str]:
    """What was changed, in order, without the words that name the context."""
    verbs = ("annotate", "scale", "delete", "apply", "set")
    calls = [given[4:] for given, _ in programs.calls("kubectl")]
    return [" ".join(given) for given in calls if given and given[0] in verbs]


BEGUN = f"annotate statefulset raft --overwrite {ANNOTATION}=raft-2 3 begun"
CLEARED = f"annotate statefulset raft --overwrite {ANNOTATION}=raft-2 3 cleared"
DONE = f"annotate statefulset raft {ANNOTATION}-"
STOP = "scale statefulset raft --replicas=0"
START = "scale statefulset raft --replicas=3"
NO_POD = "delete pod raft-recover --ignore-not-found"
RECOVER = [STOP, NO_POD, "apply -f -", NO_POD]
CLEAR = "delete pvc data-raft-0 data-raft-1 --ignore-not-found"


def test_it_stops_recovers_clears_and_starts(program: Program, lost: Programs) -> None:
    done = program(*WORDS)
    assert done.code == 0, done
    assert changes(lost) == [BEGUN, *RECOVER, CLEAR, CLEARED, START, DONE]
    assert "recovered from raft-2: the members are raft-0, raft-1, raft-2" in done.out
    ((_, applied),) = lost.calls("kubectl", "apply")
    assert json.loads(applied) == manifest(live(), "raft-2", CONFIRM)
    assert "$ kubectl --context there --namespace team delete pvc" in done.err


def test_the_pod_has_the_nodes_image_and_the_survivors_volume() -> None:
    spec = manifest(live(), "raft-2", CONFIRM)["spec"]
    (container,) = spec["containers"]
    assert container["image"] == "registry/raftzmq:9"
    assert container["command"][:4] == ["raftzmq", "recover", "/data", "--as-new-cluster"]
    assert container["command"][4:6] == ["--confirm", CONFIRM]
    assert spec["volumes"][0]["persistentVolumeClaim"] == {"claimName": "data-raft-2"}
    assert spec["restartPolicy"] == "Never"


def test_interrupted_before_the_volumes_are_gone_it_does_all_again(
    program: Program, lost: Programs
) -> None:
    lost.on("kubectl get statefulset raft", live("raft-2 3 begun"))
    lost.on("kubectl logs raft-recover", '{"cluster":"c2.c1","repeated":true}\n')
    done = program(*WORDS)
    assert done.code == 0, done
    assert changes(lost) == [BEGUN, *RECOVER, CLEAR, CLEARED, START, DONE]


def test_interrupted_later_it_deletes_nothing_more(program: Program, lost: Programs) -> None:
    lost.on("kubectl get statefulset raft", live("raft-2 3 cleared"))
    lost.on("kubectl get pods", {"items": [pod(f"raft-{k}") for k in range(3)]})
    done = program(*WORDS)
    assert done.code == 0, done
    assert changes(lost) == [START, DONE]


def test_what_was_recovered_long_ago_keeps_its_volumes(program: Program, lost: Programs) -> None:
    lost.on("kubectl logs raft-recover", '{"cluster":"c2.c1","repeated":true}\n')
    done = program(*WORDS)
    assert done.code == 2
    assert "raft-2 was recovered before: nothing was deleted" in done.err
    assert changes(lost) == [BEGUN, *RECOVER, START, DONE]


def test_a_state_machine_of_users_own_goes_with_it() -> None:
    nodes = live()
    (container,) = nodes["spec"]["template"]["spec"]["containers"]
    own = [
        {"name": "RAFTZMQ_MACHINE", "value": "shop.bank:Bank"},
        {"name": "PYTHONPATH", "value": "/shop"},
    ]
    container["env"] = [*container.get("env", []), *own]
    container["workingDir"] = "/shop"
    (recovering,) = manifest(nodes, "raft-2", CONFIRM)["spec"]["containers"]
    assert recovering["env"] == own
    assert recovering["workingDir"] == "/shop"


def test_a_recovery_that_is_refused_starts_the_nodes_again(
    program: Program, lost: Programs
) -> None:
    lost.on("kubectl get pod raft-recover", pod("raft-recover", phase="Failed"))
    lost.on("kubectl logs raft-recover", '{"error":"say --confirm \\"lose everything …\\""}\n')
    done = program(*WORDS)
    assert done.code == 1
    assert "say --confirm" in done.err
    assert changes(lost) == [BEGUN, *RECOVER, START, DONE]


def test_another_survivor_is_not_taken_in_between(program: Program, lost: Programs) -> None:
    lost.on("kubectl get statefulset raft", live("raft-1 3 begun"))
    done = program(*WORDS)
    assert done.code == 2
    assert "a recovery from raft-1 has begun" in done.err
    assert changes(lost) == []


def test_a_survivor_beyond_the_first_members_makes_raft_0_ask_it(
    program: Program, lost: Programs
) -> None:
    alone = live()
    alone["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] = "1"
    lost.on("kubectl get statefulset raft", alone)
    assert program(*WORDS).code == 0
    assert "set env statefulset/raft RAFTZMQ_REPLICAS=3" in changes(lost)


def survivor(name: str, term: int, index: int, **more: Any) -> dict[str, Any]:
    row = {"node": name, "last_term": term, "last_index": index, "revision": index, "keys": 1}
    return {"survivors": [{**row, "damage": None, **more}]}


def test_without_a_survivor_it_asks_and_changes_nothing(program: Program, lost: Programs) -> None:
    waiting = pod("raft-0", ready=False, phase="Pending", state={"waiting": {"reason": "Lost"}})
    lost.on("kubectl get pods", {"items": [waiting, pod("raft-1"), pod("raft-2")]})
    lost.on("kubectl exec raft-1 raftzmq recover", survivor("raft-1", 2, 20))
    lost.on("kubectl exec raft-2 raftzmq recover", survivor("raft-2", 3, 11))
    shown = program("cluster", "recover")
    assert shown.code == 0, shown
    assert "raft-0  cannot be asked: Lost" in shown.out
    assert "raft-1  term 2, index 20, revision 20, 1 keys" in shown.out
    assert shown.lines[-1] == (
        f'go on     raftzmq cluster recover --from raft-2 --confirm "{CONFIRM}"'
    )
    assert changes(lost) == []


def test_if_no_node_runs_the_answer_is_no(program: Program, lost: Programs) -> None:
    lost.on("kubectl get pods", {"items": []})
    shown = program("cluster", "recover")
    assert shown.code == 1
    assert "no node runs that could be asked" in shown.err


def test_the_words_of_the_runbook(program: Program, lost: Programs) -> None:
    look, carry_out = block("A majority is gone for good", "raftzmq cluster recover").commands
    lost.on("kubectl get pods", {"items": [pod("raft-2")]})
    lost.on("kubectl exec raft-2 raftzmq recover", survivor("raft-2", 3, 11))
    assert program(*words_of(look)[1:]).code == 0
    nodes = {"items": [pod(f"raft-{k}") for k in range(3)]}
    lost.on("kubectl get pods", {"items": []}, nodes)
    assert program(*words_of(carry_out.replace("revision N", "revision 11"))[1:]).code == 0
    assert changes(lost) == [BEGUN, *RECOVER, CLEAR, CLEARED, START, DONE]
