"""Helm as a program of its own, because its Go runtime would share signals with pytest.

Reads {"chart", "values", "namespace"} from stdin. Prints what Helm finds wrong
and what it renders, or {"error"}.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module

helm = import_module("helm_python")  # by name: test_chart.py fetches it, not the project


def main() -> None:
    asked = json.load(sys.stdin)
    try:
        with helm.Chart.load(asked["chart"]) as chart:
            chart.validate_schema(asked["values"])
            manifests = chart.render(
                asked["values"], name="raftzmq", namespace=asked["namespace"], is_install=True
            )
            told = {
                "lint": helm.lint(asked["chart"], asked["values"], strict=True),
                "manifests": list(manifests.values()),
            }
    except helm.HelmError as error:
        told = {"error": str(error)}
    print(json.dumps(told))


if __name__ == "__main__":
    main()
