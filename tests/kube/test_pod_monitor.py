"""The component by which the Prometheus Operator finds the nodes."""

from __future__ import annotations

from pathlib import Path

from tests.kube.manifests import node_pod, objects, only, with_components
from tests.monitoring.rules import RULES


def test_the_operator_finds_the_nodes_and_their_port_for_metrics(tmp_path: Path) -> None:
    both = with_components(tmp_path, "pod-monitor")
    (monitor,) = (item for item in both if item not in objects("base"))
    assert (monitor["apiVersion"], monitor["kind"]) == ("monitoring.coreos.com/v1", "PodMonitor")
    spec = monitor["spec"]
    nodes = only("base", "StatefulSet")["spec"]
    assert spec["selector"] == nodes["selector"]
    (endpoint,) = spec["podMetricsEndpoints"]
    ports = node_pod("base")["containers"][0]["ports"]
    assert endpoint["port"] in {port["name"] for port in ports}
    annotations = nodes["template"]["metadata"]["annotations"]
    assert endpoint["path"] == annotations["prometheus.io/path"]


def test_the_job_has_the_name_that_the_alerts_know(tmp_path: Path) -> None:
    with_components(tmp_path, "pod-monitor")
    spec = only(tmp_path, "PodMonitor")["spec"]
    job = only("base", "StatefulSet")["spec"]["template"]["metadata"]["labels"][spec["jobLabel"]]
    assert f'up{{job="{job}"}}' in RULES["RaftzmqNodeDown"]["expr"]
