"""What holds the manifests together, which no schema knows: labels, ports, options, rights."""

from __future__ import annotations

import inspect
import tomllib
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import yaml

from raftzmq.access.key_directory import KeyDirectory
from raftzmq.client.discovery import default_endpoints
from raftzmq.server import pages
from raftzmq.server.config import ServerConfig
from raftzmq.server.shutdown import HANDOVER_MS
from raftzmq_cli.keys import kubernetes
from raftzmq_cli.main import build
from tests.kube.manifests import (
    ALL,
    BUDGETS,
    EVERY,
    KUBE,
    VIEWS,
    WHOLE,
    Object,
    containers,
    environment,
    node_pod,
    objects,
    only,
    pods,
    the_container,
    with_components,
)

VERSION = tomllib.loads((KUBE.parent / "pyproject.toml").read_text())["project"]["version"]
NODE = {"app.kubernetes.io/name": "raftzmq", "app.kubernetes.io/component": "node"}
LABELS = {
    "app.kubernetes.io/name",
    "app.kubernetes.io/component",
    "app.kubernetes.io/part-of",
    "app.kubernetes.io/managed-by",
}
CONFIG = ServerConfig(name="raft-0", data_dir=Path("/data"), service="raft-service")


def port_of(endpoint: str | None) -> int:
    assert endpoint is not None
    return int(endpoint.rpartition(":")[2])


PORTS = {
    "nodes": port_of(CONFIG.peer_endpoint),
    "clients": port_of(CONFIG.client_endpoint),
    "http": port_of(CONFIG.http_endpoint),
}


def includes(labels: Object, selector: Object) -> bool:
    return bool(selector) and selector.items() <= labels.items()


@pytest.mark.parametrize("directory", EVERY)
def test_every_object_has_the_recommended_labels(directory: str) -> None:
    labels = [item["metadata"]["labels"] for item in objects(directory)]
    labels += [metadata["labels"] for metadata, _ in pods(directory)]
    for found in labels:
        assert set(found) == LABELS
        assert found["app.kubernetes.io/part-of"] == "raftzmq"
        name = "raftzmq-views" if directory in VIEWS else "raftzmq"
        assert found["app.kubernetes.io/name"] == name


@pytest.mark.parametrize("directory", WHOLE)
def test_selectors_choose_the_nodes_and_no_other_pod(directory: str) -> None:
    nodes = only(directory, "StatefulSet")
    spread = nodes["spec"]["template"]["spec"]["topologySpreadConstraints"]
    policy = only(directory, "NetworkPolicy", "raft")["spec"]
    selectors = [
        only(directory, "Service")["spec"]["selector"],
        nodes["spec"]["selector"]["matchLabels"],
        policy["podSelector"]["matchLabels"],
        policy["ingress"][0]["from"][0]["podSelector"]["matchLabels"],
        *(constraint["labelSelector"]["matchLabels"] for constraint in spread),
        *(
            yaml.safe_load((KUBE / budget / "disruption-budget.yaml").read_text())["spec"][
                "selector"
            ]["matchLabels"]
            for budget in BUDGETS
        ),
    ]
    assert all(selector == NODE for selector in selectors)
    for metadata, _ in pods(directory):
        is_node = metadata.get("name") != "client"
        assert includes(metadata["labels"], NODE) is is_node


@pytest.mark.parametrize("directory", WHOLE)
def test_ports_are_those_that_the_node_listens_on(directory: str) -> None:
    assert PORTS == {"nodes": 6000, "clients": 6001, "http": 6002}
    container = the_container(node_pod(directory))
    assert {port["name"]: port["containerPort"] for port in container["ports"]} == PORTS
    service = only(directory, "Service")["spec"]
    assert {port["name"]: port["port"] for port in service["ports"]} == PORTS
    assert all(port["targetPort"] == port["name"] for port in service["ports"])


def test_only_nodes_reach_the_port_of_nodes_and_only_the_namespace_that_of_clients() -> None:
    rules = {
        port["port"]: rule.get("from")
        for rule in only("base", "NetworkPolicy", "raft")["spec"]["ingress"]
        for port in rule["ports"]
    }
    assert rules == {
        PORTS["nodes"]: [{"podSelector": {"matchLabels": NODE}}],
        PORTS["clients"]: [{"podSelector": {}}],
        PORTS["http"]: None,
    }


@pytest.mark.parametrize("directory", WHOLE)
def test_the_service_names_every_pod_ready_or_not(directory: str) -> None:
    service = only(directory, "Service")
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["publishNotReadyAddresses"] is True
    nodes = only(directory, "StatefulSet")["spec"]
    assert nodes["serviceName"] == service["metadata"]["name"] == "raft-service"
    assert nodes["podManagementPolicy"] == "Parallel"


