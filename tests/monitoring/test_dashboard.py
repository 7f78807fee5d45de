"""The dashboard and the alerts, in a real Prometheus that watches three real nodes."""

from __future__ import annotations

from pathlib import Path

import pytest

from raftzmq import Client
from tests.monitoring import prometheus
from tests.monitoring.dashboard import CONTENT, PANELS, QUERIES, filled_in
from tests.monitoring.rules import RULES
from tests.system.conftest import client, cluster
from tests.system.processes import STEADY, Cluster, wait_for

__all__ = ["client", "cluster"]

ONLY_WHEN_UNWELL = ("raftzmq_watches_lost_total", "raftzmq_connections_cut_total")
"""What has no series as long as nothing of it has happened."""

TOPICS = ("leader", "writes a second", "commit", "fsync", "lag", "disk", "locks", "watches")


def test_it_shows_what_must_be_watched() -> None:
    titles = " ".join(panel["title"] for panel in PANELS).lower()
    assert [topic for topic in TOPICS if topic not in titles] == []
    assert len({panel["id"] for panel in CONTENT["panels"]}) == len(CONTENT["panels"])


def test_no_panel_lies_over_another() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in CONTENT["panels"]:
        place = panel["gridPos"]
        cells = {
            (place["x"] + dx, place["y"] + dy)
            for dx in range(place["w"])
            for dy in range(place["h"])
        }
        assert not cells & taken, panel["title"]
        assert all(x < 24 for x, _ in cells), panel["title"]
        taken |= cells


def test_its_variables_are_all_that_is_to_be_filled_in() -> None:
    names = {variable["name"] for variable in CONTENT["templating"]["list"]}
    assert names == {"datasource", "job"}
    for panel in PANELS:
        for target in panel["targets"]:
            assert "$" not in filled_in(target["expr"]), panel["title"]
            assert target["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


@pytest.mark.system
@pytest.mark.proof
@pytest.mark.parametrize("cluster", [STEADY], indirect=True, ids=["steady"])
def test_every_query_finds_something_and_no_alert_fires(
    cluster: Cluster, client: Client, tmp_path: Path
) -> None:
    targets = [f"{node.host}:{node.port + 2}" for node in cluster.nodes]
    with prometheus.running(targets, tmp_path / "prometheus") as watching:
        with client.lock("nightly", ttl=30), client.watch(prefix="greeting"):
            wait_for(
                "all are seen twice",
                lambda: len(watching.query("count_over_time(raftzmq_term[1m]) > 1")) == 3,
            )

            def empty() -> list[str]:
                client.put("greeting", "hello")
                return [
                    query.expression for query in QUERIES if not watching.query(query.expression)
                ]

            def all_but_the_unwell() -> bool:
                return all(any(name in text for name in ONLY_WHEN_UNWELL) for text in empty())

            wait_for("the queries find something", all_but_the_unwell)
        for query in QUERIES:
            for series in watching.query(query.expression):
                for label in series["metric"].keys() - {"__name__", "job", "instance"}:
                    assert f"{{{{{label}}}}}" in query.legend, query.panel
        leader = watching.query('raftzmq_is_leader{job="raftzmq"} == 1')
        assert [found["metric"]["instance"] for found in leader] == [
            f"{cluster.leader().host}:{cluster.leader().port + 2}"
        ]
        rules = watching.ask("rules")["groups"][0]["rules"]
        assert {rule["name"]: rule["health"] for rule in rules} == dict.fromkeys(RULES, "ok")
        assert watching.ask("alerts")["alerts"] == []
