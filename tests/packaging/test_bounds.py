"""The oldest and the newest version of each package that pyproject.toml allows."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import sysconfig
import tomllib
import venv
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import pytest

from tests.containers.engine import ROOT
from tests.containers.test_requirements import satisfies

PROJECT: Final[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ALLOWED: Final = {
    name: bounds
    for text in [
        *PROJECT["dependencies"],
        *(
            requirement
            for extra, requirements in PROJECT["optional-dependencies"].items()
            if extra not in ("docs", "dev")  # of these nothing is used with raftzmq
            for requirement in requirements
        ),
    ]
    for name, bounds in [re.split(r"(?=[<>=])", text, maxsplit=1)]
}
"""Name -> bounds, such as >=13.7,<16."""

BESIDE_THE_OLDEST: Final = ("click<8.2",)
"""Typer says since 0.15.4 only which click it can be used with."""

TRIED: Final = (
    "tests/transport/test_curve.py",  # pyzmq
    "tests/transport/test_links.py",
    "tests/transport/test_hostile_frames.py",  # orjson
    "tests/server/test_metrics.py",  # prometheus-client
    "tests/system/test_tracing.py",  # opentelemetry
    "tests/server/test_statefulset.py",  # lightkube
    "tests/system/test_buckets.py",  # obstore
    "tests/contrib",  # the frameworks
    "tests/cli/common",  # typer and rich
    "tests/cli/top",
    "tests/cli/test_usage.py",
    "tests/cli/client/test_commands.py",  # all of them, with nodes
)
TYPERS_OWN_WORDS: Final = "not (test_wrong_usage and (whole or simple)) and not test_help_speaks"
"""Of conversions and help texts, which this program words itself where Typer lets it."""

LIMIT_S: Final = 900


def pip(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_S,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", ALLOWED)
def test_what_is_installed_here_is_within_the_bounds(name: str) -> None:
    assert satisfies(version(name), ALLOWED[name])


@pytest.mark.proof
def test_all_these_tests_run_with_the_newest() -> None:
    """So that the whole run is the trial of the newest."""
    wanted = [f"{name}{bounds}" for name, bounds in ALLOWED.items()]
    report = json.loads(pip("install", "--dry-run", "--upgrade", "--report", "-", *wanted))
    newer = [
        f"{found['metadata']['name']} {found['metadata']['version']}"
        for found in report["install"]
        if re.sub("[-_.]+", "-", found["metadata"]["name"]).lower() in ALLOWED
    ]
    assert newer == [], "remove .venv, and let ./justw make it anew"


@pytest.mark.proof
@pytest.mark.skipif(sys.version_info >= (3, 12), reason="the oldest have wheels for Python 3.11")
def test_it_works_with_the_oldest_of_all(tmp_path: Path) -> None:
    environment = tmp_path / "oldest"
    venv.create(environment, with_pip=False, symlinks=True)
    python = environment / "bin" / "python"
    oldest = [f"{name}=={bounds[2:].partition(',')[0]}" for name, bounds in ALLOWED.items()]
    pip("--python", str(python), "install", "--no-compile", *oldest, *BESIDE_THE_OLDEST)
    # A path in such a file comes after the environment's own: pytest is found there.
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(environment)}))
    beside = [ROOT, ROOT / "cli", sysconfig.get_path("purelib")]
    (packages / "beside.pth").write_text("".join(f"{path}\n" for path in beside))

    # Old packages may warn of what is theirs.
    options = ["-q", "-p", "no:cacheprovider", "-W", "default", "-m", "not proof"]
    done = subprocess.run(
        [str(python), "-m", "pytest", *options, "-k", TYPERS_OWN_WORDS, *TRIED],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_S,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    assert int(re.findall(r"(\d+) passed", done.stdout)[-1]) > 400
