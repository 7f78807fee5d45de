"""The newest Python, which the image has: a clone is installed there, and tests pass."""

from __future__ import annotations

import re
from typing import Final

import pytest

from tests.containers.engine import ROOT, answer, base_image, docker, unique, why_not

pytestmark = [pytest.mark.system, pytest.mark.proof]

FOLDERS: Final = ("access", "client", "core", "machine", "server", "storage", "transport")
"""Where Python may make a difference: threads, event loops, sockets, TLS, files, the collector and
what objects take; and the pure parts that take seconds. With installing, 130 s of one core."""

LIMIT_S: Final = 900.0

SCRIPT: Final = f"""
mkdir /clone
tar -C /given --exclude=./.venv --exclude=./.git --exclude='*_cache' -c . | tar -C /clone -x
cd /clone
./justw test -q -n 2 -m "not system and not proof" {" ".join(f"tests/{name}" for name in FOLDERS)}
"""

FILTERS: Final = ("--cap-add", "NET_ADMIN")
"""Newer kernels want it for the filter by which a node holds its ports back."""

PASSED_MIN: Final = 3_500
"""Measured: 4,250."""


@pytest.fixture
def base() -> str:
    """The image that the Dockerfile begins with. Skips where there is none."""
    if reason := why_not():
        pytest.skip(reason)
    return base_image()


def test_a_clone_is_installed_and_its_tests_pass(base: str) -> None:
    name = unique("newest")
    mount = f"type=bind,src={ROOT},dst=/given,readonly"
    try:
        ended = docker(
            *("run", "--name", name, "--init", "--network", "host", *FILTERS, "--mount", mount),
            *(base, "sh", "-ec", SCRIPT),
            timeout_s=LIMIT_S,
        )
    finally:
        docker("rm", "--force", name)
    said = (ended.out + ended.err)[-8000:]
    assert ended.code == 0, said
    passed = re.search(r"(\d+) passed", ended.out)
    assert passed, said
    assert int(passed[1]) > PASSED_MIN, said


def test_the_image_has_the_newest_python_of_the_classifiers(base: str) -> None:
    text = (ROOT / "pyproject.toml").read_text()
    named = [int(minor) for minor in re.findall(r"Python :: 3\.(\d+)", text)]
    program = "import sys; print(sys.version_info.minor)"
    assert answer("run", "--rm", base, "python3", "-c", program) == str(max(named))
