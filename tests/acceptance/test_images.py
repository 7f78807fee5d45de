"""The parts of an image's name."""

from __future__ import annotations

import pytest

from tests.acceptance.images import repository_of, tag_of


@pytest.mark.parametrize(
    ("image", "repository", "tag"),
    [
        ("localhost:5001/raftzmq:0.1.0", "localhost:5001/raftzmq", "0.1.0"),
        ("localhost:5001/raftzmq", "localhost:5001/raftzmq", "latest"),
        ("localhost:5001/raftzmq:0.1.0@sha256:ab", "localhost:5001/raftzmq", "0.1.0"),
        ("localhost:5001/raftzmq@sha256:ab", "localhost:5001/raftzmq", "latest"),
        ("raftzmq:0.1.0", "raftzmq", "0.1.0"),
    ],
)
def test_an_image_has_a_repository_and_a_tag(image: str, repository: str, tag: str) -> None:
    assert (repository_of(image), tag_of(image)) == (repository, tag)
