"""For all tests."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from raftzmq import AsyncClient, Client
from tests.amounts import VARIABLE

PATIENCE_S = 60.0
"""For calls whose time limit is not what a test is about: no machine is too slow for it."""

# A run started in the background ignores SIGINT, and so would every process that tests start and
# then interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says something of the machine only.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--proof",
        action="store_true",
        help="the full amounts: 500 simulated worlds, 50 kill -9 cycles, 100,000 mangled frames",
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--proof"):
        os.environ[VARIABLE] = "1"


@pytest.fixture(scope="session", autouse=True)
def patient_clients() -> Iterator[None]:
    """Calls of the clients without a timeout of their own have PATIENCE_S, not the usual 5 s."""
    with pytest.MonkeyPatch.context() as patch:
        for kind in (Client, AsyncClient):
            for method in vars(kind).values():
                defaults = getattr(method, "__kwdefaults__", None) or {}
                if defaults.get("timeout") == 5:
                    patch.setitem(defaults, "timeout", PATIENCE_S)
        yield
