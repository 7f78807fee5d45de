"""The second image, to which the scenario rolls: the first one with a label on top."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tests.acceptance.expectation import run

BUILD_S: Final = 300.0


def labelled(image: str, name: Callable[[str], str]) -> str:
    """Build an image from one that docker has or finds, with nothing but a label on top. `name`
    makes its name of its identity, so that another image never gets the same one. Returns the name.
    Raises Unmet."""
    recipe = f"FROM {image}\nLABEL org.raftzmq.acceptance=second\n"
    build = ("docker", "build", "--quiet", "-")
    identity = run(*build, given=recipe, patience_s=BUILD_S).expect().out.strip()
    made = name(identity.removeprefix("sha256:")[:12])
    run("docker", "tag", identity, made).expect()
    return made


def pushed(image: str) -> str:
    """Push an image to the registry of its name. Returns the image. Raises Unmet."""
    run("docker", "push", "--quiet", image, patience_s=BUILD_S).expect()
    return image


def repository_of(image: str) -> str:
    """An image's name without its tag and digest: localhost:5001/raftzmq."""
    name = image.partition("@")[0]
    before, colon, tag = name.rpartition(":")
    return before if colon and "/" not in tag else name


def tag_of(image: str) -> str:
    """An image's tag, `latest` if it has none."""
    tag = image.partition("@")[0].removeprefix(repository_of(image)).removeprefix(":")
    return tag or "latest"
