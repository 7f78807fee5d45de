"""The newest Python, which the image has: wheel and sdist install there and work, and so does a
clone, in which tests pass."""

from __future__ import annotations

import re
from typing import Final

import pytest

from raftzmq import __version__
from tests.containers.engine import ROOT, answer, base_image, docker, unique, why_not

pytestmark = [pytest.mark.system, pytest.mark.proof]

FOLDERS: Final = ("client", "server", "storage", "transport")
"""Where Python may make a difference: threads, event loops, sockets, TLS, files, the collector."""

LIMIT_S: Final = 900.0

UNPACK: Final = """
mkdir /clone
without="--exclude=./.venv --exclude=./.git --exclude=node_modules --exclude=*_cache"
tar -C /given $without -c . | tar -C /clone -x
cd /clone
"""

TESTS: Final = f"""{UNPACK}
./justw test -q -n 2 -m "not system and not proof" {" ".join(f"tests/{name}" for name in FOLDERS)}
./justw test -q -n 0 -m "not proof" tests/contrib/test_django.py
.venv/bin/python -c 'import django; print("with Django", django.VERSION[0])'
"""
"""Django 6 needs Python 3.12, so nothing else here tries it."""

PACKAGES: Final = f"""{UNPACK}
python3 -m venv /build
/build/bin/pip install --quiet build
/build/bin/python -m build --outdir /dist . >/dev/null
cd /
for made in /dist/*; do
    python3 -m venv --clear /fresh
    /fresh/bin/pip install --quiet "$made"
    /fresh/bin/raftzmq --version
    /fresh/bin/python -c '
from raftzmq.testing import Cluster
with Cluster(3) as cluster, cluster.client() as db:
    db.put("greeting", "hello")
    cluster.kill_leader()
    print(db.get("greeting", timeout=30).value)
'
done
"""

FILTERS: Final = ("--cap-add", "NET_ADMIN")
"""Newer kernels want it for the filter by which a node holds its ports back."""

PASSED_MIN: Final = 2_800
"""Of 3,208."""


@pytest.fixture
def base() -> str:
    """The image that the Dockerfile begins with. Skips where there is none."""
    if reason := why_not():
        pytest.skip(reason)
    return base_image()


def run(base: str, script: str) -> str:
    """Run a script in a container with the checkout in /given; what it printed."""
    name = unique("newest")
    mount = f"type=bind,src={ROOT},dst=/given,readonly"
    try:
        ended = docker(
            *("run", "--name", name, "--init", "--network", "host", *FILTERS, "--mount", mount),
            *(base, "sh", "-ec", script),
            timeout_s=LIMIT_S,
        )
    finally:
        docker("rm", "--force", name)
    assert ended.code == 0, (ended.out + ended.err)[-8000:]
    return ended.out


def test_wheel_and_sdist_are_installed_and_run_three_nodes(base: str) -> None:
    assert run(base, PACKAGES).splitlines() == [f"raftzmq {__version__}", "hello"] * 2


def test_a_clone_is_installed_and_its_tests_pass(base: str) -> None:
    said = run(base, TESTS)
    passed = re.search(r"(\d+) passed", said)
    assert passed, said[-8000:]
    assert int(passed[1]) > PASSED_MIN, said[-8000:]
    assert said.endswith("with Django 6\n"), said[-8000:]


def test_the_image_has_the_newest_python_of_the_classifiers(base: str) -> None:
    text = (ROOT / "pyproject.toml").read_text()
    named = [int(minor) for minor in re.findall(r"Python :: 3\.(\d+)", text)]
    program = "import sys; print(sys.version_info.minor)"
    assert answer("run", "--rm", base, "python3", "-c", program) == str(max(named))
