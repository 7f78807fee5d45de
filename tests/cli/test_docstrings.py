"""The examples in the docstrings of public names are there, and run against three real nodes."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

import raftzmq
from raftzmq import Client, RaftzmqError
from tests.cli.conftest import LocalCluster
from tests.docstrings import documented, example_of, examples

NOT_RUN: Final = {
    "Client.call": "needs a state machine",
    "Client.log_level": "needs a node at that address",
    "Client.member_add": "changes the membership",
    "Client.member_promote": "changes the membership",
    "Client.member_remove": "changes the membership",
    "Client.stop": "stops a node",
    "Client.transfer": "changes the leader",
    "Client.upgrade_downgrade": "changes the version of the cluster",
    "Client.upgrade_finish": "changes the version of the cluster",
    "ForkedClient": "forks",
    "Unauthorized": "needs keys",
}
"""What mypy alone checks (tests/packaging/test_types.py), and why."""


@dataclass
class Job:
    page: int


def test_every_public_name_has_an_example() -> None:
    lacking = [name for name, found in documented() if not example_of(found)]
    assert not lacking, f"Give these docstrings an example, an indented block: {lacking}"
    assert {*NOT_RUN} <= {*examples()}


def namespace(db: Client) -> dict[str, Any]:
    """What an example may take for granted."""
    names = {name: getattr(raftzmq, name) for name in raftzmq.__all__}
    modules = {"asyncio": asyncio, "os": os, "time": time, "suppress": suppress}
    return {**names, **modules, "db": db, "Job": Job, "revision": 1, "request": "7", "worker": "me"}


def its_own_error(name: str) -> list[type[RaftzmqError]]:
    """The error of which this is an example."""
    found = getattr(raftzmq, name, None)
    if isinstance(found, type) and issubclass(found, RaftzmqError):
        return [found]
    return []


@pytest.mark.system
def test_every_example_runs(
    cluster: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAFTZMQ_ENDPOINTS", cluster.endpoints)
    for name, code in examples().items():
        if name in NOT_RUN:
            continue
        with Client(timeout=60) as db, suppress(*its_own_error(name)):
            exec(compile(code, f"<docstring of {name}>", "exec"), namespace(db))
