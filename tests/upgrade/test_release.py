"""`just release` refuses what must not be released, and makes what can be installed."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from raftzmq import __version__
from tests import release


def git(root: Path, *arguments: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", *who, *arguments], cwd=root, check=True, capture_output=True)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A repository with one commit, which says 1.2.3."""
    git(tmp_path, "init", "--quiet")
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "1.2.3"\n')
    git(tmp_path, "add", "pyproject.toml")
    git(tmp_path, "commit", "--quiet", "-m", "one")
    return tmp_path


def test_the_commit_with_the_tag_may_be_released(tree: Path) -> None:
    git(tree, "tag", "-a", "v1.2.3", "-m", "1.2.3")
    release.check_tree(tree, release.version_of(tree), trial=False)


def test_a_commit_without_the_tag_may_not(tree: Path) -> None:
    with pytest.raises(release.Refusal, match=r"the tag v1\.2\.3 does not exist"):
        release.check_tree(tree, "1.2.3", trial=False)
    git(tree, "tag", "v1.2.3")
    git(tree, "commit", "--quiet", "--allow-empty", "-m", "two")
    with pytest.raises(release.Refusal, match=r"the tag v1\.2\.3 is another commit"):
        release.check_tree(tree, "1.2.3", trial=False)


def test_a_changed_tree_may_not(tree: Path) -> None:
    git(tree, "tag", "v1.2.3")
    (tree / "left").write_text("over")
    with pytest.raises(release.Refusal, match="such as left"):
        release.check_tree(tree, "1.2.3", trial=False)
    release.check_tree(tree, "1.2.3", trial=True)


def test_the_version_is_said_in_one_way_everywhere() -> None:
    assert release.version_of(release.ROOT) == __version__


@pytest.mark.system
@pytest.mark.proof
def test_a_trial_makes_all_but_the_image_and_publishes_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert release.main(["--trial", "--no-image", "--out", str(tmp_path)]) == 0
    names = {path.name for path in tmp_path.iterdir()}
    bill = f"raftzmq-{__version__}.cdx.json"
    assert names == {
        f"raftzmq-{__version__}-py3-none-any.whl",
        f"raftzmq-{__version__}.tar.gz",
        bill,
        "SHA256SUMS",
    }
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=tmp_path, check=True)
    listed = json.loads((tmp_path / bill).read_text())
    assert listed["bomFormat"] == "CycloneDX"
    parts = {part["name"] for part in listed["components"]}
    assert {"pyzmq", "orjson", "typer"} <= parts
    assert parts.isdisjoint({"pip", "pytest"})
    assert "nothing of this is to be published" in capfd.readouterr().out
