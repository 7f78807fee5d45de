"""The test suites that libraries bring in their source distributions."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

LIMIT_S = 600


def source_of(library: str, directory: Path) -> Path:
    """The unpacked source distribution of the version that is installed here."""
    wanted = f"{library}=={version(library)}"
    options = ("--no-deps", "--no-binary", ":all:", "--quiet", "--disable-pip-version-check")
    words = [sys.executable, "-m", "pip", "download", *options, "-d", str(directory), wanted]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=LIMIT_S)
    assert done.returncode == 0, done.stderr
    (archive,) = directory.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        tar.extractall(directory, filter="data")
    (found,) = (path for path in directory.iterdir() if path.is_dir())
    return found


def installed(libraries: Sequence[str], directory: Path) -> Path:
    """A directory with what a suite needs besides, and nothing else does."""
    options = ("--quiet", "--disable-pip-version-check", "--target", str(directory))
    words = [sys.executable, "-m", "pip", "install", *options, *libraries]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=LIMIT_S)
    assert done.returncode == 0, done.stderr
    return directory


def run(words: Sequence[str], directory: Path, **environment: str) -> str:
    """Run Python with these words. Returns what it printed; fails unless it succeeded."""
    done = subprocess.run(
        [sys.executable, *words],
        cwd=directory,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_S,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-6000:]
    return said
