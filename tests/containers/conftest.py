"""The image of this checkout, built once a run, and an engine to run it with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.containers import engine
from tests.containers.engine import Engine


@pytest.fixture(scope="session")
def image() -> Iterator[str]:
    """The name of the image. Skips where there is no docker, or no base image."""
    if reason := engine.why_not():
        pytest.skip(reason)
    tag = engine.unique("image")
    try:
        engine.build(tag)
        yield tag
    finally:
        engine.docker("image", "rm", "--force", tag)


@pytest.fixture
def containers(image: str) -> Iterator[Engine]:
    with Engine(image) as made:
        yield made
