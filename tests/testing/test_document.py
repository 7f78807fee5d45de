"""The examples of docs/testing.md are run."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

import pytest

from tests.containers.engine import ROOT
from tests.packaging.test_types import blocks


def examples() -> list[Callable[[], Any]]:
    """The test functions that stand there, and need no fixture."""
    found: list[Callable[[], Any]] = []
    for block in blocks((ROOT / "docs" / "testing.md").read_text()):
        names: dict[str, Any] = {}
        exec(block, names)
        tests = [names[name] for name in names if name.startswith("test_")]
        found += [test for test in tests if not inspect.signature(test).parameters]
    return found


@pytest.mark.parametrize("example", examples(), ids=lambda test: test.__name__)
def test_an_example_does_what_it_says(example: Callable[[], Any]) -> None:
    result = example()
    if inspect.isawaitable(result):

        async def main() -> None:
            await result

        asyncio.run(main())


def test_there_are_examples() -> None:
    assert len(examples()) >= 5
