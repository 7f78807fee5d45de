"""Helm as a program of its own, because its Go runtime would share signals with pytest.

Reads {"task", "chart", "values", "namespace", "context", "timeout_s"} from stdin. Prints what Helm
finds wrong and what it renders, or what it says of the release, or {"error"}.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from typing import Any, Final

helm = import_module("helm_python")  # by name: tests fetch it, not the project

NAME: Final = "raftzmq"


def render(asked: dict[str, Any]) -> dict[str, Any]:
    values = asked["values"]
    with helm.Chart.load(asked["chart"]) as chart:
        chart.validate_schema(values)
        manifests = chart.render(values, name=NAME, namespace=asked["namespace"], is_install=True)
        return {
            "lint": helm.lint(asked["chart"], values, strict=True),
            "manifests": list(manifests.values()),
        }


def on_a_server(asked: dict[str, Any]) -> dict[str, Any]:
    """Install, upgrade or uninstall, and wait until that is done."""
    settings = {"timeout": asked["timeout_s"], "wait": "legacy"}
    with helm.Config(kube_context=asked["context"], namespace=asked["namespace"]) as server:
        if asked["task"] == "uninstall":
            server.uninstall(NAME, **settings)
            return {}
        act = getattr(server, asked["task"])
        release = act(
            asked["chart"], NAME, asked["values"], namespace=asked["namespace"], **settings
        )
        return {"release": release}


def main() -> None:
    asked = json.load(sys.stdin)
    try:
        told = render(asked) if asked["task"] == "render" else on_a_server(asked)
    except helm.HelmError as error:
        told = {"error": str(error)}
    print(json.dumps(told))


if __name__ == "__main__":
    main()
