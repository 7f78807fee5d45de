"""The newest release as its users have it: its wheel, in an environment of its own."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import venv
from io import BytesIO
from pathlib import Path
from typing import Final

from tests.containers import engine
from tests.sim.story import ROOT

RELEASE: Final = "0.2.0"


def release_commit() -> str | None:
    """The commit of the release: that of its tag, or the one that says so, as tags need not travel.
    None where neither is there, as in a shallow clone."""
    tagged = _git("rev-parse", "--verify", "--quiet", f"v{RELEASE}^{{commit}}")
    return (
        tagged or _git("log", "--format=%H", "--max-count=1", f"--grep=^Release {RELEASE}$") or None
    )


def archive(commit: str) -> bytes:
    """The files of a commit, as tar has them."""
    done = subprocess.run(["git", "archive", commit], cwd=ROOT, check=True, stdout=subprocess.PIPE)
    return done.stdout


def build_image(commit: str, name: str) -> None:
    """Build the image of a commit, by its own Dockerfile."""
    with tempfile.TemporaryDirectory() as directory:
        with tarfile.open(fileobj=BytesIO(archive(commit))) as files:
            files.extractall(directory, filter="data")
        dockerfile = str(Path(directory) / "containers" / "Dockerfile")
        engine.answer(
            *("build", "--network", "host", "--file", dockerfile, "--tag", name, directory),
            timeout_s=engine.BUILD_S,
        )


def install_release(commit: str, directory: Path) -> Path:
    """Build the wheel of a commit and install it in a new environment below `directory`, beside
    what it depends on here. Returns its Python."""
    source = directory / "source"
    source.mkdir(parents=True)
    subprocess.run(["tar", "-x", "-C", str(source)], input=archive(commit), check=True)
    wheels = directory / "wheels"
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", str(wheels), str(source)], check=True)
    (wheel,) = wheels.glob("raftzmq-*.whl")
    environment = directory / "release"
    venv.create(environment, with_pip=False, symlinks=True)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(environment)}))
    subprocess.run(
        [*pip, "install", "--no-deps", "--target", str(packages), str(wheel)], check=True
    )
    # A path in such a file comes after the environment's own, and its files are not read.
    (packages / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return environment / "bin" / "python"


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=ROOT, check=False, capture_output=True, text=True
    )
    return done.stdout.strip() if done.returncode == 0 else ""
