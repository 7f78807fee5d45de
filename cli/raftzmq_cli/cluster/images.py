"""`raftzmq cluster build | push`: the image, from the checkout to the registry."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from raftzmq import __version__
from raftzmq_cli.cluster import checkout as checkouts
from raftzmq_cli.cluster import tools
from raftzmq_cli.cluster.options import (
    BASE_IMAGE,
    REGISTRY,
    BaseImage,
    BuildNetwork,
    RegistryAddress,
    Tag,
)
from raftzmq_cli.cluster.registry import Registry
from raftzmq_cli.common.commands import Commands
from raftzmq_cli.common.messages import line

NAME: Final = "raftzmq"
DOCKERFILE: Final = "containers/Dockerfile"

commands = Commands()


@dataclass(frozen=True, slots=True)
class Image:
    """An image of raftzmq in a registry."""

    registry: str
    tag: str

    @property
    def repository(self) -> str:
        return f"{self.registry}/{NAME}"

    def __str__(self) -> str:
        return f"{self.repository}:{self.tag}"


@commands.command("build", "raftzmq cluster build --network host")
def build(
    registry: RegistryAddress = REGISTRY,
    tag: Tag = None,
    base_image: BaseImage = BASE_IMAGE,
    network: BuildNetwork = None,
) -> None:
    """Build the image from this checkout."""
    image = image_of(registry, tag)
    build_image(image, checkouts.root(), base_image, network)
    line(f"image {image} is built; next: raftzmq cluster push")


@commands.command("push")
def push(registry: RegistryAddress = REGISTRY, tag: Tag = None) -> None:
    """Push the image to the registry."""
    image = image_of(registry, tag)
    push_image(image, Registry(registry))
    line(f"image {image} is pushed; next: raftzmq cluster apply")


def image_of(registry: str, tag: str | None) -> Image:
    """The image of a tag; without one, of this version of raftzmq."""
    return Image(registry, tag or __version__)


def build_image(image: Image, checkout: Path, base: str, network: str | None) -> None:
    """Build the image; `network` is docker's --network for the steps. Raises ToolFailed."""
    tools.require_docker()
    arguments = {"BASE": base, "VERSION": image.tag, "REVISION": revision(checkout)}
    words = ["docker", "build", "--file", str(checkout / DOCKERFILE), "--tag", str(image)]
    for name, value in arguments.items():
        words += ["--build-arg", f"{name}={value}"]
    if network:
        words += ["--network", network]
    # An attestation says when it was built, so that the same image would be another each time.
    os.environ.setdefault("BUILDX_NO_DEFAULT_ATTESTATIONS", "1")
    tools.act([*words, str(checkout)])


def push_image(image: Image, registry: Registry) -> None:
    """Push the image to its registry. Raises ToolUnavailable, ToolFailed."""
    tools.require_docker()
    registry.require()
    if tools.ask(["docker", "image", "inspect", str(image)]).code != 0:
        raise tools.ToolFailed(
            f"there is no image {image} here: build it first, with 'raftzmq cluster build'"
        )
    tools.act(["docker", "push", str(image)])


def revision(checkout: Path) -> str:
    """The checkout's commit, with `-changed` if files differ from it; `unknown` without git."""
    try:
        commit = tools.ask(["git", "-C", str(checkout), "rev-parse", "HEAD"])
        changes = tools.ask(
            ["git", "-C", str(checkout), "status", "--porcelain", "--untracked-files=no"]
        )
    except tools.ToolUnavailable:
        return "unknown"
    if commit.code != 0:
        return "unknown"
    return commit.out.strip() + ("-changed" if changes.out.strip() else "")
