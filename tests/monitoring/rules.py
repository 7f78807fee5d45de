"""The alert rules, and promtool, which says when they fire on given series."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
import yaml

DOCS: Final = Path(__file__).parents[2] / "docs"
ALERTS: Final = DOCS / "alerts.yaml"

RULES: Final[dict[str, dict[str, Any]]] = {
    rule["alert"]: rule
    for group in yaml.safe_load(ALERTS.read_text())["groups"]
    for rule in group["rules"]
}
"""Name -> rule."""

HOURS: Final = 1
"""How long the series of a test are; longer than any rule waits."""


class Firing(NamedTuple):
    """An alert as it must fire: its labels without those of the rule, and its summary."""

    labels: Mapping[str, str]
    summary: str


def require_promtool() -> None:
    """Skip the test where there is no promtool."""
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed (Debian: apt install prometheus)")


def assert_fires(
    alert: str, series: Mapping[str, str], expected: Iterable[Firing], directory: Path
) -> None:
    """Of this rule exactly the expected alerts fire at the end, and none before its `for`.

    `series` is name and labels -> values, one a minute, as promtool writes them: 3+0x60."""
    rule = RULES[alert]
    firing = [
        {
            "exp_labels": {**rule["labels"], **found.labels},
            "exp_annotations": {**rule["annotations"], "summary": found.summary},
        }
        for found in expected
    ]
    at_once = {"eval_time": "0m", "alertname": alert, "exp_alerts": []}
    in_the_end = {"eval_time": f"{HOURS}h", "alertname": alert, "exp_alerts": firing}
    test = {
        "interval": "1m",
        "input_series": [{"series": name, "values": text} for name, text in series.items()],
        "alert_rule_test": [at_once, in_the_end],
    }
    file = directory / "test.yaml"
    content = {"rule_files": [str(ALERTS)], "evaluation_interval": "1m", "tests": [test]}
    file.write_text(yaml.safe_dump(content))
    done = subprocess.run(
        ["promtool", "test", "rules", str(file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