@pytest.mark.parametrize("directory", WHOLE)
def test_probes_ask_for_pages_that_there_are(directory: str) -> None:
    container = the_container(node_pod(directory))
    asked = {
        kind: container[kind]["httpGet"]["path"]
        for kind in ("startupProbe", "livenessProbe", "readinessProbe")
    }
    assert asked == {
        "startupProbe": "/livez",
        "livenessProbe": "/livez",  # a restart does not bring a quorum
        "readinessProbe": "/readyz",
    }
    annotations = only(directory, "StatefulSet")["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == str(PORTS["http"])
    served = inspect.getsource(pages)
    for path in (*asked.values(), annotations["prometheus.io/path"]):
        assert f'"{path}":' in served
    assert all(container[kind]["httpGet"]["port"] == "http" for kind in asked)


def node_options() -> set[str]:
    """The variables that `raftzmq node` reads, by its own command line."""
    command = build().commands["node"]
    return {f"RAFTZMQ_{parameter.name.upper()}" for parameter in command.params} | {"MINOMBREPOD"}


@pytest.mark.parametrize("directory", WHOLE)
def test_every_variable_of_a_node_is_one_of_its_options(directory: str) -> None:
    given = set(environment(the_container(node_pod(directory))))
    assert given >= {"MINOMBREPOD", "RAFTZMQ_SERVICE", "RAFTZMQ_STATEFULSET", "RAFTZMQ_GRACE"}
    assert given - {"RAFTZMQ_KEY"} <= node_options()  # that is for `raftzmq client` in the pod


@pytest.mark.parametrize("directory", WHOLE)
def test_a_node_is_told_its_name_its_namespace_and_who_forms_the_cluster(directory: str) -> None:
    nodes = only(directory, "StatefulSet")
    container = the_container(node_pod(directory))
    env = environment(container)
    assert container["command"] == ["raftzmq", "node", "$(MINOMBREPOD)"]
    for name, field in (("MINOMBREPOD", "name"), ("RAFTZMQ_NAMESPACE", "namespace")):
        assert env[name]["valueFrom"]["fieldRef"]["fieldPath"] == f"metadata.{field}"
    assert env["RAFTZMQ_SERVICE"]["value"] == nodes["spec"]["serviceName"]
    assert env["RAFTZMQ_STATEFULSET"]["value"] == nodes["metadata"]["name"]
    assert env["RAFTZMQ_REPLICAS"]["value"] == str(nodes["spec"]["replicas"]) == "3"
    assert env["RAFTZMQ_DATA_DIR"]["value"] == container["volumeMounts"][0]["mountPath"] == "/data"


def test_a_surplus_node_gives_up_before_it_is_killed() -> None:
    pod = node_pod("base")
    grace_s = float(environment(the_container(pod))["RAFTZMQ_GRACE"]["value"])
    assert grace_s + HANDOVER_MS / 1000 < pod["terminationGracePeriodSeconds"]


@pytest.mark.parametrize("directory", ALL)
def test_clients_find_the_nodes_without_being_told_where(directory: str) -> None:
    for metadata, spec in pods(directory):
        if includes(metadata["labels"], NODE):
            continue
        env = {k: v.get("value", "ns") for k, v in environment(the_container(spec)).items()}
        assert default_endpoints({**env, "KUBERNETES_SERVICE_HOST": "10.0.0.1"}) == tuple(
            f"raft-{k}.raft-service.ns.svc.cluster.local:{PORTS['clients']}" for k in range(3)
        )


@pytest.mark.parametrize("directory", EVERY)
def test_every_container_runs_the_image_of_this_version(directory: str) -> None:
    for _, spec in pods(directory):
        assert the_container(spec)
        for container in containers(spec):
            assert container["image"] == f"localhost:5001/raftzmq:{VERSION}"
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}
            assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize("directory", EVERY)
