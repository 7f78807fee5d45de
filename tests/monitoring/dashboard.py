"""The dashboard for Grafana, with its variables filled in."""

from __future__ import annotations

import json
from typing import Any, Final, NamedTuple

from tests.monitoring.rules import DOCS

CONTENT: Final[dict[str, Any]] = json.loads((DOCS / "grafana.json").read_text())
PANELS: Final = [panel for panel in CONTENT["panels"] if panel["type"] != "row"]
VARIABLES: Final = {"$job": "raftzmq", "$__rate_interval": "1m"}


class Query(NamedTuple):
    panel: str
    legend: str
    expression: str


def filled_in(text: str) -> str:
    for name, value in VARIABLES.items():
        text = text.replace(name, value)
    return text


QUERIES: Final = [
    Query(panel["title"], target["legendFormat"], filled_in(target["expr"]))
    for panel in PANELS
    for target in panel["targets"]
]
