"""Every object is what the schemas of many Kubernetes versions say, with no field beyond them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml
from kubernetes_validate.utils import all_versions  # type: ignore[import-untyped]

from tests.amounts import amount, sample
from tests.kube.manifests import BUDGETS, EVERY, KUBE, objects, rendered

VERSIONS = list(dict.fromkeys(version.removesuffix(".0") for version in all_versions()))

OLD = "kubernetes-validate==1.24.0"
"""The last that has the schemas of versions before 1.25."""
OLD_VERSIONS = ("1.20", "1.21", "1.22", "1.23", "1.24")


def test_the_schemas_are_those_of_many_versions() -> None:
    assert len(VERSIONS) >= 7
    assert VERSIONS[0] == "1.25"


@pytest.mark.parametrize("version", sample(VERSIONS, 4))
def test_every_object_is_valid(version: str) -> None:
    different = {repr(item): item for directory in EVERY for item in objects(directory)}
    assert len(different) > len(objects("base"))
    for item in different.values():
        assert kubernetes_validate.validate(item, version, strict=True) == version


def test_a_field_that_does_not_exist_is_noticed() -> None:
    service = next(item for item in objects("base") if item["kind"] == "Service")
    service["spec"]["publishUnreadyAddresses"] = True
    with pytest.raises(kubernetes_validate.ValidationError, match="publishUnreadyAddresses"):
        kubernetes_validate.validate(service, VERSIONS[-1], strict=True)


def python(
    module: str, *words: str, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a module as a program."""
    return subprocess.run(
        [sys.executable, "-m", module, *words], capture_output=True, text=True, check=False, env=env
    )


@pytest.fixture(scope="session")
def old_validator(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which `python -m kubernetes_validate` knows the older versions."""
    if not amount(0, 1):
        pytest.skip("the schemas of 1.20 to 1.24 are fetched in a run with --proof only")
    target = tmp_path_factory.mktemp("old-schemas")
    words = ("-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target), OLD)
    installed = subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, check=False
    )
    if installed.returncode:
        pytest.skip(f"{OLD} cannot be installed: {installed.stderr.strip()}")
    env = {**os.environ, "PYTHONPATH": str(target), "PYTHONWARNINGS": "ignore"}
    works = python("kubernetes_validate", "--version", env=env)
    if works.returncode:  # it needs distutils, which Python 3.12 has no more
        pytest.skip(f"{OLD} does not work here: {works.stderr.strip()}")
    return env


@pytest.mark.parametrize("version", OLD_VERSIONS)
def test_every_object_is_valid_from_1_20_on(
    version: str, old_validator: dict[str, str], tmp_path: Path
) -> None:
    budget = BUDGETS[0] if version != "1.20" else BUDGETS[1]
    texts = [rendered(directory) for directory in EVERY if "kind" not in directory]
    texts += [(KUBE / budget / "disruption-budget.yaml").read_text()]
    backup = "backup" if version != "1.20" else "backup-v1beta1"
    texts += [
        path.read_text() for path in sorted((KUBE / "components" / backup).glob("[bc]*.yaml"))
    ]
    file = tmp_path / "all.yaml"
    file.write_text("---\n".join(texts))
    done = python("kubernetes_validate", "--strict", "-k", version, str(file), env=old_validator)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    count = sum(1 for _ in yaml.safe_load_all(file.read_text()))
    assert said.count(f"against version {version}") == count, said
