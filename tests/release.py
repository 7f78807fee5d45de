"""Make a release: wheel, sdist, image, digests, a bill of materials. Checks it, publishes nothing.

    python -m tests.release [--out DIR] [--trial] [--no-image]

Everything is built from the commit, never from the files that lie around. The tools come from
PyPI, into an environment of their own: `build` makes wheel and sdist, `cyclonedx-bom` the list of
all that is installed with the wheel (CycloneDX, JSON).
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.system.ports import free_ports

ROOT: Final = Path(__file__).parent.parent
TOOLS: Final = ("build>=1.2,<2", "cyclonedx-bom>=7,<8")
IMAGE: Final = "raftzmq"


class Refusal(Exception):
    """The release cannot be made; the message says why and what to do."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="just release", description="Make a release; publish nothing."
    )
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="where to (default: dist)")
    parser.add_argument(
        "--trial",
        action="store_true",
        help="also for a commit that is not tagged, or a changed tree",
    )
    parser.add_argument("--no-image", action="store_true", help="build no image")
    given = parser.parse_args(arguments)
    try:
        version = version_of(ROOT)
        check_tree(ROOT, version, trial=given.trial)
        with tempfile.TemporaryDirectory(prefix="raftzmq-release-") as scratch:
            made = make(version, Path(scratch), given.out, image=not given.no_image)
    except Refusal as refusal:
        print(f"release: {refusal}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        print(f"release: `{' '.join(map(str, error.cmd))}` failed (see above)", file=sys.stderr)
        return 1
    tell(version, given.out, made, trial=given.trial)
    return 0


# -- may it be made ------------------------------------------------------------------------------


def version_of(root: Path) -> str:
    """The version in pyproject.toml."""
    version = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    assert isinstance(version, str)
    return version


def check_tree(root: Path, version: str, *, trial: bool) -> None:
    """Raise Refusal unless the tree is clean and the commit has the version's tag."""
    if trial:
        return
    if changed := _git(root, "status", "--porcelain"):
        raise Refusal(
            f"the tree has changes that no commit has, such as {changed.splitlines()[0][3:]}: "
            "commit them, or say --trial to build the commit without them"
        )
    tag = f"v{version}"
    head = _git(root, "rev-parse", "HEAD")
    tagged = _git(root, "rev-parse", "--verify", "--quiet", f"{tag}^{{commit}}")
    if tagged != head:
        what = "is another commit" if tagged else "does not exist"
        raise Refusal(
            f"pyproject.toml says {version}, and the tag {tag} {what}: check out the tag, or make "
            f"it (git tag -a {tag}), or say --trial"
        )


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=root, check=False, capture_output=True, text=True
    )
    return done.stdout.rstrip() if done.returncode == 0 else ""


# -- making it -----------------------------------------------------------------------------------


def make(version: str, scratch: Path, out: Path, *, image: bool) -> dict[str, str]:
    """Build and check everything. Returns what was made, with its SHA-256."""
    source = scratch / "source"
    _export(ROOT, source)
    tools = _environment(scratch / "tools", *TOOLS)
    out.mkdir(parents=True, exist_ok=True)
    say("building wheel and sdist")
    built = scratch / "built"
    stamp = _git(ROOT, "log", "-1", "--format=%ct")
    _run([tools, "-m", "build", "--outdir", built, source], SOURCE_DATE_EPOCH=stamp)
    wheel = next(built.glob(f"raftzmq-{version}-*.whl"))
    sdist = built / f"raftzmq-{version}.tar.gz"
    say("installing the sdist in a fresh environment")
    check_version(_environment(scratch / "sdist", str(sdist)), version)
    say("installing the wheel in a fresh environment, and running three nodes by it")
    installed = _environment(scratch / "wheel", str(wheel))
    check_version(installed, version)
    check_cluster(installed, scratch / "cluster")
    bill = built / f"raftzmq-{version}.cdx.json"
    say("listing what is installed with it")
    # They made the environment, and are no part of what is released.
    _run([installed, "-m", "pip", "--quiet", "uninstall", "--yes", "setuptools", "pip"])
    options = [
        "--output-reproducible",
        "--of",
        "JSON",
        "--pyproject",
        str(source / "pyproject.toml"),
    ]
    _run([tools, "-m", "cyclonedx_py", "environment", *options, "-o", bill, installed])
    made = {path.name: _sha256(path) for path in (wheel, sdist, bill)}
    for name in made:
        shutil.copy2(built / name, out / name)
    if image:
        made |= build_image(version, source)
    sums = "".join(f"{digest}  {name}\n" for name, digest in made.items())
    (out / "SHA256SUMS").write_text(sums)
    return made


