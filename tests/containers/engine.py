"""The docker command, and the things made with it, which are gone when a test ends."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
DOCKERFILE: Final = ROOT / "containers" / "Dockerfile"
PATIENCE_S: Final = 60.0
BUILD_S: Final = 900.0
PULL_S: Final = 300.0

HARDENED: Final = (
    *("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
    *("--tmpfs", "/data:uid=65532,gid=65532,mode=0700"),
)
"""As in Kubernetes: nothing can be written but /data, and nobody has any special right."""


@dataclass(frozen=True, slots=True)
class Ended:
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str


def docker(*words: str, timeout_s: float = PATIENCE_S) -> Ended:
    """Run docker with these arguments."""
    done = subprocess.run(
        ["docker", *words], capture_output=True, text=True, timeout=timeout_s, check=False
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def answer(*words: str, timeout_s: float = PATIENCE_S) -> str:
    """What docker prints, which must succeed."""
    ended = docker(*words, timeout_s=timeout_s)
    assert ended.code == 0, f"docker {' '.join(words)}: {ended.err or ended.out}"
    return ended.out.strip()


def base_image() -> str:
    """The image that the Dockerfile begins with."""
    found = re.search(r"^ARG BASE=(\S+)$", DOCKERFILE.read_text(), re.MULTILINE)
    assert found, f"{DOCKERFILE} has no line ARG BASE="
    return found[1]


def why_not() -> str | None:
    """Why there can be no containers here, or None."""
    if shutil.which("docker") is None:
        return "docker is not installed"
    if (said := docker("info")).code != 0:
        return f"docker does not answer: {said.err.strip().splitlines()[-1:]}"
    base = base_image()
    if docker("image", "inspect", base).code == 0:
        return None
    pulled = docker("pull", base, timeout_s=PULL_S)
    return None if pulled.code == 0 else f"{base} is not here and cannot be pulled: {pulled.err}"


def unique(what: str) -> str:
    """A name that nothing else on the engine has."""
    return f"raftzmq-test-{what}-{os.getpid()}-{uuid.uuid4().hex[:8]}"


def build(tag: str) -> None:
    """Build the image of this checkout. The network is the machine's: packages are fetched."""
    answer(
        *("build", "--network", "host", "--file", str(DOCKERFILE), "--tag", tag, str(ROOT)),
        *("--build-arg", "VERSION=1.2.3", "--build-arg", "REVISION=abc"),
        timeout_s=BUILD_S,
    )


def eventually(condition: Callable[[], bool], what: str) -> None:
    """Wait until it holds, for a minute at most."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, f"{what} did not come to be in {PATIENCE_S:g} s"
        time.sleep(0.1)


@dataclass(slots=True)
class Engine:
    """Runs containers of one image, and removes whatever it made."""

    image: str
    stack: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.close()

    def run(self, *words: str, options: Sequence[str] = HARDENED) -> Ended:
        """Run a container with these arguments to its end."""
        name = self._named()
        return docker("run", "--name", name, *options, self.image, *words)

    def shell(self, script: str) -> str:
        """What a shell in the image prints, which must succeed."""
        ended = self.run("-ec", script, options=(*HARDENED, "--entrypoint", "sh"))
        assert ended.code == 0, ended.err or ended.out
        return ended.out.strip()

    def start(self, *words: str, options: Sequence[str] = HARDENED) -> str:
        """Start a container in the background; return its name."""
        name = self._named()
        answer("run", "--detach", "--name", name, *options, self.image, *words)
        return name

    def network(self) -> str:
        """Make a network; return its name."""
        name = unique("network")
        answer("network", "create", name)
        self.stack.callback(docker, "network", "rm", name)
        return name

    def volume(self) -> str:
        """Make a volume; return its name."""
        name = unique("volume")
        answer("volume", "create", name)
        self.stack.callback(docker, "volume", "rm", "--force", name)
        return name

    def _named(self) -> str:
        name = unique("container")
        self.stack.callback(docker, "rm", "--force", "--volumes", name)
        return name


def logs(container: str) -> str:
    """All that a container has printed."""
    said = docker("logs", container)
    return said.out + said.err


def exit_code(container: str) -> int:
    """How a container that has stopped ended."""
    state = answer("inspect", "--format", "{{.State.Running}} {{.State.ExitCode}}", container)
    running, code = state.split()
    assert running == "false", f"{container} still runs"
    return int(code)
