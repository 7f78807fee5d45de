"""For all tests."""

from __future__ import annotations

import os
import signal

import pytest

from tests.amounts import VARIABLE

# A run started in the background ignores SIGINT, and so would every process that tests start and
# then interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--proof",
        action="store_true",
        help="the full amounts: 500 simulated worlds, 50 kill -9 cycles, 100,000 mangled frames",
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--proof"):
        os.environ[VARIABLE] = "1"
