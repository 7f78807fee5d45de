"""What holds the manifests of the older design together: labels, ports, names, options."""

from __future__ import annotations

from typing import Any

import pytest

from raftzmq.views import storage_server, view_server
from raftzmq_cli.main import build
from tests.kube.manifests import (
    VIEWS,
    Object,
    environment,
    objects,
    only,
    pods,
    the_container,
)

NAME = {"app.kubernetes.io/name": "raftzmq-views"}
SERVER = {**NAME, "app.kubernetes.io/component": "view-server"}
STORAGE = {**NAME, "app.kubernetes.io/component": "storage"}
FOUND_AT = "view-server:7000"


def named(kind: str, name: str) -> Object:
    (found,) = [
        item
        for item in objects("views")
        if (item["kind"], item["metadata"]["name"]) == (kind, name)
    ]
    return found


def chosen(selector: Object) -> set[str]:
    """The components of the pods that a selector chooses."""
    assert selector
    return {
        metadata["labels"]["app.kubernetes.io/component"]
        for directory in (*VIEWS, "base", "check")
        for metadata, _ in pods(directory)
        if selector.items() <= metadata["labels"].items()
    }


def test_it_is_one_view_server_three_storage_servers_and_a_client() -> None:
    kinds = sorted((item["kind"], item["metadata"]["name"]) for item in objects("views"))
    assert kinds == [
        ("Deployment", "storage"),
        ("NetworkPolicy", "storage"),
        ("NetworkPolicy", "view-server"),
        ("Pod", "view-server"),
        ("Pod", "views-client"),
        ("Service", "view-server"),
    ]
    assert named("Deployment", "storage")["spec"]["replicas"] == 3


def test_selectors_choose_the_pods_of_one_component_and_none_of_the_other_design() -> None:
    assert chosen(named("Service", "view-server")["spec"]["selector"]) == {"view-server"}
    deployment = named("Deployment", "storage")["spec"]
    assert chosen(deployment["selector"]["matchLabels"]) == {"storage"}
    affinity = deployment["template"]["spec"]["affinity"]["podAntiAffinity"]
    (term,) = affinity["preferredDuringSchedulingIgnoredDuringExecution"]
    assert term["podAffinityTerm"]["topologyKey"] == "kubernetes.io/hostname"
    assert chosen(term["podAffinityTerm"]["labelSelector"]["matchLabels"]) == {"storage"}
    for name in ("view-server", "storage"):
        policy = named("NetworkPolicy", name)["spec"]
        assert chosen(policy["podSelector"]["matchLabels"]) == {name}


def options_of(*path: str) -> Any:
    """A command of the program, by its own command line."""
    command = build()
    for word in path:
        command = command.commands[word]
    return command


@pytest.mark.parametrize(
    ("name", "listened_on"), [("view-server", view_server.PORT), ("storage", storage_server.PORT)]
)
def test_ports_are_those_that_the_programs_listen_on(name: str, listened_on: int) -> None:
    kind = "Pod" if name == "view-server" else "Deployment"
    spec = named(kind, name)["spec"]
    container = the_container(spec if kind == "Pod" else spec["template"]["spec"])
    (port,) = container["ports"]
    assert port["containerPort"] == listened_on
    assert container["command"][-1] == f"tcp://*:{port['containerPort']}"
    for probe in ("readinessProbe", "livenessProbe"):
        assert container[probe]["tcpSocket"]["port"] == port["name"]
    (rule,) = named("NetworkPolicy", name)["spec"]["ingress"]
    assert rule["ports"] == [{"port": port["containerPort"]}]
    assert rule["from"] == [{"podSelector": {}}]
    if name == "view-server":
        (service,) = named("Service", name)["spec"]["ports"]
        assert (service["port"], service["targetPort"]) == (port["containerPort"], port["name"])


@pytest.mark.parametrize("directory", VIEWS)
def test_all_but_the_view_server_find_it_by_its_service(directory: str) -> None:
    service = named("Service", "view-server")
    port = service["spec"]["ports"][0]["port"]
    assert f"{service['metadata']['name']}:{port}" == FOUND_AT
    for metadata, spec in pods(directory):
        env = environment(the_container(spec))
        if metadata.get("name") == "view-server":
            assert set(env) == {"RAFTZMQ_INSECURE"}
        else:
            assert env["RAFTZMQ_VIEW_SERVER"]["value"] == FOUND_AT


def test_a_storage_server_is_told_its_name_and_the_address_that_others_reach() -> None:
    spec = named("Deployment", "storage")["spec"]["template"]["spec"]
    container = the_container(spec)
    assert container["command"][:4] == ["raftzmq", "views", "store", "$(POD_NAME)"]
    env = environment(container)
    assert env["POD_NAME"]["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.name"
    assert env["POD_IP"]["valueFrom"]["fieldRef"]["fieldPath"] == "status.podIP"
    port = container["ports"][0]["containerPort"]
    assert env["RAFTZMQ_ADDRESS"]["value"] == f"$(POD_IP):{port}"
    assert list(env).index("POD_IP") < list(env).index("RAFTZMQ_ADDRESS"), "else it stays as it is"


def test_every_variable_is_an_option_of_its_command() -> None:
    spec = named("Deployment", "storage")["spec"]["template"]["spec"]
    options = {f"RAFTZMQ_{option.name.upper()}" for option in options_of("views", "store").params}
    assert set(environment(the_container(spec))) - {"POD_NAME", "POD_IP"} <= options
    client = {option.envvar for option in options_of("views", "client").params}
    for pod in (named("Pod", "views-client"), only("views/check", "Pod")):
        assert set(environment(the_container(pod["spec"]))) <= client


def test_an_update_never_takes_the_last_copy_along() -> None:
    spec = named("Deployment", "storage")["spec"]
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert spec["minReadySeconds"] == 10


@pytest.mark.parametrize("directory", VIEWS)
def test_no_pod_has_a_token(directory: str) -> None:
    for _, spec in pods(directory):
        assert spec["automountServiceAccountToken"] is False


def test_the_check_runs_once_and_waits_for_servers_that_are_starting() -> None:
    check = only("views/check", "Pod")
    assert check["metadata"]["name"] == "views-check"
    assert check["spec"]["restartPolicy"] == "Never"
    assert the_container(check["spec"])["command"] == [
        *("raftzmq", "views", "client", "check", "--timeout", "60")
    ]
