"""A real API server takes the manifests. It is asked to store nothing.

Only where the variable names a context of kubectl: nobody's cluster is touched unasked.
"""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from tests.kube.manifests import BUDGETS, EVERY, KUBE, objects, rendered

VARIABLE = "RAFTZMQ_TEST_CONTEXT"
CONTEXT = os.environ.get(VARIABLE, "")
BUDGET_V1 = (1, 21)

pytestmark = [
    pytest.mark.system,
    pytest.mark.kubernetes,
    pytest.mark.skipif(not CONTEXT, reason=f"{VARIABLE} names no context of kubectl to try"),
]


def kubectl(*words: str, stdin: str = "") -> str:
    done = subprocess.run(
        ["kubectl", "--context", CONTEXT, *words],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", "kubectl has warned"
    return done.stdout


@pytest.fixture(scope="module")
def server() -> tuple[int, int]:
    """The version of the server."""
    found = json.loads(kubectl("get", "--raw", "/version"))
    return int(found["major"]), int(found["minor"].rstrip("+"))


@pytest.mark.parametrize("how", ["client", "server"])
@pytest.mark.parametrize("directory", EVERY)
def test_the_server_would_take_every_object(
    directory: str, how: str, server: tuple[int, int]
) -> None:
    if "kind" in directory and server < BUDGET_V1:
        pytest.skip(f"policy/v1 is newer than {server[0]}.{server[1]}")
    told = kubectl("apply", f"--dry-run={how}", "--filename", "-", stdin=rendered(directory))
    assert told.count("dry run)") == len(objects(directory))


def test_the_server_would_take_the_budget_of_its_version(server: tuple[int, int]) -> None:
    budget = BUDGETS[0] if server >= BUDGET_V1 else BUDGETS[1]
    file = str(KUBE / budget / "disruption-budget.yaml")
    assert "dry run)" in kubectl("apply", "--dry-run=server", "--filename", file)
