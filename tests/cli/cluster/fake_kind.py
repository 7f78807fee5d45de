"""A stand-in for the program `kind`: its nodes are real containers that only sleep.

It takes the commands that raftzmq uses, records each call and the configuration it was given, makes
the containers on a real docker network as kind does, and writes a real kubectl context. What
Kubernetes would be behind the context is for the test to provide.

FAKE_KIND_RECORD   file to which a line of JSON is added for every call
FAKE_KIND_SERVER   URL of what stands in for the Kubernetes
FAKE_KIND_IMAGE    image of the nodes
FAKE_KIND_FAULT    file; as long as it is there, creating fails midway and tidies up, as kind does
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

NETWORK = "kind"
LABEL = "io.x-k8s.kind.cluster"


def docker(*words: str) -> list[str]:
    """Run docker; return the words that it says."""
    done = subprocess.run(["docker", *words], check=True, capture_output=True, text=True)
    return done.stdout.split()


def kubectl_config(*words: str) -> None:
    subprocess.run(["kubectl", "config", *words], check=True, capture_output=True)


def nodes(cluster: str) -> list[str]:
    listed = ("--filter", f"label={LABEL}={cluster}", "--format", "{{.Names}}")
    return sorted(docker("ps", "--all", *listed))


def create(cluster: str, config: dict[str, Any]) -> None:
    if nodes(cluster):
        sys.exit(f"ERROR: node(s) already exist for a cluster with the name {cluster!r}")
    if NETWORK not in docker("network", "ls", "--format", "{{.Name}}"):
        docker("network", "create", NETWORK)
    fault = Path(os.environ["FAKE_KIND_FAULT"])
    counts: dict[str, int] = {}
    for number, node in enumerate(config["nodes"]):
        role = node["role"]
        counts[role] = counts.get(role, 0) + 1
        name = f"{cluster}-{role}" + (str(counts[role]) if counts[role] > 1 else "")
        image = os.environ["FAKE_KIND_IMAGE"]
        settings = ("--init", "--network", NETWORK, "--label", f"{LABEL}={cluster}")
        docker("run", "-d", "--name", name, *settings, image, "sleep", "infinity")
        if number == 2 and fault.exists():
            delete(cluster)
            sys.exit("ERROR: failed to create cluster: failed to init node with kubeadm")
    export(cluster)


def export(cluster: str) -> None:
    name = f"kind-{cluster}"
    kubectl_config("set-cluster", name, "--server", os.environ["FAKE_KIND_SERVER"])
    kubectl_config("set-credentials", name)
    kubectl_config("set-context", name, "--cluster", name, "--user", name)
    kubectl_config("use-context", name)


def delete(cluster: str) -> None:
    if found := nodes(cluster):
        docker("rm", "--force", *found)
    for command in ("delete-context", "delete-cluster", "delete-user"):
        subprocess.run(
            ["kubectl", "config", command, f"kind-{cluster}"], check=False, capture_output=True
        )
    subprocess.run(["kubectl", "config", "unset", "current-context"], check=True)


def main(words: list[str]) -> None:
    name = words[words.index("--name") + 1] if "--name" in words else "kind"
    config = yaml.safe_load(sys.stdin) if "--config" in words else None
    with Path(os.environ["FAKE_KIND_RECORD"]).open("a") as record:
        record.write(json.dumps({"words": words, "config": config}) + "\n")
    match words[:2]:
        case ["version"]:
            print("kind v0.30.0 go1.24.6 linux/amd64")
        case ["get", "clusters"]:
            template = '{{.Label "' + LABEL + '"}}'
            found = docker("ps", "--all", "--filter", f"label={LABEL}", "--format", template)
            print("\n".join(sorted(set(found))))
        case ["get", "nodes"]:
            print("\n".join(nodes(name)))
        case ["create", "cluster"]:
            assert config is not None
            create(name, config)
        case ["export", "kubeconfig"]:
            export(name)
        case ["delete", "cluster"]:
            delete(name)
        case _:
            sys.exit(f"ERROR: unknown command {words}")


if __name__ == "__main__":
    main(sys.argv[1:])
