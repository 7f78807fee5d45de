"""What tests of the manifests share."""

from __future__ import annotations

import pytest

from tests.kube.helm import Helm


@pytest.fixture(scope="session")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """Helm. Skips where it cannot be installed."""
    return Helm(tmp_path_factory.mktemp("helm"))