def check_version(python: Path, version: str) -> None:
    """Raise Refusal unless what is installed says that it is this version."""
    said = subprocess.run(
        [python, "-c", "import raftzmq; print(raftzmq.__version__)"],
        cwd=python.parent,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    if said != version:
        raise Refusal(
            f"raftzmq.__version__ is {said}, pyproject.toml says {version}: make them equal"
        )


def check_cluster(python: Path, directory: Path) -> None:
    """Run three nodes by the program that is installed, and `client check` on them."""
    program = python.parent / "raftzmq"
    base = free_ports(3)
    endpoints = ",".join(f"127.0.0.1:{base + 10 * node + 1}" for node in range(3))
    _run([program, "local", "up", "--dir", directory, "--base-port", str(base)])
    try:
        _run([program, "client", "--endpoints", endpoints, "check"])
    finally:
        _run([program, "local", "down", "--dir", directory, "--purge"])


def build_image(version: str, source: Path) -> dict[str, str]:
    """Build the image, if Docker answers. Returns its name and its id."""
    if not _answers(["docker", "version", "--format", "{{.Server.Version}}"]):
        say("NO IMAGE: Docker does not answer here")
        return {}
    say("building the image")
    name = f"{IMAGE}:{version}"
    network = os.environ.get("RAFTZMQ_BUILD_NETWORK")
    words = ["docker", "build", "--file", str(source / "containers/Dockerfile"), "--tag", name]
    words += ["--build-arg", f"REVISION={_git(ROOT, 'rev-parse', 'HEAD')}"]
    words += ["--network", network] if network else []
    _run([*words, source])
    _run(["docker", "run", "--rm", name, "--help"])
    told = subprocess.run(
        ["docker", "image", "inspect", "--format", "{{.Id}}", name],
        check=True,
        capture_output=True,
        text=True,
    )
    return {f"image {name}": told.stdout.strip().removeprefix("sha256:")}


def tell(version: str, out: Path, made: Mapping[str, str], *, trial: bool) -> None:
    """Say what was made, and what a person would do next."""
    print(f"\nraftzmq {version}, in {out}:")
    for name, digest in made.items():
        print(f"  {digest}  {name}")
    if trial:
        print("A trial: nothing of this is to be published.")
        return
    print("Nothing is published. Next, by hand:")
    print(f"  git push origin v{version}")
    print(f"  twine upload {out}/raftzmq-{version}*.whl {out}/raftzmq-{version}.tar.gz")
    print(f"  docker tag {IMAGE}:{version} REGISTRY/{IMAGE}:{version}, and docker push it")
    print("  then the next version in pyproject.toml, raftzmq/__init__.py, kube/ and containers/")


def say(what: str) -> None:
    print(f"release: {what}", flush=True)


def _answers(command: Sequence[str]) -> bool:
    try:
        return subprocess.run(command, check=False, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


def _export(root: Path, to: Path) -> None:
    """The files of the commit, and no others."""
    to.mkdir(parents=True)
    archive = subprocess.run(
        ["git", "archive", "HEAD"], cwd=root, check=True, stdout=subprocess.PIPE
    )
    subprocess.run(["tar", "-x", "-C", str(to)], input=archive.stdout, check=True)


def _environment(where: Path, *packages: str) -> Path:
    """A fresh environment with these packages; its Python."""
    venv.create(where, with_pip=True, symlinks=True)
    python = where / "bin" / "python"
    _run([python, "-m", "pip", "--quiet", "--disable-pip-version-check", "install", *packages])
    return python


def _run(command: Sequence[str | Path], **more: str) -> None:
    """Run it, away from the checkout, whose files it would find; raises CalledProcessError."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("RAFTZMQ_", "PYTHON"))}
    subprocess.run(
        [str(word) for word in command], check=True, cwd="/", env={**environment, **more}
    )


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
