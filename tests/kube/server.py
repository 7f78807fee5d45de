"""The Kubernetes that somebody has named: nobody's cluster is touched unasked."""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pytest

from tests.system.processes import wait_for

VARIABLE: Final = "RAFTZMQ_TEST_CONTEXT"
CONTEXT: Final = os.environ.get(VARIABLE, "")

ON_A_SERVER: Final = [
    pytest.mark.system,
    pytest.mark.kubernetes,
    pytest.mark.skipif(not CONTEXT, reason=f"{VARIABLE} names no context of kubectl to try"),
]


def kubectl(*words: str, stdin: str = "") -> str:
    """What kubectl prints. Raises AssertionError if it fails, or warns."""
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


@contextmanager
def made_namespace() -> Iterator[str]:
    """A namespace for as long as the block takes. Its pods wait for Secrets that somebody makes."""
    name = f"raftzmq-test-{secrets.token_hex(4)}"
    kubectl("create", "namespace", name)
    account = ("get", "serviceaccounts", "-n", name, "-o", "name")
    try:
        # Without it no pod is made, and it comes a moment after the namespace.
        wait_for("a service account", lambda: "default" in kubectl(*account))
        yield name
    finally:
        kubectl("delete", "namespace", name, "--wait=false")
