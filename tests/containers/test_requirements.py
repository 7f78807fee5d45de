"""The pinned requirements of the image are those of pyproject.toml, each with its hashes."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest

from tests.containers.engine import ROOT

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
RUN = "requirements.txt"
BUILD = "requirements-build.txt"
WANTED = [
    *((RUN, text) for text in PROJECT["project"]["dependencies"]),
    *((RUN, text) for text in PROJECT["project"]["optional-dependencies"]["kubernetes"]),
    *((BUILD, text) for text in PROJECT["build-system"]["requires"]),
]


def pinned(file: str) -> dict[str, str]:
    """Name -> version."""
    text = (ROOT / "containers" / file).read_text()
    return dict(re.findall(r"^([a-z0-9.-]+)==(\S+) \\$", text, re.MULTILINE))


def number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def satisfies(version: str, bounds: str) -> bool:
    """Whether a version is within bounds such as >=26.2,<28."""
    for bound in bounds.split(","):
        match = re.fullmatch(r"(>=|<)([0-9.]+)", bound)
        assert match, f"this test does not know what {bound} means"
        if (number(version) >= number(match[2])) != (match[1] == ">="):
            return False
    return True


@pytest.mark.parametrize(("file", "requirement"), WANTED)
def test_a_pinned_version_satisfies_pyproject(file: str, requirement: str) -> None:
    name, bounds = re.split(r"(?=[<>=])", requirement, maxsplit=1)
    version = pinned(file).get(name)
    how = f"run the command in the head of containers/{file}"
    assert version, f"{name} is not pinned: {how}"
    assert satisfies(version, bounds), f"{name} {version} is not {bounds}: {how}"


@pytest.mark.parametrize("file", [RUN, BUILD])
def test_every_requirement_is_pinned_with_hashes(file: str) -> None:
    text = (ROOT / "containers" / file).read_text()
    requirements = re.split(r"^(?=[^#\s])", text, flags=re.MULTILINE)[1:]
    assert len(requirements) == len(pinned(file)) > 3
    assert all("--hash=sha256:" in requirement for requirement in requirements)
    assert "uv pip compile" in text.splitlines()[1]


@pytest.mark.parametrize(
    ("version", "bounds", "is_within"),
    [
        ("27.3.0", ">=26.2,<28", True),
        ("26.2", ">=26.2,<28", True),
        ("26.1.9", ">=26.2,<28", False),
        ("28.0", ">=26.2,<28", False),
        ("3.9", ">=3.10", False),
    ],
)
def test_bounds_are_compared_as_numbers(version: str, bounds: str, is_within: bool) -> None:
    assert satisfies(version, bounds) is is_within
