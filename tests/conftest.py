"""For all tests."""

from __future__ import annotations

import inspect
import os
import signal
import sys
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

from raftzmq import AsyncClient, Client
from tests import progress
from tests.amounts import PICKED, VARIABLE, are_picked, skip_the_longest

if TYPE_CHECKING:
    from tests.parallel import Units

PATIENCE_S = 60.0
"""For calls whose time limit is not what a test is about: no machine is too slow for it."""

# A run started in the background ignores these, and so would every process that tests start and
# then interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)

# Else every process that tests start, some thousand, would compile all of raftzmq once more.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# How long an example takes says something of the machine only.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--proof",
        action="store_true",
        help="also what takes longest, and the full amounts: 100 simulated worlds, 50 kill -9 "
        "cycles, 100,000 mangled frames",
    )


def _is_worker(config: pytest.Config) -> bool:
    """Whether this is a worker of pytest-xdist."""
    return hasattr(config, "workerinput")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--proof"):
        os.environ[VARIABLE] = "1"
    if not _is_worker(config) and are_picked(config):
        os.environ[PICKED] = "1"
    capture = config.pluginmanager.getplugin("capturemanager")
    if capture:

        def write(line: str) -> None:
            with capture.global_and_fixture_disabled():
                print(f"\n{line}", file=sys.stderr, flush=True)

        progress.write = write


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    skip_the_longest(items)
    if _is_worker(config):
        from tests.parallel import place

        items.sort(key=lambda item: place(item.nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """For `-n auto`, which is what `just test` says."""
    from tests.parallel import workers

    return workers(config)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Units | None:
    from tests.parallel import Units

    return Units(config, log) if config.option.dist == "load" else None


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, Any, Any]:
    """A worker that cannot send a report ends, and the whole run with it."""
    from tests.parallel import encodable

    return encodable((yield))


@pytest.fixture(scope="session", autouse=True)
def patient_clients() -> Iterator[None]:
    """Calls of the clients without a timeout of their own have PATIENCE_S, not the usual 5 s."""
    with pytest.MonkeyPatch.context() as patch:
        for kind in (Client, AsyncClient):
            for method in filter(callable, vars(kind).values()):
                defaults = getattr(inspect.unwrap(method), "__kwdefaults__", None) or {}
                if defaults.get("timeout") == 5:
                    patch.setitem(defaults, "timeout", PATIENCE_S)
        patch.setattr("raftzmq.client.handles.scan.TIMEOUT_S", PATIENCE_S)
        yield