def test_pods_keep_to_the_restricted_profile(directory: str) -> None:
    for _, spec in pods(directory):
        pod = spec["securityContext"]
        assert pod["runAsNonRoot"] is True
        assert pod["runAsUser"] == pod["runAsGroup"] == 65532
        assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["enableServiceLinks"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
        for container in containers(spec):
            own = container["securityContext"]
            assert own["allowPrivilegeEscalation"] is False
            assert own["readOnlyRootFilesystem"] is True
            assert own["capabilities"]["drop"] == ["ALL"]
            if container["name"] != "owner":
                assert own.keys().isdisjoint({"runAsUser", "runAsNonRoot", "privileged"})
                assert "add" not in own["capabilities"]


@pytest.mark.parametrize("directory", EVERY)
def test_every_port_says_its_protocol(directory: str) -> None:
    """Kubernetes 1.20 takes no list of ports otherwise when it is applied by the server, as Helm 4
    does and `kubectl apply --server-side`."""
    of_pods = (one.get("ports", ()) for _, spec in pods(directory) for one in containers(spec))
    of_services = (
        item["spec"]["ports"] for item in objects(directory) if item["kind"] == "Service"
    )
    for port in chain(*of_pods, *of_services):
        assert port.get("protocol") == "TCP", port["name"]


def test_only_who_gives_the_volume_away_is_root_and_may_do_nothing_else() -> None:
    for directory in ALL:
        found = [owner for _, spec in pods(directory) for owner in owners(spec)]
        if directory != "overlays/hostpath":
            assert not found
            continue
        (owner,) = found
        gives_away(owner, "/data")


@pytest.mark.parametrize("backup", ["backup", "backup-v1beta1"])
def test_the_volume_of_the_backups_is_given_away_too(backup: str, tmp_path: Path) -> None:
    with_components(tmp_path, backup, "root-owned-volumes")
    job = only(tmp_path, "CronJob")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (owner,) = owners(job)
    gives_away(owner, "/backups")
    (main,) = job["containers"]
    assert owner["image"] == main["image"]
    assert owner["volumeMounts"][0] in main["volumeMounts"]


def owners(spec: Object) -> list[Object]:
    return [container for container in containers(spec) if container["name"] == "owner"]


def gives_away(owner: Object, volume: str) -> None:
    assert owner["command"] == ["chown", "65532:65532", volume]
    assert [mount["mountPath"] for mount in owner["volumeMounts"]] == [volume]
    assert owner["securityContext"]["runAsUser"] == 0
    assert owner["securityContext"]["capabilities"] == {"drop": ["ALL"], "add": ["CHOWN"]}


def test_a_node_may_read_one_stateful_set_and_nothing_else() -> None:
    assert only("base", "Role")["rules"] == [
        {
            "apiGroups": ["apps"],
            "resources": ["statefulsets"],
            "resourceNames": [only("base", "StatefulSet")["metadata"]["name"]],
            "verbs": ["get", "watch"],
        }
    ]
    account = only("base", "ServiceAccount")
    binding = only("base", "RoleBinding")
    assert account["automountServiceAccountToken"] is False
    assert node_pod("base")["serviceAccountName"] == account["metadata"]["name"]
    assert binding["roleRef"]["kind"] == "Role"
    assert binding["roleRef"]["name"] == only("base", "Role")["metadata"]["name"]
    assert [subject["name"] for subject in binding["subjects"]] == [account["metadata"]["name"]]


@pytest.mark.parametrize("directory", ALL)
def test_only_nodes_have_a_token(directory: str) -> None:
    for metadata, spec in pods(directory):
        is_node = includes(metadata["labels"], NODE)
        assert spec["automountServiceAccountToken"] is is_node
        assert ("serviceAccountName" in spec) is is_node


def test_the_right_moves_to_another_namespace_with_the_rest(tmp_path: Path) -> None:
    base = (KUBE / "base").resolve()
    up = "/".join([".."] * len(tmp_path.resolve().parts[1:]))
    settings: dict[str, Any] = {"namespace": "elsewhere", "resources": [f"{up}{base}"]}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(settings))
    assert {item["metadata"]["namespace"] for item in objects(tmp_path)} == {"elsewhere"}
    assert only(tmp_path, "RoleBinding")["subjects"][0]["namespace"] == "elsewhere"


@pytest.mark.parametrize("directory", WHOLE)
def test_replicas_are_spread_one_a_worker(directory: str) -> None:
    (constraint,) = node_pod(directory)["topologySpreadConstraints"]
    assert constraint["maxSkew"] == 1
    assert constraint["topologyKey"] == "kubernetes.io/hostname"
    assert constraint["whenUnsatisfiable"] == "DoNotSchedule"


def test_kind_does_not_count_its_control_plane_as_a_worker() -> None:
    affinity = node_pod("overlays/kind")["affinity"]["nodeAffinity"]
    (term,) = affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert {(rule["key"], rule["operator"]) for rule in term["matchExpressions"]} == {
        ("node-role.kubernetes.io/control-plane", "DoesNotExist"),
        ("node-role.kubernetes.io/master", "DoesNotExist"),
    }


