"""Which line of a program's output is told: real outputs, with the line that names the cause."""

from __future__ import annotations

import pytest

from raftzmq_cli.cluster.complaints import cause

BUDGET = (
    'error: resource mapping not found for name: "raft" namespace: "default" from "STDIN": '
    'no matches for kind "PodDisruptionBudget" in version "policy/v1"'
)
PULL = (
    "Error response from daemon: manifest for kindest/node:v9 not found: "
    "manifest unknown: manifest unknown"
)
POD = (
    'The Pod "client" is invalid: spec: Forbidden: pod updates may not change fields other than '
    "`spec.containers[*].image`, `spec.initContainers[*].image`, `spec.activeDeadlineSeconds` or "
    "`spec.tolerations` (only additions to existing tolerations)"
)
PIP = (
    "ERROR: Could not find a version that satisfies the requirement pyzmq==99 (from versions: none)"
)

OUTPUTS = {
    "kubectl, a kind that the server does not know": (
        f"serviceaccount/raft unchanged\nservice/raft-service unchanged\n{BUDGET}\n"
        "ensure CRDs are installed first\n",
        BUDGET,
    ),
    "kubectl, a change of a pod": (
        f"statefulset.apps/raft configured\n{POD}\n  core.PodSpec{{\n  \tVolumes: []core.Volume{{\n"
        '- \t\t\tEnv: []core.EnvVar{{Name: "HOME"}},\n  \t\t\t... // 2 identical fields\n  }\n\n',
        POD,
    ),
    "kubectl, an object with several faults": (
        'The StatefulSet "raft" is invalid: \n'
        "* spec.serviceName: Required value\n* spec.replicas: Invalid value: -1\n",
        'The StatefulSet "raft" is invalid: spec.serviceName: Required value',
    ),
    "kubectl, two errors": (
        'Error from server (NotFound): namespaces "a" not found\n'
        'Error from server (NotFound): namespaces "b" not found\n',
        'Error from server (NotFound): namespaces "a" not found',
    ),
    "kubectl, a flag that there is not": (
        "Error: unknown flag: --nope\nSee 'kubectl get --help' for usage.\n",
        "Error: unknown flag: --nope",
    ),
    "kubectl, nobody there": (
        "E1130 14:37:41.598094    3835 memcache.go:265] couldn't get current server API group "
        'list: Get "https://there:6443/api": dial tcp 10.0.0.1:6443: connect: connection refused\n'
        "The connection to the server there:6443 was refused - did you specify the right host or "
        "port?\n",
        "The connection to the server there:6443 was refused - did you specify the right host or "
        "port?",
    ),
    "docker run, an image that there is not": (
        "Unable to find image 'registry:2' locally\n"
        "docker: Error response from daemon: Get "
        '"https://registry-1.docker.io/v2/": dial tcp: lookup registry-1.docker.io: no such host\n'
        "\nRun 'docker run --help' for more information\n",
        'docker: Error response from daemon: Get "https://registry-1.docker.io/v2/": '
        "dial tcp: lookup registry-1.docker.io: no such host",
    ),
    "docker run, older": (
        "docker: Error response from daemon: Conflict.\nSee 'docker run --help'.\n",
        "docker: Error response from daemon: Conflict.",
    ),
    "docker build, the legacy builder": (
        "Step 2/2 : RUN pip install pyzmq==99\n ---> Running in ee05ca9e16c1\n"
        f"\x1b[91m{PIP}\nERROR: No matching distribution found for pyzmq==99\n"
        "\x1b[0mThe command '/bin/sh -c pip install pyzmq==99' returned a non-zero code: 1\n",
        PIP,
    ),
    "docker build, BuildKit": (
        f'#5 [2/2] RUN pip install pyzmq==99\n#5 0.512 {PIP}\n#5 ERROR: process "/bin/sh -c pip '
        'install" did not complete successfully: exit code: 1\n------\n > [2/2] RUN pip install:\n'
        f'0.512 {PIP}\n------\nERROR: failed to solve: process "/bin/sh -c pip install" did not '
        "complete successfully: exit code: 1\n",
        PIP,
    ),
    "docker build, a command that says nothing of use": (
        '#6 ERROR: process "/bin/sh -c make" did not complete successfully: exit code: 2\n'
        'ERROR: failed to solve: process "/bin/sh -c make" did not complete: exit code: 2\n',
        'ERROR: process "/bin/sh -c make" did not complete successfully: exit code: 2',
    ),
    "docker push": (
        "Using default tag: latest\nThe push refers to repository [localhost:1/x]\n"
        'Get "http://localhost:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused\n',
        'Get "http://localhost:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused',
    ),
    "kind, an image that there is not": (
        'Creating cluster "raftzmq" ...\n ✗ Ensuring node image (kindest/node:v9) 🖼\n'
        'ERROR: failed to create cluster: failed to pull image "kindest/node:v9": command "docker '
        f'pull kindest/node:v9" failed with error: exit status 1\nCommand Output: {PULL}\n',
        PULL,
    ),
    "kind, kubeadm": (
        ' ✗ Starting control-plane 🕹️\nDeleted nodes: ["raftzmq-control-plane"]\n'
        'ERROR: failed to create cluster: failed to init node with kubeadm: command "docker exec '
        '--privileged raftzmq-control-plane kubeadm init" failed with error: exit status 1\n'
        "Command Output: I0501 10:00:00.000000     101 initconfiguration.go:255] loading\n"
        "[preflight] Running pre-flight checks\n"
        "error execution phase preflight: [preflight] Some fatal errors occurred:\n"
        "\t[ERROR NumCPU]: the number of available CPUs 1 is less than the required 2\n"
        "[preflight] If you know what you are doing, you can make a check non-fatal\n",
        "error execution phase preflight: [preflight] Some fatal errors occurred: "
        "[ERROR NumCPU]: the number of available CPUs 1 is less than the required 2",
    ),
    "kind, a cluster that is there": (
        'ERROR: failed to create cluster: node(s) already exist for a cluster with the name "a"\n',
        'ERROR: failed to create cluster: node(s) already exist for a cluster with the name "a"',
    ),
    "git": (
        "fatal: not a git repository (or any of the parent directories): .git\n",
        "fatal: not a git repository (or any of the parent directories): .git",
    ),
    "a hint alone": (
        "See 'kubectl get --help' for usage.\n",
        "See 'kubectl get --help' for usage.",
    ),
    "nothing": ("\n\n", ""),
}


@pytest.mark.parametrize("case", OUTPUTS)
def test_the_line_that_names_the_cause_is_told(case: str) -> None:
    output, line = OUTPUTS[case]
    assert cause(output) == line