def test_a_budget_is_in_its_components_only_and_the_same_in_both_versions() -> None:
    for directory in ALL:
        has = any(item["kind"] == "PodDisruptionBudget" for item in objects(directory))
        assert has is (directory == "overlays/kind")
    newer, older = (
        yaml.safe_load((KUBE / budget / "disruption-budget.yaml").read_text()) for budget in BUDGETS
    )
    assert (newer.pop("apiVersion"), older.pop("apiVersion")) == ("policy/v1", "policy/v1beta1")
    assert newer == older
    assert newer["spec"]["maxUnavailable"] == 1


def test_without_volumes_the_data_ends_with_the_pod() -> None:
    nodes = only("overlays/no-volumes", "StatefulSet")["spec"]
    assert "volumeClaimTemplates" not in nodes
    assert nodes["template"]["spec"]["volumes"] == [
        *node_pod("base")["volumes"],
        {"name": "data", "emptyDir": {"sizeLimit": "1Gi"}},
    ]


@pytest.mark.parametrize("directory", ["base", "overlays/kind", "overlays/hostpath"])
def test_with_volumes_each_replica_has_a_claim_of_its_own(directory: str) -> None:
    (claim,) = only(directory, "StatefulSet")["spec"]["volumeClaimTemplates"]
    assert (
        claim["metadata"]["name"] == the_container(node_pod(directory))["volumeMounts"][0]["name"]
    )
    assert claim["spec"]["resources"]["requests"]["storage"] == "1Gi"


def test_the_check_runs_once_and_waits_for_a_cluster_that_is_starting() -> None:
    check = only("check", "Pod")
    assert check["metadata"]["name"] == "client-check"
    assert check["spec"]["restartPolicy"] == "Never"
    assert the_container(check["spec"])["command"] == [
        *("raftzmq", "client", "check", "--timeout", "60")
    ]


SECRETS = {
    "RAFTZMQ_KEYS": ("raft-keys", "/etc/raftzmq/keys"),
    "RAFTZMQ_KEY": ("raft-client", "/etc/raftzmq/client"),
}
"""The variable that names a place, the Secret that is mounted there, and the directory."""


@pytest.mark.parametrize("directory", ALL)
def test_keys_are_mounted_as_directories_that_only_the_group_of_the_pod_reads(
    directory: str,
) -> None:
    for metadata, spec in pods(directory):
        container = the_container(spec)
        given = environment(container)
        mounted = {mount["name"]: mount for mount in container["volumeMounts"]}
        secrets = {v["secret"]["secretName"]: v for v in spec["volumes"] if "secret" in v}
        is_node = includes(metadata["labels"], NODE)
        assert set(secrets) == ({"raft-keys", "raft-client"} if is_node else {"raft-client"})
        assert ("RAFTZMQ_KEYS" in given) is is_node
        assert "RAFTZMQ_INSECURE" not in given
        assert spec["securityContext"]["fsGroup"] == spec["securityContext"]["runAsGroup"]
        for variable, (secret, place) in SECRETS.items():
            if secret not in secrets:
                continue
            volume = secrets[secret]
            assert volume["secret"]["defaultMode"] == 0o440
            mount = mounted[volume["name"]]
            assert (mount["mountPath"], mount["readOnly"]) == (place, True)
            assert "subPath" not in mount  # such a file never changes
            assert given[variable]["value"].startswith(place)


def test_the_secrets_are_those_that_keys_secret_writes(tmp_path: Path) -> None:
    KeyDirectory(tmp_path / "keys").create()
    written = kubernetes.secrets(tmp_path / "keys")["items"]
    files = {item["metadata"]["name"]: set(item["data"]) for item in written}
    assert files == {
        "raft-keys": {"node.key", "server.key", "users.toml"},
        "raft-client": {"client.key"},
    }
    for _, spec in pods("base"):
        key = environment(the_container(spec))["RAFTZMQ_KEY"]["value"]
        assert key == "/etc/raftzmq/client/client.key"


def test_nobody_reaches_the_pods_that_are_clients() -> None:
    policy = only("base", "NetworkPolicy", "raft-client")["spec"]
    assert policy["policyTypes"] == ["Ingress"]
    assert "ingress" not in policy
    (expression,) = policy["podSelector"]["matchExpressions"]
    assert (expression["operator"], expression["values"]) == ("In", ["client", "check", "backup"])
    for directory in ("base", "check"):
        for metadata, _ in pods(directory):
            component = metadata["labels"]["app.kubernetes.io/component"]
            assert (component in expression["values"]) is (component != "node")
